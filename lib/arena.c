/* arena.c: a bump allocator over a chain of blocks; see arena.h. */
#include "lib/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGNMENT  _Alignof(max_align_t)
#define BLOCK_SIZE ((size_t)4096)

struct arena_block {
    struct arena_block *older;
    max_align_t bytes[];
};

void arena_init(struct arena *a, void *first, size_t first_size, size_t limit)
{
    *a = (struct arena){.first = first, .first_size = first_size, .limit = limit};
    a->next = a->first;
    a->end = first ? a->first + first_size : NULL;
}

void arena_reset(struct arena *a)
{
    while (a->extra) {
        struct arena_block *older = a->extra->older;
        free(a->extra);
        a->extra = older;
    }
    a->extra_size = 0;
    a->next = a->first;
    a->end = a->first ? a->first + a->first_size : NULL;
}

void arena_fini(struct arena *a)
{
    arena_reset(a);
    *a = (struct arena){0};
}

static bool grow(struct arena *a, size_t need)
{
    size_t size = need > BLOCK_SIZE ? need : BLOCK_SIZE;
    if (size > a->limit - a->extra_size)
        size = need;
    if (size > a->limit - a->extra_size)
        return false;
    struct arena_block *b = malloc(sizeof(*b) + size);
    if (!b)
        return false;
    b->older = a->extra;
    a->extra = b;
    a->extra_size += size;
    a->next = (char *)b->bytes;
    a->end = a->next + size;
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->limit + a->first_size)
        return NULL;
    size_t need = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (need > (size_t)(a->end - a->next) && !grow(a, need))
        return NULL;
    void *p = a->next;
    a->next += need;
    return p;
}

char *arena_dup(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct slice arena_slice(struct arena *a, struct slice s, bool *ok)
{
    char *copy = arena_dup(a, s);
    if (!copy) {
        *ok = false;
        return (struct slice){"", 0};
    }
    return (struct slice){copy, s.len};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}
