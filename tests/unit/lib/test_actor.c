/* test_actor.c: threads that are only ever sent messages (lib/actor). */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "lib/actor.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define MANY 20000

/* A deadline that only a hanging actor misses. */
static uint64_t ample(void)
{
    return clock_now_ns() + 20 * CLOCK_SECOND_NS;
}

/* What the test actors own, and how the test talks with them: `gate` holds the handler, `came` tells of it.
 */
struct state {
    sem_t gate, came;
    bool gated;
    bool echo; /* post `came` for each message */
    unsigned handled, ticks, disorder;
    uint32_t last_type;
    uint64_t last_tick_ns;
    char thread_name[16];
    sigset_t mask;
};

static void handle(void *self, struct message *m)
{
    struct state *s = self;
    if (s->echo)
        sem_post(&s->came);
    if (s->gated)
        sem_wait(&s->gate);
    s->disorder += m->type < s->last_type;
    s->last_type = m->type;
    s->handled++;
    message_drop(m);
}

static void tick(void *self, uint64_t now_ns)
{
    struct state *s = self;
    s->disorder += now_ns < s->last_tick_ns;
    s->last_tick_ns = now_ns;
    s->ticks++;
    sem_post(&s->came);
}

static void state_init(struct state *s)
{
    memset(s, 0, sizeof(*s));
    sem_init(&s->gate, 0, 0);
    sem_init(&s->came, 0, 0);
}

static struct actor *start(struct state *s, size_t max)
{
    struct err err = {0};
    struct actor *a =
        actor_new(&(struct actor_setup){.name = "test", .self = s, .handle = handle, .max = max}, &err);
    ck_assert_ptr_nonnull(a);
    ck_assert(!err_is_set(&err));
    return a;
}

START_TEST(stop_drains_what_was_sent)
{
    struct state s;
    state_init(&s);
    struct actor *a = start(&s, MANY);
    struct message *m = calloc(MANY, sizeof(*m));
    for (uint32_t i = 0; i < MANY; i++) {
        m[i].type = i;
        ck_assert(actor_send(a, &m[i]));
    }
    ck_assert(actor_stop(a, ample()));
    ck_assert_uint_eq(s.handled, MANY);
    ck_assert_uint_eq(s.disorder, 0);
    ck_assert(!actor_send(a, &m[0]));
    ck_assert(actor_stop(a, 0)); /* again: it is over already */
    actor_free(a);
    free(m);
}
END_TEST

START_TEST(a_full_mailbox_refuses)
{
    struct state s;
    state_init(&s);
    s.gated = s.echo = true;
    struct actor *a = start(&s, 2);
    struct message m[5] = {{.type = 0}};
    ck_assert(actor_send(a, &m[0]));
    sem_wait(&s.came); /* it is being handled, and in the mailbox no more */
    ck_assert(actor_send(a, &m[1]));
    ck_assert(actor_send(a, &m[2]));
    ck_assert(!actor_send(a, &m[3]));
    ck_assert_uint_eq(actor_count(a), 2);
    for (int i = 0; i < 3; i++)
        sem_post(&s.gate);
    sem_wait(&s.came);
    sem_wait(&s.came);
    sem_post(&s.gate);
    ck_assert(actor_send(a, &m[4]));
    ck_assert(actor_stop(a, ample()));
    ck_assert_uint_eq(s.handled, 4);
    actor_free(a);
}
END_TEST

/* One message at a time to an actor that has just fallen, or is just falling, asleep. */
START_TEST(no_wake_is_lost)
{
    struct state s;
    state_init(&s);
    s.echo = true;
    struct actor *a = start(&s, 4);
    struct message m[2] = {{.type = 0}};
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    bool heard = true;
    for (int i = 0; heard && i < MANY; i++) {
        /* The handler may still be at the last message, but is done with the one before it. */
        ck_assert(actor_send(a, &m[i % 2]));
        heard = sem_timedwait(&s.came, &end) == 0;
        for (int spin = i % 50; spin > 0; spin--)
            atomic_signal_fence(memory_order_seq_cst);
    }
    ck_assert(heard);
    ck_assert(actor_stop(a, ample()));
    ck_assert_uint_eq(s.handled, MANY);
    actor_free(a);
}
END_TEST

START_TEST(ticks_come_without_mail)
{
    struct state s;
    state_init(&s);
    struct actor *a = actor_new(&(struct actor_setup){.name = "ticker",
                                                      .self = &s,
                                                      .handle = handle,
                                                      .tick = tick,
                                                      .tick_ns = CLOCK_MILLISECOND_NS,
                                                      .max = 4},
                                NULL);
    uint64_t begin = clock_now_ns();
    for (int i = 0; i < 20; i++)
        sem_wait(&s.came);
    ck_assert_uint_ge(clock_now_ns() - begin, 15 * CLOCK_MILLISECOND_NS);
    ck_assert(actor_stop(a, ample()));
    ck_assert_uint_ge(s.ticks, 20);
    ck_assert_uint_eq(s.disorder, 0);
    actor_free(a);
}
END_TEST

/* An actor that sends to itself without end never has an empty mailbox; its ticks must come all the same. */
struct busy {
    struct state state;
    struct actor *me;
    _Atomic bool enough;
};

static void handle_busy(void *self, struct message *m)
{
    struct busy *b = self;
    if (!atomic_load(&b->enough) && !actor_send(b->me, m))
        b->state.disorder++;
}

static void tick_busy(void *self, uint64_t now_ns)
{
    struct busy *b = self;
    tick(&b->state, now_ns);
}

START_TEST(ticks_come_under_a_flood)
{
    struct busy b = {.enough = false};
    state_init(&b.state);
    b.me = actor_new(&(struct actor_setup){.name = "busy",
                                           .self = &b,
                                           .handle = handle_busy,
                                           .tick = tick_busy,
                                           .tick_ns = CLOCK_MILLISECOND_NS,
                                           .max = 4},
                     NULL);
    struct message m = {.type = 0};
    ck_assert(actor_send(b.me, &m));
    for (int i = 0; i < 5; i++)
        sem_wait(&b.state.came);
    atomic_store(&b.enough, true);
    ck_assert(actor_stop(b.me, ample()));
    ck_assert_uint_ge(b.state.ticks, 5);
    actor_free(b.me);
}
END_TEST

static void count_free(struct message *m)
{
    m->type = 77;
}

START_TEST(a_deadline_ends_the_draining)
{
    struct state s;
    state_init(&s);
    s.gated = s.echo = true;
    struct actor *a = start(&s, 8);
    struct message m[4];
    for (int i = 0; i < 4; i++) {
        m[i] = (struct message){.free = count_free};
        ck_assert(actor_send(a, &m[i]));
    }
    sem_wait(&s.came);
    ck_assert(!actor_stop(a, clock_now_ns() + 5 * CLOCK_MILLISECOND_NS));
    ck_assert(!actor_stop(a, 0));
    sem_post(&s.gate);
    ck_assert(actor_stop(a, ample()));
    ck_assert_uint_eq(s.handled, 1); /* the others were dropped */
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(m[i].type, 77);
    actor_free(a);
}
END_TEST

static void look_around(void *self, struct message *m)
{
    struct state *s = self;
    (void)m;
    pthread_getname_np(pthread_self(), s->thread_name, sizeof(s->thread_name));
    pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
}

START_TEST(the_thread_has_a_name_and_no_signals)
{
    struct state s;
    state_init(&s);
    struct actor *a = actor_new(
        &(struct actor_setup){.name = "a-name-that-is-too-long", .self = &s, .handle = look_around, .max = 1},
        NULL);
    struct message m = {.type = 0};
    ck_assert(actor_send(a, &m));
    ck_assert(actor_stop(a, ample()));
    ck_assert_str_eq(s.thread_name, "a-name-that-is-");
    ck_assert(sigismember(&s.mask, SIGTERM) == 1 && sigismember(&s.mask, SIGHUP) == 1);
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    ck_assert_int_eq(sigismember(&mine, SIGTERM), 0);
    actor_free(a);
}
END_TEST

/* ---- senders while it stops: what was taken is handled, to the last one ---- */

struct sender {
    struct actor *a;
    struct message *messages;
    _Atomic unsigned taken;
    pthread_t thread;
};

static void *send_until_refused(void *arg)
{
    struct sender *s = arg;
    for (unsigned i = 0; i < MANY; i++) {
        if (!actor_send(s->a, &s->messages[i]))
            return NULL;
        atomic_fetch_add(&s->taken, 1);
    }
    return NULL;
}

START_TEST(what_was_taken_is_handled)
{
    struct message *messages = calloc(2 * MANY, sizeof(*messages));
    for (int round = 0; round < 30; round++) {
        struct state s;
        state_init(&s);
        struct actor *a = start(&s, 1000000);
        struct sender senders[2];
        for (int k = 0; k < 2; k++) {
            senders[k] = (struct sender){.a = a, .messages = messages + k * MANY};
            ck_assert_int_eq(pthread_create(&senders[k].thread, NULL, send_until_refused, &senders[k]), 0);
        }
        while (atomic_load(&senders[round % 2].taken) < (unsigned)round * 10 + 1)
            sched_yield();
        bool stopped = actor_stop(a, ample());
        pthread_join(senders[0].thread, NULL);
        pthread_join(senders[1].thread, NULL);
        ck_assert(stopped);
        ck_assert_uint_eq(s.handled, senders[0].taken + senders[1].taken);
        actor_free(a);
    }
    free(messages);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("actor");
    TCase *t = tcase_create("actor");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, stop_drains_what_was_sent);
    tcase_add_test(t, a_full_mailbox_refuses);
    tcase_add_test(t, no_wake_is_lost);
    tcase_add_test(t, ticks_come_without_mail);
    tcase_add_test(t, ticks_come_under_a_flood);
    tcase_add_test(t, a_deadline_ends_the_draining);
    tcase_add_test(t, the_thread_has_a_name_and_no_signals);
    tcase_add_test(t, what_was_taken_is_handled);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
