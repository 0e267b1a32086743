/* test_mailbox.c: messages and their one wake for a burst (lib/mailbox). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mailbox.h"
#include "tests/unit/unit.h"

#define SENDERS 3
#define EACH    20000

struct note {
    struct message base; /* first */
    int *freed;
};

static void note_free(struct message *m)
{
    ++*((struct note *)m)->freed;
}

struct inbox {
    struct message *got[16];
    size_t n;
};

static void keep(void *ctx, struct message *m)
{
    struct inbox *in = ctx;
    in->got[in->n++] = m;
}

/* How often the descriptor was written since it was last read. */
static uint64_t wakes(const struct mailbox *mb)
{
    uint64_t n = 0;
    return read(mailbox_fd(mb), &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static bool is_readable(const struct mailbox *mb)
{
    struct pollfd p = {.fd = mailbox_fd(mb), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

START_TEST(a_burst_wakes_once)
{
    struct mailbox *mb = mailbox_new(10);
    struct message m[5] = {{.type = 0}};
    struct inbox in = {.n = 0};
    ck_assert(!is_readable(mb));
    for (int i = 0; i < 3; i++)
        ck_assert(mailbox_send(mb, &m[i]));
    ck_assert_uint_eq(wakes(mb), 1);
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 16), 3);
    ck_assert(in.got[0] == &m[0] && in.got[1] == &m[1] && in.got[2] == &m[2]);
    ck_assert(!is_readable(mb));
    ck_assert(mailbox_send(mb, &m[3]));
    ck_assert(mailbox_send(mb, &m[4]));
    ck_assert_uint_eq(wakes(mb), 1);
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 16), 2);
    mailbox_free(mb);
}
END_TEST

START_TEST(what_exceeds_a_drain_stays_announced)
{
    struct mailbox *mb = mailbox_new(10);
    struct message m[5] = {{.type = 0}};
    struct inbox in = {.n = 0};
    for (int i = 0; i < 5; i++)
        ck_assert(mailbox_send(mb, &m[i]));
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 2), 2);
    ck_assert(is_readable(mb));
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 2), 2);
    ck_assert(is_readable(mb));
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 2), 1);
    ck_assert(!is_readable(mb));
    ck_assert_ptr_eq(in.got[4], &m[4]);
    mailbox_free(mb);
}
END_TEST

START_TEST(full_refuses_and_free_drops)
{
    struct mailbox *mb = mailbox_new(2);
    int freed = 0;
    struct note n[3];
    for (int i = 0; i < 3; i++) {
        n[i] = (struct note){.base.free = note_free, .freed = &freed};
        ck_assert_int_eq(mailbox_send(mb, &n[i].base), i < 2);
    }
    ck_assert_uint_eq(mailbox_count(mb), 2);
    mailbox_free(mb);
    ck_assert_int_eq(freed, 2);
}
END_TEST

START_TEST(closing_is_announced)
{
    struct mailbox *mb = mailbox_new(2);
    struct inbox in = {.n = 0};
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 16), 0);
    ck_assert(!is_readable(mb));
    mailbox_close(mb);
    ck_assert(is_readable(mb) && mailbox_is_over(mb));
    mailbox_free(mb);
}
END_TEST

START_TEST(closed_is_over_when_drained)
{
    struct mailbox *mb = mailbox_new(2);
    struct message m = {.type = 0};
    struct inbox in = {.n = 0};
    ck_assert(mailbox_send(mb, &m));
    mailbox_close(mb);
    ck_assert(mailbox_is_closed(mb) && !mailbox_is_over(mb));
    struct message late = {.type = 0};
    ck_assert(!mailbox_send(mb, &late));
    ck_assert_uint_eq(mailbox_drain(mb, keep, &in, 16), 1);
    ck_assert(mailbox_is_over(mb));
    mailbox_free(mb);
}
END_TEST

static void send_again(void *ctx, struct message *m)
{
    struct mailbox *mb = ctx;
    if (m->type > 0) {
        m->type--;
        ck_assert(mailbox_send(mb, m));
    }
}

START_TEST(a_receiver_may_send_to_itself)
{
    struct mailbox *mb = mailbox_new(1);
    struct message m = {.type = 3};
    ck_assert(mailbox_send(mb, &m));
    ck_assert_uint_eq(mailbox_drain(mb, send_again, mb, 100), 4);
    m.type = 1;
    ck_assert(mailbox_send(mb, &m));
    ck_assert(is_readable(mb));
    ck_assert_uint_eq(mailbox_drain(mb, send_again, mb, 1), 1);
    ck_assert(is_readable(mb));
    ck_assert_uint_eq(mailbox_drain(mb, send_again, mb, 100), 1);
    mailbox_free(mb);
}
END_TEST

START_TEST(no_descriptor_left)
{
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct mailbox *mb = mailbox_new(1);
    int why = errno;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_ptr_null(mb);
    ck_assert_int_eq(why, EMFILE);
}
END_TEST

/* ---- stress: a receiver that sleeps in poll must hear of everything ---- */

struct sender {
    struct mailbox *mb;
    struct message *messages;
    pthread_t thread;
};

static void *send_all(void *arg)
{
    const struct sender *s = arg;
    uint64_t end = clock_now_ns() + 20 * CLOCK_SECOND_NS;
    for (unsigned i = 0; i < EACH; i++) {
        while (!mailbox_send(s->mb, &s->messages[i])) {
            if (clock_now_ns() > end)
                return NULL;
            sched_yield();
        }
        if (i % 3 == 0)
            sched_yield(); /* lets the receiver fall asleep now and then */
    }
    return NULL;
}

static void count(void *ctx, struct message *m)
{
    unsigned *counts = ctx;
    counts[m->type]++;
}

static const struct {
    size_t max, drain;
} stresses[] = {{1, 1}, {4, 3}, {100000, 64}};

START_TEST(no_wake_is_lost)
{
    struct mailbox *mb = mailbox_new(stresses[_i].max);
    struct sender senders[SENDERS];
    unsigned counts[SENDERS] = {0};
    size_t total = 0;
    bool heard = true;
    for (unsigned k = 0; k < SENDERS; k++) {
        senders[k] = (struct sender){.mb = mb, .messages = calloc(EACH, sizeof(struct message))};
        for (unsigned i = 0; i < EACH; i++)
            senders[k].messages[i].type = k;
        ck_assert_int_eq(pthread_create(&senders[k].thread, NULL, send_all, &senders[k]), 0);
    }
    /* Senders cannot go on while the mailbox is full, so two seconds of silence are a lost wake. */
    while (heard && total < SENDERS * EACH) {
        struct pollfd p = {.fd = mailbox_fd(mb), .events = POLLIN};
        heard = poll(&p, 1, 2000) == 1;
        total += heard ? mailbox_drain(mb, count, counts, stresses[_i].drain) : 0;
    }
    size_t heard_of = total;
    for (uint64_t end = clock_now_ns() + 20 * CLOCK_SECOND_NS;
         total < SENDERS * EACH && clock_now_ns() < end;)
        total += mailbox_drain(mb, count, counts, 64); /* so that the senders end */
    for (unsigned k = 0; k < SENDERS; k++)
        pthread_join(senders[k].thread, NULL);
    ck_assert_msg(heard, "silence after %zu messages", heard_of);
    for (unsigned k = 0; k < SENDERS; k++) {
        ck_assert_uint_eq(counts[k], EACH);
        free(senders[k].messages);
    }
    mailbox_free(mb);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mailbox");
    TCase *t = tcase_create("mailbox");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_burst_wakes_once);
    tcase_add_test(t, what_exceeds_a_drain_stays_announced);
    tcase_add_test(t, full_refuses_and_free_drops);
    tcase_add_test(t, closing_is_announced);
    tcase_add_test(t, closed_is_over_when_drained);
    tcase_add_test(t, a_receiver_may_send_to_itself);
    tcase_add_test(t, no_descriptor_left);
    tcase_add_loop_test(t, no_wake_is_lost, 0, (int)(sizeof(stresses) / sizeof(stresses[0])));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
