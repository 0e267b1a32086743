/*
 * test_dlock_model.c: three clients of a distributed lock (lib/dlock), at random.
 *
 * Messages take any time, overtake each other and get lost; a transport gives up on an ask, and the node runs
 * it after that all the same; clients stop for a while; nodes go away and come back. After every step at most
 * one client holds the lock, and the numbers of those that are told that they hold it only grow. Clocks run
 * equally but for the nodes' that are 1% faster; what time they show is up to 100 s apart.
 *
 * A single node may also lose its data. Then two may hold the lock, but the numbers it grants still grow.
 */
#include <stdio.h>

#include "lib/random.h"
#include "tests/unit/lib/dlock_store.h"
#include "tests/unit/unit.h"

#define CLIENTS      3
#define NODES        5
#define MESSAGES     512
#define TTL_MS       100
#define PATIENCE_NS  (20 * MS) /* of the transport */
#define STEPS        100000
#define STEP_MOST_NS (MS / 2)

/* A request on its way to a node, or its answer on the way back. */
struct message {
    struct dlock_ask *ask; /* NULL: nobody waits for it any more; of an offer: see is_offer */
    bool is_offer, is_answer, is_used;
    int client, node;
    uint64_t due_ns, patience_ns;
    int64_t number;
    struct dlock_message text;
};

struct wire {
    struct world *world;
    int client, node;
};

struct client {
    struct dlock l;
    struct dlock_node nodes[NODES];
    struct wire wires[NODES];
    struct world *world;
    uint64_t paused_until_ns, wait_until_ns, offered_ns;
    bool is_offering;
};

struct world {
    const struct plan *plan;
    struct random random;
    uint64_t now_ns;
    struct dlock_store stores[NODES];
    uint64_t down_until_ns[NODES];
    struct client clients[CLIENTS];
    struct message messages[MESSAGES];
    int nmessages; /* places that were ever used */
    int64_t fence; /* of the last holder */
    int step;
    unsigned acquired, refused, failed, lost, extended, offered, stray, apart;
};

struct plan {
    int n;
    bool loses_data;
    unsigned loss, silence; /* of 1000 */
    unsigned care, haste;   /* of 1000: that a holder extends when it is time, and gives back, each time */
    uint64_t slow_ns;       /* a message takes up to this long, some ten times */
    uint64_t seed;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return random_below(random_next(&w->random), n);
}

static bool chance(struct world *w, unsigned of_1000)
{
    return below(w, 1000) < of_1000;
}

static uint64_t delay_ns(struct world *w)
{
    return below(w, w->plan->slow_ns * (chance(w, 50) ? 10 : 1) + 1);
}

/* ---- messages ---- */

static struct message *post(struct world *w)
{
    int i = 0;
    while (i < w->nmessages && w->messages[i].is_used)
        i++;
    ck_assert_int_lt(i, MESSAGES);
    w->nmessages = i == w->nmessages ? i + 1 : w->nmessages;
    w->messages[i] = (struct message){
        .is_used = true, .due_ns = w->now_ns + delay_ns(w), .patience_ns = w->now_ns + PATIENCE_NS};
    return &w->messages[i];
}

static bool eval(void *ctx, struct dlock_ask *ask)
{
    struct wire *wire = ctx;
    struct world *w = wire->world;
    if (chance(w, w->plan->silence))
        return false;
    struct message *m = post(w);
    m->ask = ask;
    m->client = wire->client;
    m->node = wire->node;
    m->text = dlock_message_of(ask);
    return true;
}

static void offer(struct world *w, struct client *c)
{
    struct message *m = post(w);
    struct slice token = dlock_offer(&c->l, (uint64_t[2]){random_next(&w->random), random_next(&w->random)});
    m->is_offer = true;
    m->client = (int)(c - w->clients);
    m->text = (struct dlock_message){.script = DLOCK_ACQUIRE, .number = TTL_MS};
    memcpy(m->text.token, token.p, token.len);
    c->is_offering = true;
    c->offered_ns = w->now_ns;
    w->offered++;
}

/* C is told that it holds the lock: its number is larger than that of all before. */
static void hold(struct world *w, const struct client *c)
{
    int64_t fence = dlock_fence(&c->l);
    if (fence <= w->fence && !w->plan->loses_data)
        ck_abort_msg("step %d: number %lld after %lld", w->step, (long long)fence, (long long)w->fence);
    w->fence = fence;
    w->acquired++;
}

static void end_offer(struct world *w, struct client *c, bool is_answered, int64_t number)
{
    c->is_offering = false;
    if (!is_answered || chance(w, 50))
        dlock_release(&c->l);
    else if (number <= 0)
        dlock_refused(&c->l);
    else if (dlock_granted(&c->l, number, c->offered_ns, w->now_ns))
        hold(w, c);
}

static void reply(struct world *w, struct message *m, bool is_answered)
{
    struct client *c = &w->clients[m->client];
    bool had = dlock_is_held(&c->l, w->now_ns);
    uint64_t until_ns = dlock_until_ns(&c->l);
    struct dlock_ask *ask = m->ask;
    m->ask = NULL;
    if (m->is_offer) {
        m->is_offer = false;
        end_offer(w, c, is_answered, m->number);
    } else if (ask)
        dlock_answer(ask, &(struct dlock_reply){.is_answered = is_answered, .number = m->number}, w->now_ns);
    else
        w->stray++;
    w->extended += had && dlock_until_ns(&c->l) > until_ns;
}

/* A node runs what has come; who sent it may have given up. */
static void arrive(struct world *w, struct message *m)
{
    if (w->now_ns < w->down_until_ns[m->node] || chance(w, w->plan->loss)) {
        m->is_answer = true; /* that never comes */
        m->due_ns = UINT64_MAX;
        return;
    }
    m->number = dlock_store_run(&w->stores[m->node], &m->text, w->now_ns);
    m->is_answer = true;
    m->due_ns = chance(w, w->plan->loss) ? UINT64_MAX : w->now_ns + delay_ns(w);
}

static void move(struct world *w, struct message *m)
{
    bool is_awaited = m->ask || m->is_offer;
    bool is_stopped = w->now_ns < w->clients[m->client].paused_until_ns;
    if (!m->is_answer && w->now_ns >= m->due_ns)
        arrive(w, m);
    else if (m->is_answer && w->now_ns >= m->due_ns && !is_stopped) {
        reply(w, m, true);
        m->is_used = false;
    } else if (w->now_ns >= m->patience_ns && !is_stopped && is_awaited)
        reply(w, m, false);
    else if (!is_awaited && m->is_answer && m->due_ns == UINT64_MAX)
        m->is_used = false;
}

/* ---- clients ---- */

static void changed(void *ctx, struct dlock *l, enum dlock_event event)
{
    struct client *c = ctx;
    struct world *w = c->world;
    if (event == DLOCK_DID_ACQUIRE)
        hold(w, c);
    if (event == DLOCK_DID_LOSE) {
        w->lost++;
        if (chance(w, 500))
            dlock_release(l);
    }
    w->refused += event == DLOCK_DID_REFUSE;
    w->failed += event == DLOCK_DID_FAIL;
    if (event == DLOCK_DID_END)
        c->wait_until_ns =
            w->now_ns + (chance(w, 300) ? dlock_backoff_ns(l, random_next(&w->random)) : below(w, MS));
}

static void act(struct world *w, struct client *c)
{
    const uint64_t random[2] = {random_next(&w->random), random_next(&w->random)};
    if (w->now_ns < c->paused_until_ns)
        return;
    if (chance(w, 3))
        c->paused_until_ns = w->now_ns + below(w, 3 * TTL_MS * MS);
    if (w->now_ns >= dlock_next_ns(&c->l))
        dlock_tick(&c->l, w->now_ns);
    if (w->now_ns >= dlock_renew_ns(&c->l) && chance(w, w->plan->care))
        ck_assert(dlock_extend(&c->l, w->now_ns) || w->now_ns >= dlock_until_ns(&c->l));
    enum dlock_state state = dlock_state(&c->l);
    if (state == DLOCK_LOST || (state == DLOCK_HELD && chance(w, w->plan->haste)) ||
        (state == DLOCK_ACQUIRING && !c->is_offering && chance(w, 2)))
        dlock_release(&c->l);
    if (state != DLOCK_FREE || w->now_ns < c->wait_until_ns)
        return;
    if (w->plan->n == 1 && chance(w, 300))
        offer(w, c);
    else
        ck_assert(dlock_acquire(&c->l, random, w->now_ns));
}

/* ---- the world ---- */

static void begin(struct world *w, const struct plan *plan)
{
    memset(w, 0, sizeof(*w));
    w->plan = plan;
    w->now_ns = 1000 * CLOCK_SECOND_NS;
    random_seed_with(&w->random, plan->seed);
    for (int i = 0; i < plan->n; i++)
        w->stores[i] = (struct dlock_store){.early_ppm = 10000, .clock_us = (int64_t)below(w, 100 * 1000000)};
    for (int k = 0; k < CLIENTS; k++) {
        struct client *c = &w->clients[k];
        c->world = w;
        for (int i = 0; i < plan->n; i++) {
            c->wires[i] = (struct wire){.world = w, .client = k, .node = i};
            c->nodes[i] = (struct dlock_node){.eval = eval, .ctx = &c->wires[i]};
        }
        dlock_init(&c->l, &(struct dlock_setup){.nodes = c->nodes,
                                                .n = plan->n,
                                                .lock_key = SLICE("lock"),
                                                .fence_key = SLICE("fence"),
                                                .ttl_ms = TTL_MS,
                                                .changed = changed,
                                                .ctx = c});
    }
}

static void disturb(struct world *w)
{
    int i = (int)below(w, (uint64_t)w->plan->n);
    if (!chance(w, 1))
        return;
    w->down_until_ns[i] = w->now_ns + below(w, TTL_MS * MS);
    if (w->plan->loses_data)
        dlock_store_lose_all(&w->stores[i]);
}

static void look(struct world *w)
{
    int holders = 0;
    for (int k = 0; k < CLIENTS; k++)
        holders += dlock_is_held(&w->clients[k].l, w->now_ns);
    w->apart += holders > 1;
    if (holders > 1 && !w->plan->loses_data)
        ck_abort_msg("step %d: %d holders", w->step, holders);
}

static void live(const struct plan *plan)
{
    static struct world w;
    begin(&w, plan);
    for (w.step = 0; w.step < STEPS; w.step++) {
        w.now_ns += below(&w, STEP_MOST_NS);
        look(&w);
        disturb(&w);
        for (int i = 0; i < w.nmessages; i++)
            if (w.messages[i].is_used && chance(&w, 700))
                move(&w, &w.messages[i]);
        look(&w);
        act(&w, &w.clients[below(&w, CLIENTS)]);
    }
    if (plan->n == 1)
        ck_assert_uint_eq(w.stores[0].fence_lost, 0);
    if (plan->loses_data)
        ck_assert_uint_gt(w.apart, 0); /* so that it can be seen here */
    if (getenv("VERBOSE"))
        printf("n=%d seed=%llu: acquired %u refused %u failed %u lost %u extended %u offered %u stray %u "
               "apart %u\n",
               plan->n, (unsigned long long)plan->seed, w.acquired, w.refused, w.failed, w.lost, w.extended,
               w.offered, w.stray, w.apart);
    ck_assert(w.acquired > 50 && w.refused > 50 && w.lost > 5 && w.extended > 5 && w.stray > 5);
}

static const struct plan plans[] = {
    {.n = 1, .loss = 10, .silence = 5, .slow_ns = 2 * MS, .care = 900, .haste = 20},
    {.n = 1, .loss = 10, .silence = 5, .slow_ns = 2 * MS, .care = 10, .haste = 2},
    {.n = 1, .loss = 50, .silence = 20, .slow_ns = 10 * MS, .care = 30, .haste = 10},
    {.n = 1, .loss = 20, .silence = 5, .slow_ns = 3 * MS, .care = 900, .haste = 20, .loses_data = true},
    {.n = 3, .loss = 10, .silence = 5, .slow_ns = 2 * MS, .care = 900, .haste = 20},
    {.n = 3, .loss = 30, .silence = 20, .slow_ns = 5 * MS, .care = 20, .haste = 5},
    {.n = 4, .loss = 20, .silence = 5, .slow_ns = 3 * MS, .care = 900, .haste = 20},
    {.n = 5, .loss = 10, .silence = 5, .slow_ns = 2 * MS, .care = 20, .haste = 5},
    {.n = 5, .loss = 50, .silence = 20, .slow_ns = 5 * MS, .care = 900, .haste = 20},
};

START_TEST(at_most_one_holds_it)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct plan plan = plans[_i];
        plan.seed = seed;
        live(&plan);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("dlock_model");
    TCase *t = tcase_create("dlock_model");
    tcase_add_loop_test(t, at_most_one_holds_it, 0, sizeof(plans) / sizeof(plans[0]));
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
