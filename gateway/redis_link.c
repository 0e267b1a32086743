/*
 * redis_link.c: see redis_link.h.
 *
 * What was sent waits in a ring, oldest first, for a reply each. A command's call may go away before its
 * reply comes; its place in the ring stays. A command's deadline counts from when it is written, at the end
 * of the turn: a long turn of ours is not the node's fault. For the same reason a link that finds itself late
 * looks first whether the answer has come.
 *
 * The timer is not moved with every reply: it fires for what was the oldest once, and is set again for what
 * is the oldest now.
 *
 * A link that is freed by a function it has called lives until it is left (`depth`).
 */
#include "gateway/redis_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/redis_connection.h"
#include "lib/clock.h"
#include "lib/random.h"

#define MS            CLOCK_MILLISECOND_NS
#define BACKOFF_FIRST (UINT64_C(50) * MS)
#define BACKOFF_LAST  (UINT64_C(250) * MS)
#define PONG_LEAST_MS 250
#define PENDING_FIRST ((size_t)64)
#define PENDING_MAX   ((size_t)1 << 18)
#define ADDRESS_SIZE  128 /* more than a path of a socket may have */

struct pending {
    struct redis_call *call; /* NULL: nobody waits any more, or it is part of the greeting */
    uint64_t due_ns;
};

struct redis_link {
    struct redis_link_setup setup;
    enum redis_state state;
    struct redis_connection *connection; /* NULL: none */
    struct wheel_entry timer; /* to connect again, to give up connecting, for the oldest, to PING */
    uint64_t backoff_ns;
    struct random random;
    struct pending *ring;
    size_t cap;                   /* of the ring, a power of 2 */
    uint64_t head, tail, undated; /* oldest, behind the newest, the first without a deadline */
    size_t greetings;             /* replies to the greeting that are still to come */
    size_t unconfirmed;           /* channels */
    uint64_t asked_ns;            /* when SUBSCRIBE or the last PING was sent */
    bool is_asked;                /* and is not answered */
    bool is_moved;                /* has another address than its connection */
    bool is_closing;
    unsigned depth; /* entries from the loop that are under way */
    struct redis_link_stats stats;
    char address[ADDRESS_SIZE]; /* empty: not known */
    char why[160];
};

/* ---- from the loop and back ---- */

static void enter(struct redis_link *l)
{
    l->depth++;
}

static void leave(struct redis_link *l)
{
    if (--l->depth > 0 || !l->is_closing)
        return;
    free(l->ring);
    free(l);
}

/* ---- state ---- */

static void set_state(struct redis_link *l, enum redis_state state, const char *why)
{
    bool was_up = l->state == REDIS_UP;
    l->state = state;
    if (state == REDIS_DOWN && why != l->why)
        snprintf(l->why, sizeof(l->why), "%s", why);
    if (l->setup.changed && !l->is_closing && (state == REDIS_UP) != was_up)
        l->setup.changed(l->setup.ctx, state, why);
}

static void set_timer(struct redis_link *l, uint64_t due_ns)
{
    if (!l->is_closing)
        l->setup.set_timer(l->setup.ctx, &l->timer, l->is_moved ? 0 : due_ns);
}

static void stop_timer(struct redis_link *l)
{
    if (!l->is_moved)
        wheel_cancel(&l->timer);
}

static void close_connection(struct redis_link *l)
{
    struct redis_connection *c = l->connection;
    l->connection = NULL;
    if (!c)
        return;
    l->stats.writes += redis_connection_writes(c);
    redis_connection_close(c);
}

static struct redis_call *take_oldest(struct redis_link *l)
{
    struct redis_call *call = l->ring[l->head++ & (l->cap - 1)].call;
    if (l->undated < l->head)
        l->undated = l->head;
    if (call)
        call->pending = NULL;
    return call;
}

/* The connection is no good: everything that waits hears so. */
static void end_connection(struct redis_link *l, const char *why)
{
    close_connection(l);
    set_state(l, REDIS_DOWN, why);
    l->greetings = l->unconfirmed = 0;
    l->is_asked = false;
    while (l->head < l->tail) {
        struct redis_call *call = take_oldest(l);
        if (call)
            call->done(call, NULL);
    }
}

/* As end_connection, and it is tried again after a while. WHY may be the connection's. */
static void go_down(struct redis_link *l, const char *why)
{
    char kept[sizeof(l->why)];
    snprintf(kept, sizeof(kept), "%s", why);
    end_connection(l, kept);
    if (l->is_closing)
        return;
    set_timer(l, clock_now_ns() + l->backoff_ns / 2 + random_below(random_next(&l->random), l->backoff_ns));
    l->backoff_ns = l->backoff_ns * 2 < BACKOFF_LAST ? l->backoff_ns * 2 : BACKOFF_LAST;
}

/* ---- writing ---- */

/* The deadlines of what was sent in this turn, of ours. */
static void set_deadlines(struct redis_link *l)
{
    if (l->undated == l->tail)
        return;
    uint64_t due_ns = clock_now_ns() + l->setup.node->command_ms * MS;
    while (l->undated < l->tail)
        l->ring[l->undated++ & (l->cap - 1)].due_ns = due_ns;
    if (l->state == REDIS_UP && !wheel_is_set(&l->timer))
        set_timer(l, due_ns);
}

static bool has_place(struct redis_link *l)
{
    if (l->tail - l->head < l->cap)
        return true;
    size_t cap = l->cap ? l->cap * 2 : PENDING_FIRST;
    struct pending *ring = cap <= PENDING_MAX ? malloc(cap * sizeof(*ring)) : NULL;
    if (!ring)
        return false;
    for (uint64_t i = l->head; i < l->tail; i++)
        ring[i & (cap - 1)] = l->ring[i & (l->cap - 1)];
    free(l->ring);
    l->ring = ring;
    l->cap = cap;
    return true;
}

/* CALL is NULL for the greeting. */
static bool ask(struct redis_link *l, struct redis_call *call, const struct redis_command *command)
{
    if (!has_place(l) || !redis_connection_add(l->connection, command))
        return false;
    if (call) {
        call->pending = l;
        call->place = l->tail;
    }
    l->ring[l->tail++ & (l->cap - 1)].call = call;
    return true;
}

bool redis_link_send(struct redis_link *l, struct redis_call *call, const struct redis_command *command)
{
    if (l->state != REDIS_UP || l->setup.nchannels > 0 || !ask(l, call, command)) {
        l->stats.refused++;
        return false;
    }
    l->stats.sent++;
    return true;
}

void redis_call_cancel(struct redis_call *call)
{
    struct redis_link *l = call->pending;
    if (l)
        l->ring[call->place & (l->cap - 1)].call = NULL;
    call->pending = NULL;
}

/* ---- a subscription ---- */

static bool ask_node(struct redis_link *l, const struct redis_command *command)
{
    l->asked_ns = clock_now_ns();
    l->is_asked = true;
    return redis_connection_add(l->connection, command);
}

static void subscribe(struct redis_link *l)
{
    struct slice words[REDIS_WORDS_MAX] = {SLICE("SUBSCRIBE")};
    struct redis_command command = {words, 1};
    for (size_t i = 0; i < l->setup.nchannels && command.n < REDIS_WORDS_MAX; i++)
        words[command.n++] = l->setup.channels[i];
    l->unconfirmed = l->setup.nchannels;
    if (!ask_node(l, &command))
        go_down(l, "out of memory");
}

/* When to look again: the pong is late, or the next PING is due. */
static uint64_t next_look_ns(const struct redis_link *l)
{
    uint32_t pong_ms = l->setup.node->command_ms;
    if (pong_ms < PONG_LEAST_MS)
        pong_ms = PONG_LEAST_MS;
    return l->asked_ns + (l->is_asked ? pong_ms : l->setup.ping_ms) * MS;
}

static void look_after(struct redis_link *l)
{
    static const struct slice ping = SLICE("PING");
    if (next_look_ns(l) <= clock_now_ns()) {
        if (l->is_asked)
            go_down(l, "no answer in time");
        else if (!ask_node(l, &(struct redis_command){&ping, 1}))
            go_down(l, "out of memory");
    }
    if (l->state == REDIS_UP)
        set_timer(l, next_look_ns(l));
}

static void become_up(struct redis_link *l)
{
    stop_timer(l);
    l->backoff_ns = BACKOFF_FIRST;
    l->stats.connects++;
    set_state(l, REDIS_UP, "connected");
}

/* The node has answered what was asked last. */
static void take_sign_of_life(struct redis_link *l)
{
    l->is_asked = false;
    if (l->state != REDIS_UP)
        become_up(l);
    if (l->state != REDIS_UP || l->is_closing)
        return;
    set_timer(l, next_look_ns(l));
    if (l->setup.verified)
        l->setup.verified(l->setup.ctx, l->asked_ns);
}

/* What a node says to a subscriber are arrays: {message, channel, payload}, {subscribe, channel, number} and
 * {pong, text}. */
static void take_news(struct redis_link *l, const struct redis_reply *v)
{
    struct redis_reply what = redis_reply_at(v, 0), channel = redis_reply_at(v, 1),
                       text = redis_reply_at(v, 2);
    if (slice_eq(what.text, SLICE("message")) && channel.kind == REDIS_TEXT && text.kind == REDIS_TEXT) {
        l->setup.message(l->setup.ctx, channel.text, text.text);
    } else if (slice_eq(what.text, SLICE("subscribe")) && l->unconfirmed > 0) {
        if (--l->unconfirmed == 0)
            take_sign_of_life(l);
    } else if (slice_eq(what.text, SLICE("pong")) && l->is_asked && l->state == REDIS_UP) {
        take_sign_of_life(l);
    } else {
        go_down(l, "what it says makes no sense to a subscriber");
    }
}

/* ---- what comes ---- */

/* One by one; the last is the answer to PING. */
static void take_greeting(struct redis_link *l, const struct redis_reply *v)
{
    char why[128];
    l->greetings--;
    if (v->kind != REDIS_TEXT || (l->greetings == 0 && !slice_eq(v->text, SLICE("PONG")))) {
        snprintf(why, sizeof(why), "greeted with %.*s", SLICE_ARG(v->text));
        go_down(l, why);
    } else if (l->greetings == 0 && l->setup.nchannels > 0) {
        subscribe(l);
    } else if (l->greetings == 0) {
        become_up(l);
    }
}

/* From its writing to NOW. */
static uint64_t time_of_oldest(const struct redis_link *l, uint64_t now)
{
    uint64_t due = l->ring[l->head & (l->cap - 1)].due_ns;
    uint64_t written = due - l->setup.node->command_ms * MS;
    return now > written ? now - written : 0;
}

static void take_reply(struct redis_link *l, const struct redis_reply *v, uint64_t read_ns)
{
    if (l->head == l->tail) {
        if (l->setup.nchannels > 0)
            take_news(l, v);
        else
            go_down(l, "a reply that nobody has asked for");
        return;
    }
    if (l->state != REDIS_UP) {
        take_oldest(l);
        take_greeting(l, v);
        return;
    }
    l->stats.answered++;
    if (l->setup.answered)
        l->setup.answered(l->setup.ctx, time_of_oldest(l, read_ns));
    if (v->kind == REDIS_FAILED && l->setup.failed)
        l->setup.failed(l->setup.ctx, v->text);
    struct redis_call *call = l->is_closing ? NULL : take_oldest(l);
    if (call)
        call->done(call, v);
}

/* ---- connecting ---- */

static void on_writing(void *owner)
{
    set_deadlines(owner); /* calls nobody */
}

static void on_reply(void *owner, const struct redis_reply *v, uint64_t read_ns)
{
    struct redis_link *l = owner;
    enter(l);
    take_reply(l, v, read_ns);
    leave(l);
}

static void on_ended(void *owner, const char *why)
{
    struct redis_link *l = owner;
    enter(l);
    go_down(l, why);
    leave(l);
}

static bool greet(struct redis_link *l, const struct slice *words, int n)
{
    l->greetings++;
    return ask(l, NULL, &(struct redis_command){words, n});
}

/* Who we are, which database, and whether somebody is there. */
static bool say_hello(struct redis_link *l)
{
    const struct redis_node *node = l->setup.node;
    char number[16];
    snprintf(number, sizeof(number), "%u", node->database);
    const struct slice ping = SLICE("PING"), select[] = {SLICE("SELECT"), slice_of(number)};
    struct slice auth[3] = {SLICE("AUTH")};
    int n = 1;
    if (node->username)
        auth[n++] = slice_of(node->username);
    auth[n++] = slice_of(node->password);
    return (!node->password || greet(l, auth, n)) && (node->database == 0 || greet(l, select, 2)) &&
           greet(l, &ping, 1);
}

static const struct redis_connection_owner events = {on_writing, on_reply, on_ended};

static void open_connection(struct redis_link *l)
{
    const struct redis_node *node = l->setup.node;
    const struct redis_place place = {l->address, node->port, node->host, l->setup.tls};
    char why[160];
    if (!l->address[0]) {
        set_state(l, REDIS_DOWN, "its address is not known");
        return;
    }
    l->state = REDIS_CONNECTING;
    set_timer(l, clock_now_ns() + node->connect_ms * MS);
    l->connection = redis_connection_new(l->setup.loop, &place, why, sizeof(why));
    if (!l->connection) {
        go_down(l, why);
        return;
    }
    redis_connection_set_owner(l->connection, &events, l);
    if (!say_hello(l))
        go_down(l, "out of memory");
}

/* ---- time ---- */

/* A node that is silent while it is asked is no use. */
static void look_for_late(struct redis_link *l)
{
    uint64_t now_ns = clock_now_ns();
    set_deadlines(l);
    if (l->head == l->tail)
        return;
    if (l->ring[l->head & (l->cap - 1)].due_ns > now_ns) {
        set_timer(l, l->ring[l->head & (l->cap - 1)].due_ns);
        return;
    }
    for (uint64_t i = l->head; i < l->tail && l->ring[i & (l->cap - 1)].due_ns <= now_ns; i++)
        l->stats.late++;
    go_down(l, "no answer in time");
}

static void move(struct redis_link *l)
{
    l->is_moved = false;
    l->backoff_ns = BACKOFF_FIRST;
    end_connection(l, "another address");
    if (!l->is_closing)
        open_connection(l);
}

static void on_timer(struct wheel_entry *e)
{
    struct redis_link *l = (struct redis_link *)((char *)e - offsetof(struct redis_link, timer));
    enter(l);
    if (l->is_moved) {
        move(l);
    } else if (l->state == REDIS_DOWN) {
        open_connection(l);
    } else if (l->state == REDIS_CONNECTING) {
        go_down(l, "not connected in time");
    } else {
        redis_connection_read(l->connection); /* the answer may lie there, with us being late */
        if (l->state == REDIS_UP && !l->is_closing && l->setup.nchannels > 0)
            look_after(l);
        else if (l->state == REDIS_UP && !l->is_closing)
            look_for_late(l);
    }
    leave(l);
}

/* ---- life ---- */

struct redis_link *redis_link_new(const struct redis_link_setup *setup)
{
    struct redis_link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->setup = *setup;
    l->backoff_ns = BACKOFF_FIRST;
    l->timer.expired = on_timer;
    random_seed_with(&l->random, setup->seed);
    snprintf(l->address, sizeof(l->address), "%s", setup->node->address ? setup->node->address : "");
    open_connection(l);
    return l;
}

void redis_link_free(struct redis_link *l)
{
    if (!l || l->is_closing)
        return;
    enter(l);
    l->is_closing = true;
    for (uint64_t i = l->head; i < l->tail; i++)
        if (l->ring[i & (l->cap - 1)].call)
            redis_call_cancel(l->ring[i & (l->cap - 1)].call);
    wheel_cancel(&l->timer);
    end_connection(l, "closed");
    leave(l);
}

void redis_link_set_address(struct redis_link *l, const char *address)
{
    char text[ADDRESS_SIZE];
    snprintf(text, sizeof(text), "%s", address ? address : "");
    if (strcmp(text, l->address) == 0)
        return;
    memcpy(l->address, text, sizeof(text));
    l->is_moved = true;
    set_timer(l, 0);
}

enum redis_state redis_link_state(const struct redis_link *l)
{
    return l->state;
}

const char *redis_link_why(const struct redis_link *l)
{
    return l->why;
}

struct redis_link_stats redis_link_stats(const struct redis_link *l)
{
    struct redis_link_stats stats = l->stats;
    if (l->connection)
        stats.writes += redis_connection_writes(l->connection);
    return stats;
}
