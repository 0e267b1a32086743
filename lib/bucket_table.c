/*
 * bucket_table.c: sets of sixteen slots, each changed by one 128-bit compare-and-swap; see bucket_table.h.
 *
 * A slot is {tag, tat}, 16 bytes; four make a cache line, and four neighbouring lines make a set. A key
 * belongs to one set, chosen by key.place, and is known there by 64 further bits, key.tag. A scan begins at
 * one of the four lines, which the tag chooses: while the set is not crowded, it ends there.
 *
 * The one rule: a newcomer takes over the slot of its set with the least tat, and starts from that tat or
 * from now, whichever is later. It covers the three cases at once: a slot that was never used (tat 0), a
 * bucket that is full again (tat <= now), and eviction (tat > now).
 *
 * Invariant: the tat of a key that has no slot is not above any tat in its set. It had the least when it was
 * displaced (another slot can only have risen since the scan, and the compare-and-swap proves that its own
 * did not), and a tat only rises afterwards, be it by a take or a takeover. So whatever a key is owed when it
 * comes back, what it starts from is no less: nobody gains by being forgotten, and no clock is part of this
 * argument, so threads may differ about the time. Only tokens given back lower a tat.
 *
 * Races. {tag, tat} changes as a whole, so a take cannot charge a slot that has become another's: the
 * exchange fails and the scan is repeated, and every failure is another's success. There is no ABA: a slot
 * that holds the same pair again is the same bucket with the same debt, and nothing else hangs on it.
 *
 * A key cannot come to sit in two slots. Say two threads claim slots X and Y for it, which held x and y. The
 * first saw Y before it was claimed (else it would have found the key there), so with a tat of at most y; it
 * chose X, so x <= y. The second saw X before it was claimed, so y <= x. Both are equal then, and of equals
 * all scans for a key take the first in the same order: X is Y, and one of the two exchanges fails. Displaced
 * and claimed again in between changes nothing: the same holds of the last claim of either slot.
 *
 * Memory order: all of this is about one slot at a time, so what atomic objects promise singly is enough.
 * Acquire and release only make one pair of two loads: see slot_read and slot_change.
 *
 * Tokens given back lower a tat, though not below now: in a set where all sixteen are in debt that can cost
 * the above its truth. A key then has two slots only if a slot was lowered between two scans a few
 * instructions apart; every scan finds the first of them, so at most a burst is admitted that the other has
 * been charged.
 *
 * Tried and dropped: the tag in the spare bits of the tat (too few to tell clients apart); two words changed
 * one after the other (a slot recycled in between charges a stranger); two independent candidate sets (better
 * filled, but the invariant needs all who may sit in a slot to have the same choice of slots); a shared
 * bucket for newcomers without a slot (another word in each set, and it mixes rates).
 */
#include "lib/bucket_table.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "lib/counter.h"

#define SLOTS           16 /* in a set */
#define SLOTS_PER_LINE  (CACHE_LINE / sizeof(union slot))
#define ENTRIES_PER_SET 8 /* half full at MAX_ENTRIES */
#define NO_TAG          0 /* of a slot that has no key */

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

enum { FIRST_USE, RECYCLED, EVICTED, OVERFLOWED, NEVER, NCOUNTS };

struct pair {
    uint64_t tag, tat;
};

union slot {
    struct pair pair;
    unsigned __int128 wide;
};

struct set {
    _Alignas(SLOTS * 16) union slot slots[SLOTS];
};

struct bucket_table {
    struct set *sets;
    size_t nsets;
    struct counters *counts;
};

/* A slot and what it held when it was looked at. */
struct place {
    union slot *slot;
    struct pair seen;
};

/* Acquire: pairs with the release of slot_change. */
static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/*
 * One moment's pair: who sees the tat of a change also sees its tag, or a later one. (When another key came
 * and went between the loads, the tat is not above the present one, and the exchange will find out.)
 */
static struct pair slot_read(const union slot *s)
{
    struct pair p;
    do {
        p.tag = load(&s->pair.tag);
        p.tat = load(&s->pair.tat);
    } while (load(&s->pair.tag) != p.tag);
    return p;
}

/*
 * Acquire and release; its partners are the loads of slot_read. On x86-64 by hand, because compilers that are
 * not told of the instruction (-mcx16) call a library instead. ThreadSanitizer must see a builtin.
 */
static bool slot_change(const struct place *p, struct pair to)
{
    union slot old = {.pair = p->seen}, new = {.pair = to};
#if defined(__x86_64__) && !defined(HAS_TSAN)
    bool is_done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(is_done), "+m"(p->slot->wide), "+a"(old.pair.tag), "+d"(old.pair.tat)
                     : "b"(new.pair.tag), "c"(new.pair.tat)
                     : "memory");
    return is_done;
#else
    return __atomic_compare_exchange_n(&p->slot->wide, &old.wide, new.wide, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
#endif
}

static struct set *set_of(const struct bucket_table *t, struct bucket_key key)
{
    struct set *set = &t->sets[(size_t)(((unsigned __int128)key.place * t->nsets) >> 64)];
    for (size_t i = 0; i < SLOTS; i += SLOTS_PER_LINE)
        __builtin_prefetch(&set->slots[i]);
    return set;
}

static uint64_t tag_of(struct bucket_key key)
{
    return key.tag == NO_TAG ? 1 : key.tag;
}

/* The I-th slot of the scan for TAG; every scan for the same key has the same order. */
static union slot *slot_at(struct set *set, uint64_t tag, size_t i)
{
    return &set->slots[(tag * SLOTS_PER_LINE + i) % SLOTS];
}

/* The slot of TAG; else, and then seen.tag tells, the first of those with the least tat. */
static struct place find(struct set *set, uint64_t tag)
{
    struct place least = {NULL, {NO_TAG, UINT64_MAX}};
    for (size_t i = 0; i < SLOTS; i++) {
        union slot *s = slot_at(set, tag, i);
        struct pair p = slot_read(s);
        if (p.tag == tag)
            return (struct place){s, p};
        if (p.tat < least.seen.tat)
            least = (struct place){s, p};
    }
    CHECK(least.slot);
    return least;
}

/* What became of a take for a key that had no slot. */
static size_t newcomer_event(uint64_t least_tat, uint64_t now_ns, const struct token_result *result)
{
    if (!result->admitted)
        return result->retry_ns == TOKEN_NEVER ? NEVER : OVERFLOWED;
    if (least_tat == 0)
        return FIRST_USE;
    return least_tat > now_ns ? EVICTED : RECYCLED;
}

struct token_result bucket_table_take(struct bucket_table *t, size_t thread, struct bucket_key key,
                                      const struct token_ask *ask)
{
    struct set *set = set_of(t, key);
    uint64_t tag = tag_of(key);
    struct token_result result;
    struct place p;
    struct pair to = {.tag = tag};
    do {
        p = find(set, tag);
        to.tat = token_take(p.seen.tat, ask, &result);
    } while (result.admitted && !slot_change(&p, to));
    if (p.seen.tag != tag)
        counter_add(t->counts, thread, newcomer_event(p.seen.tat, ask->now_ns, &result), 1);
    return result;
}

struct token_result bucket_table_peek(const struct bucket_table *t, struct bucket_key key,
                                      const struct token_ask *ask)
{
    return token_peek(find(set_of(t, key), tag_of(key)).seen.tat, ask);
}

void bucket_table_give_back(struct bucket_table *t, struct bucket_key key, const struct token_ask *ask)
{
    struct set *set = set_of(t, key);
    uint64_t tag = tag_of(key);
    struct place p;
    struct pair to = {.tag = tag};
    do {
        p = find(set, tag);
        if (p.seen.tag != tag)
            return;
        to.tat = token_give_back(p.seen.tat, ask);
    } while (to.tat != p.seen.tat && !slot_change(&p, to));
}

struct bucket_usage bucket_table_usage(const struct bucket_table *t, uint64_t now_ns, size_t max_sets)
{
    struct bucket_usage u = {.slots = t->nsets * SLOTS, .bytes = t->nsets * sizeof(struct set)};
    size_t looked = max_sets < t->nsets ? max_sets : t->nsets;
    double scale = looked ? (double)t->nsets / (double)looked : 0;
    for (size_t i = 0; i < looked; i++) {
        const struct set *set = &t->sets[(size_t)((double)i * scale)];
        for (size_t k = 0; k < SLOTS; k++) {
            struct pair p = slot_read(&set->slots[k]);
            u.held += p.tag != NO_TAG;
            u.in_debt += p.tag != NO_TAG && p.tat > now_ns;
        }
    }
    u.held = (size_t)((double)u.held * scale + 0.5);
    u.in_debt = (size_t)((double)u.in_debt * scale + 0.5);
    u.recycled = counter_sum(t->counts, RECYCLED);
    u.evicted = counter_sum(t->counts, EVICTED);
    u.overflowed = counter_sum(t->counts, OVERFLOWED);
    return u;
}

/* Zeroed memory that takes no page before it is written to. */
static struct set *sets_new(size_t nsets)
{
    void *p = mmap(NULL, nsets * sizeof(struct set), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

struct bucket_table *bucket_table_new(size_t max_entries, size_t nthreads)
{
    size_t nsets = max_entries / ENTRIES_PER_SET + (max_entries % ENTRIES_PER_SET != 0);
    if (nsets == 0 || nsets > SIZE_MAX / 2 / sizeof(struct set))
        return NULL;
    struct bucket_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->nsets = nsets;
    t->sets = sets_new(nsets);
    t->counts = counters_new(nthreads, NCOUNTS);
    if (t->sets && t->counts)
        return t;
    bucket_table_free(t);
    return NULL;
}

void bucket_table_free(struct bucket_table *t)
{
    if (!t)
        return;
    if (t->sets)
        munmap(t->sets, t->nsets * sizeof(struct set));
    counters_free(t->counts);
    free(t);
}
