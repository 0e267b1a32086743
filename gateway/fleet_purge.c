/*
 * fleet_purge.c: the part of fleet.h about purges.
 *
 * A purge is asked of every node, and announced by the same script: its answer says how many gateways were
 * told there. Each of them, this one too, says when it has done it, the others over the channel of answers of
 * the one who asked. What is missing after `trust` need not be waited for any longer (fleet.h).
 *
 * A node that did not carry it out has missed it. That is remembered here and on the other nodes, so that
 * whoever hears that node again first empties it. Where it is there and has refused, that is the next beat.
 */
#include "gateway/fleet_internal.h"

#include <stdlib.h>

#include "lib/clock.h"

#define MS UINT64_C(1000000)

static const char *const kind_words[] = {
    [OBJECT_GROUP] = "group", [OBJECT_TAG] = "tag", [OBJECT_PREFIX] = "prefix", [OBJECT_ALL] = "all"};

/* ---- a purge under way ---- */

static void remember_missed(struct fleet *f, const struct fleet_task *t)
{
    char space[128];
    struct slice key = fleet_key(f, "missed", space, sizeof(space));
    for (size_t missing = 0; missing < f->nnodes; missing++) {
        if (t->asks[missing].is_done)
            continue;
        f->nodes[missing].has_missed = true;
        const struct slice words[] = {SLICE("HSET"), key, slice_of(f->conf->nodes[missing].name), SLICE("1")};
        for (size_t i = 0; i < f->nnodes; i++)
            if (t->asks[i].is_done)
                (void)!redis_send(f->redis, i, NULL, &(struct redis_command){words, 4});
        fleet_part(&f->nodes[missing]); /* it may be there, and have refused */
    }
}

/* To whoever wants to know what came of it. */
static void give(struct fleet_purge *p)
{
    if (p->done)
        p->done(p);
    else
        free(p);
}

void fleet_refuse_purge(struct fleet *f, struct fleet_purge *p)
{
    p->result = (struct fleet_purge_result){.nodes = (unsigned)f->nnodes};
    give(p);
}

static void finish(struct fleet_task *t)
{
    struct fleet *f = t->fleet;
    struct fleet_task **at = &f->tasks;
    struct fleet_purge_result *r = &t->purge->result;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    wheel_cancel(&t->timer);
    r->nodes = (unsigned)f->nnodes;
    for (size_t i = 0; i < f->nnodes; i++)
        r->nodes_done += t->asks[i].is_done;
    r->gateways_late = t->told > t->said ? t->told - t->said : 0;
    r->is_complete = r->nodes_done == r->nodes;
    if (!r->is_complete && f->redis)
        remember_missed(f, t);
    atomic_fetch_add_explicit(&f->purges, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->purges_partial, !r->is_complete, memory_order_relaxed);
    give(t->purge);
    free(t->asks);
    free(t);
}

static void finish_if_over(struct fleet_task *t)
{
    if (t->asked == 0 && t->said >= t->told)
        finish(t);
}

static bool ask_task(struct fleet_task *t, size_t node);

static void on_purged(struct redis_call *call, const struct redis_reply *reply)
{
    struct fleet_ask *ask = (struct fleet_ask *)(void *)call;
    struct fleet_task *t = ask->task;
    if (redis_wants_again(reply, &ask->was_repeated) && ask_task(t, ask->node))
        return;
    ask->is_done = reply && reply->kind == REDIS_INTEGER && reply->integer >= 0 && reply->integer < 1000000;
    if (ask->is_done)
        t->told += (unsigned)reply->integer;
    t->asked--;
    finish_if_over(t);
}

static void on_late(struct wheel_entry *e)
{
    struct fleet_task *t = (struct fleet_task *)((char *)e - offsetof(struct fleet_task, timer));
    for (size_t i = 0; i < t->fleet->nnodes; i++)
        redis_call_cancel(&t->asks[i].call);
    finish(t);
}

/* The key of a group or tag in SPACE. */
static struct slice mark_key(const struct fleet *f, enum object_purge kind, struct slice what, struct buf *b)
{
    buf_printf(b, "%s:%c:", f->conf->prefix, kind == OBJECT_TAG ? 't' : 'g');
    buf_add(b, what);
    return buf_slice(b);
}

static bool ask_node(struct fleet *f, size_t node, struct redis_call *call, const struct fleet_purge *p,
                     struct slice announcement)
{
    char meta[128], prefixes[128], recent[128], space[FLEET_TEXT_MAX];
    struct slice what = {p->what, p->len};
    struct buf b;
    buf_init(&b, space, sizeof(space));
    const struct slice keys[] = {
        fleet_key(f, "meta", meta, sizeof(meta)), fleet_key(f, "prefixes", prefixes, sizeof(prefixes)),
        mark_key(f, p->kind, what, &b), fleet_key(f, "recent", recent, sizeof(recent))};
    const struct slice args[] = {slice_of(kind_words[p->kind]), p->soft ? SLICE("1") : SLICE("0"), what,
                                 announcement.len > 0 ? slice_of(f->channel) : SLICE(""), announcement};
    return !b.failed && redis_eval(f->redis, node, call, REDIS_CACHE_PURGE, (struct redis_words){keys, 4},
                                   (struct redis_words){args, 5});
}

static bool ask_task(struct fleet_task *t, size_t node)
{
    struct fleet *f = t->fleet;
    const struct fleet_purge *p = t->purge;
    struct buf b;
    buf_init(&b, f->scratch, sizeof(f->scratch));
    buf_printf(&b, "%c%s%016llx%c%c", FLEET_PURGE, f->id, (unsigned long long)t->number,
               kind_words[p->kind][0], p->soft ? 's' : 'h');
    buf_add(&b, (struct slice){p->what, p->len});
    return !b.failed && ask_node(f, node, &t->asks[node].call, p, buf_slice(&b));
}

void fleet_begin_purge(struct fleet *f, struct fleet_purge *p)
{
    struct fleet_task *t = calloc(1, sizeof(*t));
    struct fleet_ask *asks = t ? calloc(f->nnodes, sizeof(*asks)) : NULL;
    if (!asks) {
        free(t);
        fleet_refuse_purge(f, p);
        return;
    }
    *t = (struct fleet_task){.fleet = f,
                             .next = f->tasks,
                             .purge = p,
                             .number = ++f->task_number,
                             .timer.expired = on_late,
                             .asks = asks};
    f->tasks = t;
    for (size_t i = 0; i < f->nnodes; i++) {
        asks[i] = (struct fleet_ask){.call.done = on_purged, .task = t, .node = i};
        t->asked += ask_task(t, i);
    }
    wheel_set(&f->wheel, &t->timer, clock_now_ns() + (f->conf->trust_ms + f->conf->command_ms) * MS);
    finish_if_over(t);
}

void fleet_take_answer(struct fleet *f, uint64_t number)
{
    struct fleet_task *t = f->tasks;
    while (t && t->number != number)
        t = t->next;
    if (!t)
        return;
    t->said++;
    finish_if_over(t);
}

void fleet_end_purges(struct fleet *f)
{
    while (f->tasks)
        finish(f->tasks);
}

/* ---- another's purge, and the own one as it comes back ---- */

static bool read_kind(struct slice *text, enum object_purge *kind, bool *soft)
{
    for (size_t i = 0; text->len >= 2 && i < sizeof(kind_words) / sizeof(kind_words[0]); i++) {
        if (text->p[0] != kind_words[i][0])
            continue;
        *kind = (enum object_purge)i;
        *soft = text->p[1] == 's';
        *text = slice_skip(*text, 2);
        return true;
    }
    return false;
}

void fleet_follow_purge(struct fleet_node *node, struct slice sender, struct slice text)
{
    struct fleet *f = node->fleet;
    char channel[192], digits[17];
    enum object_purge kind;
    uint64_t number;
    bool soft;
    if (!fleet_digits(&text, 16, &number) || !read_kind(&text, &kind, &soft))
        return;
    /* The own one too: what was read meanwhile from a node that had not done it yet is in memory again. */
    object_store_purge(f->setup.store, kind, text, soft);
    if (slice_eq(sender, slice_of(f->id))) {
        fleet_take_answer(f, number);
        return;
    }
    snprintf(channel, sizeof(channel), "%s:answers:%.*s", f->conf->prefix, SLICE_ARG(sender));
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)number);
    const struct slice words[] = {SLICE("PUBLISH"), slice_of(channel), slice_of(digits)};
    (void)!redis_send(f->redis, node->index, NULL, &(struct redis_command){words, 3});
}

/* ---- a node that has missed some ---- */

static void on_emptied(struct redis_call *call, const struct redis_reply *reply)
{
    struct fleet_node *node = ((struct fleet_look *)(void *)call)->node;
    struct fleet *f = node->fleet;
    char space[128];
    node->looking = 0;
    if (!reply || reply->kind != REDIS_INTEGER)
        return; /* the next beat tries again */
    log_printf(f->setup.log, LOG_WARN, "redis %s: it had missed a purge and begins empty",
               f->conf->nodes[node->index].name);
    node->has_missed = false;
    const struct slice words[] = {SLICE("HDEL"), fleet_key(f, "missed", space, sizeof(space)),
                                  slice_of(f->conf->nodes[node->index].name)};
    for (size_t i = 0; i < f->nnodes; i++)
        (void)!redis_send(f->redis, i, NULL, &(struct redis_command){words, 3});
    fleet_welcome(node);
}

/* All have been asked. */
static void decide(struct fleet_node *node)
{
    const struct fleet_purge all = {.kind = OBJECT_ALL};
    if (!node->has_missed) {
        fleet_welcome(node);
        return;
    }
    struct fleet_look *look = &node->looks[node->index];
    *look = (struct fleet_look){.call.done = on_emptied, .node = node};
    node->looking = ask_node(node->fleet, node->index, &look->call, &all, SLICE(""));
}

static void on_looked(struct redis_call *call, const struct redis_reply *reply)
{
    struct fleet_node *node = ((struct fleet_look *)(void *)call)->node;
    node->has_missed |= reply && reply->kind == REDIS_TEXT;
    if (--node->looking == 0)
        decide(node);
}

void fleet_check_missed(struct fleet_node *node)
{
    struct fleet *f = node->fleet;
    char space[128];
    const struct slice words[] = {SLICE("HGET"), fleet_key(f, "missed", space, sizeof(space)),
                                  slice_of(f->conf->nodes[node->index].name)};
    for (size_t i = 0; i < f->nnodes; i++) {
        struct fleet_look *look = &node->looks[i];
        *look = (struct fleet_look){.call.done = on_looked, .node = node};
        node->looking +=
            i != node->index && redis_send(f->redis, i, &look->call, &(struct redis_command){words, 3});
    }
    if (node->looking == 0)
        decide(node);
}
