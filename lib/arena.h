/*
 * arena.h: memory that is given back all at once.
 *
 * Everything one request needs is cut from its arena and dies with it. The first block may be lent by the
 * owner (the request object carries it), so that a usual request makes no allocation at all. The arena has a
 * ceiling; past it, or when malloc fails, arena_alloc gives NULL and the request fails, nothing else.
 *
 *     struct arena a;
 *     arena_init(&a, x->first_block, sizeof(x->first_block), 64 << 10);
 *     char *copy = arena_dup(&a, target);      // NULL: out of memory
 *     arena_reset(&a);                         // back to the first block
 *
 * Owned by one thread at a time. Memory is aligned for any type and not zeroed.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include "lib/check.h"
#include "lib/slice.h"

struct arena_block;

struct arena {
    char *next;                /* first free byte of the current block */
    char *end;                 /* its end */
    struct arena_block *extra; /* blocks from malloc, newest first */
    char *first;               /* the lent block */
    size_t first_size;         /* bytes */
    size_t limit;              /* bytes all extra blocks may hold */
    size_t extra_size;         /* bytes they hold */
};

/* FIRST (of FIRST_SIZE bytes, aligned for any type) is lent until arena_fini; it may be NULL with size 0. */
void arena_init(struct arena *a, void *first, size_t first_size, size_t limit);

/* Forget everything and free what was added to the first block. */
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

MUST_USE void *arena_alloc(struct arena *a, size_t size);

/* A NUL-terminated copy of S. */
MUST_USE char *arena_dup(struct arena *a, struct slice s);

/* As arena_dup, as a slice; *OK turns false when memory ran out (and is left alone otherwise). */
struct slice arena_slice(struct arena *a, struct slice s, bool *ok);

/* Printed text, NUL-terminated. */
MUST_USE char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
