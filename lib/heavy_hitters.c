/*
 * heavy_hitters.c: see heavy_hitters.h.
 *
 * Entries of the same count are in one group; groups are a list by rising count. To raise an entry is to move
 * it to the next group, or to a new one between; to evict is to take any entry of the lowest. Both are a few
 * links. An index by hash finds an entry: chains of as many heads as twice the entries.
 *
 * What a reader sees of an entry is its cell, apart from the links, which are the writer's alone. A cell is
 * guarded by a version (a seqlock): odd while its key changes, and another one afterwards. The words in it
 * are atomics, stored with release and loaded with acquire, so that a reader that has seen any new word also
 * sees the new version and tries again; that needs no fence. A count that only rises is stored without a new
 * version: it goes with the key that is there.
 *
 * A cell knows for which turn (now / halve_ns) its count is, so that a reader halves what the writer has not
 * halved yet, for nothing was added since.
 *
 * Halving keeps the order of counts, but makes some of them equal and some of them 0: the groups are built
 * anew from the old order. What became 0 is free.
 *
 * Invariants: an entry is in use when it is in a group, and then in the index; a group has an entry; counts
 * of groups rise along the list, from 1.
 */
#include "lib/heavy_hitters.h"

#include <stdatomic.h>
#include <stdlib.h>

#define NONE      UINT16_MAX
#define KEY_WORDS (HEAVY_KEY_MAX / sizeof(uint64_t))
#define TRIES     64 /* of a reader, for one cell */

struct entry {
    uint64_t hash;
    uint64_t over;
    uint16_t group;      /* NONE: it is free */
    uint16_t prev, next; /* in its group; NEXT also among the free */
    uint16_t chain;      /* in the index */
};

struct group {
    uint64_t count;
    uint16_t first;
    uint16_t prev, next; /* by count; NEXT also among the free */
};

struct cell {
    _Alignas(CACHE_LINE) _Atomic uint64_t version;
    _Atomic uint64_t turn;
    _Atomic uint64_t count; /* 0: nothing is here */
    _Atomic uint64_t over;
    _Atomic uint64_t hash;
    _Atomic uint64_t len;
    _Atomic uint64_t bytes[KEY_WORDS];
};

struct heavy_hitters {
    size_t size;
    uint64_t halve_ns;
    struct cell *cells; /* by entry */
    struct entry *entries;
    struct group *groups; /* SIZE + 1: one is made before another goes */
    uint16_t *heads;
    uint16_t *order; /* space for a halving */
    size_t mask;     /* of heads */
    uint64_t turn;
    uint16_t lowest;
    uint16_t free_entry, free_group;
};

/* ---- start and end ---- */

static size_t heads_for(size_t size)
{
    size_t n = 2;
    while (n < 2 * size)
        n *= 2;
    return n;
}

static void free_all_groups(struct heavy_hitters *h)
{
    for (size_t i = 0; i <= h->size; i++)
        h->groups[i].next = i < h->size ? (uint16_t)(i + 1) : NONE;
    h->free_group = 0;
    h->lowest = NONE;
}

static void free_all(struct heavy_hitters *h)
{
    for (size_t i = 0; i <= h->mask; i++)
        h->heads[i] = NONE;
    for (size_t i = 0; i < h->size; i++) {
        h->entries[i].group = NONE;
        h->entries[i].next = i + 1 < h->size ? (uint16_t)(i + 1) : NONE;
    }
    h->free_entry = 0;
    free_all_groups(h);
}

struct heavy_hitters *heavy_hitters_new(size_t size, uint64_t halve_ns)
{
    if (size == 0 || size > HEAVY_HITTERS_LIMIT || halve_ns == 0)
        return NULL;
    struct heavy_hitters *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->size = size;
    h->halve_ns = halve_ns;
    h->mask = heads_for(size) - 1;
    h->cells = aligned_alloc(CACHE_LINE, size * sizeof(*h->cells));
    h->entries = calloc(size, sizeof(*h->entries));
    h->groups = calloc(size + 1, sizeof(*h->groups));
    h->heads = calloc(h->mask + 1, sizeof(*h->heads));
    h->order = calloc(size, sizeof(*h->order));
    if (!h->cells || !h->entries || !h->groups || !h->heads || !h->order) {
        heavy_hitters_free(h);
        return NULL;
    }
    memset(h->cells, 0, size * sizeof(*h->cells));
    free_all(h);
    return h;
}

void heavy_hitters_free(struct heavy_hitters *h)
{
    if (!h)
        return;
    free(h->cells);
    free(h->entries);
    free(h->groups);
    free(h->heads);
    free(h->order);
    free(h);
}

/* ---- cells ---- */

/* Release: pairs with get(). */
static void put(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void begin_change(struct cell *c)
{
    /* Relaxed: what is stored next, with release, comes after it. */
    uint64_t version = atomic_load_explicit(&c->version, memory_order_relaxed);
    atomic_store_explicit(&c->version, version + 1, memory_order_relaxed);
}

static void end_change(struct cell *c)
{
    put(&c->version, atomic_load_explicit(&c->version, memory_order_relaxed) + 1);
}

static void publish(struct heavy_hitters *h, uint16_t i, uint64_t count, struct slice bytes)
{
    struct cell *c = &h->cells[i];
    uint64_t words[KEY_WORDS] = {0};
    size_t len = bytes.len < HEAVY_KEY_MAX ? bytes.len : HEAVY_KEY_MAX;
    if (len > 0)
        memcpy(words, bytes.p, len);
    begin_change(c);
    put(&c->turn, h->turn);
    put(&c->count, count);
    put(&c->over, h->entries[i].over);
    put(&c->hash, h->entries[i].hash);
    put(&c->len, len);
    for (size_t w = 0; w < KEY_WORDS; w++)
        put(&c->bytes[w], words[w]);
    end_change(c);
}

static void publish_count(struct heavy_hitters *h, uint16_t i, uint64_t count)
{
    struct cell *c = &h->cells[i];
    begin_change(c);
    put(&c->turn, h->turn);
    put(&c->count, count);
    put(&c->over, h->entries[i].over);
    end_change(c);
}

/* ---- groups ---- */

/* A new one behind AFTER; NONE: before all. */
static uint16_t new_group(struct heavy_hitters *h, uint16_t after, uint64_t count)
{
    uint16_t i = h->free_group;
    CHECK(i != NONE);
    struct group *g = &h->groups[i];
    h->free_group = g->next;
    uint16_t *from = after == NONE ? &h->lowest : &h->groups[after].next;
    *g = (struct group){.count = count, .first = NONE, .prev = after, .next = *from};
    if (g->next != NONE)
        h->groups[g->next].prev = i;
    *from = i;
    return i;
}

static void free_group(struct heavy_hitters *h, uint16_t i)
{
    struct group *g = &h->groups[i];
    *(g->prev == NONE ? &h->lowest : &h->groups[g->prev].next) = g->next;
    if (g->next != NONE)
        h->groups[g->next].prev = g->prev;
    g->next = h->free_group;
    h->free_group = i;
}

static void enter_group(struct heavy_hitters *h, uint16_t i, uint16_t group)
{
    struct group *g = &h->groups[group];
    struct entry *e = &h->entries[i];
    e->group = group;
    e->prev = NONE;
    e->next = g->first;
    if (g->first != NONE)
        h->entries[g->first].prev = i;
    g->first = i;
}

/* The group may be empty then. */
static void leave_group(struct heavy_hitters *h, uint16_t i)
{
    const struct entry *e = &h->entries[i];
    *(e->prev == NONE ? &h->groups[e->group].first : &h->entries[e->prev].next) = e->next;
    if (e->next != NONE)
        h->entries[e->next].prev = e->prev;
}

/* Into the group of COUNT, which is the one behind AFTER if there is one. */
static void enter_behind(struct heavy_hitters *h, uint16_t i, uint16_t after, uint64_t count)
{
    uint16_t next = after == NONE ? h->lowest : h->groups[after].next;
    if (next == NONE || h->groups[next].count != count)
        next = new_group(h, after, count);
    enter_group(h, i, next);
}

/* ---- the index ---- */

static uint16_t find(const struct heavy_hitters *h, uint64_t hash)
{
    uint16_t i = h->heads[hash & h->mask];
    while (i != NONE && h->entries[i].hash != hash)
        i = h->entries[i].chain;
    return i;
}

static void add_to_index(struct heavy_hitters *h, uint16_t i)
{
    uint16_t *head = &h->heads[h->entries[i].hash & h->mask];
    h->entries[i].chain = *head;
    *head = i;
}

static void remove_from_index(struct heavy_hitters *h, uint16_t i)
{
    uint16_t *from = &h->heads[h->entries[i].hash & h->mask];
    while (*from != i)
        from = &h->entries[*from].chain;
    *from = h->entries[i].chain;
}

/* ---- halving ---- */

/* COUNT and OVER after N halves. A part of OVER that is left over stays, so that COUNT - OVER is no more than
 * was seen. */
static void halve(uint64_t *count, uint64_t *over, uint64_t n)
{
    if (n > 63)
        n = 63;
    *count >>= n;
    *over = (*over + ((UINT64_C(1) << n) - 1)) >> n;
    if (*over > *count)
        *over = *count;
}

static size_t in_order(const struct heavy_hitters *h, uint16_t *order)
{
    size_t n = 0;
    for (uint16_t g = h->lowest; g != NONE; g = h->groups[g].next)
        for (uint16_t i = h->groups[g].first; i != NONE; i = h->entries[i].next)
            order[n++] = i;
    return n;
}

static void free_entry(struct heavy_hitters *h, uint16_t i)
{
    remove_from_index(h, i);
    h->entries[i].group = NONE;
    h->entries[i].next = h->free_entry;
    h->free_entry = i;
}

/* Entry I, which is in no group, whose count was COUNT; LAST: the highest group yet. The highest now. */
static uint16_t enter_halved(struct heavy_hitters *h, uint16_t i, uint64_t count, uint16_t last)
{
    if (count == 0) {
        free_entry(h, i);
    } else {
        if (last == NONE || h->groups[last].count != count)
            last = new_group(h, last, count);
        enter_group(h, i, last);
    }
    publish_count(h, i, count);
    return last;
}

static void halve_all(struct heavy_hitters *h, uint64_t turn)
{
    uint64_t times = turn - h->turn;
    uint16_t last = NONE;
    size_t n = in_order(h, h->order);
    h->turn = turn;
    free_all_groups(h);
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &h->entries[h->order[i]];
        uint64_t count = atomic_load_explicit(&h->cells[h->order[i]].count, memory_order_relaxed);
        halve(&count, &e->over, times);
        last = enter_halved(h, h->order[i], count, last);
    }
}

/* ---- adding ---- */

static void raise_count(struct heavy_hitters *h, uint16_t i)
{
    uint16_t group = h->entries[i].group;
    uint64_t count = h->groups[group].count + 1;
    leave_group(h, i);
    enter_behind(h, i, group, count);
    if (h->groups[group].first == NONE)
        free_group(h, group);
    put(&h->cells[i].count, count);
}

static void use_free(struct heavy_hitters *h, const struct heavy_key *key)
{
    uint16_t i = h->free_entry;
    struct entry *e = &h->entries[i];
    h->free_entry = e->next;
    e->hash = key->hash;
    e->over = 0;
    add_to_index(h, i);
    enter_behind(h, i, NONE, 1);
    publish(h, i, 1, key->bytes);
}

static void replace_lowest(struct heavy_hitters *h, const struct heavy_key *key)
{
    uint16_t i = h->groups[h->lowest].first;
    uint64_t count = h->groups[h->lowest].count;
    struct entry *e = &h->entries[i];
    remove_from_index(h, i);
    e->hash = key->hash;
    e->over = count;
    add_to_index(h, i);
    publish(h, i, count, key->bytes);
    raise_count(h, i);
}

bool heavy_hitters_raise(struct heavy_hitters *h, uint64_t hash, uint64_t now_ns)
{
    uint64_t turn = now_ns / h->halve_ns;
    if (turn > h->turn)
        halve_all(h, turn);
    uint16_t i = find(h, hash);
    if (i != NONE)
        raise_count(h, i);
    return i != NONE;
}

void heavy_hitters_add(struct heavy_hitters *h, const struct heavy_key *key, uint64_t now_ns)
{
    if (heavy_hitters_raise(h, key->hash, now_ns))
        return;
    if (h->free_entry != NONE)
        use_free(h, key);
    else
        replace_lowest(h, key);
}

/* ---- reading ---- */

/* *TURN: that of the count. False: it has changed meanwhile. */
static bool try_read(const struct cell *c, struct heavy_hitter *out, uint64_t *turn)
{
    uint64_t words[KEY_WORDS];
    uint64_t version = get(&c->version);
    *turn = get(&c->turn);
    *out = (struct heavy_hitter){
        .hash = get(&c->hash), .count = get(&c->count), .over = get(&c->over), .len = get(&c->len)};
    for (size_t w = 0; w < KEY_WORDS; w++)
        words[w] = get(&c->bytes[w]);
    /* Relaxed: the loads above come before it. */
    if (version % 2 != 0 || atomic_load_explicit(&c->version, memory_order_relaxed) != version)
        return false;
    memcpy(out->bytes, words, sizeof(out->bytes));
    return true;
}

size_t heavy_hitters_read(const struct heavy_hitters *h, uint64_t now_ns, struct heavy_hitter *out,
                          size_t max)
{
    uint64_t turn = now_ns / h->halve_ns, of_cell = 0;
    size_t n = 0;
    for (size_t i = 0; i < h->size && n < max; i++) {
        unsigned tries = 0;
        while (!try_read(&h->cells[i], &out[n], &of_cell) && tries < TRIES)
            tries++;
        if (tries == TRIES)
            continue;
        if (turn > of_cell)
            halve(&out[n].count, &out[n].over, turn - of_cell);
        n += out[n].count > 0;
    }
    return n;
}
