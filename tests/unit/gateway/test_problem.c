/* Which form a client gets, what stands in it, and that nothing in it can be forged. */
#include "gateway/problem.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "tests/unit/unit.h"

#define JSON  "application/problem+json"
#define HTML  "text/html; charset=utf-8"
#define PLAIN "text/plain; charset=utf-8"

static char memory[8192];

/* The body, NUL-terminated; *TYPE is its content type. */
static const char *body_of(enum reason reason, const char *accept, struct slice id, const char **type)
{
    struct buf b;
    const struct problem p = {.reason = reason, .request_id = id, .accept = slice_of(accept)};
    buf_init(&b, memory, sizeof(memory));
    struct slice content_type = problem_body(&p, &b);
    *type = content_type.p;
    const char *text = buf_cstr(&b);
    ck_assert_ptr_nonnull(text);
    return text;
}

static const char *string_in(const cJSON *json, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(json, name));
    ck_assert_msg(value, "no %s", name);
    return value;
}

START_TEST(json_tells_all)
{
    const char *type;
    cJSON *json = cJSON_Parse(body_of(REASON_CONNECT_FAILED, NULL, SLICE("id-1"), &type));
    ck_assert_str_eq(type, JSON);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(string_in(json, "type"), "about:blank");
    ck_assert_str_eq(string_in(json, "title"), "Bad Gateway");
    ck_assert_str_eq(string_in(json, "detail"), "The backend could not be reached");
    ck_assert_str_eq(string_in(json, "reason"), "connect_failed");
    ck_assert_str_eq(string_in(json, "request_id"), "id-1");
    ck_assert_double_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(json, "status")), 502);
    cJSON_Delete(json);
}
END_TEST

START_TEST(without_an_id_none_is_told)
{
    static const char *const accepts[] = {JSON, "text/html", "text/plain"};
    for (size_t i = 0; i < 3; i++) {
        const char *type, *text = body_of(REASON_NO_ROUTE, accepts[i], (struct slice){NULL, 0}, &type);
        ck_assert_ptr_null(strstr(text, "request_id"));
        ck_assert_ptr_null(strstr(text, "Request:"));
        ck_assert_ptr_nonnull(strstr(text, "no_route"));
    }
}
END_TEST

static const struct {
    const char *accept, *type;
} preferences[] = {
    {NULL, JSON},
    {"", JSON},
    {"*/*", JSON},
    {"application/json", JSON},
    {"application/problem+json", JSON},
    {"application/*, text/html;q=0.9", JSON},
    {"text/html", HTML},
    {"TEXT/HTML", HTML},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML},
    {"text/html,*/*;q=0.1", HTML},
    {"text/plain", PLAIN},
    {"text/plain, text/html;q=0.5", PLAIN},
    {"text/html;q=0.5, text/plain;q=0.6", PLAIN},
    {"text/html;q=0.5, text/plain;q=0.600, */*;q=0.7", JSON},
    {"text/*", HTML},
    {"text/*, text/html;q=0", PLAIN},
    {"*/*, application/*;q=0", HTML},
    {"*/*;q=0.2, application/problem+json;q=0", HTML},
    {"text/html;level=1;q=0.1, application/json;q=0.2", JSON},
    {"text/html ; q=1.0 , application/json ; Q=0.9", HTML},
    {"x/y;t=\"a,text/html;q=1\", text/plain", PLAIN},
    {"x/y;t=\"\\\",text/html\", text/plain;q=0.3", PLAIN},
    {"image/png", JSON},
    {"text/html;q=0", JSON},
    {"text/html;q=2, text/plain;q=0.1", PLAIN},
    {"text/html;q=0.1234, text/plain;q=0.1", PLAIN},
    {"text/html;q=, text/plain;q=0.1", PLAIN},
    {"text/html;q=0.x, text/plain;q=0.1", PLAIN},
    {",,;;=,\"", JSON},
    {"text/html;q=1.", HTML},
};

START_TEST(the_client_chooses)
{
    const char *type;
    body_of(REASON_NO_ROUTE, preferences[_i].accept, SLICE("id"), &type);
    ck_assert_msg(strcmp(type, preferences[_i].type) == 0, "%s gave %s", preferences[_i].accept, type);
}
END_TEST

START_TEST(nothing_is_forged)
{
    struct slice id = SLICE("</code><script>&\"'\n\r\\\xff\x01");
    const char *type, *text = body_of(REASON_NO_ROUTE, "text/html", id, &type);
    ck_assert_ptr_null(strstr(text, "<script"));
    ck_assert_ptr_nonnull(strstr(text, "&lt;/code&gt;&lt;script&gt;&amp;&quot;&#39;??\\??"));
    text = body_of(REASON_NO_ROUTE, "text/plain", id, &type);
    ck_assert_ptr_nonnull(strstr(text, "Request: </code><script>&\"'??\\??\n"));
    cJSON *json = cJSON_Parse(body_of(REASON_NO_ROUTE, NULL, id, &type));
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(string_in(json, "request_id"), "</code><script>&\"'\n\r\\\xEF\xBF\xBD\x01");
    ck_assert_str_eq(string_in(json, "reason"), "no_route");
    cJSON_Delete(json);
}
END_TEST

START_TEST(proxy_status_is_a_structured_field)
{
    for (unsigned r = 0; r < REASONS; r++) {
        struct buf b;
        char expected[256];
        const struct reason_info *info = reason_info((enum reason)r);
        const struct problem p = {.reason = (enum reason)r};
        buf_init(&b, memory, sizeof(memory));
        problem_proxy_status(&p, &b);
        snprintf(expected, sizeof(expected), "tollgate; error=%s; details=\"%s\"",
                 info->proxy_status ? info->proxy_status : "", info->name);
        ck_assert_str_eq(buf_cstr(&b), info->proxy_status ? expected : "");
    }
}
END_TEST

START_TEST(bodies_are_as_short_as_promised)
{
    static const char *const accepts[] = {JSON, "text/html", "text/plain"};
    const char *type;
    for (unsigned r = 0; r < REASONS; r++)
        for (size_t i = 0; i < 3; i++)
            ck_assert_uint_lt(strlen(body_of((enum reason)r, accepts[i], SLICE("0123456789"), &type)),
                              PROBLEM_BODY_MAX);
}
END_TEST

START_TEST(too_little_room_is_told)
{
    for (size_t room = 0; room < 100; room++) {
        char *small = malloc(room + 1);
        struct buf b;
        const struct problem p = {.reason = REASON_INTERNAL, .request_id = SLICE("id")};
        buf_init(&b, small, room);
        problem_body(&p, &b);
        ck_assert(b.failed);
        ck_assert_uint_le(b.len, room);
        free(small);
    }
}
END_TEST

START_TEST(what_has_no_reason_is_told_in_words)
{
    char *text = problem_text(400, "a \"b\"\n\x01\xff");
    ck_assert_str_eq(text,
                     "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"a "
                     "\\\"b\\\"\\n\\u0001\xef\xbf\xbd\"}\n");
    free(text);
    char long_detail[4096];
    memset(long_detail, '\x01', sizeof(long_detail) - 1);
    long_detail[sizeof(long_detail) - 1] = '\0';
    text = problem_text(599, long_detail);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_gt(strlen(text), 6 * (sizeof(long_detail) - 1));
    free(text);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("problem");
    TCase *t = tcase_create("problem");
    tcase_add_test(t, json_tells_all);
    tcase_add_test(t, without_an_id_none_is_told);
    tcase_add_loop_test(t, the_client_chooses, 0, sizeof(preferences) / sizeof(preferences[0]));
    tcase_add_test(t, nothing_is_forged);
    tcase_add_test(t, proxy_status_is_a_structured_field);
    tcase_add_test(t, bodies_are_as_short_as_promised);
    tcase_add_test(t, too_little_room_is_told);
    tcase_add_test(t, what_has_no_reason_is_told_in_words);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
