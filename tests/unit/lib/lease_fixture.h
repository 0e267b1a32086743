/*
 * lease_fixture.h: the bucket that leases come from, in C: the arithmetic of REDIS_LIMIT_TAKE
 * (gateway/redis_script.c) for tests without a server. test_limit_script.c holds the two against each other.
 */
#ifndef TESTS_UNIT_LIB_LEASE_FIXTURE_H
#define TESTS_UNIT_LIB_LEASE_FIXTURE_H

#include <string.h>

#include "lib/token_lease.h"

#define FAKE_CELLS 12

struct fake_cell {
    int64_t due, tokens;
};

/* Times in microseconds, debt in parts. */
struct fake_bucket {
    bool is_there;
    int64_t at, made, debt, gone_at;
    struct fake_cell cells[FAKE_CELLS];
    size_t ncells;
};

static inline int64_t fake_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t fake_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t fake_pending(const struct fake_bucket *b)
{
    int64_t n = 0;
    for (size_t i = 0; i < b->ncells; i++)
        n += b->cells[i].tokens;
    return n;
}

static inline void fake_advance(struct fake_bucket *b, const struct lease_rate *r, int64_t now)
{
    size_t ripe = 0;
    for (; ripe < b->ncells && b->cells[ripe].due <= now; ripe++) {
        const struct fake_cell *c = &b->cells[ripe];
        b->debt =
            fake_max(0, b->debt - (c->due - b->at) * (int64_t)r->refill) + c->tokens * (int64_t)r->parts;
        b->at = c->due;
    }
    memmove(b->cells, b->cells + ripe, (b->ncells - ripe) * sizeof(b->cells[0]));
    b->ncells -= ripe;
    b->debt = fake_max(0, b->debt - (now - b->at) * (int64_t)r->refill);
    b->at = now;
}

static inline void fake_return(struct fake_bucket *b, const struct lease_rate *r, const struct lease_ask *ask,
                               int64_t now)
{
    int64_t back = (int64_t)ask->back,
            worth = back * (int64_t)r->parts - (now - ask->stamp) * (int64_t)r->refill;
    if (back > 0 && r->life_ns == 0)
        b->debt = fake_max(0, b->debt - fake_max(0, worth));
    for (size_t i = 0; i < b->ncells; i++) {
        struct fake_cell *c = &b->cells[i];
        if (c->due != ask->stamp)
            continue;
        c->tokens = fake_max(0, c->tokens - back);
        int64_t spent = fake_min((int64_t)ask->spent, c->tokens);
        c->tokens -= spent;
        b->debt += spent * (int64_t)r->parts;
    }
}

static inline int64_t fake_lease(struct fake_bucket *b, const struct lease_rate *r, int64_t granted,
                                 int64_t now)
{
    int64_t life = (int64_t)r->life_ns / 1000, eighth = fake_max(1, life / 8);
    int64_t due = (now / eighth + 1) * eighth + life;
    if (granted == 0)
        return now;
    if (life == 0) {
        b->debt += granted * (int64_t)r->parts;
        return now;
    }
    struct fake_cell *last = b->ncells ? &b->cells[b->ncells - 1] : NULL;
    if (last && last->due >= due) {
        last->tokens += granted;
        return last->due;
    }
    CHECK(b->ncells < FAKE_CELLS);
    b->cells[b->ncells++] = (struct fake_cell){due, granted};
    return due;
}

static inline int64_t fake_time_to(const struct fake_bucket *b, const struct lease_rate *r, int64_t missing,
                                   int64_t now)
{
    int64_t t = now, d = b->debt, refill = (int64_t)r->refill;
    for (size_t i = 0; i < b->ncells; i++) {
        int64_t paid = fake_min(d, (b->cells[i].due - t) * refill);
        if (missing <= paid)
            break;
        missing -= paid;
        d += b->cells[i].tokens * (int64_t)r->parts - paid;
        t = b->cells[i].due;
    }
    return t - now + (missing + refill - 1) / refill;
}

/* OWED: tokens that were admitted without the bucket. NOW: its own clock, in microseconds. */
static inline struct lease_reply fake_take(struct fake_bucket *b, const struct lease_rate *r,
                                           const struct lease_ask *ask, uint64_t owed, int64_t now)
{
    int64_t parts = (int64_t)r->parts, burst = (int64_t)r->burst;
    bool was_there = b->is_there && now < b->gone_at;
    bool is_changed = !was_there;
    if (!was_there)
        *b = (struct fake_bucket){
            .at = now,
            .made = now,
            .debt = fake_min((int64_t)(ask->full_in_ns / 1000 * r->refill), burst * parts),
        };
    fake_advance(b, r, now);
    if (was_there) {
        fake_return(b, r, ask, now);
        is_changed |= ask->back + ask->spent > 0;
    }
    if (was_there && owed > 0 && now - b->made >= (int64_t)(ask->down_ns / 1000)) {
        b->debt = fake_max(b->debt, fake_min(b->debt + (int64_t)owed * parts, burst * parts));
        is_changed = true;
    }
    int64_t free_parts = burst * parts - b->debt;
    int64_t room = fake_max(0, (free_parts < 0 ? -1 : free_parts / parts) - fake_pending(b));
    int64_t granted = fake_min((int64_t)ask->want, room);
    if (granted < (int64_t)ask->at_least)
        granted = 0;
    is_changed |= granted > 0;
    int64_t stamp = fake_lease(b, r, granted, now);
    int64_t left = room - granted, needed = granted > 0 ? 1 : fake_max(1, (int64_t)ask->at_least);
    int64_t missing = (needed + fake_pending(b) - burst) * parts + b->debt;
    int64_t full = fake_time_to(b, r, b->debt + fake_pending(b) * parts, now);
    if (is_changed) { /* as PEXPIRE */
        b->is_there = full > 0;
        b->gone_at = now / 1000 * 1000 + ((full + 999) / 1000 + 1) * 1000;
    }
    return (struct lease_reply){
        .granted = (uint64_t)granted,
        .remaining = (uint64_t)left,
        .retry_us = left < needed ? (uint64_t)fake_time_to(b, r, missing, now) : 0,
        .full_us = (uint64_t)full,
        .stamp = stamp,
    };
}

#endif
