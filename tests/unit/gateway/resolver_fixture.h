/*
 * resolver_fixture.h: a resolver whose look-ups the test answers itself, in any order, late or never, and
 * watchers that write down what they are told. Waits are read off the timers and cut short, so nothing
 * sleeps.
 */
#ifndef TESTS_UNIT_GATEWAY_RESOLVER_FIXTURE_H
#define TESTS_UNIT_GATEWAY_RESOLVER_FIXTURE_H

#include "gateway/resolver.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "tests/unit/unit.h"

#define INTERVAL_MS 700
#define RETRY_MS    1000
#define ASKED_MAX   64
#define GIVE_UP     (20 * CLOCK_SECOND_NS)

/* A look-up under way. */
struct asked {
    uv_getaddrinfo_t *req;
    uv_getaddrinfo_cb done;
    char host[64];
};

struct world {
    uv_loop_t loop;
    struct endpoint_registry *reg;
    struct resolver *r;
    struct asked asked[ASKED_MAX];
    size_t nasked;
    unsigned lookups; /* ever begun */
    int refusal;      /* what the next look-ups say at once; 0: they begin */
    char log[400];
    unsigned nlog;
};

/* Who watches, and what it was told. */
struct watcher {
    struct conf_server servers[4];
    struct conf_backend backend;
    struct resolver_watch *watch;
    struct endpoint_list *list; /* counted */
    char text[400];             /* "10.0.0.1:80*1 ..." */
    unsigned published;
};

/* ---- the world ---- */

static inline int ask(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb done, const char *node,
                      const char *service, const struct addrinfo *hints)
{
    struct world *w = loop->data;
    w->lookups++;
    ck_assert_ptr_null(service);
    ck_assert_int_eq(hints->ai_socktype, SOCK_STREAM);
    ck_assert_int_eq(hints->ai_family, AF_UNSPEC);
    if (w->refusal)
        return w->refusal;
    for (size_t i = 0; i < w->nasked; i++)
        ck_assert_msg(w->asked[i].req != req, "%s is looked up while it is looked up", node);
    ck_assert_uint_lt(w->nasked, ASKED_MAX);
    struct asked *a = &w->asked[w->nasked++];
    a->req = req;
    a->done = done;
    snprintf(a->host, sizeof(a->host), "%s", node);
    return 0;
}

static inline void on_log(void *ctx, const char *text)
{
    struct world *w = ctx;
    snprintf(w->log, sizeof(w->log), "%s", text);
    w->nlog++;
}

static inline void open_world(struct world *w, resolver_lookup *lookup)
{
    memset(w, 0, sizeof(*w));
    ck_assert_int_eq(uv_loop_init(&w->loop), 0);
    w->loop.data = w;
    w->reg = endpoint_registry_new(1);
    w->r = lookup ? resolver_new_with(&w->loop, w->reg, INTERVAL_MS, lookup)
                  : resolver_new(&w->loop, w->reg, INTERVAL_MS);
    ck_assert_ptr_nonnull(w->r);
    resolver_set_log(w->r, on_log, w);
}

/* The addresses of TEXT, apart by spaces, as getaddrinfo gives them. */
static inline struct addrinfo *found(const char *text)
{
    struct addrinfo *first = NULL, **end = &first,
                    hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    char *copy = strdup(text), *rest = copy, *one;
    while ((one = strsep(&rest, " ")) != NULL) {
        if (!*one)
            continue;
        ck_assert_int_eq(getaddrinfo(one, NULL, &hints, end), 0);
        end = &(*end)->ai_next;
    }
    free(copy);
    return first;
}

/* End the oldest look-up of HOST. */
static inline void answer(struct world *w, const char *host, int status, const char *addresses)
{
    size_t i = 0;
    while (i < w->nasked && strcmp(w->asked[i].host, host) != 0)
        i++;
    ck_assert_msg(i < w->nasked, "%s is not asked for", host);
    struct asked a = w->asked[i];
    memmove(&w->asked[i], &w->asked[i + 1], (--w->nasked - i) * sizeof(a));
    a.done(a.req, status, status < 0 ? NULL : found(addresses));
}

/* Free the resolver if the test has not; what is still asked is answered afterwards, to nobody. */
static inline void close_world(struct world *w)
{
    if (w->r)
        resolver_free(w->r);
    while (w->nasked > 0)
        answer(w, w->asked[0].host, 0, "192.0.2.99");
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
    endpoint_registry_free(w->reg);
}

/* ---- waiting ---- */

struct waits {
    unsigned n;
    uint64_t ms; /* of the last one seen */
    bool cut;
};

static inline void see_timer(uv_handle_t *h, void *arg)
{
    struct waits *s = arg;
    if (h->type != UV_TIMER || !uv_is_active(h) || uv_is_closing(h))
        return;
    s->n++;
    s->ms = uv_timer_get_due_in((uv_timer_t *)h);
    if (!s->cut)
        return;
    uv_timer_set_repeat((uv_timer_t *)h, 1);
    uv_timer_again((uv_timer_t *)h);
}

/* How long the only timer that runs has to go, in ms; 0 when none runs. */
static inline uint64_t wait_of(struct world *w)
{
    struct waits s = {0};
    uv_walk(&w->loop, see_timer, &s);
    ck_assert_uint_le(s.n, 1);
    return s.n > 0 ? s.ms : 0;
}

/* End every wait at once: run the loop until COUNT look-ups have begun. */
static inline void skip_waits(struct world *w, unsigned count)
{
    struct waits s = {.cut = true};
    uint64_t end_ns = clock_now_ns() + GIVE_UP;
    unsigned until = w->lookups + count;
    uv_walk(&w->loop, see_timer, &s);
    while (w->lookups < until && clock_now_ns() < end_ns)
        uv_run(&w->loop, UV_RUN_ONCE);
    ck_assert_uint_eq(w->lookups, until);
}

/* ---- watchers ---- */

static inline void on_addresses(void *ctx, struct endpoint_list *list)
{
    struct watcher *v = ctx;
    struct endpoint_list *old = v->list;
    size_t len = 0;
    v->list = endpoint_list_get(list);
    v->published++;
    v->text[0] = '\0';
    for (size_t i = 0; i < list->n && len < sizeof(v->text); i++)
        len += (size_t)snprintf(v->text + len, sizeof(v->text) - len, "%s%s*%u", i > 0 ? " " : "",
                                list->at[i].endpoint->text, list->at[i].weight);
    if (old)
        endpoint_list_put(old);
}

static inline void add_server(struct watcher *v, const char *host, uint16_t port, unsigned weight)
{
    v->servers[v->backend.nservers++] = (struct conf_server){.host = host, .port = port, .weight = weight};
    v->backend.servers = v->servers;
}

static inline void begin_watch(struct world *w, struct watcher *v)
{
    v->backend.name = "backend";
    v->watch = resolver_watch(w->r, &v->backend, on_addresses, v);
    ck_assert_ptr_nonnull(v->watch);
}

/* Watch HOST at port 80. */
static inline void watch_host(struct world *w, struct watcher *v, const char *host)
{
    *v = (struct watcher){.published = 0};
    add_server(v, host, 80, 1);
    begin_watch(w, v);
}

static inline void drop(struct watcher *v)
{
    if (v->list)
        endpoint_list_put(v->list);
    v->list = NULL;
}

static inline void expect(const struct watcher *v, unsigned published, const char *text)
{
    ck_assert_uint_eq(v->published, published);
    ck_assert_str_eq(v->text, text);
}

#endif
