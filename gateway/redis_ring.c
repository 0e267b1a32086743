/* redis_ring.c: see redis_ring.h. */
#include "gateway/redis_ring.h"

#define FINER 10 /* times the points of a usual ring */

struct hash_ring *redis_ring_new(const struct conf_redis *conf)
{
    struct hash_ring_node nodes[CONF_REDIS_NODES_MAX];
    CHECK(conf->nnodes <= CONF_REDIS_NODES_MAX);
    for (size_t i = 0; i < conf->nnodes; i++)
        nodes[i] = (struct hash_ring_node){slice_of(conf->nodes[i].name), conf->nodes[i].weight * FINER};
    return hash_ring_new(nodes, conf->nnodes);
}
