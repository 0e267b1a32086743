/*
 * nearest.h: the known name that somebody meant.
 *
 * Distance is the number of letters to insert, delete, change or swap with a neighbour (optimal string
 * alignment; case does not count). Near means at most a third of the longer name's letters, and at least one
 * is allowed to names of two and more: "blance" is near "balance", "xyz" is near nothing.
 *
 *     const char *meant = nearest(SLICE("blance"), names, n);
 *     if (meant) printf("; did you mean '%s'?", meant);
 *
 * Pure functions, callable from any thread.
 */
#ifndef LIB_NEAREST_H
#define LIB_NEAREST_H

#include "lib/slice.h"

#define NEAREST_MAX 64 /* longer names are near nothing */

/* The nearest of N names, the first of several that are as near; NULL when none is near. NULL entries are
 * passed over. */
const char *nearest(struct slice name, const char *const *names, size_t n);

/* SIZE_MAX when one is longer than NEAREST_MAX. */
size_t nearest_distance(struct slice a, struct slice b);

#endif
