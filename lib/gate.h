/*
 * gate.h: at most so many at once, for each of many keys.
 *
 *     struct gate *g = gate_new(262144);
 *     switch (gate_enter(g, key, max, &place)) {
 *     case GATE_IN:   ... gate_leave(place);            // exactly once, from any thread
 *     case GATE_FULL: refuse
 *     }
 *
 * A key has a place in the table only while somebody is inside, so memory is bounded by the size of the table
 * and nothing has to be cleared away. A place is one atomic word: 48 bits of the key and a count. When seven
 * other keys hold all the places that a key may have, it is let in uncounted (place is NULL): a table of four
 * times as many places as requests can be under way makes that rare, and no key is kept out by another.
 *
 * Any thread; nobody waits. Entering a key that is inside already is a load and a compare-and-swap. Two
 * threads that bring the same new key at the same moment agree on one place by a flag of the set, which is
 * held for some ten instructions; who finds it held for long (its holder was descheduled) goes on without,
 * and then a key may have two places, so up to twice MAX inside, until one of them is empty.
 */
#ifndef LIB_GATE_H
#define LIB_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"

#define GATE_MAX 65535 /* of one key, at once */

struct gate;
typedef _Atomic uint64_t gate_place;

enum gate_result { GATE_IN, GATE_FULL };

/* Uniformly random, and not to be foreseen by a client. */
struct gate_key {
    uint64_t set, tag;
};

/* Rounded up to a power of two, 64 at least. NULL: out of memory. */
MUST_USE struct gate *gate_new(size_t places);
void gate_free(struct gate *g);

/* MAX: 1 to GATE_MAX. *PLACE is for gate_leave; NULL when it is not in, or not counted. */
MUST_USE enum gate_result gate_enter(struct gate *g, struct gate_key key, uint32_t max, gate_place **place);

/* NULL is allowed. */
void gate_leave(gate_place *place);

/* How many are inside with KEY; for tests and gauges. */
uint32_t gate_count(const struct gate *g, struct gate_key key);

#endif
