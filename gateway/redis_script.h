/*
 * redis_script.h: all that runs inside of Redis.
 *
 * Each script is atomic on its node and uses the node's own clock, so that clocks of gateways do not matter.
 * What keys and arguments it takes and what it answers stands above its text in redis_script.c.
 *
 * Which objects of the cache are valid on a node is told by a few keys beside the objects:
 *
 *     P:meta       seq: grows with every purge (microseconds, so that it grows over restarts too)
 *                  floor, soft: the last purge of everything, hard and soft
 *                  last: the last purge of a group or tag; forgotten: up to which P:recent has them no more
 *                  dropped: the same of P:prefixes; prefixes: how many those are
 *                  longest: for how long an object was stored, at most (ms)
 *     P:g:GROUP    "hard:soft" of a URL: the purges that its objects have to be younger than
 *     P:t:TAG      the same of a tag
 *     P:prefixes   purges of prefixes, the last few
 *     P:recent     the last purges of groups and tags
 *     P:p:VERSION  (in hexadecimal digits) a large body's pieces, by number; the object under P:o:KEY tells
 * of them. One hash, so that they are evicted, expire and go together. When the object is replaced or found
 * invalid they stay for a minute, for those that are reading them.
 *
 * An object knows SINCE, the seq when its fetch began. It is valid while floor and every hard number that
 * concerns it are there and are not above its SINCE. So a purge is the deletion of one small key, whatever it
 * concerns, and what is missing, because it was evicted or the node began anew, makes objects invalid and
 * never valid: an object may be lost, but a purged one does not come back, also when its fetch had begun
 * before the purge.
 *
 * Constant data, any thread.
 */
#ifndef GATEWAY_REDIS_SCRIPT_H
#define GATEWAY_REDIS_SCRIPT_H

enum redis_script {
    REDIS_CACHE_READ,    /* look an object up, and take the lock of its key if it has to be fetched */
    REDIS_CACHE_STORE,   /* put an object, unless it was purged, and release the lock */
    REDIS_CACHE_RELEASE, /* the fetch has ended without one */
    REDIS_CACHE_EXTEND,  /* it goes on */
    REDIS_CACHE_PIECE,   /* put a piece of a body, before the object that has it */
    REDIS_CACHE_DROP,    /* an object whose pieces are not what it says */
    REDIS_CACHE_PURGE,
    REDIS_FLEET_BEAT, /* a gateway is alive */
    REDIS_LIMIT_TAKE, /* tokens of a limit */
    REDIS_SCRIPTS,
};

struct redis_script_text {
    const char *name; /* for log and metrics */
    const char *lua;
};

const struct redis_script_text *redis_script_text(enum redis_script s);

#endif
