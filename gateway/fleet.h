/*
 * fleet.h: the gateways that share Redis nodes, as one.
 *
 * A thread of its own, away from the workers, that keeps the gateway in touch with the others:
 *
 *  - it subscribes to the fleet's channel on every node, and passes on what others announce: objects that
 * were stored or purged, locks that were released, breakers that have opened;
 *  - it tells the nodes that this gateway is alive, and learns from them how many are;
 *  - it compares the list of nodes with what the others have, and says so loudly when they differ;
 *  - it carries out purges over all nodes and gateways.
 *
 * Workers ask it for nothing on a request's path but for a few atomics.
 */
#ifndef GATEWAY_FLEET_H
#define GATEWAY_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"
#include "lib/slice.h"

struct fleet;

/* Gateways that are alive, this one included: at least 1. The last number known while Redis does not answer.
 * Any thread. */
unsigned fleet_gateways(const struct fleet *f);

enum fleet_topic {
    FLEET_STORED,   /* a key of the cache has a new object */
    FLEET_RELEASED, /* the fetch of a key has ended without one */
    FLEET_PURGE,
    FLEET_ACK,
    FLEET_BREAKER, /* the name of a backend whose breaker has opened */
};

/* Tell the other gateways; best effort, no reply. Any thread. */
void fleet_announce(struct fleet *f, enum fleet_topic topic, struct slice what);

#endif
