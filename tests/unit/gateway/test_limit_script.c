/*
 * test_limit_script.c: REDIS_LIMIT_TAKE (gateway/redis_script) in a real redis-server, step by step against
 * the same arithmetic in C (lease_fixture.h), at times that the test sets; and with the server's own clock.
 */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/redis_script.h"
#include "lib/clock.h"
#include "lib/random.h"
#include "tests/unit/lib/lease_fixture.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define BEGIN  INT64_C(1900000000000000) /* microseconds since 1970 */

static char directory[] = "/tmp/test_script_XXXXXX";
static char socket_path[64];
static pid_t server;
static redisContext *redis;

static void stop(void)
{
    if (redis)
        redisFree(redis);
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    unlink(socket_path);
    rmdir(directory);
}

static void start(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
    server = fork();
    ck_assert_int_ge(server, 0);
    if (server == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
               "--dir", directory, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 2000 && (!redis || redis->err); i++) {
        if (redis)
            redisFree(redis);
        redis = redisConnectUnix(socket_path);
        usleep(redis && redis->err ? 5000 : 0); /* until the server is there */
    }
    ck_assert(redis && !redis->err);
}

/* TEXT with WHAT replaced by WITH, once. */
static void replace(char *text, size_t cap, const char *what, const char *with)
{
    char *at = strstr(text, what);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_lt(strlen(text) + strlen(with), cap);
    memmove(at + strlen(with), at + strlen(what), strlen(at + strlen(what)) + 1);
    memcpy(at, with, strlen(with));
}

/* The script at the time of the last argument, with keys that stay. */
static const char *timeless(void)
{
    static char text[8192];
    strcpy(text, redis_script_text(REDIS_LIMIT_TAKE)->lua);
    replace(text, sizeof(text), "redis.call('TIME')", "{0, ARGV[13]}");
    replace(text, sizeof(text), "'PX',", "'PX', 100000000 + 0 *");
    return text;
}

static struct lease_reply run(const char *lua, const struct lease_rate *r, const struct lease_ask *ask,
                              uint64_t owed, int64_t now)
{
    redisReply *reply = redisCommand(
        redis, "EVAL %s 1 bucket %llu %llu %llu %llu %llu %llu %llu %lld %llu %llu %llu %llu %lld", lua,
        (unsigned long long)r->parts, (unsigned long long)r->refill, (unsigned long long)r->burst,
        (unsigned long long)r->life_ns / 1000, (unsigned long long)ask->want,
        (unsigned long long)ask->at_least, (unsigned long long)ask->back, (long long)ask->stamp,
        (unsigned long long)ask->full_in_ns / 1000, (unsigned long long)owed,
        (unsigned long long)ask->down_ns / 1000, (unsigned long long)ask->spent, (long long)now);
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->type == REDIS_REPLY_ARRAY && reply->elements == 5, "%s", reply->str);
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(reply->element[i]->type, REDIS_REPLY_INTEGER);
    struct lease_reply out = {
        .granted = (uint64_t)reply->element[0]->integer,
        .remaining = (uint64_t)reply->element[1]->integer,
        .retry_us = (uint64_t)reply->element[2]->integer,
        .full_us = (uint64_t)reply->element[3]->integer,
        .stamp = reply->element[4]->integer,
    };
    freeReplyObject(reply);
    return out;
}

static void forget(void)
{
    freeReplyObject(redisCommand(redis, "FLUSHALL"));
}

static struct lease_rate rate_of(uint64_t count, uint64_t period_ns, uint64_t burst, bool is_exact)
{
    struct token_rate tokens;
    struct lease_rate r;
    ck_assert(token_rate_init(&tokens, count, period_ns, burst));
    lease_rate_init(&r, &tokens, is_exact);
    return r;
}

/* N asks of all kinds at random times. */
static void compare(struct lease_rate r, uint64_t seed, int n)
{
    struct random random;
    struct fake_bucket fake = {0};
    const char *lua = timeless();
    int64_t now = BEGIN, stamp = 0, window = (int64_t)(r.burst * r.parts / r.refill);
    random_seed_with(&random, seed);
    forget();
    for (int i = 0; i < n; i++) {
        uint64_t dice = random_next(&random);
        struct lease_ask ask = {
            .want = 1 + random_below(random_next(&random), r.burst),
            .at_least = dice % 3,
            .back = dice / 8 % 4 == 0 ? random_below(random_next(&random), 5) : 0,
            .spent = dice / 4096 % 4 == 0 ? random_below(random_next(&random), 9) : 0,
            .stamp = stamp,
            .full_in_ns = dice / 64 % 2 ? random_below(random_next(&random), (uint64_t)window) * 1000 : 0,
            .down_ns = random_below(random_next(&random), (uint64_t)window) * 1000,
        };
        uint64_t owed = dice / 256 % 8 == 0 ? random_below(random_next(&random), r.burst) : 0;
        struct lease_reply real = run(lua, &r, &ask, owed, now), same = fake_take(&fake, &r, &ask, owed, now);
        fake.gone_at = fake.is_there ? INT64_MAX : 0;
        ck_assert_uint_eq(real.granted, same.granted);
        ck_assert_uint_eq(real.remaining, same.remaining);
        ck_assert_uint_eq(real.retry_us, same.retry_us);
        ck_assert_uint_eq(real.full_us, same.full_us);
        ck_assert_int_eq(real.stamp, same.stamp);
        stamp = real.stamp;
        now += (int64_t)random_below(random_next(&random), (uint64_t)window / (dice % 7 == 0 ? 1 : 8) + 1);
    }
}

START_TEST(script_is_its_arithmetic)
{
    compare(rate_of(1000, SECOND, 100, false), 1, 3000);
    compare(rate_of(1000, 3 * SECOND, 70, false), 2, 2000);
    compare(rate_of(1000000, SECOND, 100000, false), 3, 1000);
    compare(rate_of(999999, SECOND, 100000, false), 4, 1000);
    compare(rate_of(10, SECOND, 20, false), 5, 1000);
    compare(rate_of(1, 86400 * SECOND, 3, false), 6, 1000);
    compare(rate_of(1000, SECOND, 100, true), 7, 1000);
}
END_TEST

START_TEST(bucket_goes_when_it_is_full)
{
    struct lease_rate r = rate_of(100, SECOND, 10, true);
    struct lease_ask ask = {.want = 10, .at_least = 1};
    const char *lua = redis_script_text(REDIS_LIMIT_TAKE)->lua;
    forget();
    struct lease_reply reply = run(lua, &r, &ask, 0, 0);
    ck_assert_uint_eq(reply.granted, 10);
    ck_assert_uint_eq(reply.full_us, 100000);
    redisReply *ttl = redisCommand(redis, "PTTL bucket");
    ck_assert_int_gt(ttl->integer, 20);
    ck_assert_int_le(ttl->integer, 102);
    freeReplyObject(ttl);
}
END_TEST

START_TEST(bucket_that_was_lost_begins_as_it_was)
{
    struct lease_rate r = rate_of(1, SECOND, 10, true);
    struct lease_ask ask = {.want = 10, .at_least = 1, .full_in_ns = 8 * SECOND, .down_ns = SECOND};
    const char *lua = redis_script_text(REDIS_LIMIT_TAKE)->lua;
    forget();
    ck_assert_uint_eq(run(lua, &r, &ask, 5, 0).granted, 2);
    ck_assert_uint_eq(run(lua, &r, &ask, 5, 0).granted, 0);
}
END_TEST

START_TEST(tokens_spent_without_the_bucket_are_owed)
{
    struct lease_rate r = rate_of(1, SECOND, 10, true);
    struct lease_ask ask = {.want = 1, .at_least = 1};
    const char *lua = timeless();
    forget();
    ck_assert_uint_eq(run(lua, &r, &ask, 0, BEGIN).remaining, 9);
    ask.down_ns = SECOND / 2; /* it is older than that */
    ck_assert_uint_eq(run(lua, &r, &ask, 3, BEGIN + 1000000).remaining, 6);
    ask.down_ns = 10 * SECOND; /* it was made since, with what the others knew */
    ck_assert_uint_eq(run(lua, &r, &ask, 3, BEGIN + 1000000).remaining, 5);
}
END_TEST

START_TEST(clock_that_is_set_back_gives_nothing)
{
    struct lease_rate r = rate_of(1000, SECOND, 100, false);
    struct lease_ask ask = {.want = 100, .at_least = 1};
    const char *lua = timeless();
    forget();
    ck_assert_uint_eq(run(lua, &r, &ask, 0, BEGIN).granted, 100);
    ck_assert_uint_eq(run(lua, &r, &ask, 0, BEGIN - 3600 * INT64_C(1000000)).granted, 0);
    ck_assert_uint_ge(run(lua, &r, &ask, 0, BEGIN - 3599 * INT64_C(1000000)).granted, 100);
}
END_TEST

START_TEST(nonsense_in_the_bucket_is_an_error_and_not_a_grant)
{
    freeReplyObject(redisCommand(redis, "SET bucket nonsense"));
    redisReply *reply = redisCommand(redis, "EVAL %s 1 bucket 1000 1 100 0 1 1 0 0 0 0 0 0",
                                     redis_script_text(REDIS_LIMIT_TAKE)->lua);
    ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    forget();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("limit_script");
    TCase *c = tcase_create("script");
    tcase_add_unchecked_fixture(c, start, stop);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, script_is_its_arithmetic);
    tcase_add_test(c, bucket_goes_when_it_is_full);
    tcase_add_test(c, bucket_that_was_lost_begins_as_it_was);
    tcase_add_test(c, tokens_spent_without_the_bucket_are_owed);
    tcase_add_test(c, clock_that_is_set_back_gives_nothing);
    tcase_add_test(c, nonsense_in_the_bucket_is_an_error_and_not_a_grant);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
