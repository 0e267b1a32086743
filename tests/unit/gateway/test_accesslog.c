/* Lines as they should read, hostile bytes, masked secrets, and the time. */
#include "gateway/accesslog.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <time.h>

#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)

static char memory[ACCESSLOG_LINE_MAX + 1];
static const struct conf_log json_log = {.format = LOG_JSON};
static const struct conf_log combined_log = {.format = LOG_COMBINED};

/* The line of R, NUL-terminated, good until the next one. */
static const char *line_of(const struct record *r, const struct conf_log *log)
{
    struct accesslog a;
    struct buf b;
    accesslog_configure(&a, log);
    buf_init(&b, memory, sizeof(memory));
    accesslog_format(&a, r, log, &b);
    const char *text = buf_cstr(&b);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(strlen(text), b.len);
    return text;
}

static struct record usual(void)
{
    struct record r = {
        .wall_us = INT64_C(1795438860123456), /* 2026-11-23T13:01:00.123456 */
        .begin_ns = 1000 * MS,
        .end_ns = 1012 * MS + 345678,
        .request_id = SLICE("0af7651916cd43dd8448eb211c80319c"),
        .trace_id = SLICE("4bf92f3577b34da6a3ce929d0e0e4736"),
        .span_id = SLICE("00f067aa0ba902b7"),
        .method = SLICE("GET"),
        .method_kind = HTTP_GET,
        .host = SLICE("api.example"),
        .path = SLICE("/api/users/42"),
        .query = SLICE("page=2"),
        .http_minor = 1,
        .user_agent = SLICE("curl/7.88.1"),
        .referer = SLICE("https://shop.example/"),
        .status = 200,
        .bytes_in = 7,
        .bytes_out = 1234567,
        .route = SLICE("/api/users/"),
        .backend = SLICE("users"),
        .upstream_addr = SLICE("10.0.0.3:9000"),
        .upstream_status = 200,
        .retries = 1,
        .upstream_begin_ns = 1001 * MS,
        .upstream_connected_ns = 1001 * MS + 2000,
        .upstream_first_byte_ns = 1010 * MS,
        .upstream_end_ns = 1011 * MS,
    };
    ck_assert(ip_parse(SLICE("192.0.2.17"), &r.client_ip));
    return r;
}

static struct record bare(void)
{
    struct record r = {.method = SLICE("GET"), .path = SLICE("/"), .http_minor = 1, .status = 200};
    ck_assert(ip_parse(SLICE("192.0.2.1"), &r.client_ip));
    return r;
}

/* ---- whole lines ---- */

START_TEST(json_line)
{
    struct record r = usual();
    ck_assert_str_eq(
        line_of(&r, &json_log),
        "{\"time\":\"2026-11-23T13:01:00.123456Z\",\"request_id\":\"0af7651916cd43dd8448eb211c80319c\","
        "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\","
        "\"client_ip\":\"192.0.2.17\",\"method\":\"GET\",\"host\":\"api.example\",\"path\":\"/api/users/42\","
        "\"query\":\"page=2\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes_in\":7,\"bytes_out\":1234567,"
        "\"duration_ms\":12.345,\"overhead_ms\":2.345,\"upstream_addr\":\"10.0.0.3:9000\","
        "\"upstream_status\":200,\"upstream_connect_ms\":0.002,\"upstream_first_byte_ms\":9.000,"
        "\"retries\":1,\"route\":\"/api/users/\",\"backend\":\"users\",\"user_agent\":\"curl/7.88.1\","
        "\"referer\":\"https://shop.example/\"}");
}
END_TEST

START_TEST(json_line_of_little)
{
    struct record r = {.status = 499, .reason = REASON_CLIENT_GONE};
    ck_assert_str_eq(line_of(&r, &json_log),
                     "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"client_ip\":\"::\",\"protocol\":\"HTTP/"
                     "1.0\",\"status\":499,"
                     "\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,\"overhead_ms\":0.000,"
                     "\"reason\":\"client_gone\"}");
}
END_TEST

START_TEST(json_line_of_an_error)
{
    struct err err = {0};
    struct record r = bare();
    err_set(&err, ERR_UPSTREAM, "connection \"refused\"\n");
    err_add(&err, "send request to %s", "10.0.0.3:9000");
    r.reason = REASON_CONNECT_FAILED;
    r.err = &err;
    const char *line = line_of(&r, &json_log);
    ck_assert_ptr_nonnull(strstr(line,
                                 ",\"reason\":\"connect_failed\",\"error\":\"send request to 10.0.0.3:9000: "
                                 "connection \\\"refused\\\"\\n\"}"));
}
END_TEST

START_TEST(combined_line)
{
    struct record r = usual();
    ck_assert_str_eq(
        line_of(&r, &combined_log),
        "192.0.2.17 - - [23/Nov/2026:13:01:00 +0000] \"GET /api/users/42?page=2 HTTP/1.1\" 200 1234567 "
        "\"https://shop.example/\" \"curl/7.88.1\" \"0af7651916cd43dd8448eb211c80319c\" 12.345");
    r = bare();
    ck_assert_str_eq(
        line_of(&r, &combined_log),
        "192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/1.1\" 200 - \"-\" \"-\" \"-\" 0.000");
}
END_TEST

START_TEST(combined_line_escapes)
{
    struct record r = bare();
    r.path = SLICE("/\" 200 1\n\x80\\");
    r.user_agent = SLICE("\"\t\x7f");
    r.referer = SLICE("\r\"");
    ck_assert_str_eq(
        line_of(&r, &combined_log),
        "192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /\\\" 200 1\\x0a\\x80\\\\ HTTP/1.1\" 200 - "
        "\"\\x0d\\\"\" \"\\\"\\x09\\x7f\" \"-\" 0.000");
}
END_TEST

START_TEST(lines_are_added)
{
    struct accesslog a;
    struct buf b;
    struct record r = bare();
    accesslog_configure(&a, &combined_log);
    buf_init(&b, memory, sizeof(memory));
    buf_add(&b, SLICE("before "));
    accesslog_format(&a, &r, &combined_log, &b);
    ck_assert(slice_starts(buf_slice(&b), SLICE("before 192.0.2.1 - -")));
}
END_TEST

/* ---- numbers ---- */

/* The number called NAME in the line of R, as it is written. */
static const char *number_in(const struct record *r, const char *name)
{
    static char text[64];
    char key[64];
    const char *line = line_of(r, &json_log);
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(line, key);
    ck_assert_msg(at, "no %s in %s", name, line);
    at += strlen(key);
    snprintf(text, sizeof(text), "%.*s", (int)strspn(at, "0123456789.-"), at);
    return text;
}

static void check_integer(uint64_t n)
{
    char expected[32];
    struct record r = bare();
    r.bytes_in = n;
    snprintf(expected, sizeof(expected), "%llu", (unsigned long long)n);
    ck_assert_str_eq(number_in(&r, "bytes_in"), expected);
}

START_TEST(integers)
{
    for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10)
        for (uint64_t digit = 1; digit <= 10; digit++) {
            check_integer(power * digit - 1);
            check_integer(power * digit);
            check_integer(power * digit + 1);
        }
    check_integer(UINT64_MAX);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {{1, "0.000"},
                 {999, "0.000"},
                 {1000, "0.001"},
                 {10 * MS, "10.000"},
                 {999999999, "999.999"},
                 {1000 * MS, "1000.000"},
                 {12 * MS + 34000, "12.034"},
                 {86400000 * MS, "86400000.000"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record r = bare();
        r.begin_ns = 5;
        r.end_ns = 5 + cases[i].ns;
        ck_assert_str_eq(number_in(&r, "duration_ms"), cases[i].text);
        ck_assert_str_eq(number_in(&r, "overhead_ms"), cases[i].text);
    }
}
END_TEST

START_TEST(overhead)
{
    struct record r = usual();
    r.upstream_tried_ns = 1000 * MS + 500000; /* an earlier try */
    ck_assert_str_eq(number_in(&r, "overhead_ms"), "1.845");
    r = usual();
    r.upstream_end_ns = 0; /* cut off: it lasted until the end */
    ck_assert_str_eq(number_in(&r, "overhead_ms"), "1.000");
    r = usual();
    r.upstream_end_ns = 5000 * MS; /* more than the whole cannot be */
    ck_assert_str_eq(number_in(&r, "overhead_ms"), "0.000");
    r = usual();
    r.end_ns = 0;
    ck_assert_str_eq(number_in(&r, "duration_ms"), "0.000");
    ck_assert_str_eq(number_in(&r, "overhead_ms"), "0.000");
}
END_TEST

START_TEST(client_addresses)
{
    static const char *const addresses[] = {"0.0.0.0", "255.255.255.255", "1.20.100.9", "2001:db8::1", "::1"};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        char expected[80];
        struct record r = bare();
        ck_assert(ip_parse(slice_of(addresses[i]), &r.client_ip));
        snprintf(expected, sizeof(expected), "\"client_ip\":\"%s\"", addresses[i]);
        ck_assert_ptr_nonnull(strstr(line_of(&r, &json_log), expected));
    }
}
END_TEST

/* ---- hostile text ---- */

/* A line end or another control byte. */
static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20)
            return true;
    return false;
}

/* Whether the path comes back out of the line as EXPECTED, and the rest of the line is what it should be. */
static void check_round_trip(struct slice path, const char *expected)
{
    struct record r = bare();
    struct buf b;
    struct accesslog a = {0};
    r.path = path;
    buf_init(&b, memory, sizeof(memory));
    accesslog_format(&a, &r, &json_log, &b);
    cJSON *json = cJSON_ParseWithLength(b.p, b.len);
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(json, "path"));
    if (b.failed || has_control(buf_slice(&b)) || !value || strcmp(value, expected) != 0 ||
        cJSON_GetNumberValue(cJSON_GetObjectItem(json, "status")) != 200)
        ck_abort_msg("%s gave %.*s", expected, SLICE_ARG(buf_slice(&b)));
    cJSON_Delete(json);
}

/* Every byte, at every place of texts of every length that is copied in its own way. */
START_TEST(every_byte_everywhere)
{
    for (size_t len = 1; len <= 34; len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned byte = 1; byte < 256; byte++) {
                char text[40], expected[80];
                memset(text, 'a', len);
                text[len] = '\0';
                text[at] = (char)byte;
                if (byte < 0x80)
                    snprintf(expected, sizeof(expected), "%s", text);
                else
                    snprintf(expected, sizeof(expected), "%.*s\xEF\xBF\xBD%s", (int)at, text, text + at + 1);
                check_round_trip((struct slice){text, len}, expected);
            }
}
END_TEST

START_TEST(characters_stay_whole)
{
    const char *text = "/gr\xC3\xBC\xC3\x9F/\xE2\x82\xAC/\xF0\x9F\x98\x80/\xE3\x81\x82";
    check_round_trip(slice_of(text), text);
    check_round_trip(SLICE("/a\xC3"), "/a\xEF\xBF\xBD");
    struct record r = bare();
    r.path = SLICE("/a\0b");
    ck_assert_ptr_nonnull(strstr(line_of(&r, &json_log), "\"path\":\"/a\\u0000b\""));
}
END_TEST

START_TEST(every_field_is_escaped)
{
    struct slice bad = SLICE("x\",\"status\":1,\"y\":\"\n\\");
    const char *const names[] = {"request_id", "trace_id", "span_id",    "method",
                                 "host",       "path",     "query",      "upstream_addr",
                                 "route",      "backend",  "user_agent", "referer"};
    struct record r = bare();
    r.request_id = r.trace_id = r.span_id = r.method = r.host = r.path = r.query = r.upstream_addr = bad;
    r.route = r.backend = r.user_agent = r.referer = bad;
    const char *line = line_of(&r, &json_log);
    ck_assert_ptr_null(strchr(line, '\n'));
    cJSON *json = cJSON_Parse(line);
    ck_assert_ptr_nonnull(json);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(json, names[i])), bad.p);
    ck_assert_double_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(json, "status")), 200);
    ck_assert_ptr_null(cJSON_GetObjectItem(json, "y"));
    cJSON_Delete(json);
}
END_TEST

/* A record of nothing but control bytes, as long as they come. */
static struct record monster(char *bytes, size_t len, struct err *err)
{
    memset(bytes, 1, len);
    struct slice s = {bytes, len};
    struct record r = {.status = 200,
                       .bytes_in = UINT64_MAX,
                       .bytes_out = UINT64_MAX,
                       .retries = UINT32_MAX,
                       .wall_us = INT64_MAX,
                       .upstream_status = UINT32_MAX,
                       .begin_ns = 1,
                       .end_ns = UINT64_MAX,
                       .upstream_begin_ns = 1,
                       .upstream_connected_ns = UINT64_MAX,
                       .upstream_first_byte_ns = UINT64_MAX,
                       .reason = REASON_METHOD_NOT_ALLOWED,
                       .err = err};
    r.request_id = r.trace_id = r.span_id = r.method = r.host = r.path = r.query = r.upstream_addr = s;
    r.route = r.backend = r.user_agent = r.referer = s;
    memset(r.client_ip.b, 0xee, sizeof(r.client_ip.b));
    for (int i = 0; i < ERR_DEPTH; i++)
        err_set(err, ERR_CLIENT, "%.*s", ERR_TEXT, bytes);
    return r;
}

START_TEST(the_longest_line_fits)
{
    static char bytes[60000];
    struct err err = {0};
    struct accesslog a;
    struct record r = monster(bytes, sizeof(bytes), &err);
    char *exact = malloc(ACCESSLOG_LINE_MAX); /* so that a byte too many is noticed */
    const struct conf_log *const logs[] = {&json_log, &combined_log};
    for (size_t i = 0; i < 2; i++) {
        struct buf b;
        accesslog_configure(&a, logs[i]);
        buf_init(&b, exact, ACCESSLOG_LINE_MAX);
        accesslog_format(&a, &r, logs[i], &b);
        ck_assert(!b.failed);
        ck_assert_uint_gt(b.len, ACCESSLOG_LONG * 3 * 4);
        ck_assert(i == 1 || slice_ends(buf_slice(&b), SLICE("\\u0001\"}")));
    }
    free(exact);
}
END_TEST

/* Whatever the room: a whole line, or none and no byte past the end. */
START_TEST(small_rooms)
{
    static char bytes[700];
    struct err err = {0};
    struct accesslog a;
    struct record r = monster(bytes, sizeof(bytes), &err), little = bare();
    size_t fitted = 0;
    accesslog_configure(&a, &json_log);
    for (size_t room = 0; room < 60000; room += 97) {
        char *exact = malloc(room + 1);
        struct buf b;
        buf_init(&b, exact, room);
        accesslog_format(&a, &r, &json_log, &b);
        ck_assert_uint_le(b.len, room);
        ck_assert(b.failed ? b.len == 0 : slice_ends(buf_slice(&b), SLICE("}")));
        fitted += !b.failed;
        free(exact);
    }
    ck_assert_uint_gt(fitted, 0);
    struct buf b;
    buf_init(&b, memory, 4096);
    accesslog_format(&a, &little, &json_log, &b);
    ck_assert(!b.failed);
}
END_TEST

START_TEST(long_values_are_cut)
{
    static char bytes[20000];
    struct record r = bare();
    memset(bytes, 'a', sizeof(bytes));
    r.path = r.host = (struct slice){bytes, sizeof(bytes)};
    cJSON *json = cJSON_Parse(line_of(&r, &json_log));
    ck_assert_uint_eq(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(json, "path"))), ACCESSLOG_LONG);
    ck_assert_uint_eq(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(json, "host"))), ACCESSLOG_SHORT);
    cJSON_Delete(json);
}
END_TEST

/* ---- secrets ---- */

static const char *masked_names[] = {"key", "Api_Token", "a b"};
static const struct conf_log masking_json = {
    .format = LOG_JSON, .mask_query = masked_names, .nmask_query = 3};
static const struct conf_log masking_combined = {
    .format = LOG_COMBINED, .mask_query = masked_names, .nmask_query = 3};

static const struct {
    const char *query, *shown;
} secrets[] = {
    {"key=s3", "key=***"},
    {"key=", "key=***"},
    {"key", "key"},
    {"=s3", "=s3"},
    {"a=1&key=s3&b=2", "a=1&key=***&b=2"},
    {"key=s3&key=s4", "key=***&key=***"},
    {"KEY=s3&kEy=s4", "KEY=***&kEy=***"},
    {"api_token=s3", "api_token=***"},
    {"k%65y=s3", "k%65y=***"},
    {"%6b%65%79=s3", "%6b%65%79=***"},
    {"%4BEY=s3", "%4BEY=***"},
    {"key[]=s3", "key[]=***"},
    {"key[x]=s3&y", "key[x]=***&y"},
    {"key%5B0%5D=s3", "key%5B0%5D=***"},
    {"a+b=s3", "a+b=***"},
    {"a%20b=s3", "a%20b=***"},
    {"a=1;key=s3", "a=1;key=***"},
    {"key=s3;s4&b=2", "key=***&b=2"},
    {"key=s3=s4&b", "key=***&b"},
    {"monkey=1&keys=2&ke=3", "monkey=1&keys=2&ke=3"},
    {"key%=1&%ke=2&key%5=3", "key%=1&%ke=2&key%5=3"},
    {"&&key=s3&;&", "&&key=***&;&"},
    {"q=key=1", "q=key=1"},
};

START_TEST(secrets_are_masked)
{
    char expected[256];
    struct record r = bare();
    r.query = slice_of(secrets[_i].query);
    snprintf(expected, sizeof(expected), "\"query\":\"%s\",", secrets[_i].shown);
    const char *line = line_of(&r, &masking_json);
    ck_assert_msg(strstr(line, expected), "%s: %s", secrets[_i].query, line);
    snprintf(expected, sizeof(expected), "\"GET /?%s HTTP/1.1\"", secrets[_i].shown);
    line = line_of(&r, &masking_combined);
    ck_assert_msg(strstr(line, expected), "%s: %s", secrets[_i].query, line);
    ck_assert_ptr_nonnull(strstr(line_of(&r, &json_log), secrets[_i].query)); /* only when asked for */
}
END_TEST

START_TEST(secrets_elsewhere_are_masked)
{
    struct record r = bare();
    r.path = SLICE("/x?key=s3&a=1"); /* a target that was refused stands here as it came */
    r.referer = SLICE("https://h/?b&key=s3");
    const char *line = line_of(&r, &masking_json);
    ck_assert_ptr_nonnull(strstr(line, "\"path\":\"/x?key=***&a=1\""));
    ck_assert_ptr_nonnull(strstr(line, "\"referer\":\"https://h/?b&key=***\""));
    line = line_of(&r, &masking_combined);
    ck_assert_ptr_nonnull(strstr(line, "\"GET /x?key=***&a=1 HTTP/1.1\""));
    ck_assert_ptr_nonnull(strstr(line, "\"https://h/?b&key=***\""));
}
END_TEST

/* ---- time ---- */

static void check_second(int64_t second)
{
    struct timestamp t = {0};
    char rfc3339[64], clf[64];
    struct tm tm;
    time_t at = (time_t)second;
    gmtime_r(&at, &tm);
    strftime(rfc3339, sizeof(rfc3339), "%Y-%m-%dT%H:%M:%S", &tm);
    strftime(clf, sizeof(clf), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    timestamp_set(&t, second);
    if (memcmp(t.rfc3339, rfc3339, TIMESTAMP_RFC3339) != 0 || memcmp(t.clf, clf, TIMESTAMP_CLF) != 0)
        ck_abort_msg("%.19s, %.26s instead of %s, %s", t.rfc3339, t.clf, rfc3339, clf);
}

START_TEST(calendar)
{
    for (int64_t day = 0; day < 150000; day++) /* to the year 2380: every rule of leap years */
        check_second(day * 86400 + day % 86400);
    check_second(INT64_C(253402300799));
    struct timestamp t = {0};
    timestamp_set(&t, INT64_MAX);
    ck_assert_int_eq(memcmp(t.rfc3339, "9999-12-31T23:59:59", TIMESTAMP_RFC3339), 0);
    timestamp_set(&t, -1);
    ck_assert_int_eq(memcmp(t.rfc3339, "1970-01-01T00:00:00", TIMESTAMP_RFC3339), 0);
}
END_TEST

/* Requests end in another order than they began in; what is remembered of a second must not be taken for
 * another's. */
START_TEST(seconds_in_any_order)
{
    static const int offsets[] = {0, 1, 0, -1, 4, 0, 8, 7, 0, 3600, 0};
    struct accesslog a;
    accesslog_configure(&a, &json_log);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        char expected[64];
        struct record r = bare();
        struct buf b;
        struct tm tm;
        time_t at = 1795438860 + offsets[i];
        r.wall_us = (int64_t)at * 1000000 + 7;
        strftime(expected, sizeof(expected), "{\"time\":\"%Y-%m-%dT%H:%M:%S.000007Z\"", gmtime_r(&at, &tm));
        buf_init(&b, memory, sizeof(memory));
        accesslog_format(&a, &r, &json_log, &b);
        ck_assert(slice_starts(buf_slice(&b), slice_of(expected)));
    }
}
END_TEST

static void add_text_tests(TCase *t)
{
    tcase_add_test(t, every_byte_everywhere);
    tcase_add_test(t, characters_stay_whole);
    tcase_add_test(t, every_field_is_escaped);
    tcase_add_test(t, the_longest_line_fits);
    tcase_add_test(t, small_rooms);
    tcase_add_test(t, long_values_are_cut);
    tcase_add_loop_test(t, secrets_are_masked, 0, sizeof(secrets) / sizeof(secrets[0]));
    tcase_add_test(t, secrets_elsewhere_are_masked);
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("accesslog");
    TCase *t = tcase_create("accesslog");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, json_line);
    tcase_add_test(t, json_line_of_little);
    tcase_add_test(t, json_line_of_an_error);
    tcase_add_test(t, combined_line);
    tcase_add_test(t, combined_line_escapes);
    tcase_add_test(t, lines_are_added);
    tcase_add_test(t, integers);
    tcase_add_test(t, durations);
    tcase_add_test(t, overhead);
    tcase_add_test(t, client_addresses);
    add_text_tests(t);
    tcase_add_test(t, calendar);
    tcase_add_test(t, seconds_in_any_order);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
