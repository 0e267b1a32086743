/*
 * state.h: what an operator sees and changes by hand while the gateway runs: breakers, servers, limits.
 *
 *     GET  /breakers                               every backend's breaker, budget and bulkhead
 *     POST /breakers?backend=users&state=open      open, closed, or auto: let it work by itself again
 *     GET  /servers                                every address of every backend
 *     POST /servers?backend=users&server=10.0.0.3:9000&drain=yes
 *     POST /servers?backend=users&server=users-1:9000&weight=5      0: as configured
 *     GET  /limits                                 {"tables": how full the tables of buckets are,
 *                                                   "refused": who is refused most, masked: refusals.h}
 *     GET  /cache                                  how full the cache is, and what is being fetched
 *     POST /cache/purge?url=http://example.com/a   what is stored of this URL goes; see purge.h
 *     POST /cache/purge?prefix=http://example.com/a/
 *     POST /cache/purge?tag=blue&soft=yes          soft: it becomes stale
 *     POST /cache/purge?all=yes
 *     GET  /traces?slow=yes&max=100&filter=4bf9    requests that were kept; see tracer.h
 *     GET  /traces/ID                              one of them, by trace or request id
 *     GET  /debug/slow                             those that took longest
 *     GET  /redis                                  the nodes that are shared with other gateways
 *     GET  /debug/...                              see debug.h
 *
 * With Redis, a purge is of all nodes and gateways. It is answered when it is done: 200 and "complete": true,
 * or 207 and false when a node did not get it (fleet.h).
 *
 * A server is named by its address, or by its name and port in the configuration, which means all its
 * addresses. Drained, it gets no new request; what is under way goes on. What was set by hand holds over a
 * reload, as long as the server's or the backend's own part of the configuration stays the same, and is gone
 * with the process. Every change is logged.
 *
 * Control thread only.
 */
#ifndef GATEWAY_STATE_H
#define GATEWAY_STATE_H

#include <stdatomic.h>
#include <stdio.h>

#include "gateway/cache.h"
#include "gateway/fleet.h"
#include "gateway/guard.h"
#include "gateway/limit.h"
#include "gateway/log.h"
#include "gateway/logwriter.h"
#include "gateway/snapshot.h"
#include "gateway/tracer.h"

struct worker;

struct debug;

/* What comes to the control thread's mailbox, by type. */
enum state_mail {
    STATE_MAIL_PURGED,  /* a struct fleet_purge, for state_finish_purge */
    STATE_MAIL_BREAKER, /* a struct guard_news, for guards_hear */
    STATE_MAIL_DEBUG,   /* for debug_finish */
};

/* What is looked at; everything is lent. */
struct state_view {
    const struct conf *conf;
    struct guards *guards;
    struct limiter *limiter;
    struct cache *cache;
    struct fleet *fleet; /* NULL: nothing is shared */
    struct tracer *tracer;
    struct mailbox *mailbox; /* to where its purges come back: see state_finish_purge */
    const struct router *router;
    struct log *log;
    struct debug *debug;
    struct endpoint_list *const *lists; /* by backend; NULL: no address is known */
    struct worker *const *workers;
    unsigned nworkers;
    const struct logwriter *access_log; /* NULL: off */
    bool is_draining;
    void (*relist)(void *ctx, size_t backend); /* weights or drains of the backend's endpoints have changed */
    void *ctx;
};

/* A request; parameters are NULL when they are not there. */
struct state_ask {
    const char *path; /* "/breakers" */
    bool is_post;
    const char *backend, *server, *state, *drain, *weight;
    const char *url, *prefix, *tag, *all, *soft;
    const char *slow, *max, *filter;
    const char *seconds, *format, *hz;
};

struct state_answer {
    unsigned status;  /* from 400 on, json is a problem (problem.h) */
    char *json;       /* from malloc; NULL: memory is short, or there is a ticket */
    const char *type; /* NULL: it is JSON, and ends with a NUL; else what it is, of LEN bytes */
    size_t len;
    struct state_ticket *ticket; /* it takes a while: for state_collect */
};

/* What has become of a ticket without an answer. */
enum state_ticket_fate { STATE_TICKET_WAITS, STATE_TICKET_ABANDONED, STATE_TICKET_LOST };

/* Somebody waits for an answer. Made with calloc, as the beginning of a struct of one's own. */
struct state_ticket {
    _Atomic unsigned fate; /* enum state_ticket_fate */
    bool is_finished;
    struct state_answer answer;                   /* when it is */
    void (*give_up)(struct state_ticket *ticket); /* when it is abandoned before that; or NULL */
};

MUST_USE struct state_answer state_handle(const struct state_view *v, const struct state_ask *ask);

/* What TICKET was for, which is given and takes TICKET; without json where memory was short. False: it is not
 * there yet. */
MUST_USE bool state_collect(struct state_ticket *ticket, struct state_answer *answer);

/* Nobody wants to know any more; takes TICKET. */
void state_abandon(struct state_ticket *ticket);

/* The answer that TICKET is for, also one without json; takes both. */
void state_finish(struct state_ticket *ticket, struct state_answer answer);

/* There will be no answer, and whoever waits is told so at its next look; takes TICKET. Any thread. */
void state_lose(struct state_ticket *ticket);

/* A purge of all gateways has come to its end; takes P. */
void state_finish_purge(struct fleet_purge *p, struct log *log);

/* Families of metrics about the same things. */
void state_metrics(const struct state_view *v, FILE *out);

#endif
