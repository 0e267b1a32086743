/*
 * dlock.c: see dlock.h.
 *
 * One node is a majority of one, so there is one way for any number of nodes. Each node has a vote on the
 * present acquisition: unasked (it could not be sent), asked, no, silent (it will not be answered), yes,
 * ready. When the yeses are a majority, their largest number is the lock's; who granted that number is ready,
 * the others become so by a raise. What is granted after that joins in the same way. Ready are a majority:
 * held. Those that are ready or still asked can be none any more: given up.
 *
 * Why a later holder's number is larger. Let A be held with number F before B is. Some node is both in the
 * majority that was ready for A and in the one that granted B. On that node A's raise found A's token. B's
 * token was set there either after that, so on a counter that stood at F, or before A's was set; but then B's
 * key had expired or was deleted before A was held, and B would not have been held after that.
 *
 * Whoever may have the key when an acquisition ends gets a release: all but those that said no or were never
 * asked. A grant that is answered in RELEASING overtook, or was overtaken by, that release: another one is
 * sent, unless the first says that it deleted the key.
 *
 * Invariants: FREE implies asks_out == 0. RELEASING ends only in dlock_answer and dlock_tick, which alone
 * tell news. An acquisition asks each node once, with a token of its own, so no answer can be taken for one
 * of another acquisition.
 *
 * Dropped: asking nodes anew that have lost the key, while others hold it; it would need the argument above
 * for keys of different ages.
 */
#include "lib/dlock.h"

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/hex.h"
#include "lib/random.h"

#define DRIFT_NS          (2 * CLOCK_MILLISECOND_NS)
#define DRIFT_SHARE       100
#define BACKOFF_NS        (5 * CLOCK_MILLISECOND_NS)
#define BACKOFF_DOUBLINGS 16
#define NO_ANSWER         INT64_MIN

static const char *const scripts[DLOCK_SCRIPTS] = {
    [DLOCK_ACQUIRE] = DLOCK_LUA_ACQUIRE,
    [DLOCK_RAISE] = DLOCK_LUA_RAISE,
    [DLOCK_EXTEND] = DLOCK_LUA_EXTEND,
    [DLOCK_RELEASE] = DLOCK_LUA_RELEASE,
};

static const char *const state_names[DLOCK_STATES] = {"free", "acquiring", "held", "lost", "releasing"};

static const char *const event_names[DLOCK_EVENTS] = {
    [DLOCK_DID_NOTHING] = "nothing", [DLOCK_DID_ACQUIRE] = "acquired", [DLOCK_DID_REFUSE] = "refused",
    [DLOCK_DID_FAIL] = "failed",     [DLOCK_DID_LOSE] = "lost",        [DLOCK_DID_END] = "ended",
};

/* As text that ends with NUL; SIZE is large enough for any. */
static void write_number(char *at, size_t size, uint64_t n)
{
    struct buf b;
    buf_init(&b, at, size - 1);
    buf_add_u64(&b, n);
    at[b.len] = '\0';
}

static void enter(struct dlock *l, enum dlock_state state, enum dlock_event news)
{
    l->state = state;
    l->news = news;
}

static uint64_t ttl_ns(const struct dlock *l)
{
    return l->setup.ttl_ms * CLOCK_MILLISECOND_NS;
}

/* Until when a key is there for sure that was set or extended by what was sent at SENT_NS. */
static uint64_t valid_until(const struct dlock *l, uint64_t sent_ns)
{
    return sent_ns + ttl_ns(l) - ttl_ns(l) / DRIFT_SHARE - DRIFT_NS;
}

static int quorum(const struct dlock *l)
{
    return l->setup.n / 2 + 1;
}

static int count(const struct dlock *l, enum dlock_vote vote)
{
    int found = 0;
    for (int i = 0; i < l->setup.n; i++)
        found += l->setup.nodes[i].vote == vote;
    return found;
}

/* ---- asks ---- */

static bool send_ask(struct dlock_node *node, enum dlock_script script)
{
    struct dlock *l = node->lock;
    struct dlock_ask *ask = script == DLOCK_RELEASE ? &node->release : &node->ask;
    const bool has_fence_key = script == DLOCK_ACQUIRE || script == DLOCK_RAISE;
    CHECK(!ask->is_out);
    *ask = (struct dlock_ask){
        .script = script,
        .nkeys = has_fence_key ? 2 : 1,
        .nargs = script == DLOCK_RELEASE ? 1 : 2,
        .keys = {l->setup.lock_key, l->setup.fence_key},
        .args = {dlock_token(l), slice_of(script == DLOCK_RAISE ? l->number : l->ttl)},
        .node = node,
    };
    if (!node->eval(node->ctx, ask))
        return false;
    ask->is_out = true;
    l->asks_out++;
    return true;
}

static void end(struct dlock *l, enum dlock_event news)
{
    enter(l, DLOCK_RELEASING, news);
    for (int i = 0; i < l->setup.n; i++) {
        struct dlock_node *node = &l->setup.nodes[i];
        if (node->vote != DLOCK_UNASKED && node->vote != DLOCK_NO)
            (void)send_ask(node, DLOCK_RELEASE);
    }
}

static void tell(struct dlock *l)
{
    if (l->news != DLOCK_DID_NOTHING) {
        enum dlock_event news = l->news;
        l->news = DLOCK_DID_NOTHING;
        l->setup.changed(l->setup.ctx, l, news);
    }
    if (l->state == DLOCK_RELEASING && l->asks_out == 0) {
        enter(l, DLOCK_FREE, DLOCK_DID_NOTHING);
        l->setup.changed(l->setup.ctx, l, DLOCK_DID_END);
    }
}

/* ---- acquiring ---- */

static void set_fence(struct dlock *l)
{
    for (int i = 0; i < l->setup.n; i++)
        if (l->setup.nodes[i].vote == DLOCK_YES && l->setup.nodes[i].fence > l->fence)
            l->fence = l->setup.nodes[i].fence;
    write_number(l->number, sizeof(l->number), (uint64_t)l->fence);
}

static void raise_counters(struct dlock *l)
{
    for (int i = 0; i < l->setup.n; i++) {
        struct dlock_node *node = &l->setup.nodes[i];
        if (node->vote != DLOCK_YES || node->ask.is_out)
            continue;
        if (node->fence >= l->fence)
            node->vote = DLOCK_READY;
        else if (!send_ask(node, DLOCK_RAISE))
            node->vote = DLOCK_SILENT;
    }
}

static void hold(struct dlock *l, uint64_t sent_ns, enum dlock_event news)
{
    l->misses = 0;
    l->sent_ns = sent_ns;
    l->until_ns = valid_until(l, sent_ns);
    l->renew_ns = sent_ns + ttl_ns(l) / 3;
    enter(l, DLOCK_HELD, news);
}

static void give_up(struct dlock *l, enum dlock_event news)
{
    if (l->misses < BACKOFF_DOUBLINGS)
        l->misses++;
    end(l, news);
}

/* See whether it is held, or cannot be any more. */
static void judge(struct dlock *l, uint64_t now_ns)
{
    if (l->fence == 0 && count(l, DLOCK_YES) >= quorum(l))
        set_fence(l);
    if (l->fence != 0)
        raise_counters(l);
    const int ready = count(l, DLOCK_READY);
    const int out_of_reach = count(l, DLOCK_UNASKED) + count(l, DLOCK_SILENT);
    if (now_ns >= l->until_ns)
        give_up(l, DLOCK_DID_FAIL);
    else if (ready >= quorum(l))
        hold(l, l->sent_ns, DLOCK_DID_ACQUIRE);
    else if (out_of_reach > l->setup.n - quorum(l))
        give_up(l, DLOCK_DID_FAIL);
    else if (out_of_reach + count(l, DLOCK_NO) > l->setup.n - quorum(l))
        give_up(l, DLOCK_DID_REFUSE);
}

void dlock_write_token(const uint64_t random[2], char *out)
{
    hex_write(hex_write(out, random[0]), random[1]);
}

/* A new acquisition, of which no node knows. */
static void begin(struct dlock *l, const uint64_t random[2])
{
    for (int i = 0; i < l->setup.n; i++) {
        struct dlock_node *node = &l->setup.nodes[i];
        node->vote = DLOCK_UNASKED;
        node->is_late = false;
        node->fence = 0;
    }
    l->fence = 0;
    l->holder_ms = 0;
    l->extension.out = 0;
    dlock_write_token(random, l->token);
    l->token[DLOCK_TOKEN_LEN] = '\0';
    enter(l, DLOCK_ACQUIRING, DLOCK_DID_NOTHING);
}

/* ---- answers ---- */

static void on_acquire(struct dlock *l, struct dlock_node *node, int64_t number, uint64_t now_ns)
{
    node->fence = number;
    if (number == NO_ANSWER || number > DLOCK_FENCE_MAX)
        node->vote = DLOCK_SILENT;
    else
        node->vote = number > 0 ? DLOCK_YES : DLOCK_NO;
    if (node->vote == DLOCK_NO && -number > l->holder_ms)
        l->holder_ms = -number < DLOCK_TTL_MAX_MS ? (uint32_t)-number : DLOCK_TTL_MAX_MS;
    if (l->state == DLOCK_ACQUIRING)
        judge(l, now_ns);
    else if (l->state == DLOCK_RELEASING && number > 0) {
        node->is_late = node->release.is_out;
        if (!node->is_late)
            (void)send_ask(node, DLOCK_RELEASE);
    }
}

static void on_raise(struct dlock *l, struct dlock_node *node, int64_t number, uint64_t now_ns)
{
    node->vote = number == 1 ? DLOCK_READY : DLOCK_SILENT;
    if (l->state == DLOCK_ACQUIRING)
        judge(l, now_ns);
}

static void on_extend(struct dlock *l, int64_t number)
{
    l->extension.out--;
    l->extension.yes += number == 1;
    l->extension.no += number == 0;
    if (l->state != DLOCK_HELD)
        return;
    if (l->extension.yes >= quorum(l))
        hold(l, l->extension.sent_ns, l->news);
    else if (l->extension.no > l->setup.n - quorum(l))
        enter(l, DLOCK_LOST, DLOCK_DID_LOSE);
}

static void on_release(struct dlock_node *node, int64_t number)
{
    const bool has_key = node->is_late && number != 1;
    node->is_late = false;
    if (has_key)
        (void)send_ask(node, DLOCK_RELEASE);
}

static void expire(struct dlock *l, uint64_t now_ns)
{
    if (l->state == DLOCK_HELD && now_ns >= l->until_ns)
        enter(l, DLOCK_LOST, DLOCK_DID_LOSE);
}

/* ---- public ---- */

void dlock_init(struct dlock *l, const struct dlock_setup *setup)
{
    CHECK(setup->n == 1 || (setup->n >= 3 && setup->n <= DLOCK_NODES_MAX));
    CHECK(setup->ttl_ms >= DLOCK_TTL_MIN_MS && setup->ttl_ms <= DLOCK_TTL_MAX_MS);
    *l = (struct dlock){.setup = *setup};
    write_number(l->ttl, sizeof(l->ttl), setup->ttl_ms);
    for (int i = 0; i < setup->n; i++)
        setup->nodes[i] =
            (struct dlock_node){.eval = setup->nodes[i].eval, .ctx = setup->nodes[i].ctx, .lock = l};
}

bool dlock_acquire(struct dlock *l, const uint64_t random[2], uint64_t now_ns)
{
    if (l->state != DLOCK_FREE)
        return false;
    begin(l, random);
    l->sent_ns = now_ns;
    l->until_ns = valid_until(l, now_ns);
    for (int i = 0; i < l->setup.n; i++)
        if (send_ask(&l->setup.nodes[i], DLOCK_ACQUIRE))
            l->setup.nodes[i].vote = DLOCK_ASKED;
    judge(l, now_ns);
    return true;
}

bool dlock_extend(struct dlock *l, uint64_t now_ns)
{
    if (!dlock_is_held(l, now_ns) || l->extension.out > 0)
        return false;
    l->renew_ns = now_ns + ttl_ns(l) / 10;
    l->extension.sent_ns = now_ns;
    l->extension.yes = l->extension.no = 0;
    for (int i = 0; i < l->setup.n; i++)
        if (!l->setup.nodes[i].ask.is_out && send_ask(&l->setup.nodes[i], DLOCK_EXTEND))
            l->extension.out++;
    return true;
}

void dlock_release(struct dlock *l)
{
    if (l->state == DLOCK_RELEASING)
        l->news = DLOCK_DID_NOTHING;
    else if (l->state != DLOCK_FREE)
        end(l, DLOCK_DID_NOTHING);
}

void dlock_answer(struct dlock_ask *ask, const struct dlock_reply *reply, uint64_t now_ns)
{
    struct dlock_node *node = ask->node;
    struct dlock *l = node->lock;
    const int64_t number = reply && reply->is_answered ? reply->number : NO_ANSWER;
    CHECK(ask->is_out);
    ask->is_out = false;
    l->asks_out--;
    expire(l, now_ns);
    switch (ask->script) {
    case DLOCK_ACQUIRE:
        on_acquire(l, node, number, now_ns);
        break;
    case DLOCK_RAISE:
        on_raise(l, node, number, now_ns);
        break;
    case DLOCK_EXTEND:
        on_extend(l, number);
        break;
    default:
        on_release(node, number);
    }
    tell(l);
}

void dlock_tick(struct dlock *l, uint64_t now_ns)
{
    expire(l, now_ns);
    if (l->state == DLOCK_ACQUIRING && now_ns >= l->until_ns)
        give_up(l, DLOCK_DID_FAIL);
    tell(l);
}

uint64_t dlock_next_ns(const struct dlock *l)
{
    if (l->news != DLOCK_DID_NOTHING || (l->state == DLOCK_RELEASING && l->asks_out == 0))
        return 0;
    return l->state == DLOCK_ACQUIRING || l->state == DLOCK_HELD ? l->until_ns : DLOCK_NEVER;
}

uint64_t dlock_renew_ns(const struct dlock *l)
{
    return l->state == DLOCK_HELD && l->extension.out == 0 ? l->renew_ns : DLOCK_NEVER;
}

bool dlock_is_held(const struct dlock *l, uint64_t now_ns)
{
    return l->state == DLOCK_HELD && now_ns < l->until_ns;
}

uint64_t dlock_until_ns(const struct dlock *l)
{
    return l->state == DLOCK_HELD ? l->until_ns : 0;
}

int64_t dlock_fence(const struct dlock *l)
{
    return l->fence;
}

enum dlock_state dlock_state(const struct dlock *l)
{
    return l->state;
}

uint32_t dlock_holder_ms(const struct dlock *l)
{
    return l->holder_ms;
}

uint64_t dlock_backoff_ns(const struct dlock *l, uint64_t random)
{
    uint64_t most_ns = BACKOFF_NS << (l->misses > 0 ? l->misses - 1 : 0);
    if (most_ns > ttl_ns(l) / 2)
        most_ns = ttl_ns(l) / 2;
    return most_ns / 2 + random_below(random, most_ns / 2 + 1);
}

struct slice dlock_offer(struct dlock *l, const uint64_t random[2])
{
    CHECK(l->state == DLOCK_FREE && l->setup.n == 1);
    begin(l, random);
    l->until_ns = DLOCK_NEVER;
    l->setup.nodes[0].vote = DLOCK_ASKED;
    return dlock_token(l);
}

bool dlock_granted(struct dlock *l, int64_t fence, uint64_t sent_ns, uint64_t now_ns)
{
    CHECK(l->state == DLOCK_ACQUIRING && l->until_ns == DLOCK_NEVER);
    const bool is_number = fence > 0 && fence <= DLOCK_FENCE_MAX;
    if (!is_number || now_ns >= valid_until(l, sent_ns)) {
        give_up(l, DLOCK_DID_NOTHING);
        return false;
    }
    l->fence = fence;
    l->setup.nodes[0].vote = DLOCK_READY;
    hold(l, sent_ns, DLOCK_DID_NOTHING);
    return true;
}

void dlock_refused(struct dlock *l)
{
    CHECK(l->state == DLOCK_ACQUIRING && l->until_ns == DLOCK_NEVER);
    l->misses += l->misses < BACKOFF_DOUBLINGS;
    enter(l, DLOCK_FREE, DLOCK_DID_NOTHING);
}

void dlock_released(struct dlock *l)
{
    CHECK(l->setup.n == 1);
    l->setup.nodes[0].vote = DLOCK_NO;
    dlock_release(l);
}

struct slice dlock_token(const struct dlock *l)
{
    return (struct slice){l->token, DLOCK_TOKEN_LEN};
}

const char *dlock_script_text(enum dlock_script script)
{
    return scripts[script];
}

const char *dlock_state_name(enum dlock_state state)
{
    return state_names[state];
}

const char *dlock_event_name(enum dlock_event event)
{
    return event_names[event];
}
