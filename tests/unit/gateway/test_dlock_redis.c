/*
 * test_dlock_redis.c: the Lua of lib/dlock in a real redis-server.
 *
 * What its scripts answer and leave behind, and the same functions inside of a script of another's. The lock
 * itself is tested with stores in C (lib/test_dlock.c); here it goes once through all of them.
 */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/dlock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (10 * CLOCK_SECOND_NS)
#define LONG_MS     "60000"

/* ---- a server ---- */

static char directory[] = "/tmp/test_dlock_XXXXXX";
static char socket_path[64];
static pid_t server;
static redisContext *redis;

static void start_server(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
    server = fork();
    ck_assert_int_ge(server, 0);
    if (server > 0)
        return;
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "", "--dir",
           directory, (char *)NULL);
    _exit(127);
}

static void set_up(void)
{
    start_server();
    for (uint64_t until_ns = clock_now_ns() + PATIENCE_NS;;) {
        redis = redisConnectUnix(socket_path);
        if (redis && !redis->err)
            return;
        redisFree(redis);
        ck_assert_msg(clock_now_ns() < until_ns, "no redis-server");
        usleep(1000);
    }
}

static void tear_down(void)
{
    redisFree(redis);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(socket_path);
    rmdir(directory);
    strcpy(directory, "/tmp/test_dlock_XXXXXX");
}

/* ---- commands ---- */

static redisReply *command(const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    const char *argv[16];
    for (int i = 0; i < n; i++)
        argv[i] = words[i];
    redisReply *reply = redisCommandArgv(redis, n, argv, NULL);
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s", reply->str);
    return reply;
}

static long long number_of(const char *const *words)
{
    redisReply *reply = command(words);
    ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static void forget(const char *const *words)
{
    freeReplyObject(command(words));
}

#define WORDS(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define NUMBER(...) number_of(WORDS(__VA_ARGS__))
#define DO(...)     forget(WORDS(__VA_ARGS__))

static long long acquire(const char *key, const char *token, const char *ttl_ms)
{
    return NUMBER("EVAL", dlock_script_text(DLOCK_ACQUIRE), "2", key, "fence", token, ttl_ms);
}

static long long raise_to(const char *key, const char *token, const char *fence)
{
    return NUMBER("EVAL", dlock_script_text(DLOCK_RAISE), "2", key, "fence", token, fence);
}

static long long extend(const char *key, const char *token, const char *ttl_ms)
{
    return NUMBER("EVAL", dlock_script_text(DLOCK_EXTEND), "1", key, token, ttl_ms);
}

static long long release(const char *key, const char *token)
{
    return NUMBER("EVAL", dlock_script_text(DLOCK_RELEASE), "1", key, token);
}

START_TEST(who_has_the_token)
{
    ck_assert_int_gt(acquire("k", "a", LONG_MS), 1000000000000000);
    long long left_ms = -acquire("k", "b", LONG_MS);
    ck_assert(left_ms > 50000 && left_ms <= 60000);
    ck_assert_int_lt(acquire("k", "a", LONG_MS), 0); /* not even the holder, twice */
    ck_assert_int_eq(release("k", "b"), 0);
    ck_assert_int_eq(extend("k", "b", "1"), 0);
    ck_assert_int_gt(NUMBER("PTTL", "k"), 50000);
    ck_assert_int_eq(extend("k", "a", "120000"), 1);
    ck_assert_int_gt(NUMBER("PTTL", "k"), 60000);
    ck_assert_int_eq(release("k", "a"), 1);
    ck_assert_int_eq(NUMBER("EXISTS", "k"), 0);
    ck_assert_int_eq(release("k", "a"), 0);
    ck_assert_int_eq(extend("k", "a", LONG_MS), 0);
    ck_assert_int_eq(NUMBER("EXISTS", "k"), 0);
}
END_TEST

START_TEST(a_key_without_end)
{
    DO("SET", "k", "somebody");
    ck_assert_int_eq(acquire("k", "a", LONG_MS), 0);
}
END_TEST

START_TEST(it_expires)
{
    ck_assert_int_gt(acquire("k", "a", "30"), 0);
    for (uint64_t until_ns = clock_now_ns() + PATIENCE_NS; acquire("k", "b", LONG_MS) <= 0; usleep(1000))
        ck_assert(clock_now_ns() < until_ns);
    ck_assert_int_eq(release("k", "a"), 0);
    ck_assert_int_eq(extend("k", "a", LONG_MS), 0);
    ck_assert_int_eq(release("k", "b"), 1);
}
END_TEST

START_TEST(numbers_grow)
{
    long long last = 0;
    for (int i = 0; i < 300; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i % 7);
        DO("DEL", key);
        if (i % 50 == 49)
            DO("FLUSHALL");
        else if (i % 50 == 25)
            DO("DEL", "fence");
        else if (i % 50 == 10)
            DO("SET", "fence", "nan");
        long long fence = acquire(key, "a", LONG_MS);
        ck_assert_int_gt(fence, last);
        last = fence;
        ck_assert_int_eq(NUMBER("EVAL", "return tonumber(redis.call('GET', 'fence'))", "0"), last);
    }
}
END_TEST

START_TEST(numbers_grow_by_one_when_the_clock_is_behind)
{
    DO("SET", "fence", "9000000000000000");
    for (long long i = 1; i < 50; i++) {
        ck_assert_int_eq(acquire("k", "a", LONG_MS), 9000000000000000 + i);
        ck_assert_int_eq(release("k", "a"), 1);
    }
    DO("SET", "fence", "9007199254740991"); /* DLOCK_FENCE_MAX: what comes now is no number for dlock */
    ck_assert_int_gt(acquire("k", "a", LONG_MS), DLOCK_FENCE_MAX);
}
END_TEST

START_TEST(counters_are_raised)
{
    ck_assert_int_gt(acquire("k", "a", LONG_MS), 0);
    ck_assert_int_eq(raise_to("k", "b", "9000000000000000"), 0);
    ck_assert_int_eq(raise_to("k", "a", "5"), 1);
    ck_assert_int_lt(NUMBER("EVAL", "return tonumber(redis.call('GET', 'fence'))", "0"), 9000000000000000);
    ck_assert_int_gt(NUMBER("EVAL", "return tonumber(redis.call('GET', 'fence'))", "0"), 5);
    ck_assert_int_eq(raise_to("k", "a", "9000000000000000"), 1);
    ck_assert_int_gt(acquire("l", "b", LONG_MS), 9000000000000000);
    DO("DEL", "k");
    ck_assert_int_eq(raise_to("k", "a", "9000000000000100"), 0);
}
END_TEST

/* ---- the lock over it ---- */

static struct dlock_ask *asked;
static enum dlock_event told;

static bool keep(void *ctx, struct dlock_ask *ask)
{
    (void)ctx;
    asked = ask;
    return true;
}

static void changed(void *ctx, struct dlock *l, enum dlock_event event)
{
    (void)ctx;
    (void)l;
    told = event;
}

static void serve(void)
{
    struct dlock_ask *ask = asked;
    const char *argv[8] = {"EVAL", dlock_script_text(ask->script), ask->nkeys == 2 ? "2" : "1"};
    size_t lens[8] = {4, strlen(argv[1]), 1};
    int n = 3;
    for (int i = 0; i < ask->nkeys; i++, n++)
        argv[n] = ask->keys[i].p, lens[n] = ask->keys[i].len;
    for (int i = 0; i < ask->nargs; i++, n++)
        argv[n] = ask->args[i].p, lens[n] = ask->args[i].len;
    redisReply *r = redisCommandArgv(redis, n, argv, lens);
    ck_assert(r && r->type == REDIS_REPLY_INTEGER);
    dlock_answer(ask, &(struct dlock_reply){.is_answered = true, .number = r->integer}, clock_now_ns());
    freeReplyObject(r);
}

static struct dlock_node node = {.eval = keep};

static void lock_init(struct dlock *l)
{
    dlock_init(l, &(struct dlock_setup){.nodes = &node,
                                        .n = 1,
                                        .lock_key = SLICE("k"),
                                        .fence_key = SLICE("fence"),
                                        .ttl_ms = 60000,
                                        .changed = changed});
}

START_TEST(a_lock_over_it)
{
    struct dlock l;
    lock_init(&l);
    ck_assert(dlock_acquire(&l, (uint64_t[2]){1, 2}, clock_now_ns()));
    serve();
    ck_assert(told == DLOCK_DID_ACQUIRE && dlock_is_held(&l, clock_now_ns()));
    ck_assert_int_eq(dlock_fence(&l), NUMBER("EVAL", "return tonumber(redis.call('GET', 'fence'))", "0"));
    ck_assert_int_lt(acquire("k", "b", LONG_MS), 0);
    uint64_t until_ns = dlock_until_ns(&l);
    ck_assert(dlock_extend(&l, clock_now_ns()));
    serve();
    ck_assert_uint_gt(dlock_until_ns(&l), until_ns);
    dlock_release(&l);
    serve();
    ck_assert(told == DLOCK_DID_END && dlock_state(&l) == DLOCK_FREE);
    ck_assert_int_eq(NUMBER("EXISTS", "k"), 0);
    ck_assert_int_gt(acquire("k", "b", LONG_MS), 0);
    ck_assert(dlock_acquire(&l, (uint64_t[2]){1, 3}, clock_now_ns()));
    serve();
    ck_assert(told == DLOCK_DID_END && dlock_state(&l) == DLOCK_FREE);
    ck_assert(dlock_holder_ms(&l) > 50000 && dlock_holder_ms(&l) <= 60000);
}
END_TEST

/* ---- in a script of another's: those of the header ---- */

static const char look_up[] =
    DLOCK_LUA_FUNCTIONS "local object = redis.call('HGET', KEYS[1], 'body') if object then return object end "
                        "local fence, holder_ms = dlock_acquire(KEYS[2], KEYS[3], ARGV[1], ARGV[2]) "
                        "if fence then return {1, fence} end return {0, holder_ms}";

static const char store[] =
    DLOCK_LUA_FUNCTIONS "if tonumber(ARGV[2]) >= tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) then "
                        "redis.call('HSET', KEYS[1], 'fence', ARGV[2], 'body', ARGV[3]) end "
                        "return dlock_release(KEYS[2], ARGV[1])";

START_TEST(in_one_round_trip)
{
    struct dlock l;
    lock_init(&l);
    struct slice token = dlock_offer(&l, (uint64_t[2]){5, 6});
    uint64_t sent_ns = clock_now_ns();
    redisReply *r = command(WORDS("EVAL", look_up, "3", "object", "k", "fence", token.p, "60000"));
    ck_assert(r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[0]->integer == 1);
    ck_assert(dlock_granted(&l, r->element[1]->integer, sent_ns, clock_now_ns()));
    ck_assert(dlock_is_held(&l, clock_now_ns()));
    freeReplyObject(r);
    r = command(WORDS("EVAL", look_up, "3", "object", "k", "fence", "other", "60000"));
    ck_assert(r->elements == 2 && r->element[0]->integer == 0 && r->element[1]->integer > 50000);
    freeReplyObject(r);
    char fence[24];
    snprintf(fence, sizeof(fence), "%lld", (long long)dlock_fence(&l));
    ck_assert_int_eq(NUMBER("EVAL", store, "2", "object", "k", token.p, fence, "new"), 1);
    dlock_released(&l);
    dlock_tick(&l, clock_now_ns());
    ck_assert(told == DLOCK_DID_END && dlock_state(&l) == DLOCK_FREE);
    ck_assert_int_eq(NUMBER("EVAL", store, "2", "object", "k", "old", "17", "old"), 0);
    r = command(WORDS("EVAL", look_up, "3", "object", "k", "fence", "other", "60000"));
    ck_assert_str_eq(r->str, "new");
    freeReplyObject(r);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("dlock_redis");
    TCase *t = tcase_create("dlock_redis");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, who_has_the_token);
    tcase_add_test(t, a_key_without_end);
    tcase_add_test(t, it_expires);
    tcase_add_test(t, numbers_grow);
    tcase_add_test(t, numbers_grow_by_one_when_the_clock_is_behind);
    tcase_add_test(t, counters_are_raised);
    tcase_add_test(t, a_lock_over_it);
    tcase_add_test(t, in_one_round_trip);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
