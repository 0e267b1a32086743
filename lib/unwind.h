/*
 * unwind.h: who called whom, at the moment of a signal.
 *
 *     static void on_signal(int number, siginfo_t *info, void *context)
 *     {
 *         size_t n = unwind_walk(modules, context, at, 128);      // at[0]: the instruction that was
 * interrupted }                                                           // at[1..]: where the callers go on
 *
 * It follows the call frame information of .eh_frame, which compilers write for all code, that of the
 * system's libraries too: it needs no frame pointers, loses no caller in a library that has none, and costs
 * nothing until it is used. Nothing is allocated, no lock is taken and nothing is called that is not
 * async-signal-safe; the stack is read through the kernel (process_vm_readv), so that a broken one ends the
 * walk and not the process. Where that call is forbidden, and on other processors than x86-64, only the first
 * address is found.
 *
 * A walk costs some microseconds and 8 KB of stack. Any thread, also several at once.
 */
#ifndef LIB_UNWIND_H
#define LIB_UNWIND_H

#include "lib/modules.h"

#define UNWIND_MAX 128 /* frames that are worth asking for */

/* CONTEXT is the third argument of a signal's handler. At most MAX addresses; how many. Async-signal-safe. */
MUST_USE size_t unwind_walk(const struct modules *all, const void *context, uintptr_t *at, size_t max);

/* Where the function that has PC begins; 0: not known. */
uintptr_t unwind_function(const struct modules *all, uintptr_t pc);

#endif
