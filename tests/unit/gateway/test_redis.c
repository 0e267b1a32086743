/*
 * test_redis.c: three real nodes: which one is asked, who takes over from one that has gone, and scripts that
 * go whole only where they have to.
 */
#include "gateway/redis.h"

#include "lib/hash.h"
#include "gateway/redis_ring.h"
#include "tests/unit/gateway/redis_fixture.h"

#define KEYS 2000

struct set {
    struct world world;
    struct conf_redis conf;
    struct conf_redis_node nodes[SERVERS];
    char names[SERVERS][80];
    struct redis *redis;
    struct hash_ring *ring; /* the same again */
    bool is_barred[SERVERS];
    int ups[SERVERS], downs[SERVERS];
};

static struct set s;

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    ck_assert_ptr_eq(ctx, &s);
    wheel_set(&s.world.wheel, e, due_ns);
}

static bool is_barred(void *bar, size_t i)
{
    ck_assert_ptr_eq(bar, s.is_barred);
    return s.is_barred[i];
}

static void on_changed(void *ctx, size_t i, enum redis_state state, const char *why)
{
    ck_assert_ptr_eq(ctx, &s);
    ck_assert_ptr_nonnull(why);
    s.ups[i] += state == REDIS_UP;
    s.downs[i] += state != REDIS_UP;
}

static void set_up(void)
{
    make_directory();
    memset(&s, 0, sizeof(s));
    world_begin(&s.world);
    for (int i = 0; i < SERVERS; i++) {
        snprintf(s.names[i], sizeof(s.names[i]), "redis-%d", i);
        s.nodes[i] = (struct conf_redis_node){
            .name = s.names[i], .unix_path = servers[i].path, .weight = (unsigned)i + 1};
        START(i);
    }
    s.conf = (struct conf_redis){
        .enabled = true, .nodes = s.nodes, .nnodes = SERVERS, .connect_ms = 500, .command_ms = 300};
    s.ring = redis_ring_new(&s.conf);
    s.redis = redis_new(&(struct redis_setup){.loop = &s.world.loop,
                                              .set_timer = set_timer,
                                              .ctx = &s,
                                              .conf = &s.conf,
                                              .is_barred = is_barred,
                                              .bar = s.is_barred,
                                              .changed = on_changed,
                                              .seed = 7});
    ck_assert_ptr_nonnull(s.redis);
    ck_assert_uint_eq(redis_node_for(s.redis, 1), REDIS_NONE); /* not connected yet */
    for (size_t i = 0; i < SERVERS; i++)
        TURN(&s.world, redis_is_up(s.redis, i));
}

static void tear_down(void)
{
    redis_free(s.redis);
    hash_ring_free(s.ring);
    world_end(&s.world);
    remove_directory();
}

static uint64_t hash_of(int key)
{
    return hash_bytes(&key, sizeof(key), 0);
}

/* Every key is for the first of its nodes on the ring that is not in WITHOUT (bits); NONE when there is
 * none. */
static void check_routes(unsigned without)
{
    for (int key = 0; key < KEYS; key++) {
        struct hash_ring_walk w;
        size_t i, expected = REDIS_NONE;
        hash_ring_walk(s.ring, hash_of(key), &w);
        while (expected == REDIS_NONE && hash_ring_next(s.ring, &w, &i))
            expected = without >> i & 1 ? REDIS_NONE : i;
        ck_assert_uint_eq(redis_node_for(s.redis, hash_of(key)), expected);
    }
}

START_TEST(keys_have_nodes)
{
    int owned[SERVERS] = {0};
    check_routes(0);
    for (int key = 0; key < KEYS; key++)
        owned[redis_node_for(s.redis, hash_of(key))]++;
    ck_assert(owned[0] > 0 && owned[0] < owned[1] && owned[1] < owned[2]);
}
END_TEST

START_TEST(successors_take_over)
{
    stop_server(1, SIGKILL);
    TURN(&s.world, !redis_is_up(s.redis, 1));
    check_routes(1 << 1);
    ck_assert(strlen(redis_node_why(s.redis, 1)) > 0);
    stop_server(2, SIGKILL);
    TURN(&s.world, !redis_is_up(s.redis, 2));
    check_routes(1 << 1 | 1 << 2);
    stop_server(0, SIGKILL);
    TURN(&s.world, !redis_is_up(s.redis, 0));
    check_routes(7);
    for (int i = 0; i < SERVERS; i++)
        START(i);
    for (size_t i = 0; i < SERVERS; i++)
        TURN(&s.world, redis_is_up(s.redis, i));
    check_routes(0);
    for (int i = 0; i < SERVERS; i++)
        ck_assert(s.ups[i] == 2 && s.downs[i] == 1);
}
END_TEST

START_TEST(a_node_that_is_barred)
{
    s.is_barred[0] = true;
    check_routes(1 << 0);
    ck_assert(!redis_is_up(s.redis, 0));
    s.is_barred[1] = s.is_barred[2] = true;
    check_routes(7);
    s.is_barred[0] = false;
    check_routes(1 << 1 | 1 << 2);
    s.is_barred[1] = s.is_barred[2] = false;
    check_routes(0);
}
END_TEST

START_TEST(a_node_that_moves)
{
    redis_set_address(s.redis, 0, servers[1].path);
    TURN(&s.world, s.ups[0] == 2);
    stop_server(0, SIGKILL);
    check_routes(0);
    ck_assert_int_eq(s.downs[0], 1);
    redis_set_address(s.redis, 0, NULL);
    TURN(&s.world, s.downs[0] == 2);
    check_routes(1 << 0);
}
END_TEST

/* ---- scripts ---- */

struct question {
    struct ask ask; /* first */
    bool wants_again, was_repeated;
};

static void on_answer(struct redis_call *call, const struct redis_reply *reply)
{
    struct question *q = (struct question *)call;
    on_done(call, reply);
    q->wants_again = redis_wants_again(reply, &q->was_repeated);
}

static bool send_eval(struct question *q)
{
    static const struct slice keys[] = {SLICE("k")}, args[] = {SLICE("1"), SLICE("1")};
    *q = (struct question){.ask.call.done = on_answer};
    return redis_eval(s.redis, 0, &q->ask.call, REDIS_LIMIT_TAKE, (struct redis_words){keys, 1},
                      (struct redis_words){args, 2});
}

static void eval(struct question *q)
{
    ck_assert(send_eval(q));
    TURN(&s.world, q->ask.done);
    ck_assert(q->ask.has_reply);
}

static char info[8192];

static void on_info(struct redis_call *call, const struct redis_reply *reply)
{
    ck_assert(reply && reply->kind == REDIS_TEXT && reply->text.len < sizeof(info));
    snprintf(info, sizeof(info), "%.*s", SLICE_ARG(reply->text));
    call->done = NULL;
}

/* Node 0 has run so many EVAL and EVALSHA since it was asked last. */
static void check_ran(int evals, int evalshas)
{
    static const struct slice words[] = {SLICE("INFO"), SLICE("commandstats")};
    static const struct slice reset[] = {SLICE("CONFIG"), SLICE("RESETSTAT")};
    struct redis_call call = {.done = on_info};
    struct ask a = {.call.done = on_done};
    const char *at;
    ck_assert(redis_send(s.redis, 0, &call, &(struct redis_command){words, 2}));
    ck_assert(redis_send(s.redis, 0, &a.call, &(struct redis_command){reset, 2}));
    TURN(&s.world, a.done);
    at = strstr(info, "cmdstat_eval:calls=");
    ck_assert_int_eq(at ? atoi(at + strlen("cmdstat_eval:calls=")) : 0, evals);
    at = strstr(info, "cmdstat_evalsha:calls=");
    ck_assert_int_eq(at ? atoi(at + strlen("cmdstat_evalsha:calls=")) : 0, evalshas);
}

START_TEST(scripts_go_whole_once)
{
    struct question q, many[10];
    check_ran(0, 0);
    for (int i = 0; i < 10; i++)
        ck_assert(send_eval(&many[i])); /* in one turn, before any answer */
    TURN(&s.world, many[9].ask.done);
    for (int i = 0; i < 10; i++)
        ck_assert(many[i].ask.has_reply && !many[i].wants_again);
    check_ran(1, 9);
    eval(&q);
    check_ran(0, 1);
}
END_TEST

START_TEST(scripts_that_are_gone)
{
    static const struct slice flush[] = {SLICE("SCRIPT"), SLICE("FLUSH")};
    struct question q;
    struct ask a;
    eval(&q);
    for (int i = 0; i < 3; i++) {
        a = (struct ask){.call.done = on_done};
        ck_assert(redis_send(s.redis, 0, &a.call, &(struct redis_command){flush, 2}));
        eval(&q);
        ck_assert(q.wants_again && !q.ask.call.pending);
        const struct redis_reply none = {.kind = REDIS_FAILED, .text = SLICE("NOSCRIPT again")};
        ck_assert(!redis_wants_again(&none, &q.was_repeated)); /* once is enough */
        check_ran(i == 0, 1);
        eval(&q);
        ck_assert(!q.wants_again);
        check_ran(1, 0);
        eval(&q);
        ck_assert(!q.wants_again);
        check_ran(0, 1);
        check_ran(0, 0);
        eval(&q); /* so that the next round begins as the first */
        check_ran(0, 1);
    }
}
END_TEST

START_TEST(scripts_of_a_new_connection)
{
    struct question q;
    eval(&q);
    stop_server(0, SIGKILL);
    TURN(&s.world, !redis_is_up(s.redis, 0));
    ck_assert(!send_eval(&q));
    START(0);
    TURN(&s.world, redis_is_up(s.redis, 0));
    eval(&q);
    ck_assert(!q.wants_again);
    check_ran(1, 0);
}
END_TEST

START_TEST(too_many_words)
{
    static struct slice words[REDIS_WORDS_MAX];
    struct question q = {.ask.call.done = on_answer};
    const struct redis_words most = {words, REDIS_WORDS_MAX - 3}, none = {words, 0}, one = {words, 1},
                             less = {words, -1};
    ck_assert(!redis_eval(s.redis, 0, &q.ask.call, REDIS_LIMIT_TAKE, most, one));
    ck_assert(!redis_eval(s.redis, 0, &q.ask.call, REDIS_LIMIT_TAKE, one, most));
    ck_assert(!redis_eval(s.redis, 0, &q.ask.call, REDIS_LIMIT_TAKE, less, one));
    ck_assert(!redis_eval(s.redis, SERVERS, &q.ask.call, REDIS_LIMIT_TAKE, none, one));
    ck_assert(!redis_eval(s.redis, REDIS_NONE, &q.ask.call, REDIS_LIMIT_TAKE, none, one));
    ck_assert(redis_eval(s.redis, 0, &q.ask.call, REDIS_LIMIT_TAKE, most, none));
    TURN(&s.world, q.ask.done);
    ck_assert(q.ask.has_reply && redis_node_stats(s.redis, 0).sent == 1);
}
END_TEST

static void free_all(struct redis_call *call, const struct redis_reply *reply)
{
    on_done(call, reply);
    redis_free(s.redis);
    s.redis = NULL;
}

START_TEST(a_set_that_is_freed_by_whom_it_calls)
{
    struct question q, other;
    ck_assert(send_eval(&q) && send_eval(&other));
    q.ask.call.done = free_all;
    TURN(&s.world, q.ask.done);
    ck_assert(!s.redis && other.ask.done == 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("redis");
    TCase *t = tcase_create("redis");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, keys_have_nodes);
    tcase_add_test(t, successors_take_over);
    tcase_add_test(t, a_node_that_is_barred);
    tcase_add_test(t, a_node_that_moves);
    tcase_add_test(t, scripts_go_whole_once);
    tcase_add_test(t, scripts_that_are_gone);
    tcase_add_test(t, scripts_of_a_new_connection);
    tcase_add_test(t, too_many_words);
    tcase_add_test(t, a_set_that_is_freed_by_whom_it_calls);
    tcase_set_timeout(t, 60);
    suite_add_tcase(suite, t);
    return suite;
}

UNIT_MAIN(make_suite)
