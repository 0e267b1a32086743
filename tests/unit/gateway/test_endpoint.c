/* Which endpoint is which, who keeps it, and a control thread that finds and sweeps while workers let go. */
#include "gateway/endpoint.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define WORKERS 3
#define ROUNDS  20000

static const struct conf_tls no_tls = {.verify = true};
static const struct conf_server users = {.host = "users", .port = 9000, .weight = 1};

static struct endpoint_registry *registry(void)
{
    struct endpoint_registry *reg = endpoint_registry_new(WORKERS);
    ck_assert_ptr_nonnull(reg);
    return reg;
}

static struct endpoint *find(struct endpoint_registry *reg, const struct conf_server *s, const char *address)
{
    struct endpoint *e = endpoint_find(reg, s, &no_tls, address);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* ---- which is which ---- */

START_TEST(the_same_server_and_address_is_the_same_endpoint)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, &users, "10.0.0.1");
    char host[] = "users", address[] = "10.0.0.1";
    struct conf_server again = {.host = host, .port = 9000, .weight = 7, .url = "elsewhere"};
    struct endpoint *f = find(reg, &again, address);
    ck_assert_ptr_eq(e, f);
    ck_assert_uint_eq(e->refs, 2);
    endpoint_put(e);
    endpoint_put(f);
    endpoint_registry_free(reg);
}
END_TEST

START_TEST(whatever_differs_is_another_endpoint)
{
    static const struct conf_tls tls[] = {
        {.verify = true},
        {.verify = false},
        {.verify = true, .ca_file = "/ca.pem"},
        {.verify = true, .ca_file = "/other.pem"},
        {.verify = true, .cert_file = "/cert.pem"},
        {.verify = true, .key_file = "/key.pem"},
        {.verify = true, .server_name = "name"},
    };
    struct conf_server other_host = users, other_port = users, https = users;
    struct conf_server unix_a = {.unix_path = "/run/a.sock", .weight = 1};
    struct conf_server unix_b = {.unix_path = "/run/b.sock", .weight = 1};
    struct endpoint_registry *reg = registry();
    struct endpoint *e[16];
    size_t n = 0;
    other_host.host = "orders";
    other_port.port = 9001;
    https.tls = true;
    e[n++] = find(reg, &users, "10.0.0.1");
    e[n++] = find(reg, &users, "10.0.0.2");
    e[n++] = find(reg, &users, "::1");
    e[n++] = find(reg, &other_host, "10.0.0.1");
    e[n++] = find(reg, &other_port, "10.0.0.1");
    e[n++] = find(reg, &unix_a, NULL);
    e[n++] = find(reg, &unix_b, NULL);
    for (size_t i = 0; i < sizeof(tls) / sizeof(tls[0]); i++)
        ck_assert_ptr_nonnull(e[n++] = endpoint_find(reg, &https, &tls[i], "10.0.0.1"));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(e[i] != e[k], "%zu and %zu are the same", i, k);
    for (size_t i = 0; i < sizeof(tls) / sizeof(tls[0]); i++) {
        struct endpoint *again = endpoint_find(reg, &https, &tls[i], "10.0.0.1");
        ck_assert_ptr_eq(again, e[n - sizeof(tls) / sizeof(tls[0]) + i]);
        endpoint_put(again);
    }
    for (size_t i = 0; i < n; i++)
        endpoint_put(e[i]);
    endpoint_registry_free(reg);
}
END_TEST

START_TEST(tls_settings_do_not_matter_without_tls)
{
    struct endpoint_registry *reg = registry();
    struct conf_tls other = {.verify = false, .ca_file = "/ca.pem"};
    struct endpoint *e = find(reg, &users, "10.0.0.1"), *f = endpoint_find(reg, &users, &other, "10.0.0.1");
    ck_assert_ptr_eq(e, f);
    endpoint_put(e);
    endpoint_put(f);
    endpoint_registry_free(reg);
}
END_TEST

/* ---- what it holds ---- */

static void expect_texts(const struct conf_server *s, const char *address, const char *text,
                         const char *host_field)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, s, address);
    ck_assert_str_eq(e->text, text);
    ck_assert_str_eq(e->host_field, host_field);
    endpoint_put(e);
    endpoint_registry_free(reg);
}

START_TEST(texts_are_as_they_are_written)
{
    struct conf_server http = {.host = "users", .port = 80},
                       https = {.host = "users", .port = 443, .tls = true};
    struct conf_server odd = {.host = "users", .port = 443}, v6 = {.host = "::1", .port = 8080};
    struct conf_server v6_80 = {.host = "::1", .port = 80}, path = {.unix_path = "/run/app.sock"};
    expect_texts(&users, "10.0.0.3", "10.0.0.3:9000", "users:9000");
    expect_texts(&http, "10.0.0.3", "10.0.0.3:80", "users");
    expect_texts(&https, "10.0.0.3", "10.0.0.3:443", "users");
    expect_texts(&odd, "10.0.0.3", "10.0.0.3:443", "users:443");
    expect_texts(&v6, "::1", "[::1]:8080", "[::1]:8080");
    expect_texts(&v6_80, "::1", "[::1]:80", "[::1]");
    expect_texts(&users, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:9000", "users:9000");
    expect_texts(&path, NULL, "unix:/run/app.sock", "localhost");
}
END_TEST

START_TEST(a_long_unix_path_is_cut_in_the_text_only)
{
    char path[108];
    struct conf_server s = {.unix_path = path};
    struct endpoint_registry *reg = registry();
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    struct endpoint *e = find(reg, &s, NULL);
    path[sizeof(path) - 2] = 'y';
    struct endpoint *f = find(reg, &s, NULL);
    ck_assert_ptr_ne(e, f);
    ck_assert_str_eq(f->unix_path, path);
    ck_assert_uint_eq(strlen(e->text), sizeof(e->text) - 1);
    endpoint_put(e);
    endpoint_put(f);
    endpoint_registry_free(reg);
}
END_TEST

START_TEST(nothing_of_the_configuration_is_kept)
{
    struct endpoint_registry *reg = registry();
    char *text[6] = {strdup("host"), strdup("ca"),   strdup("cert"),
                     strdup("key"),  strdup("name"), strdup("10.0.0.1")};
    struct conf_server s = {.host = text[0], .port = 1, .tls = true};
    struct conf_tls tls = {true, text[1], text[2], text[3], text[4]};
    struct endpoint *e = endpoint_find(reg, &s, &tls, text[5]);
    ck_assert_ptr_nonnull(e);
    for (int i = 0; i < 6; i++) {
        memset(text[i], '!', strlen(text[i]));
        free(text[i]);
    }
    ck_assert_str_eq(e->host, "host");
    ck_assert_str_eq(e->tls_conf.ca_file, "ca");
    ck_assert_str_eq(e->tls_conf.cert_file, "cert");
    ck_assert_str_eq(e->tls_conf.key_file, "key");
    ck_assert_str_eq(e->tls_conf.server_name, "name");
    ck_assert_str_eq(e->address, "10.0.0.1");
    ck_assert(e->tls && e->tls_conf.verify);
    endpoint_put(e);
    endpoint_registry_free(reg);
}
END_TEST

START_TEST(each_worker_has_a_slot_on_its_own_cache_line)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, &users, "10.0.0.1");
    ck_assert_uint_eq(e->nslots, WORKERS);
    ck_assert_uint_eq((uintptr_t)&e->slots[0] % CACHE_LINE, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        ck_assert_ptr_null(e->slots[i].pool);
        ck_assert_uint_eq((uintptr_t)&e->slots[i] - (uintptr_t)&e->slots[0], i * CACHE_LINE);
    }
    ck_assert_uint_eq(e->in_flight, 0);
    ck_assert_uint_eq(e->down_until_ns, 0);
    endpoint_put(e);
    endpoint_registry_free(reg);
}
END_TEST

/* ---- references ---- */

START_TEST(an_endpoint_in_use_outlives_the_sweep)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, &users, "10.0.0.1");
    e->down_until_ns = 77;
    endpoint_sweep(reg);
    endpoint_sweep(reg);
    struct endpoint *f = endpoint_get(e);
    endpoint_put(e);
    endpoint_sweep(reg);
    ck_assert_uint_eq(f->down_until_ns, 77);
    struct endpoint *g = find(reg, &users, "10.0.0.1");
    ck_assert_ptr_eq(f, g);
    endpoint_put(f);
    endpoint_put(g);
    endpoint_registry_free(reg);
}
END_TEST

START_TEST(without_references_it_lives_until_the_sweep)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, &users, "10.0.0.1");
    e->down_until_ns = 77;
    e->retired = true;
    endpoint_put(e);
    /* Found before the sweep: revived, with its state. */
    struct endpoint *f = find(reg, &users, "10.0.0.1");
    ck_assert_ptr_eq(f, e);
    ck_assert_uint_eq(f->refs, 1);
    ck_assert_uint_eq(f->down_until_ns, 77);
    ck_assert(!f->retired);
    endpoint_sweep(reg);
    ck_assert_uint_eq(f->down_until_ns, 77);
    /* Found after it: another one. */
    endpoint_put(f);
    endpoint_sweep(reg);
    struct endpoint *g = find(reg, &users, "10.0.0.1");
    ck_assert_uint_eq(g->down_until_ns, 0);
    endpoint_put(g);
    endpoint_registry_free(reg);
}
END_TEST

START_TEST(the_sweep_takes_out_any_of_many)
{
    enum { N = 9 };
    struct endpoint_registry *reg = registry();
    struct endpoint *e[N];
    char address[32];
    for (int i = 0; i < N; i++) {
        snprintf(address, sizeof(address), "10.0.0.%d", i);
        e[i] = find(reg, &users, address);
        e[i]->down_until_ns = 77;
    }
    /* The first, the last, neighbours. */
    static const bool goes[N] = {true, false, true, true, false, true, false, false, true};
    for (int i = 0; i < N; i++)
        if (goes[i])
            endpoint_put(e[i]);
    endpoint_sweep(reg);
    for (int i = 0; i < N; i++) {
        snprintf(address, sizeof(address), "10.0.0.%d", i);
        struct endpoint *f = find(reg, &users, address);
        ck_assert_msg(f->down_until_ns == (goes[i] ? 0 : 77), "endpoint %d", i);
        endpoint_put(f);
        if (!goes[i])
            endpoint_put(e[i]);
    }
    endpoint_registry_free(reg);
}
END_TEST

static struct endpoint_list *list_of(struct endpoint *e)
{
    struct endpoint_list *l = malloc(sizeof(*l) + sizeof(l->at[0]));
    ck_assert_ptr_nonnull(l);
    atomic_init(&l->refs, 1);
    l->n = 1;
    l->at[0].endpoint = e;
    l->at[0].weight = 1;
    return l;
}

START_TEST(a_list_keeps_its_endpoints)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, &users, "10.0.0.1");
    struct endpoint_list *l = list_of(e);
    ck_assert_ptr_eq(endpoint_list_get(l), l);
    endpoint_list_put(l);
    ck_assert_uint_eq(e->refs, 1);
    endpoint_list_put(l);
    ck_assert_uint_eq(e->refs, 0);
    endpoint_registry_free(reg);
}
END_TEST

/* ---- threads ---- */

/* Each worker has a place where the control thread leaves a list, now and then the same for several. */
struct desk {
    _Atomic(struct endpoint_list *) list;
    atomic_bool *ended;
    unsigned worker;
    unsigned taken;
};

/* Like a worker: uses its slot, keeps the endpoint for a connection longer than the list, and lets go last.
 */
static void *work(void *arg)
{
    struct desk *d = arg;
    struct endpoint *kept = NULL;
    for (;;) {
        bool last = atomic_load(d->ended);
        struct endpoint_list *l = atomic_exchange(&d->list, NULL);
        if (!l && last)
            break;
        if (!l) {
            sched_yield();
            continue;
        }
        struct endpoint *e = endpoint_get(l->at[0].endpoint);
        e->slots[d->worker].pool = d;
        endpoint_list_put(l);
        if (kept) {
            kept->slots[d->worker].pool = NULL;
            endpoint_put(kept);
        }
        kept = e;
        d->taken++;
    }
    if (kept) {
        kept->slots[d->worker].pool = NULL;
        endpoint_put(kept);
    }
    return NULL;
}

START_TEST(workers_let_go_while_the_control_thread_finds_and_sweeps)
{
    struct endpoint_registry *reg = registry();
    atomic_bool ended = false;
    static struct desk desks[WORKERS];
    pthread_t threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        desks[i].worker = i;
        desks[i].ended = &ended;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &desks[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        static const char *const addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
        struct endpoint_list *l = list_of(find(reg, &users, addresses[round % 3]));
        for (unsigned i = 0; i < WORKERS; i++) {
            struct endpoint_list *not_taken = atomic_exchange(&desks[i].list, endpoint_list_get(l));
            if (not_taken)
                endpoint_list_put(not_taken);
        }
        endpoint_list_put(l);
        endpoint_sweep(reg);
    }
    atomic_store(&ended, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_gt(desks[i].taken, 0);
        ck_assert_ptr_null(desks[i].list);
    }
    for (int i = 0; i < 3; i++) {
        static const char *const addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
        struct endpoint *e = find(reg, &users, addresses[i]);
        ck_assert_uint_eq(e->refs, 1);
        endpoint_put(e);
    }
    endpoint_registry_free(reg);
}
END_TEST

/* ---- renewing ---- */

struct holder {
    struct endpoint_list *list;
    _Atomic bool ended;
};

/* A worker that takes and lets go. */
static void *hold(void *arg)
{
    struct holder *h = arg;
    while (!atomic_load(&h->ended))
        endpoint_list_put(endpoint_list_get(h->list));
    return NULL;
}

START_TEST(a_list_is_renewed_while_others_count_theirs)
{
    struct endpoint_registry *reg = registry();
    struct endpoint *e = find(reg, &users, "10.0.0.1");
    struct holder h = {.list = list_of(e)};
    pthread_t thread;
    h.list->at[0].configured = 3;
    ck_assert_int_eq(pthread_create(&thread, NULL, hold, &h), 0);
    for (int round = 0; round < ROUNDS / 20; round++) {
        e->by_hand.weight = round % 2 ? 7 : 0;
        e->by_hand.is_drained = round % 2;
        struct endpoint_list *l = endpoint_list_renew(h.list);
        ck_assert_ptr_nonnull(l);
        ck_assert_uint_eq(l->refs, 1);
        ck_assert_uint_eq(l->n, 1);
        ck_assert_uint_eq(l->at[0].weight, round % 2 ? 7 : 3);
        ck_assert_int_eq(l->at[0].is_drained, round % 2);
        endpoint_list_put(l);
    }
    atomic_store(&h.ended, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(e->refs, 1);
    endpoint_list_put(h.list);
    endpoint_registry_free(reg);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("endpoint");
    TCase *t = tcase_create("endpoint");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_same_server_and_address_is_the_same_endpoint);
    tcase_add_test(t, whatever_differs_is_another_endpoint);
    tcase_add_test(t, tls_settings_do_not_matter_without_tls);
    tcase_add_test(t, texts_are_as_they_are_written);
    tcase_add_test(t, a_long_unix_path_is_cut_in_the_text_only);
    tcase_add_test(t, nothing_of_the_configuration_is_kept);
    tcase_add_test(t, each_worker_has_a_slot_on_its_own_cache_line);
    tcase_add_test(t, an_endpoint_in_use_outlives_the_sweep);
    tcase_add_test(t, without_references_it_lives_until_the_sweep);
    tcase_add_test(t, the_sweep_takes_out_any_of_many);
    tcase_add_test(t, a_list_keeps_its_endpoints);
    tcase_add_test(t, a_list_is_renewed_while_others_count_theirs);
    tcase_add_test(t, workers_let_go_while_the_control_thread_finds_and_sweeps);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
