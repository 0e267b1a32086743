/*
 * test_redis_link.c: with a real redis-server: commands and replies, who may come in, and what becomes of
 * both when the server stalls, dies, comes back, or is none.
 */
#include "gateway/redis_link.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/unit.h"

#define MS       UINT64_C(1000000)
#define PATIENCE (10000 * MS)

/* ---- a loop with a wheel ---- */

struct world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct wheel wheel;
    struct redis_link *link;
    int ups, downs;
};

static void on_tick(uv_timer_t *t)
{
    struct world *w = t->data;
    wheel_run(&w->wheel, clock_now_ns());
}

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    struct world *w = ctx;
    wheel_set(&w->wheel, e, due_ns);
}

static void on_change(void *ctx, enum redis_state state, const char *why)
{
    struct world *w = ctx;
    ck_assert_ptr_nonnull(why);
    w->ups += state == REDIS_UP;
    w->downs += state != REDIS_UP;
}

static void begin(struct world *w, const struct redis_node *node)
{
    memset(w, 0, sizeof(*w));
    uv_loop_init(&w->loop);
    wheel_init(&w->wheel, MS, clock_now_ns());
    uv_timer_init(&w->loop, &w->tick);
    w->tick.data = w;
    uv_timer_start(&w->tick, on_tick, 1, 1);
    w->link = redis_link_new(&(struct redis_link_setup){
        .loop = &w->loop, .node = node, .set_timer = set_timer, .seed = 7, .changed = on_change, .ctx = w});
    ck_assert_ptr_nonnull(w->link);
}

static void end(struct world *w)
{
    redis_link_free(w->link);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
}

static bool is_up(struct world *w)
{
    return redis_link_state(w->link) == REDIS_UP;
}

static bool is_not_up(struct world *w)
{
    return !is_up(w);
}

static void turn_until(struct world *w, bool (*holds)(struct world *w), const char *what)
{
    uint64_t until = clock_now_ns() + PATIENCE;
    while (!holds(w)) {
        ck_assert_msg(clock_now_ns() < until, "it did not come to: %s", what);
        uv_run(&w->loop, UV_RUN_ONCE);
    }
}

/* ---- a server ---- */

static char directory[] = "/tmp/test_redis_XXXXXX";
static char socket_path[64];
static pid_t server;

static void start_server(const char *password)
{
    server = fork();
    ck_assert_int_ge(server, 0);
    if (server > 0)
        return;
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "", "--dir",
           directory, "--requirepass", password, (char *)NULL);
    _exit(127);
}

static void stop_server(int signal)
{
    if (server > 0) {
        kill(server, signal);
        waitpid(server, NULL, 0);
    }
    server = 0;
    unlink(socket_path);
}

static void make_directory(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the gateway does */
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
}

static void remove_directory(void)
{
    stop_server(SIGKILL);
    rmdir(directory);
    strcpy(directory, "/tmp/test_redis_XXXXXX");
}

static struct redis_node node_of(const char *password)
{
    return (struct redis_node){
        .name = "n", .address = socket_path, .password = password, .connect_ms = 500, .command_ms = 300};
}

/* ---- commands ---- */

struct ask {
    struct redis_call call; /* first */
    int done, order;
    bool has_reply;
    enum redis_kind kind;
    int64_t integer;
    size_t n;
    char text[64];
};

static int order;
static struct ask *awaited;

static void on_done(struct redis_call *call, const struct redis_reply *reply)
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
    if (reply->kind == REDIS_ARRAY)
        ck_assert_int_eq(redis_reply_at(reply, reply->n).kind, REDIS_NIL);
    if (reply->kind == REDIS_TEXT || reply->kind == REDIS_FAILED)
        snprintf(a->text, sizeof(a->text), "%.*s", SLICE_ARG(reply->text));
}

static bool is_done(struct world *w)
{
    (void)w;
    return awaited->done > 0;
}

static bool send_words(struct world *w, struct ask *a, const char *const *words)
{
    struct slice slices[REDIS_WORDS_MAX];
    struct redis_command c = {slices, 0};
    *a = (struct ask){.call.done = on_done};
    while (words[c.n]) {
        slices[c.n] = slice_of(words[c.n]);
        c.n++;
    }
    return redis_link_send(w->link, &a->call, &c);
}

#define SEND(w, a, ...) send_words(w, a, (const char *const[]){__VA_ARGS__, NULL})

#define ASK(w, a, ...)                                                                                       \
    do {                                                                                                     \
        ck_assert(SEND(w, a, __VA_ARGS__));                                                                  \
        awaited = a;                                                                                         \
        turn_until(w, is_done, "a reply");                                                                   \
    } while (0)

START_TEST(commands_are_answered_in_order)
{
    struct world w;
    struct ask a, many[1000];
    struct redis_node node = node_of(NULL);
    start_server("");
    begin(&w, &node);
    turn_until(&w, is_up, "up");
    ASK(&w, &a, "SET", "k", "v");
    ck_assert(a.kind == REDIS_TEXT && strcmp(a.text, "OK") == 0);
    ASK(&w, &a, "GET", "k");
    ck_assert(a.kind == REDIS_TEXT && strcmp(a.text, "v") == 0);
    ASK(&w, &a, "GET", "none");
    ck_assert(a.has_reply && a.kind == REDIS_NIL);
    ASK(&w, &a, "NONSENSE");
    ck_assert(a.kind == REDIS_FAILED && strncmp(a.text, "ERR", 3) == 0);
    ASK(&w, &a, "MGET", "k", "none", "k");
    ck_assert(a.kind == REDIS_ARRAY && a.n == 3);
    order = 0;
    for (int i = 0; i < 1000; i++)
        ck_assert(SEND(&w, &many[i], "INCR", "n"));
    awaited = &many[999];
    turn_until(&w, is_done, "the last reply");
    for (int i = 0; i < 1000; i++)
        ck_assert(many[i].done == 1 && many[i].order == i && many[i].integer == i + 1);
    ck_assert_uint_eq(redis_link_stats(w.link).sent, 1005);
    ck_assert_uint_eq(redis_link_stats(w.link).answered, 1005);
    end(&w);
}
END_TEST

START_TEST(bytes_are_kept)
{
    struct world w;
    struct ask a = {.call.done = on_done};
    struct redis_node node = node_of(NULL);
    start_server("");
    begin(&w, &node);
    turn_until(&w, is_up, "up");
    const struct slice set[] = {SLICE("SET"), SLICE("b"), {"\0\r\n\xff x", 6}};
    ck_assert(redis_link_send(w.link, &a.call, &(struct redis_command){set, 3}));
    awaited = &a;
    turn_until(&w, is_done, "a reply");
    ASK(&w, &a, "STRLEN", "b");
    ck_assert_int_eq(a.integer, 6);
    end(&w);
}
END_TEST

START_TEST(who_comes_in)
{
    struct world w;
    struct ask a;
    struct redis_node right = node_of("secret"), wrong = node_of("guess"), none = node_of(NULL);
    right.database = 3;
    start_server("secret");
    begin(&w, &right);
    turn_until(&w, is_up, "up");
    ASK(&w, &a, "SET", "k", "v");
    ASK(&w, &a, "MOVE", "k", "4");
    ck_assert_int_eq(a.integer, 1);
    end(&w);
    const struct redis_node *const refused[] = {&wrong, &none};
    for (int i = 0; i < 2; i++) {
        begin(&w, refused[i]);
        uint64_t until = clock_now_ns() + 400 * MS;
        while (clock_now_ns() < until) {
            uv_run(&w.loop, UV_RUN_ONCE);
            ck_assert(!is_up(&w) && !SEND(&w, &a, "PING"));
        }
        end(&w);
    }
}
END_TEST

START_TEST(a_server_that_comes_later)
{
    struct world w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    begin(&w, &node);
    ck_assert(!SEND(&w, &a, "PING"));
    uv_run(&w.loop, UV_RUN_ONCE);
    start_server("");
    turn_until(&w, is_up, "up");
    ASK(&w, &a, "PING");
    ck_assert_str_eq(a.text, "PONG");
    end(&w);
}
END_TEST

START_TEST(a_server_that_stalls)
{
    struct world w;
    struct ask late, next;
    struct redis_node node = node_of(NULL);
    start_server("");
    begin(&w, &node);
    turn_until(&w, is_up, "up");
    kill(server, SIGSTOP);
    uint64_t begin_ns = clock_now_ns();
    ck_assert(SEND(&w, &late, "PING") && SEND(&w, &next, "PING"));
    awaited = &late;
    turn_until(&w, is_done, "its deadline");
    ck_assert(!late.has_reply && clock_now_ns() - begin_ns >= 300 * MS);
    turn_until(&w, is_not_up, "down");
    ck_assert(next.done == 1 && !next.has_reply && !SEND(&w, &next, "PING"));
    ck_assert(w.ups == 1 && w.downs == 1);
    kill(server, SIGCONT);
    turn_until(&w, is_up, "up again");
    ASK(&w, &next, "PING");
    ck_assert(next.has_reply);
    end(&w);
}
END_TEST

START_TEST(a_server_that_dies)
{
    struct world w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    start_server("");
    begin(&w, &node);
    for (int i = 0; i < 5; i++) {
        turn_until(&w, is_up, "up");
        kill(server, SIGSTOP); /* so that it does not answer before it dies */
        ck_assert(SEND(&w, &a, "PING"));
        stop_server(SIGKILL);
        awaited = &a;
        turn_until(&w, is_done, "the news");
        ck_assert(!a.has_reply && !is_up(&w));
        start_server("");
    }
    turn_until(&w, is_up, "up");
    ck_assert(w.ups == 6 && w.downs == 5);
    end(&w);
}
END_TEST

START_TEST(nobody_waits_any_more)
{
    struct world w;
    struct ask cancelled, a;
    struct redis_node node = node_of(NULL);
    start_server("");
    begin(&w, &node);
    turn_until(&w, is_up, "up");
    ck_assert(SEND(&w, &cancelled, "SET", "k", "v"));
    redis_call_cancel(&cancelled.call);
    redis_call_cancel(&cancelled.call);
    ASK(&w, &a, "GET", "k");
    ck_assert(cancelled.done == 0 && strcmp(a.text, "v") == 0);
    ck_assert(SEND(&w, &a, "PING"));
    end(&w); /* with one under way */
    ck_assert_int_eq(a.done, 0);
}
END_TEST

/* ---- a server that is none ---- */

START_TEST(what_makes_no_sense)
{
    static const char *const nonsense[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                           "$-5\r\n",
                                           "*-7\r\n",
                                           ":\r\n",
                                           "+OK\r\n+PONG\r\n+PONG\r\n+PONG\r\n",
                                           "$999999999999\r\n",
                                           "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"};
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int door = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(door, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(door, 16), 0);
    getsockname(door, (struct sockaddr *)&addr, &len);
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        struct redis_node node = {.name = "n",
                                  .address = "127.0.0.1",
                                  .port = ntohs(addr.sin_port),
                                  .connect_ms = 60,
                                  .command_ms = 60};
        struct world w;
        begin(&w, &node);
        int conn = accept(door, NULL, NULL);
        ck_assert(write(conn, nonsense[i], strlen(nonsense[i])) > 0);
        uint64_t until = clock_now_ns() + 40 * MS;
        while (clock_now_ns() < until)
            uv_run(&w.loop, UV_RUN_ONCE);
        end(&w);
        close(conn);
    }
    close(door);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("redis_link");
    TCase *t = tcase_create("redis_link");
    tcase_add_checked_fixture(t, make_directory, remove_directory);
    tcase_add_test(t, commands_are_answered_in_order);
    tcase_add_test(t, bytes_are_kept);
    tcase_add_test(t, who_comes_in);
    tcase_add_test(t, a_server_that_comes_later);
    tcase_add_test(t, a_server_that_stalls);
    tcase_add_test(t, a_server_that_dies);
    tcase_add_test(t, nobody_waits_any_more);
    tcase_add_test(t, what_makes_no_sense);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
