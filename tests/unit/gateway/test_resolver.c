/*
 * What is published and when, with look-ups that the test answers itself: in any order, late, never. Waits
 * are read off the timers and cut short, so nothing sleeps. The last tests ask the real uv_getaddrinfo.
 */
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

static int ask(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb done, const char *node,
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

static void on_log(void *ctx, const char *text)
{
    struct world *w = ctx;
    snprintf(w->log, sizeof(w->log), "%s", text);
    w->nlog++;
}

static void open_world(struct world *w, resolver_lookup *lookup)
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
static struct addrinfo *found(const char *text)
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
static void answer(struct world *w, const char *host, int status, const char *addresses)
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
static void close_world(struct world *w)
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

static void see_timer(uv_handle_t *h, void *arg)
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
static uint64_t wait_of(struct world *w)
{
    struct waits s = {0};
    uv_walk(&w->loop, see_timer, &s);
    ck_assert_uint_le(s.n, 1);
    return s.n > 0 ? s.ms : 0;
}

/* End every wait at once: run the loop until COUNT look-ups have begun. */
static void skip_waits(struct world *w, unsigned count)
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

static void on_addresses(void *ctx, struct endpoint_list *list)
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

static void add_server(struct watcher *v, const char *host, uint16_t port, unsigned weight)
{
    v->servers[v->backend.nservers++] = (struct conf_server){.host = host, .port = port, .weight = weight};
    v->backend.servers = v->servers;
}

static void begin_watch(struct world *w, struct watcher *v)
{
    v->backend.name = "backend";
    v->watch = resolver_watch(w->r, &v->backend, on_addresses, v);
    ck_assert_ptr_nonnull(v->watch);
}

/* Watch HOST at port 80. */
static void watch_host(struct world *w, struct watcher *v, const char *host)
{
    *v = (struct watcher){.published = 0};
    add_server(v, host, 80, 1);
    begin_watch(w, v);
}

static void drop(struct watcher *v)
{
    if (v->list)
        endpoint_list_put(v->list);
    v->list = NULL;
}

static void expect(const struct watcher *v, unsigned published, const char *text)
{
    ck_assert_uint_eq(v->published, published);
    ck_assert_str_eq(v->text, text);
}

/* ---- what is published ---- */

START_TEST(addresses_and_sockets_need_no_look_up)
{
    struct world w;
    struct watcher v = {.published = 0};
    open_world(&w, ask);
    add_server(&v, "10.0.0.1", 80, 3);
    add_server(&v, "::1", 8080, 1);
    add_server(&v, NULL, 0, 2);
    v.servers[2].unix_path = "/run/app.sock";
    begin_watch(&w, &v);
    expect(&v, 1, "10.0.0.1:80*3 [::1]:8080*1 unix:/run/app.sock*2");
    ck_assert_uint_eq(w.lookups, 0);
    ck_assert(!uv_loop_alive(&w.loop));
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_name_is_looked_up_at_once)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    ck_assert_uint_eq(w.lookups, 1);
    ck_assert_uint_eq(v.published, 0);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.nlog, 0);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(all_addresses_are_endpoints_once_each)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.9 2001:db8::1 10.0.0.10 10.0.0.9 ::ffff:10.0.0.9 2001:db8:0:0::1");
    expect(&v, 1, "10.0.0.10:80*1 10.0.0.9:80*1 [2001:db8::1]:80*1");
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(only_a_change_of_the_set_is_published)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.1 10.0.0.2");
    static const char *const same[] = {"10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1",
                                       "10.0.0.2 10.0.0.2 10.0.0.1"};
    for (size_t i = 0; i < 3; i++) {
        skip_waits(&w, 1);
        answer(&w, "users", 0, same[i]);
        ck_assert_uint_eq(v.published, 1);
    }
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.2 10.0.0.3");
    expect(&v, 2, "10.0.0.2:80*1 10.0.0.3:80*1");
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.2");
    expect(&v, 3, "10.0.0.2:80*1");
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(what_stays_is_the_same_endpoint_and_what_goes_is_retired)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.1 10.0.0.2");
    struct endpoint *one = endpoint_get(v.list->at[0].endpoint), *two = endpoint_get(v.list->at[1].endpoint);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.2 10.0.0.3");
    ck_assert_ptr_eq(v.list->at[0].endpoint, two);
    ck_assert(one->retired && !two->retired);
    endpoint_sweep(w.reg);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_ptr_eq(v.list->at[0].endpoint, one);
    ck_assert(!one->retired && two->retired);
    resolver_unwatch(v.watch);
    ck_assert(one->retired && two->retired);
    endpoint_put(one);
    endpoint_put(two);
    drop(&v);
    endpoint_sweep(w.reg);
    close_world(&w);
}
END_TEST

START_TEST(an_endpoint_of_two_backends_is_retired_by_the_last)
{
    struct world w;
    struct watcher a, b;
    open_world(&w, ask);
    watch_host(&w, &a, "10.0.0.1");
    watch_host(&w, &b, "10.0.0.1");
    struct endpoint *e = a.list->at[0].endpoint;
    ck_assert_ptr_eq(e, b.list->at[0].endpoint);
    resolver_unwatch(a.watch);
    ck_assert(!e->retired);
    resolver_unwatch(b.watch);
    ck_assert(e->retired);
    drop(&a);
    drop(&b);
    close_world(&w);
}
END_TEST

START_TEST(a_backend_has_the_addresses_of_all_its_servers)
{
    struct world w;
    struct watcher v = {.published = 0};
    open_world(&w, ask);
    add_server(&v, "users", 80, 2);
    add_server(&v, "10.0.0.9", 80, 1);
    add_server(&v, "more", 80, 3);
    add_server(&v, "users", 81, 5);
    begin_watch(&w, &v);
    expect(&v, 1, "10.0.0.9:80*1");
    ck_assert_uint_eq(w.lookups, 2);
    answer(&w, "more", 0, "10.0.0.3");
    expect(&v, 2, "10.0.0.9:80*1 10.0.0.3:80*3");
    answer(&w, "users", 0, "10.0.0.1 10.0.0.2");
    expect(&v, 3, "10.0.0.1:80*2 10.0.0.2:80*2 10.0.0.9:80*1 10.0.0.3:80*3 10.0.0.1:81*5 10.0.0.2:81*5");
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_server_that_is_there_twice_has_both_weights)
{
    struct world w;
    struct watcher v = {.published = 0};
    open_world(&w, ask);
    add_server(&v, "users", 80, 2);
    add_server(&v, "10.0.0.9", 80, 1);
    add_server(&v, "users", 80, 3);
    begin_watch(&w, &v);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&v, 2, "10.0.0.1:80*5 10.0.0.9:80*1");
    struct endpoint *e = v.list->at[0].endpoint;
    ck_assert_uint_eq(e->refs, 1); /* the list's */
    resolver_unwatch(v.watch);
    ck_assert(e->retired);
    drop(&v);
    close_world(&w);
}
END_TEST

/* Which are kept does not depend on the order they come in, and repetitions do not use up the bound. */
START_TEST(addresses_of_a_name_are_bounded)
{
    enum { N = 300, KEPT = 256 };
    static char up[32 * N], down[32 * N], twice[64 * N];
    struct world w;
    struct watcher v;
    for (int i = 0; i < N; i++) {
        sprintf(up + strlen(up), "10.0.%d.%d ", i / 200, i % 200);
        sprintf(down + strlen(down), "10.0.%d.%d ", (N - 1 - i) / 200, (N - 1 - i) % 200);
        if (i < KEPT)
            sprintf(twice + strlen(twice), "10.1.%d.%d 10.1.%d.%d ", i / 200, i % 200, i / 200, i % 200);
    }
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, up);
    ck_assert_uint_eq(v.list->n, KEPT);
    skip_waits(&w, 1);
    answer(&w, "users", 0, down);
    ck_assert_uint_eq(v.published, 1);
    skip_waits(&w, 1);
    answer(&w, "users", 0, twice);
    ck_assert_uint_eq(v.published, 2);
    ck_assert_uint_eq(v.list->n, KEPT);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

/* ---- when ---- */

START_TEST(a_name_is_tried_every_second_until_found_and_then_by_interval)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    ck_assert_uint_eq(wait_of(&w), 0);
    for (int i = 0; i < 3; i++) {
        answer(&w, "users", i == 1 ? UV_EAI_AGAIN : UV_EAI_NONAME, NULL);
        ck_assert_uint_eq(wait_of(&w), RETRY_MS);
        skip_waits(&w, 1);
    }
    ck_assert_uint_eq(v.published, 0);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    /* It was found once: a failure waits for the interval too. */
    skip_waits(&w, 1);
    answer(&w, "users", UV_EAI_AGAIN, NULL);
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_failure_keeps_the_addresses_and_is_told_once)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.1");
    for (int i = 0; i < 3; i++) {
        skip_waits(&w, 1);
        answer(&w, "users", UV_EAI_NONAME, NULL);
        expect(&v, 1, "10.0.0.1:80*1");
        ck_assert_uint_eq(w.nlog, 1);
        ck_assert_str_eq(w.log, "cannot resolve users: unknown node or service");
    }
    for (int i = 0; i < 2; i++) {
        skip_waits(&w, 1);
        answer(&w, "users", 0, "10.0.0.1");
        expect(&v, 1, "10.0.0.1:80*1");
        ck_assert_uint_eq(w.nlog, 2);
        ck_assert_str_eq(w.log, "users resolves again");
    }
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(an_answer_without_addresses_is_a_failure)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "");
    ck_assert_uint_eq(v.published, 0);
    ck_assert_str_eq(w.log, "cannot resolve users: no address");
    ck_assert_uint_eq(wait_of(&w), RETRY_MS);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    skip_waits(&w, 1);
    answer(&w, "users", 0, "");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.nlog, 3);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_look_up_that_cannot_begin_is_told_and_tried_again)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    w.refusal = UV_EINVAL;
    watch_host(&w, &v, "users");
    ck_assert_str_eq(w.log, "cannot resolve users: invalid argument");
    ck_assert_uint_eq(wait_of(&w), RETRY_MS);
    skip_waits(&w, 1);
    ck_assert_uint_eq(w.nlog, 1);
    w.refusal = 0;
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.nlog, 2);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_look_up_does_not_overlap_itself)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.1");
    skip_waits(&w, 1);
    /* The cut timer goes on every millisecond, now during a look-up; one for good measure has to fire. */
    uint64_t end_ns = clock_now_ns() + 5 * CLOCK_MILLISECOND_NS;
    while (clock_now_ns() < end_ns)
        uv_run(&w.loop, UV_RUN_ONCE);
    ck_assert_uint_eq(w.lookups, 2);
    ck_assert_uint_eq(w.nasked, 1);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_new_interval_counts_at_once)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    resolver_set_interval(w.r, 500);
    ck_assert_uint_eq(wait_of(&w), 0);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(wait_of(&w), 500);
    resolver_set_interval(w.r, 300);
    ck_assert_uint_eq(wait_of(&w), 300);
    resolver_set_interval(w.r, 900);
    ck_assert_uint_eq(wait_of(&w), 900);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

/* ---- watches that share ---- */

START_TEST(watches_of_a_name_share_its_look_up)
{
    struct world w;
    struct watcher a, b, c;
    open_world(&w, ask);
    watch_host(&w, &a, "users");
    watch_host(&w, &b, "users");
    ck_assert_uint_eq(w.lookups, 1);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&a, 1, "10.0.0.1:80*1");
    expect(&b, 1, "10.0.0.1:80*1");
    ck_assert_ptr_eq(a.list->at[0].endpoint, b.list->at[0].endpoint);
    /* Known already: published from inside, without asking. */
    watch_host(&w, &c, "users");
    expect(&c, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.lookups, 1);
    resolver_unwatch(a.watch);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.2");
    expect(&a, 1, "10.0.0.1:80*1");
    expect(&b, 2, "10.0.0.2:80*1");
    expect(&c, 2, "10.0.0.2:80*1");
    resolver_unwatch(b.watch);
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    resolver_unwatch(c.watch);
    ck_assert_uint_eq(wait_of(&w), 0);
    drop(&a);
    drop(&b);
    drop(&c);
    close_world(&w);
}
END_TEST

START_TEST(only_those_who_use_a_name_are_told_of_it)
{
    struct world w;
    struct watcher a, b;
    open_world(&w, ask);
    watch_host(&w, &a, "users");
    watch_host(&w, &b, "orders");
    answer(&w, "orders", 0, "10.0.0.2");
    ck_assert_uint_eq(a.published, 0);
    expect(&b, 1, "10.0.0.2:80*1");
    answer(&w, "users", UV_EAI_NONAME, NULL);
    ck_assert_uint_eq(a.published, 0);
    drop(&b);
    resolver_unwatch(a.watch);
    resolver_unwatch(b.watch);
    close_world(&w);
}
END_TEST

/* As at a reload: the new watch comes before the old one goes. */
START_TEST(a_reload_finds_what_is_known)
{
    struct world w;
    struct watcher old, new;
    open_world(&w, ask);
    watch_host(&w, &old, "users");
    answer(&w, "users", 0, "10.0.0.1");
    for (int i = 0; i < 3; i++) {
        watch_host(&w, &new, "users");
        expect(&new, 1, "10.0.0.1:80*1");
        ck_assert_ptr_eq(new.list->at[0].endpoint, old.list->at[0].endpoint);
        resolver_unwatch(old.watch);
        drop(&old);
        endpoint_sweep(w.reg);
        ck_assert(!new.list->at[0].endpoint->retired);
        /* The backend of a watch lies in its watcher: the next watch is on one that stays. */
        watch_host(&w, &old, "users");
        resolver_unwatch(new.watch);
        drop(&new);
    }
    ck_assert_uint_eq(w.lookups, 1);
    resolver_unwatch(old.watch);
    drop(&old);
    close_world(&w);
}
END_TEST

/* ---- what comes too late ---- */

START_TEST(an_answer_after_the_unwatch_is_thrown_away)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    resolver_unwatch(v.watch);
    answer(&w, "users", 0, "10.0.0.1");
    uv_run(&w.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(v.published, 0);
    ck_assert_uint_eq(w.nlog, 0);
    ck_assert_uint_eq(w.lookups, 1);
    /* The same, its timer closed first. */
    watch_host(&w, &v, "users");
    resolver_unwatch(v.watch);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    answer(&w, "users", UV_EAI_CANCELED, NULL);
    ck_assert_uint_eq(v.published, 0);
    ck_assert_uint_eq(w.nlog, 0);
    close_world(&w);
}
END_TEST

START_TEST(an_answer_after_the_end_is_thrown_away)
{
    struct world w;
    struct watcher a, b;
    open_world(&w, ask);
    watch_host(&w, &a, "users");
    watch_host(&w, &b, "orders");
    answer(&w, "orders", 0, "10.0.0.2");
    drop(&b);
    resolver_free(w.r);
    w.r = NULL;
    answer(&w, "users", 0, "10.0.0.1");
    uv_run(&w.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(a.published, 0);
    ck_assert_uint_eq(b.published, 1);
    close_world(&w);
}
END_TEST

START_TEST(a_name_that_is_wanted_again_does_not_hear_the_old_answer)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    resolver_unwatch(v.watch);
    watch_host(&w, &v, "users");
    ck_assert_uint_eq(w.nasked, 2);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(v.published, 0);
    answer(&w, "users", 0, "10.0.0.2");
    expect(&v, 1, "10.0.0.2:80*1");
    drop(&v);
    close_world(&w);
}
END_TEST

/* ---- the real thing ---- */

/* Run the loop until the watcher was told or the log was written to. */
static void run_until_told(struct world *w, const struct watcher *v)
{
    uint64_t end_ns = clock_now_ns() + GIVE_UP;
    while (v->published == 0 && w->nlog == 0 && clock_now_ns() < end_ns)
        uv_run(&w->loop, UV_RUN_ONCE);
}

START_TEST(localhost_resolves)
{
    struct world w;
    struct watcher v;
    open_world(&w, NULL);
    watch_host(&w, &v, "localhost");
    ck_assert_uint_eq(v.published, 0);
    run_until_told(&w, &v);
    ck_assert_uint_eq(v.published, 1);
    ck_assert_msg(strstr(v.text, "127.0.0.1:80*1") || strstr(v.text, "[::1]:80*1"), "localhost is %s",
                  v.text);
    ck_assert_uint_eq(w.nlog, 0);
    drop(&v);
    close_world(&w);
}
END_TEST

/* Of the forms of an address only getaddrinfo knows this one. */
START_TEST(an_odd_address_is_left_to_the_system)
{
    struct world w;
    struct watcher v;
    open_world(&w, NULL);
    watch_host(&w, &v, "127.1");
    run_until_told(&w, &v);
    expect(&v, 1, "127.0.0.1:80*1");
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_told)
{
    struct world w;
    struct watcher v;
    open_world(&w, NULL);
    watch_host(&w, &v, "nonexistent.invalid");
    run_until_told(&w, &v);
    ck_assert_uint_eq(v.published, 0);
    ck_assert_msg(strncmp(w.log, "cannot resolve nonexistent.invalid: ", 36) == 0, "the log says: %s", w.log);
    ck_assert_uint_gt(wait_of(&w), 0);
    ck_assert_uint_le(wait_of(&w), RETRY_MS);
    close_world(&w);
}
END_TEST

/* More than libuv has threads, so that some are cancelled in its queue and others come back from their
 * thread. */
START_TEST(real_look_ups_are_dropped_safely)
{
    enum { N = 40 };
    static struct watcher v[N];
    static char hosts[N][16];
    for (int round = 0; round < 10; round++) {
        struct world w;
        open_world(&w, NULL);
        for (int i = 0; i < N; i++) {
            snprintf(hosts[i], sizeof(hosts[i]), "127.%d", i + 1);
            watch_host(&w, &v[i], hosts[i]);
        }
        for (int i = 0; i < N; i += 3)
            resolver_unwatch(v[i].watch);
        for (int i = 0; i < round; i++)
            uv_run(&w.loop, UV_RUN_NOWAIT);
        resolver_free(w.r);
        w.r = NULL;
        for (int i = 0; i < N; i++) {
            ck_assert_uint_le(v[i].published, i % 3 == 0 ? 0 : 1);
            drop(&v[i]);
        }
        close_world(&w);
        ck_assert_uint_eq(w.nlog, 0);
    }
}
END_TEST

/* A look-up whose end the test hears too. */
struct overheard {
    struct world w; /* first: the loop's data points to it */
    uv_getaddrinfo_cb done;
    int status;
    unsigned ended;
};

static void on_overheard(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct overheard *o = req->loop->data;
    o->status = status;
    o->ended++;
    o->done(req, status, res);
}

static int ask_and_hear(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb done, const char *node,
                        const char *service, const struct addrinfo *hints)
{
    struct overheard *o = loop->data;
    o->done = done;
    return uv_getaddrinfo(loop, req, on_overheard, node, service, hints);
}

static void block(uv_work_t *work)
{
    uv_sem_wait(work->data);
}

static void unblocked(uv_work_t *work, int status)
{
    ck_assert_int_eq(status, 0);
    ck_assert_ptr_nonnull(work->data);
}

/* While all threads of the pool are busy a look-up waits in its queue: dropped, it ends there. */
START_TEST(a_look_up_that_has_not_begun_is_cancelled)
{
    enum { BLOCKS = 64 };
    static uv_work_t blocks[BLOCKS];
    struct overheard o = {.ended = 0};
    struct watcher v;
    uv_sem_t gate;
    ck_assert_int_eq(uv_sem_init(&gate, 0), 0);
    open_world(&o.w, ask_and_hear);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i].data = &gate;
        ck_assert_int_eq(uv_queue_work(&o.w.loop, &blocks[i], block, unblocked), 0);
    }
    watch_host(&o.w, &v, "localhost");
    resolver_unwatch(v.watch);
    for (int i = 0; i < 10; i++)
        uv_run(&o.w.loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(o.ended, 1);
    ck_assert_int_eq(o.status, UV_EAI_CANCELED);
    for (int i = 0; i < BLOCKS; i++)
        uv_sem_post(&gate);
    close_world(&o.w);
    uv_sem_destroy(&gate);
    ck_assert_uint_eq(v.published, 0);
}
END_TEST

static void add_tests_of_time(Suite *s)
{
    TCase *t = tcase_create("when, and with whom");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_name_is_tried_every_second_until_found_and_then_by_interval);
    tcase_add_test(t, a_failure_keeps_the_addresses_and_is_told_once);
    tcase_add_test(t, an_answer_without_addresses_is_a_failure);
    tcase_add_test(t, a_look_up_that_cannot_begin_is_told_and_tried_again);
    tcase_add_test(t, a_look_up_does_not_overlap_itself);
    tcase_add_test(t, a_new_interval_counts_at_once);
    tcase_add_test(t, watches_of_a_name_share_its_look_up);
    tcase_add_test(t, only_those_who_use_a_name_are_told_of_it);
    tcase_add_test(t, a_reload_finds_what_is_known);
    tcase_add_test(t, an_answer_after_the_unwatch_is_thrown_away);
    tcase_add_test(t, an_answer_after_the_end_is_thrown_away);
    tcase_add_test(t, a_name_that_is_wanted_again_does_not_hear_the_old_answer);
    suite_add_tcase(s, t);
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("resolver");
    TCase *t = tcase_create("what is published"), *real = tcase_create("getaddrinfo");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, addresses_and_sockets_need_no_look_up);
    tcase_add_test(t, a_name_is_looked_up_at_once);
    tcase_add_test(t, all_addresses_are_endpoints_once_each);
    tcase_add_test(t, only_a_change_of_the_set_is_published);
    tcase_add_test(t, what_stays_is_the_same_endpoint_and_what_goes_is_retired);
    tcase_add_test(t, an_endpoint_of_two_backends_is_retired_by_the_last);
    tcase_add_test(t, a_backend_has_the_addresses_of_all_its_servers);
    tcase_add_test(t, a_server_that_is_there_twice_has_both_weights);
    tcase_add_test(t, addresses_of_a_name_are_bounded);
    suite_add_tcase(s, t);
    add_tests_of_time(s);
    tcase_set_timeout(real, 60);
    tcase_add_test(real, localhost_resolves);
    tcase_add_test(real, an_odd_address_is_left_to_the_system);
    tcase_add_test(real, a_name_that_does_not_exist_is_told);
    tcase_add_test(real, real_look_ups_are_dropped_safely);
    tcase_add_test(real, a_look_up_that_has_not_begun_is_cancelled);
    suite_add_tcase(s, real);
    return s;
}

UNIT_MAIN(make_suite)
