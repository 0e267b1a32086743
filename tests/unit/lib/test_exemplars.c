/* Each bucket keeps its last; the youngest of all stripes is given, and never one made of two. */
#include "lib/exemplars.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/unit/unit.h"

#define WRITERS 2
#define READS   500000
#define BUCKETS 3

/* All words of it follow from N. */
static struct exemplar number(uint64_t n)
{
    return (struct exemplar){{n, ~n}, n * 3, (int64_t)n + 1};
}

static void expect(const struct exemplars *e, size_t bucket, uint64_t n)
{
    struct exemplar x;
    ck_assert(exemplars_get(e, bucket, &x));
    ck_assert_uint_eq(x.trace.high, n);
    ck_assert_uint_eq(x.trace.low, ~n);
    ck_assert_uint_eq(x.value_ns, n * 3);
    ck_assert_int_eq(x.wall_us, (int64_t)n + 1);
}

static void put(struct exemplars *e, size_t stripe, size_t bucket, uint64_t n)
{
    const struct exemplar x = number(n);
    exemplars_put(e, stripe, bucket, &x);
}

START_TEST(the_last_of_a_bucket)
{
    struct exemplars *e = exemplars_new(1, 20);
    struct exemplar x;
    for (size_t b = 0; b < 20; b++)
        ck_assert(!exemplars_get(e, b, &x));
    put(e, 0, 19, 5);
    put(e, 0, 0, 7);
    put(e, 0, 0, 6);
    expect(e, 19, 5);
    expect(e, 0, 6);
    ck_assert(!exemplars_get(e, 1, &x));
    exemplars_free(e);
}
END_TEST

START_TEST(the_youngest_of_all_stripes)
{
    struct exemplars *e = exemplars_new(3, BUCKETS);
    put(e, 0, 1, 10);
    put(e, 1, 1, 30);
    put(e, 2, 1, 20);
    expect(e, 1, 30);
    put(e, 2, 1, 40);
    expect(e, 1, 40);
    exemplars_free(e);
}
END_TEST

START_TEST(too_many_are_refused)
{
    ck_assert_ptr_null(exemplars_new(SIZE_MAX / 8, 20));
    ck_assert_ptr_null(exemplars_new(1, SIZE_MAX));
}
END_TEST

struct writer {
    pthread_t thread;
    struct exemplars *e;
    size_t stripe;
    _Atomic unsigned *begun;
    _Atomic bool *is_over;
    uint64_t last; /* that it wrote */
};

static void *write_many(void *arg)
{
    struct writer *w = arg;
    uint64_t n = 0;
    while (!atomic_load_explicit(w->is_over, memory_order_relaxed) || n < BUCKETS) {
        n++;
        put(w->e, w->stripe, n % BUCKETS, n);
        if (n == BUCKETS)
            atomic_fetch_add(w->begun, 1);
    }
    w->last = n;
    return NULL;
}

static bool is_whole(const struct exemplar *x, size_t bucket)
{
    struct exemplar wanted = number(x->trace.high);
    return x->trace.low == wanted.trace.low && x->value_ns == wanted.value_ns &&
           x->wall_us == wanted.wall_us && x->trace.high % BUCKETS == bucket;
}

START_TEST(none_is_torn)
{
    struct exemplars *e = exemplars_new(WRITERS, BUCKETS);
    struct writer writers[WRITERS];
    _Atomic unsigned begun = 0;
    _Atomic bool is_over = false;
    uint64_t last = 0, torn = 0;
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.e = e, .stripe = i, .begun = &begun, .is_over = &is_over};
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
    }
    while (atomic_load(&begun) < WRITERS)
        sched_yield();
    for (uint64_t i = 0, found = 0; i < READS || found == 0; i++) {
        struct exemplar x;
        if (!exemplars_get(e, i % BUCKETS, &x))
            continue;
        found++;
        torn += !is_whole(&x, i % BUCKETS);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        last = writers[i].last > last ? writers[i].last : last;
    }
    ck_assert_uint_eq(torn, 0);
    expect(e, last % BUCKETS, last);
    exemplars_free(e);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("exemplars");
    TCase *c = tcase_create("places"), *threads = tcase_create("threads");
    tcase_add_test(c, the_last_of_a_bucket);
    tcase_add_test(c, the_youngest_of_all_stripes);
    tcase_add_test(c, too_many_are_refused);
    suite_add_tcase(s, c);
    tcase_set_timeout(threads, 60);
    tcase_add_test(threads, none_is_torn);
    suite_add_tcase(s, threads);
    return s;
}

UNIT_MAIN(make_suite)
