/*
 * cache_script_fixture.h: the cache's scripts (gateway/redis_script) in a real redis-server.
 *
 * The functions give them the keys and arguments that gateway/cache_share.c and fleet_purge.c give.
 */
#ifndef TESTS_UNIT_GATEWAY_CACHE_SCRIPT_FIXTURE_H
#define TESTS_UNIT_GATEWAY_CACHE_SCRIPT_FIXTURE_H

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/redis_script.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (10 * CLOCK_SECOND_NS)
#define VERSION     8
#define TAGS        4
#define SHORT       64 /* bytes of a key, a token, a body */
#define LONG_MS     60000
#define LONG_US     60000000
#define DIRECTORY   "/tmp/test_cache_script_XXXXXX"

/* ---- a server ---- */

static char directory[] = DIRECTORY;
static char socket_path[SHORT];
static pid_t server;
static redisContext *redis;
static char digests[REDIS_SCRIPTS][41]; /* empty: this server has not been given it */

static inline redisContext *connect_once(void)
{
    for (uint64_t until_ns = clock_now_ns() + PATIENCE_NS;;) {
        redisContext *c = redisConnectUnix(socket_path);
        if (c && !c->err)
            return c;
        redisFree(c);
        ck_assert_msg(clock_now_ns() < until_ns, "no redis-server");
        usleep(1000); /* until it is there */
    }
}

static inline void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
    fflush(NULL);
    server = fork();
    ck_assert_int_ge(server, 0);
    if (server == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
               "--dir", directory, (char *)NULL);
        _exit(127);
    }
    redis = connect_once();
}

static inline void tear_down(void)
{
    redisFree(redis);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(socket_path);
    rmdir(directory);
    strcpy(directory, DIRECTORY);
    memset(digests, 0, sizeof(digests));
}

/* ---- commands ---- */

/* The reply to a plain command, which is no error. */
__attribute__((format(printf, 1, 2))) static inline redisReply *ask(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = redisvCommand(redis, format, args);
    va_end(args);
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(r->type != REDIS_REPLY_ERROR, "%s: %s", format, r->str);
    return r;
}

#define DO(...) freeReplyObject(ask(__VA_ARGS__))

static inline long long take_number(redisReply *r)
{
    ck_assert_int_eq(r->type, REDIS_REPLY_INTEGER);
    long long n = r->integer;
    freeReplyObject(r);
    return n;
}

#define NUMBER(...) take_number(ask(__VA_ARGS__))

static inline long long field_of(const char *key, const char *field)
{
    redisReply *r = ask("HGET %s %s", key, field);
    long long n = r->str ? atoll(r->str) : -1;
    freeReplyObject(r);
    return n;
}

/* ---- scripts ---- */

struct words {
    const char *at[32];
    size_t lens[32];
    int n;
};

static inline void add_bytes(struct words *w, const char *bytes, size_t len)
{
    ck_assert_int_lt(w->n, 32);
    w->at[w->n] = bytes;
    w->lens[w->n++] = len;
}

static inline void add(struct words *w, const char *text)
{
    add_bytes(w, text, strlen(text));
}

static char number_space[32][24];

/* N as text, good for a few calls. */
static inline const char *text_of(long long n)
{
    static int turn;
    char *space = number_space[turn++ % 32];
    snprintf(space, sizeof(number_space[0]), "%lld", n);
    return space;
}

static inline const char *digest_of(enum redis_script script)
{
    if (!digests[script][0]) {
        redisReply *r = ask("SCRIPT LOAD %s", redis_script_text(script)->lua);
        snprintf(digests[script], sizeof(digests[script]), "%s", r->str);
        freeReplyObject(r);
    }
    return digests[script];
}

/* The first NKEYS words of W are keys. The reply, which may be an error. */
static inline redisReply *run(enum redis_script script, struct words *w, int nkeys)
{
    struct words all = {.n = 0};
    add(&all, "EVALSHA");
    add(&all, digest_of(script));
    add(&all, text_of(nkeys));
    for (int i = 0; i < w->n; i++)
        add_bytes(&all, w->at[i], w->lens[i]);
    redisReply *r = redisCommandArgv(redis, all.n, all.at, all.lens);
    ck_assert_ptr_nonnull(r);
    return r;
}

static char last_error[256];

/* The integer that R is, or -1 for an error, which is kept. */
static inline long long outcome(redisReply *r)
{
    long long n = -1;
    last_error[0] = '\0';
    if (r->type == REDIS_REPLY_ERROR)
        snprintf(last_error, sizeof(last_error), "%s", r->str);
    else
        ck_assert_int_eq(r->type, REDIS_REPLY_INTEGER);
    if (r->type == REDIS_REPLY_INTEGER)
        n = r->integer;
    freeReplyObject(r);
    return n;
}

/* ---- the cache ---- */

struct thing {
    const char *name, *group;
    const char *tags[TAGS + 1];
};

struct answer {
    long long found, lock, seq, fence, elapsed_ms, softened;
    char version[VERSION + 1], body[SHORT];
    size_t version_len, body_len;
    bool failed;
};

static inline const char *key_of(char *space, const char *kind, const char *name)
{
    snprintf(space, 2 * SHORT, "p:%s:%s", kind, name);
    return space;
}

static inline void copy(char *to, size_t *len, const redisReply *from)
{
    ck_assert_int_eq(from->type, REDIS_REPLY_STRING);
    ck_assert_uint_lt(from->len, SHORT);
    memcpy(to, from->str, from->len);
    to[from->len] = '\0';
    *len = from->len;
}

static inline struct answer take_answer(redisReply *r)
{
    struct answer a = {.failed = r->type == REDIS_REPLY_ERROR};
    long long *const numbers[] = {&a.found, &a.lock, &a.seq, &a.fence, &a.elapsed_ms, &a.softened};
    char version[SHORT];
    if (a.failed) {
        (void)outcome(r);
        return a;
    }
    ck_assert(r->type == REDIS_REPLY_ARRAY && r->elements == 8);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(r->element[i]->type, REDIS_REPLY_INTEGER);
        *numbers[i] = r->element[i]->integer;
    }
    copy(version, &a.version_len, r->element[6]);
    ck_assert_uint_le(a.version_len, VERSION);
    memcpy(a.version, version, a.version_len + 1);
    copy(a.body, &a.body_len, r->element[7]);
    freeReplyObject(r);
    return a;
}

struct look {
    const char *token; /* NULL: no lock */
    long long ttl_ms;  /* 0: LONG_MS */
    const char *known; /* the caller's version, NULL: none */
    bool forced;
};

static inline struct answer look_at(const struct thing *t, struct look l)
{
    char keys[3][2 * SHORT];
    struct words w = {.n = 0};
    add(&w, key_of(keys[0], "o", t->name));
    add(&w, "p:meta");
    add(&w, key_of(keys[1], "g", t->group));
    add(&w, "p:prefixes");
    add(&w, key_of(keys[2], "lock", t->name));
    add(&w, "p:fence");
    add(&w, l.token ? l.token : "");
    add(&w, text_of(l.ttl_ms ? l.ttl_ms : LONG_MS));
    add_bytes(&w, l.known ? l.known : "", l.known ? VERSION : 0);
    add(&w, t->group);
    add(&w, l.forced ? "1" : "0");
    add(&w, "p:p:");
    return take_answer(run(REDIS_CACHE_READ, &w, 6));
}

#define LOOK(t, ...) look_at(t, (struct look){__VA_ARGS__})

/* A fetch of T begins; whoever has its lock loses it. */
static inline struct answer begin(const struct thing *t, const char *token)
{
    char lock[2 * SHORT];
    DO("DEL %s", key_of(lock, "lock", t->name));
    struct answer a = LOOK(t, .token = token, .forced = true);
    ck_assert_int_eq(a.lock, 1);
    return a;
}

struct put {
    const char *token;
    long long since, fence;
    long long keep_ms, fresh_us; /* 0: long */
    bool is_stale;               /* fresh_us is 0 */
    const char *version, *body;  /* NULL: "version1", "body" */
    const char *announcement;
};

/* What REDIS_CACHE_STORE answers; -1: an error. */
static inline long long put_thing(const struct thing *t, struct put p)
{
    char keys[3][2 * SHORT], tags[TAGS][2 * SHORT];
    struct words w = {.n = 0};
    add(&w, key_of(keys[0], "o", t->name));
    add(&w, "p:meta");
    add(&w, key_of(keys[1], "g", t->group));
    add(&w, "p:prefixes");
    add(&w, key_of(keys[2], "lock", t->name));
    add(&w, "p:recent");
    for (int i = 0; t->tags[i]; i++)
        add(&w, key_of(tags[i], "t", t->tags[i]));
    int nkeys = w.n;
    add(&w, p.token ? p.token : "");
    add(&w, text_of(p.since));
    add(&w, text_of(p.fence));
    add(&w, text_of(p.keep_ms ? p.keep_ms : LONG_MS));
    add(&w, text_of(p.is_stale ? 0 : p.fresh_us ? p.fresh_us : LONG_US));
    add_bytes(&w, p.version ? p.version : "version1", VERSION);
    add(&w, t->group);
    add(&w, p.body ? p.body : "body");
    add(&w, "channel");
    add(&w, p.announcement ? p.announcement : "stored");
    add(&w, "p:p:");
    return outcome(run(REDIS_CACHE_STORE, &w, nkeys));
}

#define PUT(t, token_, since_, fence_, ...)                                                                  \
    put_thing(t, (struct put){.token = token_, .since = since_, .fence = fence_, ##__VA_ARGS__})

/* T is fetched and stored. */
static inline void make(const struct thing *t)
{
    struct answer a = begin(t, "maker");
    ck_assert_int_eq(PUT(t, "maker", a.seq, a.fence), 1);
}

static inline long long release(const struct thing *t, const char *token, const char *announcement)
{
    char lock[2 * SHORT];
    struct words w = {.n = 0};
    add(&w, key_of(lock, "lock", t->name));
    add(&w, token);
    add(&w, "channel");
    add(&w, announcement);
    return outcome(run(REDIS_CACHE_RELEASE, &w, 1));
}

static inline long long extend(const struct thing *t, const char *token, long long ttl_ms)
{
    char lock[2 * SHORT];
    struct words w = {.n = 0};
    add(&w, key_of(lock, "lock", t->name));
    add(&w, token);
    add(&w, text_of(ttl_ms));
    return outcome(run(REDIS_CACHE_EXTEND, &w, 1));
}

struct purge {
    const char *kind, *what;
    bool softly;
};

/* How many were told; -1: an error. */
static inline long long purge_telling(struct purge p, const char *channel, const char *announcement)
{
    char mark[2 * SHORT];
    struct words w = {.n = 0};
    add(&w, "p:meta");
    add(&w, "p:prefixes");
    add(&w, key_of(mark, strcmp(p.kind, "tag") == 0 ? "t" : "g", p.what));
    add(&w, "p:recent");
    add(&w, p.kind);
    add(&w, p.softly ? "1" : "0");
    add(&w, p.what);
    add(&w, channel);
    add(&w, announcement);
    return outcome(run(REDIS_CACHE_PURGE, &w, 4));
}

static inline long long try_purge(struct purge p)
{
    return purge_telling(p, "", "");
}

#define PURGE(kind_, what_, ...)                                                                             \
    ck_assert_int_eq(try_purge((struct purge){.kind = kind_, .what = what_, ##__VA_ARGS__}), 0)

static inline bool is_there(const struct thing *t)
{
    return LOOK(t, NULL).found == 1;
}

/* It is there, and counts as fresh. */
static inline bool is_fresh(const struct thing *t)
{
    struct answer a = LOOK(t, .token = "fresh?");
    if (a.lock == 1)
        release(t, "fresh?", "");
    return a.found == 1 && !a.softened && a.lock == 0;
}

#endif
