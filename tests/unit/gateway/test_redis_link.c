/*
 * test_redis_link.c: with a real redis-server: commands and replies, who may come in, subscriptions, and what
 * becomes of all when the server stalls, dies, comes back, moves, or is none.
 */
#include "gateway/redis_link.h"

#include "tests/unit/gateway/redis_fixture.h"

struct heard {
    int n, verified;
    uint64_t sent_ns;
    char channel[32], payload[32];
};

struct one {
    struct world world;
    struct redis_link *link;
    int ups, downs, failed;
    struct heard heard;
};

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    struct one *w = ctx;
    wheel_set(&w->world.wheel, e, due_ns);
}

static void on_change(void *ctx, enum redis_state state, const char *why)
{
    struct one *w = ctx;
    ck_assert_ptr_nonnull(why);
    w->ups += state == REDIS_UP;
    w->downs += state != REDIS_UP;
}

static void on_failed(void *ctx, struct slice text)
{
    struct one *w = ctx;
    ck_assert_uint_gt(text.len, 0);
    w->failed++;
}

static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    struct one *w = ctx;
    w->heard.n++;
    snprintf(w->heard.channel, sizeof(w->heard.channel), "%.*s", SLICE_ARG(channel));
    snprintf(w->heard.payload, sizeof(w->heard.payload), "%.*s", SLICE_ARG(payload));
}

static void on_verified(void *ctx, uint64_t sent_ns)
{
    struct one *w = ctx;
    ck_assert(sent_ns >= w->heard.sent_ns && sent_ns <= clock_now_ns());
    ck_assert_int_eq(redis_link_state(w->link), REDIS_UP);
    w->heard.verified++;
    w->heard.sent_ns = sent_ns;
}

/* SETUP's loop and functions are added. */
static void begin_with(struct one *w, struct redis_link_setup setup)
{
    memset(w, 0, sizeof(*w));
    world_begin(&w->world);
    setup.loop = &w->world.loop;
    setup.set_timer = set_timer;
    setup.changed = on_change;
    setup.failed = on_failed;
    setup.message = on_message;
    setup.verified = on_verified;
    setup.ctx = w;
    w->link = redis_link_new(&setup);
    ck_assert_ptr_nonnull(w->link);
}

static void begin(struct one *w, const struct redis_node *node)
{
    begin_with(w, (struct redis_link_setup){.node = node, .seed = 7});
}

static void end(struct one *w)
{
    redis_link_free(w->link);
    world_end(&w->world);
}

static bool is_up(const struct one *w)
{
    return redis_link_state(w->link) == REDIS_UP;
}

static struct redis_node node_of(const char *password)
{
    return (struct redis_node){
        .name = "n", .address = servers[0].path, .password = password, .connect_ms = 500, .command_ms = 300};
}

#define SEND(w, a, ...) send_words((w)->link, a, (const char *const[]){__VA_ARGS__, NULL})

#define ASK(w, a, ...)                                                                                       \
    do {                                                                                                     \
        ck_assert(SEND(w, a, __VA_ARGS__));                                                                  \
        TURN(&(w)->world, (a)->done > 0);                                                                    \
    } while (0)

START_TEST(commands_are_answered_in_order)
{
    struct one w;
    struct ask a, many[1000];
    struct redis_node node = node_of(NULL);
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
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
    TURN(&w.world, many[999].done > 0);
    for (int i = 0; i < 1000; i++)
        ck_assert(many[i].done == 1 && many[i].order == i && many[i].integer == i + 1);
    ck_assert_uint_eq(redis_link_stats(w.link).sent, 1005);
    ck_assert_uint_eq(redis_link_stats(w.link).answered, 1005);
    end(&w);
}
END_TEST

START_TEST(bytes_are_kept)
{
    struct one w;
    struct ask a = {.call.done = on_done};
    struct redis_node node = node_of(NULL);
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
    const struct slice set[] = {SLICE("SET"), SLICE("b"), {"\0\r\n\xff x", 6}};
    ck_assert(redis_link_send(w.link, &a.call, &(struct redis_command){set, 3}));
    TURN(&w.world, a.done > 0);
    ASK(&w, &a, "STRLEN", "b");
    ck_assert_int_eq(a.integer, 6);
    end(&w);
}
END_TEST

START_TEST(who_comes_in)
{
    struct one w;
    struct ask a;
    struct redis_node right = node_of("secret"), wrong = node_of("guess"), none = node_of(NULL);
    right.database = 3;
    START(0, "--requirepass", "secret");
    begin(&w, &right);
    TURN(&w.world, is_up(&w));
    ASK(&w, &a, "SET", "k", "v");
    ASK(&w, &a, "MOVE", "k", "4");
    ck_assert_int_eq(a.integer, 1);
    end(&w);
    const struct redis_node *const refused[] = {&wrong, &none};
    for (int i = 0; i < 2; i++) {
        begin(&w, refused[i]);
        uint64_t until = clock_now_ns() + 400 * MS;
        while (clock_now_ns() < until) {
            uv_run(&w.world.loop, UV_RUN_ONCE);
            ck_assert(!is_up(&w) && !SEND(&w, &a, "PING"));
        }
        end(&w);
    }
}
END_TEST

START_TEST(a_server_that_comes_later)
{
    struct one w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    begin(&w, &node);
    ck_assert(!SEND(&w, &a, "PING"));
    uv_run(&w.world.loop, UV_RUN_ONCE);
    START(0);
    TURN(&w.world, is_up(&w));
    ASK(&w, &a, "PING");
    ck_assert_str_eq(a.text, "PONG");
    end(&w);
}
END_TEST

START_TEST(a_server_that_stalls)
{
    struct one w;
    struct ask late, next;
    struct redis_node node = node_of(NULL);
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
    kill(servers[0].pid, SIGSTOP);
    uint64_t begin_ns = clock_now_ns();
    ck_assert(SEND(&w, &late, "PING") && SEND(&w, &next, "PING"));
    TURN(&w.world, late.done > 0);
    ck_assert(!late.has_reply && clock_now_ns() - begin_ns >= 300 * MS);
    TURN(&w.world, !is_up(&w));
    ck_assert(next.done == 1 && !next.has_reply && !SEND(&w, &next, "PING"));
    ck_assert(w.ups == 1 && w.downs == 1);
    kill(servers[0].pid, SIGCONT);
    TURN(&w.world, is_up(&w));
    ASK(&w, &next, "PING");
    ck_assert(next.has_reply);
    end(&w);
}
END_TEST

START_TEST(a_server_that_dies)
{
    struct one w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    START(0);
    begin(&w, &node);
    for (int i = 0; i < 5; i++) {
        TURN(&w.world, is_up(&w));
        kill(servers[0].pid, SIGSTOP); /* so that it does not answer before it dies */
        ck_assert(SEND(&w, &a, "PING"));
        stop_server(0, SIGKILL);
        TURN(&w.world, a.done > 0);
        ck_assert(!a.has_reply && !is_up(&w));
        START(0);
    }
    TURN(&w.world, is_up(&w));
    ck_assert(w.ups == 6 && w.downs == 5);
    end(&w);
}
END_TEST

START_TEST(nobody_waits_any_more)
{
    struct one w;
    struct ask cancelled, a;
    struct redis_node node = node_of(NULL);
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
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

/* ---- much at once ---- */

#define MANY 10000

START_TEST(many_commands_share_a_write)
{
    static struct ask many[MANY];
    struct one w;
    struct redis_node node = node_of(NULL);
    node.command_ms = 5000;
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
    uint64_t writes = redis_link_stats(w.link).writes;
    for (int i = 0; i < MANY; i++)
        ck_assert(SEND(&w, &many[i], "INCR", "n"));
    TURN(&w.world, many[MANY - 1].done);
    for (int i = 0; i < MANY; i++)
        ck_assert(many[i].done == 1 && many[i].integer == i + 1);
    writes = redis_link_stats(w.link).writes - writes;
    ck_assert(writes > 0 && writes < 20);
    end(&w);
}
END_TEST

START_TEST(what_is_large)
{
    struct one w;
    struct ask a, last;
    struct redis_node node = node_of(NULL);
    const size_t len = (size_t)15 << 20;
    char *text = malloc(len);
    memset(text, 'x', len);
    const struct slice set[] = {SLICE("SET"), SLICE("k"), {text, len}};
    node.command_ms = 5000;
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
    a = (struct ask){.call.done = on_done};
    ck_assert(redis_link_send(w.link, &a.call, &(struct redis_command){set, 3}));
    last = (struct ask){.call.done = on_done};
    ck_assert(!redis_link_send(w.link, &last.call, &(struct redis_command){set, 3})); /* too much waits */
    ASK(&w, &last, "GET", "k");
    ck_assert(a.done == 1 && strcmp(a.text, "OK") == 0 && last.len == len);
    ck_assert(!redis_link_send(w.link, &last.call, &(struct redis_command){set, 0}));
    ck_assert(!redis_link_send(w.link, &last.call, &(struct redis_command){set, REDIS_WORDS_MAX + 1}));
    ck_assert_uint_eq(redis_link_stats(w.link).refused, 3);
    free(text);
    end(&w);
}
END_TEST

/* ---- a subscription ---- */

static const struct slice channels[] = {SLICE("one"), SLICE("two")};

static struct redis_link_setup subscription_of(const struct redis_node *node)
{
    return (struct redis_link_setup){
        .node = node, .seed = 7, .channels = channels, .nchannels = 2, .ping_ms = 20};
}

START_TEST(a_subscription)
{
    struct one w, other;
    struct ask a;
    struct redis_node node = node_of("secret");
    START(0, "--requirepass", "secret");
    begin_with(&w, subscription_of(&node));
    begin(&other, &node);
    TURN(&other.world, is_up(&other));
    TURN(&w.world, is_up(&w));
    ck_assert(w.heard.verified == 1 && !SEND(&w, &a, "PING"));
    ASK(&other, &a, "PUBLISH", "two", "hello");
    ck_assert_int_eq(a.integer, 1);
    TURN(&w.world, w.heard.n == 1);
    ck_assert_str_eq(w.heard.channel, "two");
    ck_assert_str_eq(w.heard.payload, "hello");
    TURN(&w.world, w.heard.verified >= 5); /* it takes PINGs */
    kill(servers[0].pid, SIGSTOP);
    uint64_t begin_ns = clock_now_ns();
    TURN(&w.world, !is_up(&w));
    ck_assert_str_eq(redis_link_why(w.link), "no answer in time");
    ck_assert(clock_now_ns() - begin_ns >= 250 * MS && w.ups == 1 && w.downs == 1);
    kill(servers[0].pid, SIGCONT);
    TURN(&w.world, is_up(&w));
    ck_assert_int_eq(w.heard.n, 1);
    end(&other);
    end(&w);
}
END_TEST

/* ---- where it is ---- */

START_TEST(a_server_that_moves)
{
    struct one w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    node.address = NULL;
    START(0);
    START(1);
    begin(&w, &node);
    for (int i = 0; i < 20; i++)
        uv_run(&w.world.loop, UV_RUN_ONCE);
    ck_assert_int_eq(redis_link_state(w.link), REDIS_DOWN);
    redis_link_set_address(w.link, servers[0].path);
    TURN(&w.world, is_up(&w));
    ASK(&w, &a, "SET", "k", "first");
    ck_assert(SEND(&w, &a, "BLPOP", "none", "1"));
    redis_link_set_address(w.link, servers[1].path);
    ck_assert_int_eq(a.done, 0); /* told from the loop only */
    TURN(&w.world, a.done);
    ck_assert(!a.has_reply);
    TURN(&w.world, is_up(&w));
    ASK(&w, &a, "GET", "k");
    ck_assert(a.has_reply && a.kind == REDIS_NIL);
    redis_link_set_address(w.link, servers[1].path); /* as it is: nothing happens */
    ASK(&w, &a, "PING");
    ck_assert(a.has_reply && w.ups == 2 && w.downs == 1);
    redis_link_set_address(w.link, NULL);
    TURN(&w.world, !is_up(&w));
    redis_link_set_address(w.link, servers[0].path);
    TURN(&w.world, is_up(&w));
    ASK(&w, &a, "GET", "k");
    ck_assert_str_eq(a.text, "first");
    end(&w);
}
END_TEST

/* ---- who ends it from inside ---- */

static struct one *ended;

static void free_link(struct redis_call *call, const struct redis_reply *reply)
{
    on_done(call, reply);
    redis_link_free(ended->link);
    ended->link = NULL;
}

START_TEST(a_link_that_is_freed_by_whom_it_calls)
{
    struct one w;
    struct ask first, second;
    struct redis_node node = node_of(NULL);
    START(0);
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        begin(&w, &node);
        ended = &w;
        TURN(&w.world, is_up(&w));
        ck_assert(SEND(&w, &first, "PING") && SEND(&w, &second, "PING"));
        first.call.done = free_link;
        if (is_killed)
            stop_server(0, SIGKILL);
        TURN(&w.world, first.done);
        ck_assert(!w.link && second.done == 0 && first.has_reply == !is_killed);
        end(&w);
    }
}
END_TEST

START_TEST(an_error_is_told_twice)
{
    struct one w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
    ASK(&w, &a, "PING");
    ck_assert_int_eq(w.failed, 0);
    ASK(&w, &a, "EVALSHA", "0123456789012345678901234567890123456789", "0");
    ck_assert(w.failed == 1 && a.kind == REDIS_FAILED && strncmp(a.text, "NOSCRIPT", 8) == 0);
    end(&w);
}
END_TEST

/* A turn of ours that is longer than a deadline is not the node's fault. */
START_TEST(a_turn_that_is_long)
{
    struct one w;
    struct ask a;
    struct redis_node node = node_of(NULL);
    node.command_ms = 30;
    START(0);
    begin(&w, &node);
    TURN(&w.world, is_up(&w));
    for (int i = 0; i < 5; i++) {
        ck_assert(SEND(&w, &a, "PING"));
        uv_run(&w.world.loop, UV_RUN_NOWAIT);
        uint64_t until_ns = clock_now_ns() + 60 * MS;
        while (clock_now_ns() < until_ns)
            ; /* busy */
        TURN(&w.world, a.done);
        ck_assert(a.has_reply);
    }
    ck_assert_int_eq(w.downs, 0);
    end(&w);
}
END_TEST

/* ---- a server that is none ---- */

/* A link of SETUP that hears TEXT goes down for it. */
static void check_goes_down(int door, struct redis_link_setup setup, const char *text)
{
    struct one w;
    begin_with(&w, setup);
    int conn = accept(door, NULL, NULL);
    ck_assert(write(conn, text, strlen(text)) > 0);
    TURN(&w.world, redis_link_state(w.link) == REDIS_DOWN);
    ck_assert_str_ne(redis_link_why(w.link), "");
    end(&w);
    close(conn);
}

START_TEST(what_makes_no_sense)
{
    static const char *const to_all[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                         "$-5\r\n",
                                         "*-7\r\n",
                                         ":\r\n",
                                         "+OK\r\n+PONG\r\n+PONG\r\n+PONG\r\n",
                                         "+PONG\r\n+PONG\r\n",
                                         "-NOAUTH Authentication required.\r\n",
                                         "$999999999999\r\n",
                                         "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"};
    static const char *const to_subscribers[] = {
        "+PONG\r\n*0\r\n",
        "+PONG\r\n-ERR unknown command\r\n",
        "+PONG\r\n*3\r\n:1\r\n:2\r\n:3\r\n",
        "+PONG\r\n*1\r\n$7\r\nmessage\r\n",
        "+PONG\r\n*3\r\n$7\r\nmessage\r\n:1\r\n$-1\r\n",
        "+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n",
        "+PONG\r\n*1\r\n$9\r\nsubscribe\r\n*1\r\n$9\r\nsubscribe\r\n*1\r\n$9\r\nsubscribe\r\n",
    };
    uint16_t port = 0;
    int door = open_door(&port);
    struct redis_node node = {
        .name = "n", .address = "127.0.0.1", .port = port, .connect_ms = 60, .command_ms = 60};
    for (size_t i = 0; i < sizeof(to_all) / sizeof(to_all[0]); i++) {
        check_goes_down(door, (struct redis_link_setup){.node = &node}, to_all[i]);
        check_goes_down(door, subscription_of(&node), to_all[i]);
    }
    for (size_t i = 0; i < sizeof(to_subscribers) / sizeof(to_subscribers[0]); i++)
        check_goes_down(door, subscription_of(&node), to_subscribers[i]);
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
    tcase_add_test(t, many_commands_share_a_write);
    tcase_add_test(t, what_is_large);
    tcase_add_test(t, a_subscription);
    tcase_add_test(t, a_server_that_moves);
    tcase_add_test(t, a_link_that_is_freed_by_whom_it_calls);
    tcase_add_test(t, an_error_is_told_twice);
    tcase_add_test(t, a_turn_that_is_long);
    tcase_add_test(t, what_makes_no_sense);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
