/* test_json.c: JSON is read strictly. */
#include "lib/json.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0, 1 << 20);
}

static void teardown(void)
{
    arena_fini(&arena);
}

static const char *const good[] = {
    "{}",
    " [ ] ",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "12",
    "-1.5e+10",
    "1E5",
    "\"\"",
    "{\"a\":1,\"b\":[{},[]]}",
    "\t{\r\n\"a\" : 1 }\n",
    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
    "{\"a\":{\"b\":1},\"b\":{\"a\":1}}",
    "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
};

static const char *const bad[] = {
    "",
    " ",
    "{",
    "}",
    "[1,]",
    "{,}",
    "{\"a\":1,}",
    "{a:1}",
    "{'a':1}",
    "{\"a\"1}",
    "{\"a\":}",
    "[1 2]",
    "nul",
    "True",
    "01",
    "+1",
    "1.",
    ".5",
    "-",
    "1e",
    "1e+",
    "0x1",
    "NaN",
    "Infinity",
    "\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\ud800x\"",
    "\"\\ud800\\u0041\"",
    "\"\\udc00\"",
    "\"\n\"",
    "\"\t\"",
    "\"\x01\"",
    "\"\x80\"",
    "\"\xc0\xaf\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xc3\"",
    "\"\xe0\x80\x80\"",
    "\"\xf0\x80\x80\x80\"",
    "\"\xf8\x88\x80\x80\x80\"",
    "{} {}",
    "{}x",
    "// x\n{}",
    "\xef\xbb\xbf{}",
    "{\"a\":1,\"a\":1}",
    "{\"a\":1,\"\\u0061\":2}",
    "[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]",
    "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
    "\v1",
    "1\f",
    "[1}",
    "{\"a\":1]",
};

START_TEST(json_is_taken)
{
    const struct json *root;
    ck_assert_msg(json_parse(slice_of(good[_i]), &arena, &root) == JSON_OK, "%s", good[_i]);
}
END_TEST

START_TEST(what_is_no_json_is_refused)
{
    const struct json *root;
    ck_assert_msg(json_parse(slice_of(bad[_i]), &arena, &root) == JSON_MALFORMED, "%s", bad[_i]);
}
END_TEST

START_TEST(a_nul_byte_is_refused_wherever_it_is)
{
    const struct json *root;
    static const char text[] = "{\"a\":\"b\"}";
    for (size_t i = 0; i < sizeof(text); i++) {
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        copy[i] = '\0';
        ck_assert(json_parse((struct slice){copy, sizeof(text)}, &arena, &root) == JSON_MALFORMED);
    }
}
END_TEST

START_TEST(strings_are_decoded)
{
    const struct json *root;
    ck_assert(json_parse(SLICE("{\"\\u0061\\/b\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\uDE00z\"}"),
                         &arena, &root) == JSON_OK);
    ck_assert(slice_eq(json_get_string(root, SLICE("a/b")),
                       SLICE("\"\\\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z")));
}
END_TEST

START_TEST(members_are_found_by_their_whole_name)
{
    const struct json *root;
    ck_assert(json_parse(SLICE("{\"a\":[1,\"x\"],\"aa\":\"y\",\"A\":null}"), &arena, &root) == JSON_OK);
    const struct json *a = json_get(root, SLICE("a"));
    ck_assert(a && a->type == JSON_ARRAY && a->child->type == JSON_NUMBER &&
              slice_eq(a->child->next->text, SLICE("x")));
    ck_assert(!a->child->next->next);
    ck_assert(slice_eq(json_get_string(root, SLICE("aa")), SLICE("y")));
    ck_assert(json_get(root, SLICE("A"))->type == JSON_NULL);
    ck_assert(!json_get(root, SLICE("aaa")) && !json_get(a, SLICE("a")) && !json_get(NULL, SLICE("a")));
    ck_assert_uint_eq(json_get_string(root, SLICE("a")).len, 0);
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    int64_t value;
} numbers[] = {
    {"0", true, 0},
    {"-7", true, -7},
    {"1700000000", true, 1700000000},
    {"1700000000.9", true, 1700000000},
    {"-1.9", true, -1},
    {"1.7e9", true, 1700000000},
    {"9007199254740992", true, 9007199254740992},
    {"9007199254740994", false, 0},
    {"-9007199254740994", false, 0},
    {"1e999", false, 0},
    {"-1e999", false, 0},
    {"\"1\"", false, 0},
    {"true", false, 0},
    {"1000000000000000000000000000000000000000000000000", false, 0},
};

START_TEST(numbers_are_whole_and_bounded)
{
    const struct json *root;
    int64_t value = 0;
    ck_assert(json_parse(slice_of(numbers[_i].text), &arena, &root) == JSON_OK);
    ck_assert_msg(json_to_i64(root, &value) == numbers[_i].ok, "%s", numbers[_i].text);
    ck_assert_int_eq(value, numbers[_i].value);
}
END_TEST

START_TEST(an_object_has_so_many_members)
{
    static char text[4096];
    for (int count = JSON_MEMBERS_MAX - 1; count <= JSON_MEMBERS_MAX + 1; count++) {
        size_t n = 0;
        for (int i = 0; i < count; i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%c\"m%d\":1", i ? ',' : '{', i);
        text[n++] = '}';
        const struct json *root;
        ck_assert((json_parse((struct slice){text, n}, &arena, &root) == JSON_OK) ==
                  (count <= JSON_MEMBERS_MAX));
    }
}
END_TEST

START_TEST(memory_may_run_out)
{
    max_align_t first[40];
    struct slice text = SLICE("{\"a\":[1,2,3,{\"b\":\"\\n\"}]}");
    bool was_ok = false;
    for (size_t size = 0; size <= sizeof(first); size += sizeof(max_align_t)) {
        struct arena small;
        const struct json *root;
        arena_init(&small, first, size, 0);
        enum json_fault fault = json_parse(text, &small, &root);
        ck_assert(fault == JSON_OK || (fault == JSON_NO_MEMORY && !was_ok));
        was_ok = fault == JSON_OK;
        arena_fini(&small);
    }
    ck_assert(was_ok);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, json_is_taken, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(t, what_is_no_json_is_refused, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(t, a_nul_byte_is_refused_wherever_it_is);
    tcase_add_test(t, strings_are_decoded);
    tcase_add_test(t, members_are_found_by_their_whole_name);
    tcase_add_loop_test(t, numbers_are_whole_and_bounded, 0, sizeof(numbers) / sizeof(numbers[0]));
    tcase_add_test(t, an_object_has_so_many_members);
    tcase_add_test(t, memory_may_run_out);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
