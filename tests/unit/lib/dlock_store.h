/* dlock_store.h: what the scripts of lib/dlock do on a node, in C, for its unit tests. */
#ifndef TESTS_UNIT_LIB_DLOCK_STORE_H
#define TESTS_UNIT_LIB_DLOCK_STORE_H

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/dlock.h"

#define MS CLOCK_MILLISECOND_NS

/* One lock key and one counter: the tests use no more. */
struct dlock_store {
    char token[DLOCK_TOKEN_LEN + 1]; /* empty: the key is not there */
    uint64_t expires_ns;
    int64_t last;        /* fencing number; 0: none */
    int64_t clock_us;    /* its wall clock is so much ahead */
    uint64_t early_ppm;  /* its clock is so much faster */
    unsigned fence_lost; /* grants whose number was not larger than the one before */
    int64_t largest;     /* ever granted */
};

/* An ask as it is on the wire. */
struct dlock_message {
    enum dlock_script script;
    char token[DLOCK_TOKEN_LEN + 1];
    int64_t number; /* ttl_ms or fencing number */
};

static inline struct dlock_message dlock_message_of(const struct dlock_ask *ask)
{
    struct dlock_message m = {.script = ask->script};
    memcpy(m.token, ask->args[0].p, DLOCK_TOKEN_LEN);
    m.number = ask->nargs > 1 ? strtoll(ask->args[1].p, NULL, 10) : 0;
    return m;
}

static inline void dlock_store_expire(struct dlock_store *s, uint64_t now_ns)
{
    if (now_ns >= s->expires_ns)
        s->token[0] = '\0';
}

static inline void dlock_store_set_expiry(struct dlock_store *s, int64_t ttl_ms, uint64_t now_ns)
{
    uint64_t ttl_ns = (uint64_t)ttl_ms * MS;
    s->expires_ns = now_ns + ttl_ns - ttl_ns / 1000000 * s->early_ppm;
}

static inline int64_t dlock_store_acquire(struct dlock_store *s, const struct dlock_message *m,
                                          uint64_t now_ns)
{
    if (s->token[0])
        return -(int64_t)((s->expires_ns - now_ns) / MS);
    int64_t now_us = (int64_t)(now_ns / 1000) + s->clock_us;
    s->last = now_us > s->last + 1 ? now_us : s->last + 1;
    s->fence_lost += s->last <= s->largest;
    s->largest = s->last;
    memcpy(s->token, m->token, sizeof(s->token));
    dlock_store_set_expiry(s, m->number, now_ns);
    return s->last;
}

static inline int64_t dlock_store_run(struct dlock_store *s, const struct dlock_message *m, uint64_t now_ns)
{
    dlock_store_expire(s, now_ns);
    if (m->script == DLOCK_ACQUIRE)
        return dlock_store_acquire(s, m, now_ns);
    if (strcmp(s->token, m->token) != 0)
        return 0;
    if (m->script == DLOCK_RAISE && s->last < m->number)
        s->last = m->number;
    if (m->script == DLOCK_EXTEND)
        dlock_store_set_expiry(s, m->number, now_ns);
    if (m->script == DLOCK_RELEASE)
        s->token[0] = '\0';
    return 1;
}

static inline void dlock_store_lose_all(struct dlock_store *s)
{
    s->token[0] = '\0';
    s->last = 0;
}

#endif
