/*
 * test_state_ticket.c: answers of the state that take a while: collected, abandoned, lost, in every order;
 * and purges of a real fleet whose result finds no room or no memory. What is not freed is told by the
 * sanitizer.
 */
#include <cjson/cJSON.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "gateway/log.h"
#include "gateway/state.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (20 * CLOCK_SECOND_NS)
#define RACES       500

#define UNTIL(cond)                                                                                          \
    for (uint64_t until_ns = clock_now_ns() + PATIENCE_NS; !(cond); usleep(1000))                            \
    ck_assert_msg(clock_now_ns() < until_ns, "it did not come to: %s", #cond)

static unsigned given_up;

static void on_give_up(struct state_ticket *ticket)
{
    (void)ticket;
    given_up++;
}

static struct state_ticket *new_ticket(void)
{
    struct state_ticket *t = calloc(1, sizeof(*t));
    ck_assert_ptr_nonnull(t);
    t->give_up = on_give_up;
    given_up = 0;
    return t;
}

static struct state_answer answer_of(const char *text)
{
    return (struct state_answer){.status = 207, .json = text ? strdup(text) : NULL};
}

START_TEST(an_answer_is_collected)
{
    struct state_answer a = {0};
    struct state_ticket *t = new_ticket();
    ck_assert(!state_collect(t, &a));
    state_finish(t, answer_of("{}"));
    ck_assert(state_collect(t, &a));
    ck_assert_uint_eq(a.status, 207);
    ck_assert_str_eq(a.json, "{}");
    ck_assert_uint_eq(given_up, 0);
    free(a.json);
}
END_TEST

/* Who waits is not left to wait for ever. */
START_TEST(an_answer_without_memory_is_one)
{
    struct state_answer a = {0};
    struct state_ticket *t = new_ticket();
    state_finish(t, answer_of(NULL));
    ck_assert(state_collect(t, &a));
    ck_assert_ptr_null(a.json);
}
END_TEST

START_TEST(an_answer_that_is_lost_is_503)
{
    struct state_answer a = {0};
    struct state_ticket *t = new_ticket();
    state_lose(t);
    ck_assert(state_collect(t, &a));
    ck_assert_uint_eq(a.status, 503);
    ck_assert_ptr_null(a.json);
}
END_TEST

START_TEST(abandoned)
{
    struct state_ticket *t = new_ticket();
    state_abandon(t);
    ck_assert_uint_eq(given_up, 1);
    state_finish(t, answer_of("{}"));
    t = new_ticket();
    state_finish(t, answer_of("{}"));
    state_abandon(t);
    ck_assert_uint_eq(given_up, 0);
    t = new_ticket();
    state_abandon(t);
    state_lose(t);
    t = new_ticket();
    state_lose(t);
    state_abandon(t);
    t = new_ticket();
    state_abandon(t);
    state_finish(t, answer_of(NULL));
    ck_assert_uint_eq(given_up, 1);
}
END_TEST

static _Atomic(struct state_ticket *) shared;

static void *lose_some(void *ctx)
{
    unsigned *lost = ctx;
    while (*lost < RACES) {
        struct state_ticket *t = atomic_exchange(&shared, NULL);
        if (!t)
            continue;
        state_lose(t);
        ++*lost;
    }
    return NULL;
}

/* Every ticket is freed once, by either thread. */
START_TEST(lost_and_abandoned_at_once)
{
    pthread_t thread;
    unsigned lost = 0, collected = 0, let_go = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, lose_some, &lost), 0);
    for (unsigned i = 0; i < RACES; i++) {
        struct state_answer a;
        struct state_ticket *t = new_ticket();
        UNTIL(!atomic_load(&shared));
        atomic_store(&shared, t);
        if (i % 2 == 0) {
            state_abandon(t);
            let_go++;
            continue;
        }
        UNTIL(state_collect(t, &a));
        ck_assert_uint_eq(a.status, 503);
        collected++;
    }
    pthread_join(thread, NULL);
    ck_assert_uint_eq(lost, RACES);
    ck_assert_uint_eq(collected + let_go, RACES);
}
END_TEST

/* ---- purges ---- */

/* A gateway whose only Redis node is not there. */
struct gateway {
    struct conf_redis_node node;
    struct conf conf;
    struct snapshot snapshot;
    struct cache cache;
    struct state_view view;
};

static void set_up(struct gateway *g)
{
    static const struct conf_log log_conf = {.error = "/dev/null", .queue = 64};
    *g = (struct gateway){.node = {.name = "nowhere", .unix_path = "/nonexistent/socket", .weight = 1}};
    g->conf.redis = (struct conf_redis){.enabled = true,
                                        .nodes = &g->node,
                                        .nnodes = 1,
                                        .prefix = "p",
                                        .connect_ms = 100,
                                        .command_ms = 100,
                                        .trust_ms = 500,
                                        .lock_ms = 1000,
                                        .lock_wait_ms = 1000};
    g->snapshot.conf = &g->conf;
    atomic_init(&g->snapshot.refs, 1);
    g->cache.store = object_store_new(&(struct object_store_setup){.size = 1 << 20, .secret = 3}, NULL);
    g->view = (struct state_view){.cache = &g->cache, .log = log_new(&log_conf, NULL)};
    g->view.mailbox = mailbox_new(4);
    const struct fleet_setup f = {.snapshot = &g->snapshot, .store = g->cache.store, .log = g->view.log};
    g->view.fleet = fleet_new(&f, NULL);
    ck_assert(g->cache.store && g->view.log && g->view.mailbox && g->view.fleet);
}

static void tear_down(struct gateway *g)
{
    fleet_stop(g->view.fleet);
    fleet_free(g->view.fleet);
    mailbox_free(g->view.mailbox);
    log_free(g->view.log);
    object_store_free(g->cache.store);
}

static struct state_ticket *purge_all(const struct gateway *g)
{
    const struct state_ask ask = {.path = "/cache/purge", .is_post = true, .all = "yes"};
    struct state_answer a = state_handle(&g->view, &ask);
    ck_assert_ptr_nonnull(a.ticket);
    return a.ticket;
}

static void fill(struct mailbox *mailbox, struct message *messages, size_t n)
{
    size_t i = 0;
    while (i < n && mailbox_send(mailbox, &messages[i]))
        i++;
    ck_assert_uint_lt(i, n);
}

START_TEST(a_full_mailbox_loses_the_answer_and_tells)
{
    struct gateway g;
    struct state_answer a;
    struct message messages[64] = {{.type = 0}};
    set_up(&g);
    fill(g.view.mailbox, messages, 64);
    struct state_ticket *t = purge_all(&g);
    UNTIL(state_collect(t, &a));
    ck_assert_uint_eq(a.status, 503);
    ck_assert_ptr_null(a.json);
    state_abandon(purge_all(&g)); /* and what nobody wants to know is freed */
    tear_down(&g);
}
END_TEST

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

static void on_mail(void *ctx, struct message *m)
{
    const struct gateway *g = ctx;
    ck_assert_uint_eq(m->type, STATE_MAIL_PURGED);
    state_finish_purge((struct fleet_purge *)(void *)m, g->view.log);
}

START_TEST(an_answer_for_which_memory_is_short_is_told)
{
    struct gateway g;
    struct state_answer a;
    cJSON_Hooks hooks = {no_memory, free};
    set_up(&g);
    struct state_ticket *t = purge_all(&g);
    UNTIL(mailbox_count(g.view.mailbox) == 1);
    cJSON_InitHooks(&hooks);
    ck_assert_uint_eq(mailbox_drain(g.view.mailbox, on_mail, &g, 8), 1);
    cJSON_InitHooks(NULL);
    ck_assert(state_collect(t, &a));
    ck_assert_ptr_null(a.json);
    tear_down(&g);
}
END_TEST

/* What is in the mailbox when the process ends. */
START_TEST(an_answer_that_is_not_read_is_lost)
{
    struct gateway g;
    struct state_answer a;
    set_up(&g);
    struct state_ticket *t = purge_all(&g);
    UNTIL(mailbox_count(g.view.mailbox) == 1);
    ck_assert(!state_collect(t, &a));
    tear_down(&g);
    ck_assert(state_collect(t, &a));
    ck_assert_uint_eq(a.status, 503);
}
END_TEST

static void check_refused(const struct gateway *g, struct state_ask ask)
{
    ask.path = "/cache/purge";
    ask.is_post = true;
    struct state_answer a = state_handle(&g->view, &ask);
    ck_assert_uint_eq(a.status, 400);
    ck_assert_ptr_null(a.ticket);
    free(a.json);
}

/* Every URL begins with nothing. */
START_TEST(a_purge_of_nothing_is_not_one_of_everything)
{
    struct gateway g;
    set_up(&g);
    check_refused(&g, (struct state_ask){.prefix = ""});
    check_refused(&g, (struct state_ask){.tag = ""});
    check_refused(&g, (struct state_ask){.url = ""});
    check_refused(&g, (struct state_ask){.all = ""});
    tear_down(&g);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("state_ticket");
    TCase *t = tcase_create("tickets");
    tcase_add_test(t, an_answer_is_collected);
    tcase_add_test(t, an_answer_without_memory_is_one);
    tcase_add_test(t, an_answer_that_is_lost_is_503);
    tcase_add_test(t, abandoned);
    tcase_add_test(t, lost_and_abandoned_at_once);
    suite_add_tcase(s, t);
    TCase *p = tcase_create("purges");
    tcase_set_timeout(p, 60);
    tcase_add_test(p, a_full_mailbox_loses_the_answer_and_tells);
    tcase_add_test(p, an_answer_for_which_memory_is_short_is_told);
    tcase_add_test(p, an_answer_that_is_not_read_is_lost);
    tcase_add_test(p, a_purge_of_nothing_is_not_one_of_everything);
    suite_add_tcase(s, p);
    return s;
}

UNIT_MAIN(make_suite)
