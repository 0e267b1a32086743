/*
 * test_cache_script_pieces.c: what the scripts of the cache (gateway/redis_script) do about bodies in pieces,
 * in a real redis-server: they expire, and go with the object that tells of them.
 */
#include "tests/unit/gateway/cache_script_fixture.h"

#define ONE   "p:p:76657273696f6e31" /* of "version1" */
#define TWO   "p:p:76657273696f6e32"
#define ODD   "p:p:00010a25ff667700"
#define GRACE 60000 /* ms */

static const struct thing a = {"http://h/a GET", "http://h/a", {"red"}};

static long long put_piece(const char *pieces, const char *number, const char *bytes, long long keep_ms)
{
    struct words w = {.n = 0};
    add(&w, pieces);
    add(&w, number);
    add(&w, bytes);
    add(&w, text_of(keep_ms));
    return outcome(run(REDIS_CACHE_PIECE, &w, 1));
}

static long long drop(const char *pieces, const char *version)
{
    char object[2 * SHORT];
    struct words w = {.n = 0};
    add(&w, key_of(object, "o", a.name));
    add(&w, pieces);
    add_bytes(&w, version, VERSION);
    return outcome(run(REDIS_CACHE_DROP, &w, 2));
}

static bool is_going(const char *pieces)
{
    long long left = NUMBER("PTTL %s", pieces);
    return left > 0 && left <= GRACE;
}

static bool stays(const char *pieces)
{
    return NUMBER("PTTL %s", pieces) > GRACE;
}

static void put_object(const char *version)
{
    struct answer f = begin(&a, "t");
    ck_assert_int_eq(put_piece(ONE, "0", "x", 10 * GRACE), 1);
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .version = version, .keep_ms = 10 * GRACE), 1);
}

START_TEST(pieces_expire)
{
    ck_assert_int_eq(put_piece(ONE, "0", "abc", 10 * GRACE), 1);
    ck_assert_int_eq(put_piece(ONE, "1", "d", 20 * GRACE), 1);
    ck_assert_int_eq(NUMBER("HLEN " ONE), 2);
    ck_assert_int_eq(NUMBER("HSTRLEN " ONE " 0"), 3);
    ck_assert_int_gt(NUMBER("PTTL " ONE), 19 * GRACE);
}
END_TEST

START_TEST(the_next_version_lets_them_go)
{
    put_object("version1");
    ck_assert(stays(ONE));
    struct answer f = begin(&a, "u");
    put_piece(TWO, "0", "y", 10 * GRACE);
    ck_assert_int_eq(PUT(&a, "u", f.seq, f.fence, .version = "version2"), 1);
    ck_assert(is_going(ONE) && stays(TWO));
    f = begin(&a, "v");
    ck_assert_int_eq(PUT(&a, "v", f.seq, f.fence, .version = "version2"), 1); /* the same */
    ck_assert(stays(TWO));
}
END_TEST

START_TEST(a_refused_store_leaves_them)
{
    put_object("version1");
    ck_assert_int_eq(PUT(&a, "u", 0, 0, .version = "version2"), 0);
    ck_assert(stays(ONE));
}
END_TEST

START_TEST(all_bytes_of_a_version)
{
    put_piece(ODD, "0", "y", 10 * GRACE);
    struct answer f = begin(&a, "t");
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .version = "\0\1\n%\377fw\0"), 1);
    ck_assert(stays(ODD));
    put_object("version1");
    ck_assert(is_going(ODD) && stays(ONE));
}
END_TEST

START_TEST(what_is_not_valid_lets_them_go)
{
    put_object("version1");
    ck_assert_int_eq(LOOK(&a, NULL).found, 1);
    ck_assert(stays(ONE));
    DO("DEL p:g:http://h/a");
    ck_assert_int_eq(LOOK(&a, NULL).found, 0);
    ck_assert(is_going(ONE));
}
END_TEST

START_TEST(a_drop_is_of_a_version)
{
    put_object("version1");
    put_piece(TWO, "0", "y", 10 * GRACE);
    ck_assert_int_eq(drop(TWO, "version2"), 0);
    ck_assert(LOOK(&a, NULL).found == 1 && stays(ONE) && stays(TWO));
    ck_assert_int_eq(drop(ONE, "version1"), 1);
    ck_assert_int_eq(LOOK(&a, NULL).found, 0);
    ck_assert_int_eq(NUMBER("EXISTS " ONE), 0);
    ck_assert_int_eq(drop(ONE, "version1"), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cache_script_pieces");
    TCase *t = tcase_create("cache_script_pieces");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, pieces_expire);
    tcase_add_test(t, the_next_version_lets_them_go);
    tcase_add_test(t, a_refused_store_leaves_them);
    tcase_add_test(t, all_bytes_of_a_version);
    tcase_add_test(t, what_is_not_valid_lets_them_go);
    tcase_add_test(t, a_drop_is_of_a_version);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
