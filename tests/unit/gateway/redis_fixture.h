/* redis_fixture.h: real redis-servers, a loop with a wheel, and calls that remember what they were told. */
#ifndef TESTS_UNIT_GATEWAY_REDIS_FIXTURE_H
#define TESTS_UNIT_GATEWAY_REDIS_FIXTURE_H

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/redis_link.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define MS       UINT64_C(1000000)
#define PATIENCE (10000 * MS)

/* ---- a loop with a wheel ---- */

struct world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct wheel wheel;
};

static inline void on_tick(uv_timer_t *t)
{
    struct world *w = t->data;
    wheel_run(&w->wheel, clock_now_ns());
}

static inline void world_begin(struct world *w)
{
    uv_loop_init(&w->loop);
    wheel_init(&w->wheel, MS, clock_now_ns());
    uv_timer_init(&w->loop, &w->tick);
    w->tick.data = w;
    uv_timer_start(&w->tick, on_tick, 1, 1);
}

static inline void world_end(struct world *w)
{
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
}

/* Turn until COND holds. */
#define TURN(w, cond)                                                                                        \
    do {                                                                                                     \
        uint64_t patience_ns = clock_now_ns() + PATIENCE;                                                    \
        while (!(cond)) {                                                                                    \
            ck_assert_msg(clock_now_ns() < patience_ns, "it did not come to: %s", #cond);                    \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                                 \
        }                                                                                                    \
    } while (0)

/* ---- servers ---- */

#define SERVERS      3
#define DIRECTORY    "/tmp/test_redis_XXXXXX"
#define SERVER_WORDS 32

struct server {
    pid_t pid; /* 0: none */
    char path[64];
};

static char directory[] = DIRECTORY;
static struct server servers[SERVERS];

/* Server I with the words of MORE, which NULL ends. */
static inline void start_server_with(int i, const char *const *more)
{
    const char *words[SERVER_WORDS] = {"redis-server", "--unixsocket", servers[i].path, "--save", "",
                                       "--dir",        directory};
    int n = 7;
    while (*more)
        words[n++] = *more++;
    fflush(NULL);
    servers[i].pid = fork();
    ck_assert_int_ge(servers[i].pid, 0);
    if (servers[i].pid > 0)
        return;
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execvp(words[0], (char **)(uintptr_t)words);
    _exit(127);
}

#define START(i, ...) start_server_with(i, (const char *const[]){"--port", "0", ##__VA_ARGS__, NULL})

static inline void stop_server(int i, int signal)
{
    if (servers[i].pid > 0) {
        kill(servers[i].pid, signal);
        waitpid(servers[i].pid, NULL, 0);
    }
    servers[i].pid = 0;
    unlink(servers[i].path);
}

static inline void make_directory(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the gateway does */
    ck_assert_ptr_nonnull(mkdtemp(directory));
    for (int i = 0; i < SERVERS; i++)
        snprintf(servers[i].path, sizeof(servers[i].path), "%s/socket%d", directory, i);
}

static inline void remove_directory(void)
{
    char command[64];
    for (int i = 0; i < SERVERS; i++)
        stop_server(i, SIGKILL);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
    strcpy(directory, DIRECTORY);
}

/* A socket that listens on PORT of the loopback interface, or on a free one (0), which is told. */
static inline int open_door(uint16_t *port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t len = sizeof(addr);
    int door = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(door, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(door, 16), 0);
    getsockname(door, (struct sockaddr *)&addr, &len);
    *port = ntohs(addr.sin_port);
    return door;
}

/* ---- calls ---- */

struct ask {
    struct redis_call call; /* first */
    int done, order;
    bool has_reply;
    enum redis_kind kind;
    int64_t integer;
    size_t n;
    size_t len;
    char text[64];
};

static int order;

static inline void on_done(struct redis_call *call, const struct redis_reply *reply)
{
    struct ask *a = (struct ask *)call;
    a->done++;
    a->order = order++;
    a->has_reply = reply != NULL;
    if (!reply)
        return;
    a->kind = reply->kind;
    a->integer = reply->integer;
    a->n = reply->n;
    a->len = reply->text.len;
    if (reply->kind == REDIS_ARRAY)
        ck_assert_int_eq(redis_reply_at(reply, reply->n).kind, REDIS_NIL);
    if (reply->kind == REDIS_TEXT || reply->kind == REDIS_FAILED)
        snprintf(a->text, sizeof(a->text), "%.*s", SLICE_ARG(reply->text));
}

/* The words up to a NULL as slices; their number. */
static inline int slices_of(struct slice *to, const char *const *words)
{
    int n = 0;
    for (; words[n]; n++)
        to[n] = slice_of(words[n]);
    return n;
}

static inline bool send_words(struct redis_link *l, struct ask *a, const char *const *words)
{
    struct slice slices[REDIS_WORDS_MAX];
    *a = (struct ask){.call.done = on_done};
    return redis_link_send(l, &a->call, &(struct redis_command){slices, slices_of(slices, words)});
}

#endif
