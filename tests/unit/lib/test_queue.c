/* test_queue.c: lock-free queues (lib/queue), alone and under several threads. */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/queue.h"
#include "tests/unit/unit.h"

#define PRODUCERS 4
#define EACH      30000
#define GIVE_UP   (20 * CLOCK_SECOND_NS) /* a broken queue loses items; the tests must end all the same */

struct item {
    struct queue_node node; /* first */
    unsigned producer;
    unsigned number;
};

START_TEST(first_in_first_out)
{
    struct queue q;
    struct item items[10];
    queue_init(&q, 10);
    for (int round = 0; round < 5; round++) {
        ck_assert_ptr_null(queue_pop(&q));
        for (int i = 0; i < 10; i++)
            ck_assert_int_ne(queue_push(&q, &items[i].node), QUEUE_REFUSED);
        ck_assert_uint_eq(queue_count(&q), 10);
        for (int i = 0; i < 10; i++)
            ck_assert_ptr_eq(queue_pop(&q), &items[i].node);
        ck_assert_uint_eq(queue_count(&q), 0);
    }
}
END_TEST

START_TEST(one_by_one)
{
    struct queue q;
    struct item items[3];
    queue_init(&q, 3);
    for (int i = 0; i < 1000; i++) {
        struct item *a = &items[i % 3], *b = &items[(i + 1) % 3];
        ck_assert_int_ne(queue_push(&q, &a->node), QUEUE_REFUSED);
        ck_assert_int_ne(queue_push(&q, &b->node), QUEUE_REFUSED);
        ck_assert_ptr_eq(queue_pop(&q), &a->node);
        ck_assert_ptr_eq(queue_pop(&q), &b->node);
        ck_assert_ptr_null(queue_pop(&q));
    }
}
END_TEST

START_TEST(the_bound_holds)
{
    struct queue q;
    struct item items[4];
    queue_init(&q, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_ne(queue_push(&q, &items[i].node), QUEUE_REFUSED);
    ck_assert_int_eq(queue_push(&q, &items[3].node), QUEUE_REFUSED);
    ck_assert_uint_eq(queue_count(&q), 3);
    ck_assert_ptr_eq(queue_pop(&q), &items[0].node);
    ck_assert_int_ne(queue_push(&q, &items[3].node), QUEUE_REFUSED);
    ck_assert_int_eq(queue_push(&q, &items[0].node), QUEUE_REFUSED);
}
END_TEST

START_TEST(an_armed_queue_wakes_once)
{
    struct queue q;
    struct item items[4];
    queue_init(&q, 10);
    ck_assert_int_eq(queue_push(&q, &items[0].node), QUEUE_WAKE);
    ck_assert_int_eq(queue_push(&q, &items[1].node), QUEUE_ADDED);
    ck_assert_ptr_nonnull(queue_pop(&q));
    ck_assert_ptr_nonnull(queue_pop(&q));
    ck_assert_int_eq(queue_push(&q, &items[2].node), QUEUE_ADDED);
    queue_arm(&q);
    ck_assert_int_eq(queue_push(&q, &items[3].node), QUEUE_WAKE);
    ck_assert_int_eq(queue_push(&q, &items[0].node), QUEUE_ADDED);
}
END_TEST

START_TEST(a_closed_queue_refuses_and_drains)
{
    struct queue q;
    struct item items[2];
    queue_init(&q, 10);
    ck_assert_int_ne(queue_push(&q, &items[0].node), QUEUE_REFUSED);
    ck_assert(!queue_is_closed(&q) && !queue_is_over(&q));
    queue_close(&q);
    queue_close(&q);
    ck_assert_int_eq(queue_push(&q, &items[1].node), QUEUE_REFUSED);
    ck_assert(queue_is_closed(&q) && !queue_is_over(&q));
    ck_assert_uint_eq(queue_count(&q), 1);
    ck_assert_ptr_eq(queue_pop(&q), &items[0].node);
    ck_assert(queue_is_over(&q));
    ck_assert_ptr_null(queue_pop(&q));
}
END_TEST

/* ---- several producers, one consumer ---- */

struct producer {
    struct queue *q;
    struct item *items;
    unsigned index;
    pthread_t thread;
};

static void *produce(void *arg)
{
    const struct producer *p = arg;
    uint64_t end = clock_now_ns() + GIVE_UP;
    for (unsigned i = 0; i < EACH; i++) {
        p->items[i].producer = p->index; /* plain stores: the queue must publish them */
        p->items[i].number = i;
        while (queue_push(p->q, &p->items[i].node) == QUEUE_REFUSED) {
            if (clock_now_ns() > end)
                return NULL;
            sched_yield();
        }
    }
    return NULL;
}

static void start_producers(struct producer *producers, struct queue *q)
{
    for (unsigned k = 0; k < PRODUCERS; k++) {
        struct item *items = calloc(EACH, sizeof(*items));
        ck_assert_ptr_nonnull(items);
        producers[k] = (struct producer){.q = q, .items = items, .index = k};
        ck_assert_int_eq(pthread_create(&producers[k].thread, NULL, produce, &producers[k]), 0);
    }
}

/* MAX is small, so that the bound is hit, the queue is often empty, and the stub goes round. */
static const size_t maxima[] = {1, 2, 7, 1000000};

START_TEST(producers_keep_their_order_and_lose_nothing)
{
    struct queue q;
    struct producer producers[PRODUCERS];
    unsigned next[PRODUCERS] = {0}, total = 0, wrong = 0;
    size_t most = 0;
    queue_init(&q, maxima[_i]);
    uint64_t end = clock_now_ns() + GIVE_UP;
    start_producers(producers, &q);
    while (total < PRODUCERS * EACH && clock_now_ns() < end) {
        struct item *it = (struct item *)(void *)queue_pop(&q);
        if (!it) {
            sched_yield();
            continue;
        }
        wrong += it->number != next[it->producer];
        next[it->producer] = it->number + 1;
        total++;
        size_t count = queue_count(&q);
        most = count > most ? count : most;
    }
    for (unsigned k = 0; k < PRODUCERS; k++)
        pthread_join(producers[k].thread, NULL);
    ck_assert_uint_eq(total, PRODUCERS * EACH);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_le(most, maxima[_i] + PRODUCERS); /* those being refused count for a moment */
    ck_assert_ptr_null(queue_pop(&q));
    for (unsigned k = 0; k < PRODUCERS; k++)
        free(producers[k].items);
}
END_TEST

/* ---- arming against pushing: no system call between them, so that they meet often ---- */

#define MEETINGS 400000
#define ENOUGH   (-1)

struct meeting {
    struct queue q;
    struct item items[2];
    _Atomic int round; /* the producer may push this many, or ENOUGH */
    _Atomic int woken; /* pushes that said QUEUE_WAKE */
};

/* Waits until *AT is not OLD any more; false when it takes too long. */
static bool has_changed(_Atomic int *at, int old)
{
    uint64_t end = 0;
    for (unsigned spins = 0; atomic_load_explicit(at, memory_order_acquire) == old; spins++)
        if (spins % 512 == 511) {
            end = end ? end : clock_now_ns() + 5 * CLOCK_SECOND_NS;
            if (clock_now_ns() > end)
                return false;
            sched_yield();
        }
    return true;
}

static void *meet(void *arg)
{
    struct meeting *m = arg;
    for (int i = 0; has_changed(&m->round, i) && atomic_load(&m->round) != ENOUGH; i++)
        if (queue_push(&m->q, &m->items[i % 2].node) == QUEUE_WAKE)
            atomic_fetch_add(&m->woken, 1);
    return NULL;
}

/* Pop the one item that is being pushed, waiting for a wake where nothing is found after the arming. */
static bool receive(struct meeting *m, int *woken)
{
    for (;;) {
        queue_arm(&m->q);
        if (queue_pop(&m->q))
            return true;
        if (!has_changed(&m->woken, *woken))
            return false;
        *woken = atomic_load(&m->woken);
    }
}

START_TEST(no_wake_is_lost)
{
    struct meeting m = {.round = 0};
    pthread_t thread;
    int woken = 0;
    bool heard = true;
    queue_init(&m.q, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, meet, &m), 0);
    uint64_t end = clock_now_ns() + CLOCK_SECOND_NS; /* a busy machine may not get through all */
    for (int i = 0; heard && i < MEETINGS && clock_now_ns() < end; i++) {
        atomic_store(&m.round, i + 1);
        for (int spin = i * 37 % 512; spin > 0; spin--)
            atomic_signal_fence(memory_order_seq_cst);
        heard = receive(&m, &woken);
    }
    atomic_store(&m.round, ENOUGH);
    pthread_join(thread, NULL);
    ck_assert(heard);
}
END_TEST

/* ---- the ring ---- */

START_TEST(the_ring_is_first_in_first_out_and_bounded)
{
    struct queue_ring *r = queue_ring_new(4);
    int items[5];
    for (int round = 0; round < 10; round++) {
        ck_assert_ptr_null(queue_ring_pop(r));
        for (int i = 0; i < 4; i++)
            ck_assert(queue_ring_push(r, &items[i]));
        ck_assert(!queue_ring_push(r, &items[4]));
        for (int i = 0; i < 4; i++)
            ck_assert_ptr_eq(queue_ring_pop(r), &items[i]);
        ck_assert(queue_ring_push(r, &items[4])); /* so that the rounds begin in different cells */
        ck_assert_ptr_eq(queue_ring_pop(r), &items[4]);
    }
    queue_ring_free(r);
}
END_TEST

START_TEST(the_ring_rounds_its_size_up)
{
    static const size_t asked[] = {0, 1, 2, 3, 5, 64};
    static const size_t got[] = {2, 2, 2, 4, 8, 64};
    int item;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct queue_ring *r = queue_ring_new(asked[i]);
        size_t n = 0;
        while (queue_ring_push(r, &item))
            n++;
        ck_assert_uint_eq(n, got[i]);
        queue_ring_free(r);
    }
    ck_assert_ptr_null(queue_ring_new(SIZE_MAX));
}
END_TEST

struct ring_test {
    struct queue_ring *ring;
    struct item *items;           /* PRODUCERS times EACH */
    _Atomic unsigned *seen;       /* how often each came out */
    _Atomic unsigned produced_by; /* hands out producer numbers */
    _Atomic unsigned out,
        disorder; /* items popped; those that came after a younger one of the same producer */
    uint64_t end_ns;
};

static void *ring_produce(void *arg)
{
    struct ring_test *t = arg;
    unsigned k = atomic_fetch_add(&t->produced_by, 1);
    for (unsigned i = 0; i < EACH; i++) {
        struct item *it = &t->items[k * EACH + i];
        it->producer = k; /* plain stores again */
        it->number = i;
        while (!queue_ring_push(t->ring, it)) {
            if (clock_now_ns() > t->end_ns)
                return NULL;
            sched_yield();
        }
    }
    return NULL;
}

static void *ring_consume(void *arg)
{
    struct ring_test *t = arg;
    unsigned next[PRODUCERS] = {0};
    while (atomic_load(&t->out) < PRODUCERS * EACH && clock_now_ns() < t->end_ns) {
        const struct item *it = queue_ring_pop(t->ring);
        if (!it) {
            sched_yield();
            continue;
        }
        if (it->number < next[it->producer])
            atomic_fetch_add(&t->disorder, 1);
        next[it->producer] = it->number + 1;
        atomic_fetch_add(&t->seen[it->producer * EACH + it->number], 1);
        atomic_fetch_add(&t->out, 1);
    }
    return NULL;
}

static const size_t ring_sizes[] = {2, 8, 4096};

START_TEST(the_ring_loses_and_doubles_nothing)
{
    enum { CONSUMERS = 3 };
    struct ring_test t = {.ring = queue_ring_new(ring_sizes[_i])};
    pthread_t threads[PRODUCERS + CONSUMERS];
    t.items = calloc(PRODUCERS * EACH, sizeof(*t.items));
    unsigned wrong = 0;
    void *seen = calloc(PRODUCERS * EACH, sizeof(*t.seen));
    t.seen = seen;
    t.end_ns = clock_now_ns() + GIVE_UP;
    ck_assert(t.ring && t.items && t.seen);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i < PRODUCERS ? ring_produce : ring_consume, &t),
                         0);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PRODUCERS * EACH; i++)
        wrong += t.seen[i] != 1;
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(t.disorder, 0);
    ck_assert_ptr_null(queue_ring_pop(t.ring));
    queue_ring_free(t.ring);
    free(t.items);
    free(seen);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("queue");
    TCase *t = tcase_create("queue");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, first_in_first_out);
    tcase_add_test(t, one_by_one);
    tcase_add_test(t, the_bound_holds);
    tcase_add_test(t, an_armed_queue_wakes_once);
    tcase_add_test(t, a_closed_queue_refuses_and_drains);
    tcase_add_loop_test(t, producers_keep_their_order_and_lose_nothing, 0,
                        (int)(sizeof(maxima) / sizeof(maxima[0])));
    tcase_add_test(t, no_wake_is_lost);
    tcase_add_test(t, the_ring_is_first_in_first_out_and_bounded);
    tcase_add_test(t, the_ring_rounds_its_size_up);
    tcase_add_loop_test(t, the_ring_loses_and_doubles_nothing, 0,
                        (int)(sizeof(ring_sizes) / sizeof(ring_sizes[0])));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
