/* How a line of the stream of requests looks, and what is asked for (gateway/follow). */
#include "gateway/follow.h"

#include "tests/unit/unit.h"

static const struct follow_style plain, coloured = {.has_color = true}, json = {.is_json = true};

static void becomes(const char *type, struct slice data, const struct follow_style *style, const char *want)
{
    char text[1024];
    struct buf b;
    const struct sse_event e = {slice_of(type), data};
    buf_init(&b, text, sizeof(text));
    follow_render(&b, &e, style);
    ck_assert_str_eq(buf_cstr(&b), want);
}

START_TEST(requests)
{
    becomes(
        "request",
        SLICE("{\"time\":\"2026-11-23T13:01:00.123456Z\",\"request_id\":\"ab\",\"client_ip\":\"192.0.2.1\","
              "\"method\":\"GET\",\"host\":\"h\",\"path\":\"/a\",\"query\":\"b=c\",\"status\":200,"
              "\"duration_ms\":12.345,\"upstream_addr\":\"10.0.0.1:80\",\"route\":\"/\",\"retries\":2}"),
        &plain,
        "13:01:00.123 200 GET h/a?b=c 12.3ms route=/ server=10.0.0.1:80 retries=2 client=192.0.2.1 id=ab\n");
    becomes(
        "request",
        SLICE("{\"time\":\"x\",\"method\":\"GET\",\"path\":\"/\",\"status\":503,\"reason\":\"breaker_open\","
              "\"error\":\"why\"}"),
        &coloured, "x \033[31m503\033[0m GET /\033[2m\033[0m\033[31m breaker_open: why\033[0m\n");
    becomes("request", SLICE("{}"), &plain, " --- \n");
    becomes("request", SLICE("192.0.2.1 - - \"GET /\""), &plain, "192.0.2.1 - - \"GET /\"\n");
}
END_TEST

START_TEST(other_events)
{
    becomes("log", SLICE("{\"time\":\"2026-11-23T13:01:00.123456Z\",\"level\":\"warn\",\"message\":\"m\"}"),
            &plain, "13:01:00.123 warn: m\n");
    becomes("dropped", SLICE("{\"count\":17}"), &plain, "(17 events were left out)\n");
    becomes("dropped", SLICE("{\"count\":-1}"), &plain, "dropped: {\"count\":-1}\n");
    becomes("dropped", SLICE("7"), &plain, "dropped: 7\n");
    becomes("a\x1b", SLICE("\x1b[2J"), &plain, "a%1B: %1B[2J\n");
}
END_TEST

/* Whatever stands in any field, the terminal sees printable ASCII. */
START_TEST(hostile_text)
{
    static const char *const names[] = {"time",   "method",        "host",  "path",      "query",
                                        "route",  "upstream_addr", "cache", "client_ip", "request_id",
                                        "reason", "error",         "level", "message"};
    static const char *const types[] = {"request", "log", "other"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) * 3; i++) {
        char data[128], text[1024];
        struct buf b, d;
        buf_init(&d, data, sizeof(data));
        buf_printf(&d, "{\"%s\":\"\\u001b[2J\\u009b\\r\\n\x7f\xff\"}", names[i / 3]);
        const struct sse_event e = {slice_of(types[i % 3]), buf_slice(&d)};
        buf_init(&b, text, sizeof(text));
        follow_render(&b, &e, &plain);
        ck_assert_int_eq(text[b.len - 1], '\n');
        for (size_t at = 0; at + 1 < b.len; at++)
            ck_assert(text[at] >= 0x20 && text[at] <= 0x7e);
    }
}
END_TEST

START_TEST(numbers_that_are_none)
{
    becomes("request", SLICE("{\"status\":1e300,\"duration_ms\":-5,\"retries\":1e99}"), &plain, " --- \n");
    becomes("request", SLICE("{\"status\":\"200\",\"duration_ms\":\"x\"}"), &plain, " --- \n");
}
END_TEST

START_TEST(json_as_it_came)
{
    becomes("request", SLICE("{\"a\":\"\xc3\xa9\"}"), &json, "{\"a\":\"\xc3\xa9\"}\n");
    becomes("request", SLICE("{\"a\":\"\x1b\x7f\xc2\x9b\n\"}"), &json,
            "{\"a\":\"\\u001b\\u007f\\u009b\\u000a\"}\n");
}
END_TEST

START_TEST(a_line_that_does_not_fit)
{
    char text[8];
    struct buf b;
    const struct sse_event e = {SLICE("x"), SLICE("0123456789")};
    buf_init(&b, text, sizeof(text));
    follow_render(&b, &e, &plain);
    ck_assert(slice_eq(buf_slice(&b), SLICE("x: 0123\n")));
}
END_TEST

START_TEST(filters)
{
    char *good[] = {"status=5xx", "route=/api/", "path=/a b&c", "client="};
    char *bad[] = {"colour=red", "status", "=x", ""};
    char text[256];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    ck_assert(follow_path(&b, good, 4));
    ck_assert_str_eq(buf_cstr(&b), "/log?status=5xx&route=%2Fapi%2F&path=%2Fa%20b%26c&client=");
    buf_init(&b, text, sizeof(text));
    ck_assert(follow_path(&b, NULL, 0));
    ck_assert_str_eq(buf_cstr(&b), "/log");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        buf_init(&b, text, sizeof(text));
        ck_assert(!follow_path(&b, &bad[i], 1));
    }
    buf_init(&b, text, 12);
    ck_assert(!follow_path(&b, good, 4));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("follow");
    TCase *t = tcase_create("follow");
    tcase_add_test(t, requests);
    tcase_add_test(t, other_events);
    tcase_add_test(t, hostile_text);
    tcase_add_test(t, numbers_that_are_none);
    tcase_add_test(t, json_as_it_came);
    tcase_add_test(t, a_line_that_does_not_fit);
    tcase_add_test(t, filters);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
