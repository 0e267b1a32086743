/* The log's tail: filters, how they are asked for and what they let through; lines from a worker to a client.
 */
#include "gateway/tail.h"

#include <stdio.h>

#include "tests/unit/gateway/event_stream_fixture.h"
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

/* ---- from a worker to a client ---- */

#define FLOOD 10000 /* lines of 1 KB: far more than the blocks hold that may wait */

struct tailed {
    struct world w;
    struct tail *tail;
    struct tail_stream *worker;
    struct tail_filters *published; /* the newest, not taken yet; NULL: none */
};

static void on_publish(void *ctx, struct tail_filters *filters)
{
    struct tailed *t = ctx;
    tail_filters_put(t->published);
    t->published = tail_filters_get(filters);
}

static bool on_listen(void *ctx, struct event_stream *s)
{
    struct tailed *t = ctx;
    struct tail_filter all;
    return !tail_filter_parse(&(struct tail_ask){0}, &all) && tail_listen(t->tail, s, &all);
}

static void take_published(struct tailed *t)
{
    ck_assert_ptr_nonnull(t->published);
    tail_stream_take(t->worker, t->published);
    t->published = NULL;
}

static void tailed_open(struct tailed *t)
{
    *t = (struct tailed){0};
    world_open(&t->w);
    t->w.listen = on_listen;
    t->w.ctx = t;
    t->tail = tail_new(&(struct tail_setup){.loop = &t->w.loop, .publish = on_publish, .ctx = t});
    t->worker = tail_stream_new(t->tail);
    ck_assert(t->tail && t->worker);
    world_ask(&t->w);
}

static void tailed_close(struct tailed *t)
{
    tail_close(t->tail);
    world_close(&t->w);
    tail_stream_free(t->worker);
    tail_filters_put(t->published);
    tail_free(t->tail);
}

static void send_line(struct tailed *t, struct slice line)
{
    struct record r = a_record();
    uint32_t who = tail_stream_match(t->worker, &r);
    ck_assert_uint_ne(who, 0);
    tail_stream_line(t->worker, who, line);
}

START_TEST(nobody_listens)
{
    struct record r = a_record();
    struct tail_stream *worker = tail_stream_new(NULL);
    ck_assert_ptr_nonnull(worker);
    ck_assert_uint_eq(tail_stream_match(worker, &r), 0);
    tail_stream_flush(worker);
    tail_stream_free(worker);
}
END_TEST

static unsigned count_of(const char *all, const char *text)
{
    unsigned n = 0;
    for (const char *p = all; (p = strstr(p, text)); p++)
        n++;
    return n;
}

/* Ids count what was dropped anywhere on the way, so the last line's says how many came before it. One that
 * finds no room as well is told of, and then there is another. */
START_TEST(all_is_counted)
{
    struct tailed t;
    char line[1000], last[64];
    unsigned asked = 0;
    const char *all = "";
    memset(line, 'x', sizeof(line));
    tailed_open(&t);
    take_published(&t);
    for (int i = 0; i < FLOOD; i++)
        send_line(&t, (struct slice){line, sizeof(line)});
    for (uint64_t end = clock_now_ns() + WAIT_NS; !strstr(all, "data: last") && clock_now_ns() < end;) {
        tail_stream_flush(t.worker);
        all = world_read(&t.w);
        if (count_of(all, "event: dropped\n") <= asked)
            continue;
        int n = snprintf(last, sizeof(last), "last %u", ++asked);
        send_line(&t, (struct slice){last, (size_t)n});
    }
    const char *seen = strstr(all, "data: last ");
    ck_assert_ptr_nonnull(seen);
    unsigned number = (unsigned)strtoul(seen + strlen("data: last "), NULL, 10);
    snprintf(last, sizeof(last), "id: %u\ndata: last %u\n", FLOOD + number, number);
    ck_assert_msg(strstr(all, last) != NULL, "not %s", last);
    tailed_close(&t);
}
END_TEST

/* Who takes the place of one that has left does not get what was for it. */
START_TEST(place_is_used_again)
{
    struct tailed t;
    tailed_open(&t);
    take_published(&t);
    send_line(&t, SLICE("old"));
    close(t.w.fd);
    for (uint64_t end = clock_now_ns() + WAIT_NS; !t.published && clock_now_ns() < end;)
        turn(&t.w);
    world_ask(&t.w);
    tail_stream_flush(t.worker);
    take_published(&t);
    send_line(&t, SLICE("new"));
    tail_stream_flush(t.worker);
    const char *all = read_until(&t.w, "data: new\n\n");
    ck_assert_ptr_nonnull(all);
    ck_assert_ptr_null(strstr(all, "old"));
    ck_assert_ptr_nonnull(strstr(all, "id: 1\n"));
    tailed_close(&t);
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
    t = tcase_create("lines");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, all_is_counted);
    tcase_add_test(t, place_is_used_again);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
