/* test_nearest.c: the name that was meant. */
#include "lib/nearest.h"
#include "tests/unit/unit.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const char *const names[] = {"server", NULL, "balance", "hash", "timeout", "keepalive", "tls", "a"};

static const struct {
    const char *name;
    const char *want;
} cases[] = {
    {"blance", "balance"},
    {"ballance", "balance"},
    {"blaance", "balance"},
    {"BALANCE", "balance"},
    {"tsl", "tls"},
    {"timeouts", "timeout"},
    {"severs", "server"},
    {"keep_alive", "keepalive"},
    {"xyz", NULL},
    {"", NULL},
    {"b", NULL},
    {"ab", "a"},
    {"haxy", NULL},
    {"hahs", "hash"},
    {"bal", "balance"},
    {"serverlist", "server"},
    {"se", NULL},
};

START_TEST(the_nearest_name_is_found)
{
    const char *got = nearest(slice_of(cases[_i].name), names, COUNT(names));
    if (cases[_i].want)
        ck_assert_str_eq(got ? got : "(none)", cases[_i].want);
    else
        ck_assert_msg(!got, "%s: %s", cases[_i].name, got);
}
END_TEST

START_TEST(distances)
{
    ck_assert_uint_eq(nearest_distance(SLICE("kitten"), SLICE("sitting")), 3);
    ck_assert_uint_eq(nearest_distance(SLICE("ab"), SLICE("ba")), 1);
    ck_assert_uint_eq(nearest_distance(SLICE(""), SLICE("abc")), 3);
    ck_assert_uint_eq(nearest_distance(SLICE("abc"), SLICE("")), 3);
    ck_assert_uint_eq(nearest_distance(SLICE("Same"), SLICE("sAME")), 0);
}
END_TEST

START_TEST(long_names_are_near_nothing)
{
    char name[NEAREST_MAX + 2];
    memset(name, 'a', sizeof(name));
    name[NEAREST_MAX + 1] = '\0';
    const char *const one[] = {name};
    ck_assert_uint_eq(nearest_distance(slice_of(name), SLICE("a")), SIZE_MAX);
    ck_assert_ptr_null(nearest(slice_of(name), one, 1));
    ck_assert_ptr_null(nearest(SLICE("a"), NULL, 0));
    name[NEAREST_MAX] = '\0';
    ck_assert_ptr_eq(nearest(slice_of(name), one, 1), name);
}
END_TEST

/* What must hold for any distance: 0 only for equals, both ways the same, no more than the longer length. */
START_TEST(random_names_keep_the_laws)
{
    unsigned seed = 42;
    for (int round = 0; round < 20000; round++) {
        char a[8], b[8];
        size_t a_len = (size_t)rand_r(&seed) % 8, b_len = (size_t)rand_r(&seed) % 8;
        for (size_t i = 0; i < 8; i++) {
            a[i] = (char)('a' + rand_r(&seed) % 3);
            b[i] = (char)('a' + rand_r(&seed) % 3);
        }
        struct slice x = {a, a_len}, y = {b, b_len};
        size_t d = nearest_distance(x, y), longer = a_len > b_len ? a_len : b_len;
        size_t difference = longer - (a_len < b_len ? a_len : b_len);
        ck_assert_msg((d == 0) == slice_eq(x, y) && d == nearest_distance(y, x) && d <= longer &&
                          d >= difference,
                      "seed 42, round %d", round);
    }
}
END_TEST

static Suite *nearest_suite(void)
{
    Suite *s = suite_create("nearest");
    TCase *t = tcase_create("nearest");
    tcase_add_loop_test(t, the_nearest_name_is_found, 0, COUNT(cases));
    tcase_add_test(t, distances);
    tcase_add_test(t, long_names_are_near_nothing);
    tcase_add_test(t, random_names_keep_the_laws);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(nearest_suite)
