/*
 * conf_protect.h: the part of conf.h that protects backends and clients: limits, breakers, retries, health of
 * servers. Included by conf.h; its conventions hold.
 */
#ifndef GATEWAY_CONF_PROTECT_H
#define GATEWAY_CONF_PROTECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cidr.h"
#include "lib/units.h"

/* Where something was written, for messages about it. */
struct conf_where {
    const char *file;
    int line;
};

/* What may go wrong with an exchange, as conditions: a set of statuses and of ways to fail. */
enum conf_fault {
    FAULT_CONNECT = 1,   /* the connection could not be made */
    FAULT_RESET = 2,     /* it broke before the head of the answer was complete */
    FAULT_TIMEOUT = 4,   /* a deadline of the backend ended it */
    FAULT_MALFORMED = 8, /* the answer is no HTTP */
};

#define CONF_STATUS_WORDS 10 /* statuses up to 639 */

struct conf_faults {
    unsigned ways;                        /* enum conf_fault, or-ed */
    uint64_t statuses[CONF_STATUS_WORDS]; /* a bit for each status */
};

/* What a limit is counted over. */
enum conf_limit_scope {
    LIMIT_SCOPE_GATEWAY,       /* each gateway alone */
    LIMIT_SCOPE_CLUSTER,       /* all of them, by leases */
    LIMIT_SCOPE_CLUSTER_EXACT, /* all of them, asked for each request */
};

/* What becomes of a limit of all gateways while Redis does not answer. */
enum conf_limit_down { LIMIT_DOWN_SHARE, LIMIT_DOWN_OPEN, LIMIT_DOWN_CLOSED };

/* What gateways do when another one's breaker has opened. */
enum conf_breaker_share { BREAKER_SHARE_OFF, BREAKER_SHARE_OPEN, BREAKER_SHARE_CAUTIOUS };

/* Opens when any of the ratios is reached, or so many requests failed in a row. */
struct conf_breaker {
    bool enabled;               /* default yes */
    uint32_t failure_ratio;     /* hundredths of a percent; default 50% */
    uint32_t min_requests;      /* in the window, before a ratio counts; default 20 */
    uint32_t consecutive;       /* failures in a row; 0: do not count; default 0 */
    uint32_t slow_ms;           /* a call is slow when its answer begins after this; 0: none is; default 0 */
    uint32_t slow_ratio;        /* hundredths of a percent; default 100% */
    uint32_t window_ms;         /* default 10 s */
    uint32_t open_ms;           /* open for this long at first, twice as long each time; default 5 s */
    uint32_t open_max_ms;       /* but not longer; default 1 min */
    uint32_t half_open_probes;  /* requests let through at once while half-open; default 3 */
    uint32_t close_after;       /* successes of them that close it; default 3 */
    struct conf_faults failure; /* what counts as failure; default connect, reset, timeout, malformed, 5xx
                                   but 501 and 505 */
    enum conf_breaker_share share; /* with other gateways; default off */
};

struct conf_retry {
    uint32_t attempts;     /* tries of a request in all; default 3; 1: no second try */
    struct conf_faults on; /* default connect, reset */
    bool non_idempotent;   /* also send such requests twice when some of it was sent; default no */
    uint32_t budget;       /* retries of a window, of its requests, hundredths of a percent; default 20% */
    uint32_t budget_min;   /* retries a second that are always allowed; default 10 */
    uint32_t per_try_ms;   /* to the head of the answer; 0: no bound but first_byte; default 0 */
};

/* A server that fails is left out. */
struct conf_eject {
    uint32_t failures; /* in a row; 0: off; default 5 */
    uint32_t for_ms;   /* the first time; n times as long the nth time; default 10 s */
    uint32_t max_ms;   /* default 5 min */
    uint32_t share;    /* of the servers that may be out at once, hundredths of a percent; default 50% */
};

enum conf_health_kind { HEALTH_HTTP, HEALTH_TCP };

struct conf_health {
    bool enabled; /* the section is there */
    enum conf_health_kind kind;
    const char *path;      /* HEALTH_HTTP; default "/" */
    const char *host;      /* Host field; NULL: the server's */
    const char *match;     /* text that the body holds; NULL: any */
    struct conf_faults ok; /* its statuses; default 200 to 399 */
    uint32_t interval_ms;  /* default 5 s, +- 10 % */
    uint32_t timeout_ms;   /* default 1 s */
    uint32_t rise;         /* good ones in a row until a server is back; default 2 */
    uint32_t fall;         /* bad ones until it is out; default 3 */
};

/* Requests in flight to a backend. */
struct conf_bulkhead {
    uint32_t max;        /* over all workers; 0: no bound; default 0 */
    bool adaptive;       /* learn the bound from latency, max being the most; default no */
    uint32_t per_server; /* to one address, over all workers; 0: no bound; default 0 */
    uint32_t queue;      /* that may wait, in all workers; default 0 */
    uint32_t queue_ms;   /* for this long at most; default 1 s */
};

/* Instead of a backend that cannot be asked: another backend, or a fixed answer. */
struct conf_fallback {
    bool enabled;     /* the section is there */
    bool has_backend; /* another backend; else the answer */
    size_t backend;   /* index into conf.backends */
    unsigned status;
    const char *body;
    const char *content_type;
};

/* A second server is asked when the first is late. */
struct conf_hedge {
    bool enabled;      /* the section is there */
    uint32_t after_ms; /* 0: the 95th percentile of the backend's recent latencies; default 0 */
};

/* What clients are told apart by. */
enum conf_key_kind { KEY_IP, KEY_HEADER, KEY_COOKIE, KEY_CONSUMER, KEY_CLAIM, KEY_ROUTE };

struct conf_key {
    enum conf_key_kind kind;
    const char *name; /* of the header, cookie or claim; else NULL */
};

/* All of them together make a client's key; default ip. */
struct conf_keys {
    struct conf_key *at;
    size_t n;
    uint32_t v4_prefix; /* addresses that count as one client; default 32 */
    uint32_t v6_prefix; /* default 64 */
};

/* Another rate for those of a plan: an attribute of an API key, or a claim. */
struct conf_tier {
    const char *plan;
    struct units_rate rate;
    uint32_t burst;
};

enum conf_limit_mode { LIMIT_ENFORCE, LIMIT_SHADOW };

struct conf_limit {
    struct conf_where where;
    const char *name; /* limits of one name share their buckets; NULL: the route's own */
    struct units_rate rate;
    uint32_t burst; /* requests at once; as written 0, it is the rate's count */
    uint32_t cost;  /* tokens that a request takes; default 1 */
    struct conf_keys keys;
    struct cidr *exempt;
    size_t nexempt;
    struct conf_tier *tiers;
    size_t ntiers;
    enum conf_limit_mode mode;
    uint32_t delay_ms;              /* a request may be delayed this long instead of refused; default 0 */
    enum conf_limit_scope scope;    /* default gateway */
    enum conf_limit_down when_down; /* default share */
};

#define CONF_CONCURRENCY_MAX 4 /* in a route */

/* Requests under way at once. */
struct conf_concurrency {
    struct conf_where where;
    const char *name; /* those of one name share their counts; NULL: the route's own */
    uint64_t id;      /* the same for the same name, or the same place in a route of the same name */
    uint32_t max;     /* of one client */
    uint32_t queue;   /* of one client that may wait; default 0 */
    uint32_t wait_ms; /* for this long; default 1 s */
    struct conf_keys keys;
    enum conf_limit_mode mode;
};

/* Whether a status, or a way to fail, is in the set. */
static inline bool conf_faults_have_status(const struct conf_faults *f, unsigned status)
{
    return status < CONF_STATUS_WORDS * 64 && (f->statuses[status / 64] >> (status % 64) & 1);
}

#endif
