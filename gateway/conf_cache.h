/*
 * conf_cache.h: the part of conf.h about the response cache. Included by conf.h; its conventions hold.
 */
#ifndef GATEWAY_CONF_CACHE_H
#define GATEWAY_CONF_CACHE_H

#include "gateway/conf_cors.h"
#include "gateway/conf_protect.h"
#include "lib/http_cache.h"

/* What of a query tells two answers apart. */
enum conf_cache_query { CACHE_QUERY_AS_IS, CACHE_QUERY_SORTED, CACHE_QUERY_NONE };

/* How bodies are kept in Redis. */
enum conf_cache_compress { CACHE_COMPRESS_OFF, CACHE_COMPRESS_ZSTD };

/* The cache of a route. */
struct conf_cache {
    bool enabled;                     /* the section is there */
    uint32_t ttl_ms, negative_ttl_ms; /* of answers that state no lifetime; 0: none; default 0 */
    bool heuristic;                   /* default yes */
    uint32_t stale_while_revalidate_ms, stale_if_error_ms; /* default 0 */
    uint32_t stale_if_unreachable_ms;                      /* default 1 day */
    bool share_cookies;                                    /* default no */
    bool client_directives;                                /* Cache-Control of requests counts; default yes */
    uint64_t max_object;                                   /* bytes of a body; default 1 MB */
    bool shared;                       /* with other gateways, where there is a section redis; default yes */
    uint64_t shared_max;               /* bytes of a body that is; default 1 MB */
    enum conf_cache_compress compress; /* default off */
    struct conf_faults statuses;       /* that are stored; default all */
    enum conf_cache_query query;       /* default as it is */
    const char **keep;                 /* parameters of the query that count; none: all */
    size_t nkeep;
    const char **ignore; /* parameters that do not */
    size_t nignore;
    const char **headers; /* of requests, that tell answers apart */
    size_t nheaders;
    const char **cookies;
    size_t ncookies;
    const char **targeted; /* fields that go before Cache-Control */
    size_t ntargeted;
    struct cidr *purgers; /* who may send PURGE; default loopback */
    size_t npurgers;

    struct http_cache_policy policy; /* what follows of it */
};

/* The memory for all of it. */
struct conf_cache_store {
    uint64_t size; /* bytes; default 64 MB */
};

#endif
