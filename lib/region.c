/*
 * region.c: see region.h.
 *
 * Blocks lie one behind the other and fill the region: a header, then the bytes. A block knows its size and
 * the block before it, so both neighbours can be found. Free ones are in lists by size class: 32 parts of
 * each power of two, and two levels of bit maps tell which lists have any. Taking a block from the class
 * above the size that is asked for needs no search: each in it is large enough.
 */
#include "lib/region.h"

#include <sys/mman.h>

#include "lib/poison.h"

#define GRAIN      16u
#define HEADER     16u
#define SECOND_LOG 5
#define FREE_BIT   1u
#define BLOCK_MIN  (HEADER + 2 * sizeof(void *))
#define PAGE       4096u
#define RED_ZONE   (HAS_POISON ? 16u : 0u) /* behind each piece, where somebody would notice */

struct region_block {
    struct region_block *before; /* in memory; NULL: the first */
    size_t size;                 /* all of it; FREE_BIT: is free */
    /* of a free one */
    struct region_block *next, *prev;
};

struct class
{
    unsigned first, second;
};

static size_t size_of(const struct region_block *b)
{
    return b->size & ~(size_t)FREE_BIT;
}

static bool is_free(const struct region_block *b)
{
    return b->size & FREE_BIT;
}

static struct region_block *behind(const struct region_block *b)
{
    return (struct region_block *)(void *)((char *)(uintptr_t)b + size_of(b));
}

static struct region_block *block_of(const void *p)
{
    return (struct region_block *)(void *)((char *)(uintptr_t)p - HEADER);
}

/* The class that a block of SIZE is in. Small ones are in classes of one grain each. */
static struct class class_of(size_t size)
{
    size_t grains = size / GRAIN;
    if (grains < REGION_SECOND)
        return (struct class){0, (unsigned)grains};
    unsigned log = 63u - (unsigned)__builtin_clzll(grains);
    return (struct class){log - SECOND_LOG + 1,
                          (unsigned)(grains >> (log - SECOND_LOG)) & (REGION_SECOND - 1)};
}

/* The smallest class whose blocks are all of SIZE at least. */
static struct class class_for(size_t size)
{
    size_t grains = size / GRAIN;
    if (grains >= REGION_SECOND) {
        unsigned log = 63u - (unsigned)__builtin_clzll(grains);
        size += (((size_t)1 << (log - SECOND_LOG)) - 1) * GRAIN;
    }
    return class_of(size);
}

static void list_add(struct region *r, struct region_block *b)
{
    struct class c = class_of(size_of(b));
    struct region_block **list = &r->free[c.first][c.second];
    b->size |= FREE_BIT;
    b->prev = NULL;
    b->next = *list;
    if (*list)
        (*list)->prev = b;
    *list = b;
    r->first |= UINT64_C(1) << c.first;
    r->second[c.first] |= UINT32_C(1) << c.second;
    POISON(b + 1, size_of(b) - sizeof(*b));
}

static void list_remove(struct region *r, struct region_block *b)
{
    struct class c = class_of(size_of(b));
    if (b->next)
        b->next->prev = b->prev;
    if (b->prev)
        b->prev->next = b->next;
    else
        r->free[c.first][c.second] = b->next;
    b->size &= ~(size_t)FREE_BIT;
    UNPOISON(b, size_of(b));
    if (r->free[c.first][c.second])
        return;
    r->second[c.first] &= ~(UINT32_C(1) << c.second);
    if (r->second[c.first] == 0)
        r->first &= ~(UINT64_C(1) << c.first);
}

/* A free block of class C or above; NULL: none. */
static struct region_block *find(const struct region *r, struct class c)
{
    if (c.first >= REGION_FIRST)
        return NULL;
    uint32_t second = r->second[c.first] & (UINT32_MAX << c.second);
    if (second == 0) {
        uint64_t first = c.first + 1 < 64 ? r->first & (UINT64_MAX << (c.first + 1)) : 0;
        if (first == 0)
            return NULL;
        c.first = (unsigned)__builtin_ctzll(first);
        second = r->second[c.first];
    }
    return r->free[c.first][__builtin_ctz(second)];
}

/* B, which is not free, keeps SIZE bytes; the rest becomes a free block, joined with the one behind it. */
static void split(struct region *r, struct region_block *b, size_t size)
{
    size_t rest = size_of(b) - size;
    if (rest < BLOCK_MIN)
        return;
    b->size = size;
    struct region_block *tail = behind(b);
    tail->before = b;
    tail->size = rest;
    struct region_block *next = behind(tail);
    if (is_free(next)) {
        list_remove(r, next);
        tail->size += size_of(next);
        next = behind(tail);
    }
    next->before = tail;
    list_add(r, tail);
}

static size_t block_size(size_t size)
{
    size_t whole = (size + HEADER + RED_ZONE + GRAIN - 1) / GRAIN * GRAIN;
    return whole < BLOCK_MIN ? BLOCK_MIN : whole;
}

bool region_init(struct region *r, size_t size)
{
    *r = (struct region){.size = size < PAGE ? PAGE : size / PAGE * PAGE};
    r->memory =
        mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r->memory == MAP_FAILED)
        return false;
    struct region_block *all = (struct region_block *)(void *)r->memory;
    all->before = NULL;
    all->size = r->size - HEADER;
    struct region_block *end = behind(all);
    end->before = all;
    end->size = HEADER; /* never free, never joined */
    list_add(r, all);
    return true;
}

void region_fini(struct region *r)
{
    UNPOISON(r->memory, r->size);
    munmap(r->memory, r->size);
}

void *region_alloc(struct region *r, size_t size)
{
    if (size > r->size)
        return NULL;
    size_t whole = block_size(size);
    struct region_block *b = find(r, class_for(whole));
    if (!b)
        return NULL;
    list_remove(r, b);
    split(r, b, whole);
    r->used += size_of(b);
    POISON((char *)b + HEADER + size, size_of(b) - HEADER - size);
    return (char *)b + HEADER;
}

void region_release(struct region *r, void *p)
{
    struct region_block *b = block_of(p), *next = behind(b), *before = b->before;
    CHECK(!is_free(b));
    UNPOISON(b, size_of(b));
    r->used -= size_of(b);
    if (is_free(next)) {
        list_remove(r, next);
        b->size += size_of(next);
    }
    if (before && is_free(before)) {
        list_remove(r, before);
        before->size += b->size;
        b = before;
    }
    behind(b)->before = b;
    list_add(r, b);
}

void region_shrink(struct region *r, void *p, size_t size)
{
    struct region_block *b = block_of(p);
    size_t had = size_of(b), whole = block_size(size);
    CHECK(!is_free(b));
    if (whole >= had)
        return;
    UNPOISON(b, had);
    split(r, b, whole);
    r->used -= had - size_of(b);
    POISON((char *)p + size, size_of(b) - HEADER - size);
}

size_t region_size(const void *p)
{
    return size_of(block_of(p));
}
