/* Filters of those who look on at the log: how they are asked for, and what they let through. */
#include "gateway/tail.h"

#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)

/* A request that took 250 ms. */
static struct record a_record(void)
{
    struct record r = {
        .begin_ns = 1000 * MS,
        .end_ns = 1250 * MS,
        .request_id = SLICE("req-1234"),
        .trace_id = SLICE("0af7651916cd43dd8448eb211c80319c"),
        .method = SLICE("GET"),
        .path = SLICE("/api/users/1"),
        .status = 503,
        .route = SLICE("api"),
        .backend = SLICE("users"),
    };
    ck_assert(ip_parse(SLICE("10.1.2.3"), &r.client_ip));
    return r;
}

static bool passes(const struct tail_ask *ask)
{
    struct tail_filter f;
    struct record r = a_record();
    const char *fault = tail_filter_parse(ask, &f);
    ck_assert_msg(!fault, "%s", fault);
    return tail_filter_matches(&f, &r);
}

static bool is_refused(const struct tail_ask *ask)
{
    struct tail_filter f;
    return tail_filter_parse(ask, &f) != NULL;
}

START_TEST(no_filter)
{
    struct tail_filter f;
    struct record empty = {0};
    ck_assert(passes(&(struct tail_ask){0}));
    ck_assert_ptr_null(tail_filter_parse(&(struct tail_ask){0}, &f));
    ck_assert(f.wants_log);
    ck_assert(tail_filter_matches(&f, &empty));
}
END_TEST

START_TEST(ids)
{
    ck_assert(passes(&(struct tail_ask){.request = "req-1234"}));
    ck_assert(passes(&(struct tail_ask){.request = "req-"}));
    ck_assert(passes(&(struct tail_ask){.request = "0af765"}));
    ck_assert(!passes(&(struct tail_ask){.request = "eq-1234"}));
    ck_assert(!passes(&(struct tail_ask){.request = "req-12345"}));
    ck_assert(passes(&(struct tail_ask){.trace = "0af7651916cd43dd8448eb211c80319c"}));
    ck_assert(passes(&(struct tail_ask){.trace = "0af7"}));
    ck_assert(!passes(&(struct tail_ask){.trace = "req-"}));
}
END_TEST

START_TEST(names)
{
    ck_assert(passes(&(struct tail_ask){.route = "api", .backend = "users", .method = "get"}));
    ck_assert(!passes(&(struct tail_ask){.route = "ap"}));
    ck_assert(!passes(&(struct tail_ask){.backend = "user"}));
    ck_assert(!passes(&(struct tail_ask){.method = "POST"}));
    ck_assert(!passes(&(struct tail_ask){.route = "api", .backend = "orders"}));
    ck_assert(passes(&(struct tail_ask){.path = "/api/"}));
    ck_assert(!passes(&(struct tail_ask){.path = "/users"}));
}
END_TEST

START_TEST(statuses)
{
    ck_assert(passes(&(struct tail_ask){.status = "503"}));
    ck_assert(passes(&(struct tail_ask){.status = "5xx"}));
    ck_assert(passes(&(struct tail_ask){.status = "404, 5XX"}));
    ck_assert(!passes(&(struct tail_ask){.status = "502"}));
    ck_assert(!passes(&(struct tail_ask){.status = "4xx,2xx"}));
    const char *const bad[] = {"",
                               "5",
                               "5x",
                               "50x",
                               "xxx",
                               "099",
                               "0xx",
                               "1000",
                               "-50",
                               "5xxx",
                               "100,101,102,103,104,105,106,107,108"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(is_refused(&(struct tail_ask){.status = bad[i]}), "%s", bad[i]);
}
END_TEST

START_TEST(durations)
{
    ck_assert(passes(&(struct tail_ask){.min_ms = "250"}));
    ck_assert(passes(&(struct tail_ask){.min_ms = "0"}));
    ck_assert(!passes(&(struct tail_ask){.min_ms = "251"}));
    ck_assert(is_refused(&(struct tail_ask){.min_ms = ""}));
    ck_assert(is_refused(&(struct tail_ask){.min_ms = "1s"}));
    ck_assert(is_refused(&(struct tail_ask){.min_ms = "18446744073709551615"}));
}
END_TEST

START_TEST(clients)
{
    ck_assert(passes(&(struct tail_ask){.client = "10.1.2.3"}));
    ck_assert(passes(&(struct tail_ask){.client = "10.0.0.0/8"}));
    ck_assert(!passes(&(struct tail_ask){.client = "10.1.2.4"}));
    ck_assert(!passes(&(struct tail_ask){.client = "2001:db8::/32"}));
    ck_assert(is_refused(&(struct tail_ask){.client = "localhost"}));
}
END_TEST

START_TEST(log_lines)
{
    struct tail_filter f;
    ck_assert_ptr_null(tail_filter_parse(&(struct tail_ask){.log = "no"}, &f));
    ck_assert(!f.wants_log);
    ck_assert_ptr_null(tail_filter_parse(&(struct tail_ask){.log = "yes"}, &f));
    ck_assert(f.wants_log);
    ck_assert(is_refused(&(struct tail_ask){.log = "perhaps"}));
}
END_TEST

/* What is kept of a filter has a bound. */
START_TEST(too_long)
{
    char text[TAIL_TEXT_MAX + 2];
    memset(text, 'a', sizeof(text));
    text[TAIL_TEXT_MAX + 1] = '\0';
    ck_assert(is_refused(&(struct tail_ask){.path = text}));
    ck_assert(!is_refused(&(struct tail_ask){.path = text + 1}));
    ck_assert(is_refused(&(struct tail_ask){.path = text + 1, .route = "b"}));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("tail");
    TCase *t = tcase_create("filters");
    tcase_add_test(t, no_filter);
    tcase_add_test(t, ids);
    tcase_add_test(t, names);
    tcase_add_test(t, statuses);
    tcase_add_test(t, durations);
    tcase_add_test(t, clients);
    tcase_add_test(t, log_lines);
    tcase_add_test(t, too_long);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
