/*
 * redis_link.c: see redis_link.h.
 *
 * Of hiredis we take what writes commands and reads replies (redisContext, not blocking), not its
 * asynchronous part: that one ends the process when a node says something that nobody has asked for. Polling,
 * deadlines, who gets which reply and trying again are ours.
 *
 * What was sent waits in one list, oldest first, for a reply each. A command's call may go away before its
 * reply comes; its place in the list stays. Commands of one turn of the loop are written together when the
 * socket is polled next.
 */
#include "gateway/redis_link.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/random.h"

#define MS            UINT64_C(1000000)
#define BACKOFF_FIRST (UINT64_C(100) * MS)
#define BACKOFF_LAST  (UINT64_C(5000) * MS)

struct redis_pending {
    struct redis_call *call; /* NULL: nobody waits any more, or it is part of the greeting */
    uint64_t due_ns;
    struct redis_pending *next;
};

/* A connection; it outlives its link's use of it until its handle is closed. */
struct redis_socket {
    uv_poll_t poll;
    redisContext *context;
    struct redis_link *link; /* NULL: given up */
    int events;
};

struct redis_link {
    struct redis_link_setup setup;
    enum redis_state state;
    struct redis_socket *socket; /* NULL: not connected */
    struct wheel_entry timer;    /* to connect again, to give up connecting, or for the oldest command */
    uint64_t backoff_ns;
    struct random random;
    struct redis_pending *first, **end;
    size_t greetings; /* replies to the greeting that are still to come */
    struct redis_link_stats stats;
    bool is_closing;
};

/* ---- replies ---- */

static struct redis_reply view(const redisReply *r)
{
    struct redis_reply v = {.kind = REDIS_NIL};
    if (!r)
        return v;
    switch (r->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        v.kind = REDIS_TEXT;
        v.text = (struct slice){r->str, (size_t)r->len};
        break;
    case REDIS_REPLY_ERROR:
        v.kind = REDIS_FAILED;
        v.text = (struct slice){r->str, (size_t)r->len};
        break;
    case REDIS_REPLY_INTEGER:
        v.kind = REDIS_INTEGER;
        v.integer = r->integer;
        break;
    case REDIS_REPLY_ARRAY:
        v.kind = REDIS_ARRAY;
        v.n = r->elements;
        v.elements = r->element;
        break;
    default:
        break;
    }
    return v;
}

struct redis_reply redis_reply_at(const struct redis_reply *array, size_t i)
{
    redisReply *const *at = array->elements;
    return view(array->kind == REDIS_ARRAY && i < array->n ? at[i] : NULL);
}

/* ---- state ---- */

static void set_state(struct redis_link *l, enum redis_state state, const char *why)
{
    bool was_up = l->state == REDIS_UP;
    l->state = state;
    if (l->setup.changed && !l->is_closing && (state == REDIS_UP) != was_up)
        l->setup.changed(l->setup.ctx, state, why);
}

static void set_timer(struct redis_link *l, uint64_t after_ns)
{
    l->setup.set_timer(l->setup.ctx, &l->timer, clock_now_ns() + after_ns);
}

static void tell(struct redis_pending *p, const struct redis_reply *reply)
{
    struct redis_call *call = p->call;
    p->call = NULL;
    if (!call)
        return;
    call->pending = NULL;
    call->done(call, reply);
}

static struct redis_pending *take_first(struct redis_link *l)
{
    struct redis_pending *p = l->first;
    l->first = p->next;
    if (!l->first)
        l->end = &l->first;
    return p;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void close_socket(struct redis_link *l)
{
    struct redis_socket *s = l->socket;
    l->socket = NULL;
    if (!s)
        return;
    s->link = NULL;
    uv_poll_stop(&s->poll);
    redisFree(s->context);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}

/* The connection is no good: everything that waits hears so, and it is tried again after a while. */
static void go_down(struct redis_link *l, const char *why)
{
    set_state(l, REDIS_DOWN, why);
    close_socket(l);
    while (l->first) {
        struct redis_pending *p = take_first(l);
        tell(p, NULL);
        free(p);
    }
    if (l->is_closing)
        return;
    set_timer(l, l->backoff_ns / 2 + random_below(random_next(&l->random), l->backoff_ns));
    l->backoff_ns = l->backoff_ns * 2 < BACKOFF_LAST ? l->backoff_ns * 2 : BACKOFF_LAST;
}

/* ---- commands ---- */

static void watch_oldest(struct redis_link *l)
{
    if (l->state == REDIS_UP && l->first)
        l->setup.set_timer(l->setup.ctx, &l->timer, l->first->due_ns);
    else if (l->state == REDIS_UP)
        wheel_cancel(&l->timer);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_for(struct redis_socket *s, int events)
{
    if (s->events != events)
        uv_poll_start(&s->poll, events, on_poll);
    s->events = events;
}

/* CALL is NULL for the greeting. */
static bool append(struct redis_link *l, struct redis_call *call, const struct redis_command *c)
{
    const char *words[REDIS_WORDS_MAX];
    size_t lengths[REDIS_WORDS_MAX];
    struct redis_pending *p = malloc(sizeof(*p));
    for (int i = 0; i < c->n; i++) {
        words[i] = c->words[i].p ? c->words[i].p : "";
        lengths[i] = c->words[i].len;
    }
    if (!p || redisAppendCommandArgv(l->socket->context, c->n, words, lengths) != REDIS_OK) {
        free(p);
        return false;
    }
    *p = (struct redis_pending){.call = call, .due_ns = clock_now_ns() + l->setup.node->command_ms * MS};
    if (call)
        call->pending = p;
    *l->end = p;
    l->end = &p->next;
    poll_for(l->socket, UV_READABLE | UV_WRITABLE);
    return true;
}

bool redis_link_send(struct redis_link *l, struct redis_call *call, const struct redis_command *command)
{
    bool was_idle = !l->first;
    if (l->state != REDIS_UP || !append(l, call, command)) {
        l->stats.refused++;
        return false;
    }
    l->stats.sent++;
    if (was_idle)
        watch_oldest(l);
    return true;
}

void redis_call_cancel(struct redis_call *call)
{
    if (call->pending)
        call->pending->call = NULL;
    call->pending = NULL;
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
    } else if (l->greetings == 0) {
        wheel_cancel(&l->timer);
        l->backoff_ns = BACKOFF_FIRST;
        l->stats.connects++;
        set_state(l, REDIS_UP, "connected");
    }
}

static void take_reply(struct redis_link *l, redisReply *reply)
{
    const struct redis_reply v = view(reply);
    if (!l->first) {
        go_down(l, "a reply that nobody has asked for");
        return;
    }
    struct redis_pending *p = take_first(l);
    if (l->state == REDIS_UP) {
        l->stats.answered++;
        watch_oldest(l);
        tell(p, &v);
    } else {
        take_greeting(l, &v);
    }
    free(p);
}

static void read_all(struct redis_socket *s)
{
    struct redis_link *l = s->link;
    void *reply;
    if (redisBufferRead(s->context) != REDIS_OK) {
        go_down(l, s->context->errstr);
        return;
    }
    while (s->link) { /* whoever gets a reply may end it */
        if (redisGetReplyFromReader(s->context, &reply) != REDIS_OK) {
            go_down(l, s->context->errstr);
            return;
        }
        if (!reply)
            return;
        take_reply(l, reply);
        freeReplyObject(reply);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct redis_socket *s = poll->data;
    int done = 0;
    if (status != 0) {
        go_down(s->link, uv_strerror(status));
        return;
    }
    if ((events & UV_WRITABLE) && redisBufferWrite(s->context, &done) != REDIS_OK) {
        go_down(s->link, s->context->errstr);
        return;
    }
    if (done)
        poll_for(s, UV_READABLE);
    if (events & UV_READABLE)
        read_all(s);
}

/* ---- connecting ---- */

static bool greet(struct redis_link *l, const struct redis_command *c)
{
    l->greetings++;
    return append(l, NULL, c);
}

/* Who we are, which database, and whether somebody is there. */
static bool say_hello(struct redis_link *l)
{
    const struct redis_node *n = l->setup.node;
    char number[16];
    struct redis_command auth = {.words = {SLICE("AUTH")}, .n = 1},
                         select = {.words = {SLICE("SELECT")}, .n = 2};
    const struct redis_command ping = {.words = {SLICE("PING")}, .n = 1};
    if (n->username)
        auth.words[auth.n++] = slice_of(n->username);
    if (n->password)
        auth.words[auth.n++] = slice_of(n->password);
    snprintf(number, sizeof(number), "%u", n->database);
    select.words[1] = slice_of(number);
    l->greetings = 0;
    return (!n->password || greet(l, &auth)) && (n->database == 0 || greet(l, &select)) && greet(l, &ping);
}

/* False: nothing to poll. */
static bool open_socket(struct redis_link *l, redisContext *c)
{
    struct redis_socket *s = calloc(1, sizeof(*s));
    if (!s || uv_poll_init(l->setup.loop, &s->poll, c->fd) != 0) {
        free(s);
        return false;
    }
    s->poll.data = s;
    s->context = c;
    s->link = l;
    l->socket = s;
    return true;
}

static void open_connection(struct redis_link *l)
{
    const struct redis_node *n = l->setup.node;
    redisContext *c = n->address[0] == '/' ? redisConnectUnixNonBlock(n->address)
                                           : redisConnectNonBlock(n->address, n->port);
    l->state = REDIS_CONNECTING;
    set_timer(l, n->connect_ms * MS);
    if (!c || c->err || !open_socket(l, c)) {
        go_down(l, c ? c->errstr : "out of memory");
        if (c)
            redisFree(c);
    } else if (!say_hello(l)) {
        go_down(l, "out of memory");
    }
}

/* ---- time ---- */

static void on_timer(struct wheel_entry *e)
{
    struct redis_link *l = (struct redis_link *)((char *)e - offsetof(struct redis_link, timer));
    uint64_t now = clock_now_ns();
    if (l->state == REDIS_DOWN) {
        open_connection(l);
    } else if (l->state == REDIS_CONNECTING) {
        go_down(l, "not connected in time");
    } else if (l->first && l->first->due_ns <= now) {
        /* A node that is silent while it is asked is no use. */
        for (struct redis_pending *p = l->first; p && p->due_ns <= now; p = p->next)
            l->stats.late++;
        go_down(l, "no answer in time");
    } else {
        watch_oldest(l);
    }
}

/* ---- life ---- */

struct redis_link *redis_link_new(const struct redis_link_setup *setup)
{
    struct redis_link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->setup = *setup;
    l->end = &l->first;
    l->backoff_ns = BACKOFF_FIRST;
    l->timer.expired = on_timer;
    random_seed_with(&l->random, setup->seed);
    open_connection(l);
    return l;
}

void redis_link_free(struct redis_link *l)
{
    if (!l)
        return;
    l->is_closing = true;
    for (struct redis_pending *p = l->first; p; p = p->next)
        if (p->call)
            redis_call_cancel(p->call);
    wheel_cancel(&l->timer);
    go_down(l, "closed");
    free(l);
}

enum redis_state redis_link_state(const struct redis_link *l)
{
    return l->state;
}

struct redis_link_stats redis_link_stats(const struct redis_link *l)
{
    return l->stats;
}
