/* test_expand.c: variables in a text. */
#include "lib/expand.h"
#include "tests/unit/unit.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const char *lookup(void *ctx, const char *name)
{
    static const char *const variables[][2] = {
        {"HOST", "users"}, {"PORT", "9000"}, {"EMPTY", ""}, {"TRICK", "${HOST}"}, {"_a1", "x"},
    };
    (*(int *)ctx)++;
    for (int i = 0; i < COUNT(variables); i++)
        if (strcmp(name, variables[i][0]) == 0)
            return variables[i][1];
    return NULL;
}

static const struct {
    const char *text;
    const char *want; /* NULL: fails */
    enum expand_kind kind;
    const char *name;
} cases[] = {
    {"", "", EXPAND_OK, NULL},
    {"plain", "plain", EXPAND_OK, NULL},
    {"${HOST}", "users", EXPAND_OK, NULL},
    {"http://${HOST}:${PORT}/", "http://users:9000/", EXPAND_OK, NULL},
    {"${NONE:-here}", "here", EXPAND_OK, NULL},
    {"${NONE:-}", "", EXPAND_OK, NULL},
    {"${HOST:-here}", "users", EXPAND_OK, NULL},
    {"${EMPTY:-here}", "here", EXPAND_OK, NULL},
    {"${EMPTY}", "", EXPAND_OK, NULL},
    {"${NONE:-a:-b c}", "a:-b c", EXPAND_OK, NULL},
    {"${_a1}", "x", EXPAND_OK, NULL},
    {"${TRICK}", "${HOST}", EXPAND_OK, NULL},
    {"$${HOST}", "${HOST}", EXPAND_OK, NULL},
    {"$$${HOST}", "$${HOST}", EXPAND_OK, NULL},
    {"$${${HOST}", "${users", EXPAND_OK, NULL},
    {"a$", "a$", EXPAND_OK, NULL},
    {"$HOST $$ $", "$HOST $$ $", EXPAND_OK, NULL},
    {"a ${NONE} b", NULL, EXPAND_UNSET, "NONE"},
    {"${HOST", NULL, EXPAND_OPEN, ""},
    {"${", NULL, EXPAND_OPEN, ""},
    {"${}", NULL, EXPAND_BAD_NAME, ""},
    {"${1A}", NULL, EXPAND_BAD_NAME, "1A"},
    {"${A-b}", NULL, EXPAND_BAD_NAME, "A-b"},
    {"${HOST:?no}", NULL, EXPAND_BAD_NAME, "HOST:?no"},
    {"${A:-${HOST}}", NULL, EXPAND_NESTED, "A"},
};

START_TEST(a_text_is_expanded)
{
    struct expand_fault fault;
    int calls = 0;
    char *got = expand(slice_of(cases[_i].text), lookup, &calls, &fault);
    ck_assert_msg(fault.kind == cases[_i].kind, "%s: %d", cases[_i].text, (int)fault.kind);
    if (cases[_i].want)
        ck_assert_str_eq(got, cases[_i].want);
    else
        ck_assert_ptr_null(got);
    if (cases[_i].name)
        ck_assert_str_eq(fault.name, cases[_i].name);
    free(got);
}
END_TEST

START_TEST(a_name_that_is_too_long_is_refused_and_cut)
{
    char text[EXPAND_NAME_MAX + 64];
    struct expand_fault fault;
    int calls = 0;
    memset(text, 'A', sizeof(text));
    text[0] = '$';
    text[1] = '{';
    text[sizeof(text) - 1] = '}';
    ck_assert_ptr_null(expand((struct slice){text, sizeof(text)}, lookup, &calls, &fault));
    ck_assert_int_eq(fault.kind, EXPAND_BAD_NAME);
    ck_assert_uint_eq(strlen(fault.name), EXPAND_NAME_MAX - 1);
    ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(a_result_has_a_ceiling)
{
    struct expand_fault fault;
    int calls = 0;
    char *text = malloc(EXPAND_MAX + 1);
    memset(text, 'a', EXPAND_MAX + 1);
    char *got = expand((struct slice){text, EXPAND_MAX}, lookup, &calls, &fault);
    ck_assert_ptr_nonnull(got);
    free(got);
    ck_assert_ptr_null(expand((struct slice){text, EXPAND_MAX + 1}, lookup, &calls, &fault));
    ck_assert_int_eq(fault.kind, EXPAND_MEMORY);
    free(text);
}
END_TEST

static Suite *expand_suite(void)
{
    Suite *s = suite_create("expand");
    TCase *t = tcase_create("expand");
    tcase_add_loop_test(t, a_text_is_expanded, 0, COUNT(cases));
    tcase_add_test(t, a_name_that_is_too_long_is_refused_and_cut);
    tcase_add_test(t, a_result_has_a_ceiling);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(expand_suite)
