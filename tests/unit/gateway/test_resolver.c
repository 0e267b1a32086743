/* What the resolver publishes, and the real uv_getaddrinfo. */
#include "tests/unit/gateway/resolver_fixture.h"

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

static Suite *make_suite(void)
{
    Suite *s = suite_create("resolver");
    TCase *t0 = tcase_create("what is published"), *t1 = tcase_create("getaddrinfo");
    tcase_set_timeout(t0, 60);
    tcase_add_test(t0, addresses_and_sockets_need_no_look_up);
    tcase_add_test(t0, a_name_is_looked_up_at_once);
    tcase_add_test(t0, all_addresses_are_endpoints_once_each);
    tcase_add_test(t0, only_a_change_of_the_set_is_published);
    tcase_add_test(t0, what_stays_is_the_same_endpoint_and_what_goes_is_retired);
    tcase_add_test(t0, an_endpoint_of_two_backends_is_retired_by_the_last);
    tcase_add_test(t0, a_backend_has_the_addresses_of_all_its_servers);
    tcase_add_test(t0, a_server_that_is_there_twice_has_both_weights);
    tcase_add_test(t0, addresses_of_a_name_are_bounded);
    suite_add_tcase(s, t0);
    tcase_set_timeout(t1, 60);
    tcase_add_test(t1, localhost_resolves);
    tcase_add_test(t1, an_odd_address_is_left_to_the_system);
    tcase_add_test(t1, a_name_that_does_not_exist_is_told);
    tcase_add_test(t1, real_look_ups_are_dropped_safely);
    tcase_add_test(t1, a_look_up_that_has_not_begun_is_cancelled);
    suite_add_tcase(s, t1);
    return s;
}

UNIT_MAIN(make_suite)
