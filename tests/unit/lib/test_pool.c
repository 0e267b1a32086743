/* test_pool.c: bounded free lists (lib/pool). */
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "lib/pool.h"
#include "tests/unit/unit.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static void ck_assert_usage(const struct pool *p, size_t in_use, size_t kept)
{
    struct pool_usage u = pool_usage(p);
    ck_assert_uint_eq(u.in_use, in_use);
    ck_assert_uint_eq(u.free, kept);
    ck_assert_uint_eq(u.bytes, (in_use + kept) * p->size);
}

START_TEST(what_was_put_is_got_again)
{
    struct pool p;
    pool_init(&p, 100, 10, 10);
    void *a = pool_get(&p), *b = pool_get(&p);
    ck_assert(a && b && a != b);
    pool_put(&p, a);
    pool_put(&p, b);
    ck_assert_ptr_eq(pool_get(&p), b);
    ck_assert_ptr_eq(pool_get(&p), a);
    ck_assert_usage(&p, 2, 0);
    pool_put(&p, a);
    pool_put(&p, b);
    pool_fini(&p);
}
END_TEST

START_TEST(the_bounds_hold)
{
    struct pool p;
    void *object[5];
    pool_init(&p, 24, 5, 2);
    for (size_t i = 0; i < 5; i++) {
        object[i] = pool_get(&p);
        ck_assert_ptr_nonnull(object[i]);
        memset(object[i], 0xEE, 24);
    }
    ck_assert_ptr_null(pool_get(&p));
    ck_assert_usage(&p, 5, 0);
    for (size_t i = 0; i < 5; i++)
        pool_put(&p, object[i]);
    ck_assert_usage(&p, 0, 2);
    for (size_t i = 0; i < 5; i++) {
        object[i] = pool_get(&p);
        ck_assert_ptr_nonnull(object[i]);
    }
    ck_assert_ptr_null(pool_get(&p));
    for (size_t i = 0; i < 5; i++)
        pool_put(&p, object[i]);
    pool_fini(&p);
}
END_TEST

START_TEST(nothing_is_kept_when_told)
{
    struct pool p;
    pool_init(&p, 1, 1, 0);
    void *a = pool_get(&p);
    ck_assert_ptr_nonnull(a);
    pool_put(&p, a);
    ck_assert_usage(&p, 0, 0);
    pool_fini(&p);
}
END_TEST

START_TEST(large_objects_have_their_own_lines)
{
    struct pool p;
    pool_init(&p, CACHE_LINE + 1, 8, 8);
    void *a = pool_get(&p), *b = pool_get(&p);
    ck_assert_uint_eq((uintptr_t)a % CACHE_LINE, 0);
    ck_assert_uint_eq((uintptr_t)b % CACHE_LINE, 0);
    pool_put(&p, a);
    pool_put(&p, b);
    pool_fini(&p);
}
END_TEST

START_TEST(an_empty_pool_may_be_ended)
{
    struct pool p;
    memset(&p, 0, sizeof(p));
    pool_fini(&p);
    ck_assert_usage(&p, 0, 0);
}
END_TEST

/* Only where there is something to see it with. */
START_TEST(kept_objects_are_poisoned)
{
    struct pool p;
    pool_init(&p, 128, 2, 2);
    char *a = pool_get(&p);
    ck_assert_ptr_nonnull(a);
    pool_put(&p, a);
#if defined(__SANITIZE_ADDRESS__)
    ck_assert(__asan_address_is_poisoned(a) && __asan_address_is_poisoned(a + 127));
    ck_assert_ptr_eq(pool_get(&p), a);
    ck_assert_ptr_null(__asan_region_is_poisoned(a, 128));
    pool_put(&p, a);
#endif
    ck_assert_usage(&p, 0, 1);
    pool_fini(&p);
}
END_TEST

struct watch {
    struct pool *pool;
    _Atomic bool stop;
    bool too_many;
};

static void *watch_gauges(void *arg)
{
    struct watch *w = arg;
    while (!atomic_load(&w->stop)) {
        struct pool_usage u = pool_usage(w->pool);
        w->too_many = w->too_many || u.in_use > 64 || u.free > 16;
    }
    return NULL;
}

START_TEST(another_thread_may_look)
{
    struct pool p;
    pool_init(&p, 200, 64, 16);
    struct watch w = {.pool = &p};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, watch_gauges, &w), 0);
    void *object[64];
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 64; i++)
            object[i] = pool_get(&p);
        for (int i = 0; i < 64; i++)
            pool_put(&p, object[i]);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    ck_assert(!w.too_many);
    ck_assert_usage(&p, 0, 16);
    pool_fini(&p);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_add_test(t, what_was_put_is_got_again);
    tcase_add_test(t, the_bounds_hold);
    tcase_add_test(t, nothing_is_kept_when_told);
    tcase_add_test(t, large_objects_have_their_own_lines);
    tcase_add_test(t, an_empty_pool_may_be_ended);
    tcase_add_test(t, kept_objects_are_poisoned);
    tcase_add_test(t, another_thread_may_look);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
