/*
 * generation.h: a configuration with the addresses of its backends, as they are now.
 *
 *     struct generation g;
 *     if (!generation_open(&g, &setup)) ...
 *     struct endpoint_list **lists = generation_lists(&g);     // what is known by now
 *     ...
 *     generation_close(&g);
 *
 * What a reload replaces as a whole. Whoever joins servers that are at work gets its share of requests little
 * by little. Control thread only.
 */
#ifndef GATEWAY_GENERATION_H
#define GATEWAY_GENERATION_H

#include "gateway/resolver.h"
#include "gateway/snapshot.h"

struct generation_watch;

/* May be moved. */
struct generation {
    struct snapshot *snapshot; /* counted */
    struct generation_watch *watches;
    size_t n; /* backends */
};

/* A backend of SNAPSHOT has other addresses; LIST is lent. Called from inside generation_open, too. */
typedef void generation_changed(void *ctx, struct snapshot *snapshot, size_t backend,
                                struct endpoint_list *list);

struct generation_setup {
    struct snapshot *snapshot; /* taken, also when it fails */
    struct resolver *resolver;
    generation_changed *changed;
    void *ctx;
};

/* False: memory is short. */
MUST_USE bool generation_open(struct generation *g, const struct generation_setup *setup);
void generation_close(struct generation *g);

/* The lists by backend, NULL where none is known: the array is the caller's to free, the lists are lent.
 * NULL: memory is short. */
MUST_USE struct endpoint_list **generation_lists(const struct generation *g);

/* Weights or drains of BACKEND have changed: its list is made anew. */
void generation_renew(struct generation *g, size_t backend);

#endif
