/*
 * fleet.c: see fleet.h.
 *
 * The thread turns a loop with two links to each node: one for commands (redis.h), one that has subscribed. A
 * node is heard, and workers may use it, while both are there and what it has missed was made good; each time
 * that begins anew, its session grows.
 *
 * Every second each node is told that we are alive (a beat), and answers how many are.
 */
#include "gateway/fleet_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "gateway/conf.h"
#include "gateway/redis_ring.h"
#include "lib/clock.h"
#include "lib/threads.h"

#define MS          UINT64_C(1000000)
#define TICK_MS     10
#define BEAT_MS     1000
#define ALIVE_MS    "3500" /* a gateway that has not been heard of for so long is gone */
#define MAIL_MAX    65536
#define PINGS       4 /* over a subscription, in the time that memory is trusted */
#define PING_MIN_MS 50
#define MARK_TICK   24 /* a mark's time is in units of 2^24 ns (17 ms), */
#define MARK_MASK   UINT64_C(0xffffffff)

struct address_message {
    struct message base; /* first */
    size_t node;
    char text[FLEET_ADDRESS];
};

/* ---- what may be believed ---- */

bool fleet_bars(void *bar, size_t i)
{
    const struct fleet *f = bar;
    return !atomic_load_explicit(&f->nodes[i].is_heard, memory_order_acquire);
}

uint32_t fleet_session(const struct fleet *f, size_t node)
{
    return node == REDIS_NONE ? atomic_load_explicit(&f->session, memory_order_acquire)
                              : atomic_load_explicit(&f->nodes[node].session, memory_order_acquire);
}

/* Node + 1 in the upper byte, so that no mark is 0; then the session's last 24 bits; then the time. */
uint64_t fleet_mark(const struct fleet *f, size_t node, uint32_t session, uint64_t now_ns)
{
    (void)f;
    uint64_t who = node == REDIS_NONE ? 255 : node + 1;
    return who << 56 | (uint64_t)(session & 0xffffff) << 32 | (now_ns >> MARK_TICK & MARK_MASK);
}

static bool is_recent(uint64_t tick, uint64_t now_tick, uint64_t max)
{
    return (uint32_t)(now_tick - tick) <= max ||
           (uint32_t)(tick - now_tick) <= 2; /* clocks of threads differ */
}

bool fleet_believes(const struct fleet *f, uint64_t mark, uint64_t now_ns)
{
    uint64_t who = mark >> 56, max = f->conf->trust_ms * MS >> MARK_TICK;
    size_t node = who == 255 ? REDIS_NONE : (size_t)who - 1;
    if (who == 0 || (mark >> 32 & 0xffffff) != (fleet_session(f, node) & 0xffffff))
        return false;
    if (is_recent(mark & MARK_MASK, now_ns >> MARK_TICK & MARK_MASK, max))
        return true;
    return node != REDIS_NONE &&
           now_ns < atomic_load_explicit(&f->nodes[node].verified_ns, memory_order_relaxed) +
                        f->conf->trust_ms * MS;
}

/* ---- nodes ---- */

struct slice fleet_key(const struct fleet *f, const char *name, char *space, size_t size)
{
    snprintf(space, size, "%s:%s", f->conf->prefix, name);
    return slice_of(space);
}

void fleet_welcome(struct fleet_node *node)
{
    struct fleet *f = node->fleet;
    node->is_welcome = true;
    atomic_fetch_add_explicit(&f->session, 1, memory_order_release);
    atomic_fetch_add_explicit(&node->session, 1, memory_order_release);
    atomic_store_explicit(&node->is_heard, true, memory_order_release);
}

/* What was asked of other nodes meanwhile is asked anew: it welcomes nobody who has left again. */
void fleet_part(struct fleet_node *node)
{
    for (size_t i = 0; i < node->fleet->nnodes; i++)
        redis_call_cancel(&node->looks[i].call);
    node->looking = 0;
    node->is_welcome = false;
    atomic_store_explicit(&node->is_heard, false, memory_order_release);
}

/* Both links of NODE are there, or not any more. */
static void look_at(struct fleet_node *node)
{
    bool is_up = redis_link_state(node->link) == REDIS_UP && redis_is_up(node->fleet->redis, node->index);
    if (!is_up)
        fleet_part(node);
    else if (!node->is_welcome && node->looking == 0)
        fleet_check_missed(node);
}

static void on_subscription(void *ctx, enum redis_state state, const char *why)
{
    struct fleet_node *node = ctx;
    (void)state, (void)why;
    if (node->link)
        look_at(node);
}

static void on_command_link(void *ctx, size_t i, enum redis_state state, const char *why)
{
    struct fleet *f = ctx;
    struct fleet_node *node = &f->nodes[i];
    log_printf(f->setup.log, state == REDIS_UP ? LOG_INFO : LOG_WARN, "redis %s: %s", f->conf->nodes[i].name,
               why);
    if (node->link && f->redis)
        look_at(node);
}

static void on_verified(void *ctx, uint64_t sent_ns)
{
    struct fleet_node *node = ctx;
    atomic_store_explicit(&node->verified_ns, sent_ns, memory_order_relaxed);
}

static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    fleet_news(ctx, channel, payload);
}

/* ---- beats ---- */

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    struct fleet *f = ctx;
    wheel_set(&f->wheel, e, due_ns);
}

static void set_node_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    struct fleet_node *node = ctx;
    wheel_set(&node->fleet->wheel, e, due_ns);
}

static void count_gateways(struct fleet *f)
{
    unsigned most = 0;
    bool others = false;
    for (size_t i = 0; i < f->nnodes; i++) {
        struct fleet_node *node = &f->nodes[i];
        bool is_up = redis_is_up(f->redis, i);
        most = is_up && node->gateways > most ? node->gateways : most;
        others |= is_up && node->others > 0;
    }
    if (most > 0)
        atomic_store_explicit(&f->gateways, most, memory_order_relaxed);
    atomic_store_explicit(&f->has_other_rings, others, memory_order_relaxed);
    if (others && !f->has_warned)
        log_printf(f->setup.log, LOG_ERROR,
                   "redis: another gateway has another list of nodes: what they share is not where this one "
                   "looks for "
                   "it. Give all gateways the same nodes, weights and database");
    else if (!others && f->has_warned)
        log_printf(f->setup.log, LOG_INFO, "redis: all gateways have the same list of nodes");
    f->has_warned = others;
}

static void on_beat(struct redis_call *call, const struct redis_reply *reply)
{
    struct fleet_node *node = (struct fleet_node *)((char *)call - offsetof(struct fleet_node, beat));
    if (!reply || reply->kind != REDIS_ARRAY)
        return;
    struct redis_reply count = redis_reply_at(reply, 0), others = redis_reply_at(reply, 1);
    if (count.kind != REDIS_INTEGER || count.integer < 1 || count.integer > 1000000 ||
        others.kind != REDIS_INTEGER)
        return;
    node->gateways = (unsigned)count.integer;
    node->others = others.integer > 0;
    count_gateways(node->fleet);
}

static void beat(struct fleet_node *node, bool goes)
{
    struct fleet *f = node->fleet;
    char alive[128], rings[128];
    const struct slice keys[] = {fleet_key(f, "alive", alive, sizeof(alive)),
                                 fleet_key(f, "rings", rings, sizeof(rings))};
    const struct slice args[] = {slice_of(f->id), slice_of(f->fingerprint), SLICE(ALIVE_MS),
                                 goes ? SLICE("1") : SLICE("0")};
    if (node->beat.pending)
        return;
    node->beat.done = on_beat;
    (void)!redis_eval(f->redis, node->index, &node->beat, REDIS_FLEET_BEAT, (struct redis_words){keys, 2},
                      (struct redis_words){args, 4});
}

static void on_beat_time(struct wheel_entry *e)
{
    struct fleet *f = (struct fleet *)((char *)e - offsetof(struct fleet, beat_timer));
    for (size_t i = 0; i < f->nnodes; i++) {
        beat(&f->nodes[i], false);
        look_at(&f->nodes[i]);
    }
    wheel_set(&f->wheel, e, clock_now_ns() + BEAT_MS * MS);
}

/* ---- mail ---- */

static void take_address(struct fleet *f, const struct address_message *m)
{
    redis_set_address(f->redis, m->node, m->text);
    redis_link_set_address(f->nodes[m->node].link, m->text);
}

static void say_breaker(struct fleet *f, const struct fleet_purge *p)
{
    struct slice head = {p->what, p->len};
    const struct slice words[] = {SLICE("PUBLISH"), slice_of(f->channel), head};
    for (size_t i = 0; i < f->nnodes; i++)
        (void)!redis_send(f->redis, i, NULL, &(struct redis_command){words, 3});
}

static void on_mail_message(void *ctx, struct message *m)
{
    struct fleet *f = ctx;
    switch ((enum fleet_message)m->type) {
    case FLEET_MAIL_PURGE:
        fleet_begin_purge(f, (struct fleet_purge *)(void *)m);
        return;
    case FLEET_MAIL_ADDRESS:
        take_address(f, (const struct address_message *)(void *)m);
        break;
    case FLEET_MAIL_BREAKER:
        say_breaker(f, (const struct fleet_purge *)(void *)m);
        break;
    }
    free(m);
}

static void on_mail(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct fleet *f = p->data;
    mailbox_drain(f->mailbox, on_mail_message, f, 256);
    f->is_stopping |= mailbox_is_over(f->mailbox);
}

static void free_mail(struct message *m)
{
    free(m);
}

static bool send_mail(struct fleet *f, struct message *m, enum fleet_message type)
{
    m->type = type;
    m->free = free_mail;
    if (mailbox_send(f->mailbox, m))
        return true;
    free(m);
    return false;
}

void fleet_set_address(struct fleet *f, size_t i, const char *address)
{
    struct address_message *m = calloc(1, sizeof(*m));
    if (!m)
        return;
    m->node = i;
    snprintf(m->text, sizeof(m->text), "%s", address);
    (void)!send_mail(f, &m->base, FLEET_MAIL_ADDRESS);
}

static struct fleet_purge *new_purge(const struct fleet_purge *want, struct slice what)
{
    struct fleet_purge *p = malloc(sizeof(*p) + what.len + 1);
    if (!p)
        return NULL;
    *p = *want;
    p->len = what.len;
    if (what.len > 0)
        memcpy(p->what, what.p, what.len);
    p->what[what.len] = '\0';
    return p;
}

bool fleet_purge(struct fleet *f, const struct fleet_purge *want, struct slice what)
{
    struct fleet_purge *p = new_purge(want, what);
    return p && send_mail(f, &p->call.base, FLEET_MAIL_PURGE);
}

void fleet_tell_breaker(struct fleet *f, struct slice backend, uint64_t open_ms)
{
    char space[FLEET_BACKEND_MAX + 64];
    struct buf b;
    if (backend.len > FLEET_BACKEND_MAX)
        return;
    buf_init(&b, space, sizeof(space));
    buf_printf(&b, "%c%s%016llx%.*s", FLEET_BREAKER, f->id, (unsigned long long)open_ms, SLICE_ARG(backend));
    struct fleet_purge *p = b.failed ? NULL : new_purge(&(struct fleet_purge){0}, buf_slice(&b));
    if (p)
        (void)!send_mail(f, &p->call.base, FLEET_MAIL_BREAKER);
}

/* ---- the thread ---- */

static void close_all(struct fleet *f)
{
    for (size_t i = 0; i < f->nnodes; i++) {
        fleet_part(&f->nodes[i]);
        redis_link_free(f->nodes[i].link);
    }
    redis_free(f->redis);
    f->redis = NULL;
    fleet_end_purges(f);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_close((uv_handle_t *)&f->mail, NULL);
}

/* Best effort: the next tick ends it all. */
static void say_goodbye(struct fleet *f)
{
    f->has_said_goodbye = true;
    for (size_t i = 0; i < f->nnodes; i++) {
        redis_call_cancel(&f->nodes[i].beat);
        beat(&f->nodes[i], true);
    }
}

static void on_tick(uv_timer_t *t)
{
    struct fleet *f = t->data;
    wheel_run(&f->wheel, clock_now_ns());
    if (f->has_said_goodbye)
        close_all(f);
    else if (f->is_stopping)
        say_goodbye(f);
}

static void *run(void *arg)
{
    struct fleet *f = arg;
    sigset_t all;
    threads_signals(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "fleet");
    uv_run(&f->loop, UV_RUN_DEFAULT);
    return NULL;
}

static bool open_links(struct fleet *f)
{
    const struct redis_setup setup = {.loop = &f->loop,
                                      .set_timer = set_timer,
                                      .ctx = f,
                                      .conf = f->conf,
                                      .changed = on_command_link,
                                      .seed = random_next(&f->random)};
    f->redis = redis_new(&setup);
    uint32_t ping_ms = f->conf->trust_ms / PINGS;
    for (size_t i = 0; f->redis && i < f->nnodes; i++) {
        struct fleet_node *node = &f->nodes[i];
        redis_node_of(f->conf, i, &node->conf);
        const struct redis_link_setup link = {.loop = &f->loop,
                                              .set_timer = set_node_timer,
                                              .node = &node->conf,
                                              .tls = redis_tls_of(f->redis),
                                              .seed = random_next(&f->random),
                                              .changed = on_subscription,
                                              .channels = f->channels,
                                              .nchannels = 2,
                                              .message = on_message,
                                              .verified = on_verified,
                                              .ping_ms = ping_ms < PING_MIN_MS ? PING_MIN_MS : ping_ms,
                                              .ctx = node};
        if (!(node->link = redis_link_new(&link)))
            return false;
    }
    return f->redis != NULL;
}

static bool open_loop(struct fleet *f)
{
    if (!(f->mailbox = mailbox_new(MAIL_MAX)) || uv_loop_init(&f->loop) != 0)
        return false;
    uv_timer_init(&f->loop, &f->tick);
    f->tick.data = f->mail.data = f;
    uv_timer_start(&f->tick, on_tick, TICK_MS, TICK_MS);
    wheel_init(&f->wheel, TICK_MS * MS, clock_now_ns());
    f->beat_timer.expired = on_beat_time;
    wheel_set(&f->wheel, &f->beat_timer, clock_now_ns());
    return uv_poll_init(&f->loop, &f->mail, mailbox_fd(f->mailbox)) == 0 &&
           uv_poll_start(&f->mail, UV_READABLE, on_mail) == 0;
}

static bool count_shares(struct fleet *f)
{
    struct hash_ring *ring = redis_ring_new(f->conf);
    for (size_t i = 0; ring && i < f->nnodes; i++)
        f->nodes[i].share = hash_ring_share(ring, i);
    hash_ring_free(ring);
    return ring != NULL;
}

static bool init(struct fleet *f)
{
    f->nodes = calloc(f->nnodes, sizeof(*f->nodes));
    if (!f->nodes)
        return false;
    random_seed(&f->random);
    for (size_t i = 0; i < f->nnodes; i++) {
        struct fleet_node *node = &f->nodes[i];
        size_t size = f->setup.nworkers * sizeof(*node->counts);
        node->fleet = f;
        node->index = i;
        node->durations = histogram_new(f->setup.nworkers);
        node->counts = aligned_alloc(CACHE_LINE, size);
        if (!node->durations || !node->counts)
            return false;
        memset(node->counts, 0, size);
    }
    snprintf(f->id, sizeof(f->id), "%016llx", (unsigned long long)random_next(&f->random));
    snprintf(f->channel, sizeof(f->channel), "%s:fleet", f->conf->prefix);
    snprintf(f->answers, sizeof(f->answers), "%s:answers:%s", f->conf->prefix, f->id);
    f->channels[0] = slice_of(f->channel);
    f->channels[1] = slice_of(f->answers);
    snprintf(f->fingerprint, sizeof(f->fingerprint), "%016llx",
             (unsigned long long)conf_redis_fingerprint(f->conf));
    atomic_init(&f->gateways, 1);
    return count_shares(f) && open_loop(f) && open_links(f);
}

struct fleet *fleet_new(const struct fleet_setup *setup, struct err *err)
{
    struct fleet *f = calloc(1, sizeof(*f));
    int failed = ENOMEM;
    if (f) {
        f->setup = *setup;
        f->setup.snapshot = snapshot_get(setup->snapshot);
        f->conf = &setup->snapshot->conf->redis;
        f->nnodes = f->conf->nnodes;
        if (init(f) && (failed = pthread_create(&f->thread, NULL, run, f)) == 0) {
            f->is_running = true;
            return f;
        }
    }
    err_sys(err, ERR_SELF, failed, "fleet");
    return NULL; /* the process ends; what was opened goes with it */
}

void fleet_set_workers(struct fleet *f, struct worker *const *workers, unsigned n)
{
    f->nworkers = n;
    atomic_store_explicit(&f->workers, workers, memory_order_release);
}

void fleet_stop(struct fleet *f)
{
    if (!f || !f->is_running)
        return;
    mailbox_close(f->mailbox); /* what it has taken is done first */
    pthread_join(f->thread, NULL);
    f->is_running = false;
    CHECK(uv_loop_close(&f->loop) == 0);
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    mailbox_free(f->mailbox);
    snapshot_put(f->setup.snapshot);
    for (size_t i = 0; i < f->nnodes; i++) {
        histogram_free(f->nodes[i].durations);
        free(f->nodes[i].counts);
    }
    free(f->nodes);
    free(f);
}

/* ---- what one can see ---- */

const struct conf_redis *fleet_conf(const struct fleet *f)
{
    return f->conf;
}

const char *fleet_id(const struct fleet *f)
{
    return f->id;
}

unsigned fleet_gateways(const struct fleet *f)
{
    return atomic_load_explicit(&f->gateways, memory_order_relaxed);
}

struct slice fleet_channel(const struct fleet *f)
{
    return slice_of(f->channel);
}

void fleet_count_answer(struct fleet *f, size_t i, unsigned worker, uint64_t took_ns)
{
    histogram_add(f->nodes[i].durations, worker, took_ns);
}

void fleet_count_link(struct fleet *f, size_t i, unsigned worker, const struct redis_link_stats *stats)
{
    struct fleet_counts *c = &f->nodes[i].counts[worker];
    atomic_store_explicit(&c->sent, stats->sent, memory_order_relaxed);
    atomic_store_explicit(&c->answered, stats->answered, memory_order_relaxed);
    atomic_store_explicit(&c->late, stats->late, memory_order_relaxed);
    atomic_store_explicit(&c->refused, stats->refused, memory_order_relaxed);
    atomic_store_explicit(&c->connects, stats->connects, memory_order_relaxed);
    atomic_store_explicit(&c->writes, stats->writes, memory_order_relaxed);
}

void fleet_count_wait(struct fleet *f)
{
    atomic_fetch_add_explicit(&f->waits, 1, memory_order_relaxed);
}

void fleet_view(const struct fleet *f, struct fleet_view *v)
{
    *v = (struct fleet_view){
        .gateways = fleet_gateways(f),
        .has_other_rings = atomic_load_explicit(&f->has_other_rings, memory_order_relaxed),
        .heard = atomic_load_explicit(&f->heard, memory_order_relaxed),
        .purges = atomic_load_explicit(&f->purges, memory_order_relaxed),
        .purges_partial = atomic_load_explicit(&f->purges_partial, memory_order_relaxed),
        .waits = atomic_load_explicit(&f->waits, memory_order_relaxed),
    };
}

void fleet_view_node(const struct fleet *f, size_t i, uint64_t now_ns, struct fleet_node_view *v)
{
    const struct fleet_node *node = &f->nodes[i];
    uint64_t verified = atomic_load_explicit(&node->verified_ns, memory_order_relaxed);
    *v = (struct fleet_node_view){
        .name = f->conf->nodes[i].name,
        .share = f->nodes[i].share,
        .is_heard = !fleet_bars((void *)(uintptr_t)f, i),
        .session = fleet_session(f, i),
        .verified_ago_ns = verified > 0 && now_ns > verified ? now_ns - verified : 0,
    };
    for (unsigned w = 0; w < f->setup.nworkers; w++) {
        const struct fleet_counts *c = &node->counts[w];
        v->sent += atomic_load_explicit(&c->sent, memory_order_relaxed);
        v->answered += atomic_load_explicit(&c->answered, memory_order_relaxed);
        v->late += atomic_load_explicit(&c->late, memory_order_relaxed);
        v->refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
        v->connects += atomic_load_explicit(&c->connects, memory_order_relaxed);
        v->writes += atomic_load_explicit(&c->writes, memory_order_relaxed);
    }
    histogram_read(node->durations, &v->durations);
}
