/*
 * poison.h: memory that is not to be touched, told to AddressSanitizer, for those who keep memory of their
 * own.
 *
 * Without it both do nothing. HAS_POISON is 1 when they do something.
 */
#ifndef LIB_POISON_H
#define LIB_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_POISON 1
#endif
#endif

#ifdef HAS_POISON
#include <sanitizer/asan_interface.h>
#define POISON(p, size)   __asan_poison_memory_region(p, size)
#define UNPOISON(p, size) __asan_unpoison_memory_region(p, size)
#else
#define HAS_POISON        0
#define POISON(p, size)   ((void)(p), (void)(size))
#define UNPOISON(p, size) ((void)(p), (void)(size))
#endif

#endif
