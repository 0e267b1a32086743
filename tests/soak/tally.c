/* tally.c: see tally.h. Counters are relaxed: they are read when all threads have been joined, or only
 * roughly. */
#include "tests/soak/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool tally_init(struct tally *t, uint64_t run_seed, uint64_t first_id, uint64_t requests)
{
    *t = (struct tally){.run_seed = run_seed, .first_id = first_id, .requests = requests};
    t->reached = calloc(requests, sizeof(*t->reached));
    return t->reached != NULL;
}

void tally_fini(struct tally *t)
{
    free(t->reached);
}

void tally_add(struct tally *t, enum tally_kind kind, uint64_t n)
{
    atomic_fetch_add_explicit(&t->counts[kind], n, memory_order_relaxed);
}

void tally_pass(struct tally *t, enum tally_kind kind)
{
    tally_add(t, kind, 1);
    atomic_fetch_add_explicit(&t->passed, 1, memory_order_relaxed);
}

void tally_fail(struct tally *t, const struct plan *p, const char *text)
{
    char what[512];
    plan_describe(p, what, sizeof(what));
    atomic_fetch_add_explicit(&t->failed, 1, memory_order_relaxed);
    printf("FAILED  request %" PRIu64 ": %s\n        %s; reached the origin %u times\n", p->id, text, what,
           tally_times_reached(t, p->id));
    fflush(stdout);
}

void tally_fail_at_origin(struct tally *t, uint64_t id, const char *text)
{
    atomic_fetch_add_explicit(&t->failed, 1, memory_order_relaxed);
    printf("FAILED  request %" PRIu64 ", seen by the origin: %s; reached it %u times\n", id, text,
           tally_times_reached(t, id));
    fflush(stdout);
}

bool tally_is_hopeless(struct tally *t)
{
    return atomic_load_explicit(&t->failed, memory_order_relaxed) >= TALLY_FAILURES_MAX;
}

unsigned tally_reached(struct tally *t, uint64_t id)
{
    if (id < t->first_id || id - t->first_id >= t->requests)
        return 0;
    return atomic_fetch_add(&t->reached[id - t->first_id], 1) + 1u;
}

unsigned tally_times_reached(struct tally *t, uint64_t id)
{
    return id - t->first_id < t->requests ? atomic_load(&t->reached[id - t->first_id]) : 0;
}

/* Refusals as stale need connections that were dropped; more of the one than of the other is a gateway that
 * just refuses. */
static void check_stale(struct tally *t)
{
    uint64_t stale = t->counts[TALLY_STALE], dropped = t->counts[TALLY_DROPPED];
    if (stale <= dropped)
        return;
    printf("FAILED  %" PRIu64 " requests refused as stale, but only %" PRIu64 " connections were dropped\n",
           stale, dropped);
    t->failed++;
}

bool tally_close(struct tally *t)
{
    static const char *const texts[] = {
#define TALLY_TEXT(name, text) text,
        TALLY_KINDS(TALLY_TEXT)
#undef TALLY_TEXT
    };
    check_stale(t);
    for (size_t i = 0; i < TALLY_COUNT; i++)
        printf("%12" PRIu64 "  %s\n", t->counts[i], texts[i]);
    printf("%" PRIu64 " passed, %" PRIu64 " failed (seed %" PRIu64 ")\n", t->passed, t->failed, t->run_seed);
    return t->failed == 0;
}
