/* cache_status.h: what became of a request in the cache of its route; for the log, metrics and X-Cache. */
#ifndef GATEWAY_CACHE_STATUS_H
#define GATEWAY_CACHE_STATUS_H

enum cache_status {
    CACHE_NONE, /* the route has none */
    CACHE_HIT,
    CACHE_MISS,
    CACHE_STALE,       /* answered with what is no longer fresh */
    CACHE_REVALIDATED, /* the backend said that what is stored is still valid */
    CACHE_BYPASS,      /* not for the cache */
    CACHE_STATUSES
};

/* "HIT"; NULL for CACHE_NONE. */
const char *cache_status_name(enum cache_status s);

#endif
