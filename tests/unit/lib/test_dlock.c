/*
 * test_dlock.c: the distributed lock (lib/dlock) step by step: every answer comes when a test says so, from
 * stores that are C (dlock_store.h). Schedules at random are in test_dlock_model.c, the Lua in
 * gateway/test_dlock_redis.c.
 */
#include "tests/unit/lib/dlock_store.h"
#include "tests/unit/unit.h"

#define TTL_MS   1000
#define VALID_NS (988 * MS) /* 1000 - 10 - 2 ms */
#define NODES    5
#define QUEUE    4

/* ---- clients ---- */

static struct dlock_store stores[NODES];
static uint64_t now_ns;
static uint64_t tokens;

/* What a client has sent to a node and was not answered yet, oldest first. */
struct wire {
    struct dlock_ask *asks[QUEUE];
    int n;
    bool is_down;
};

struct client {
    struct dlock l; /* first */
    struct dlock_node nodes[NODES];
    struct wire wires[NODES];
    enum dlock_event events[8];
    int nevents, seen;
    bool is_busy;        /* in a function that may not call back */
    bool releases_early; /* when it is told that it holds */
};

static bool eval(void *ctx, struct dlock_ask *ask)
{
    struct wire *wire = ctx;
    if (wire->is_down)
        return false;
    ck_assert_int_lt(wire->n, 2);
    wire->asks[wire->n++] = ask;
    return true;
}

static void changed(void *ctx, struct dlock *l, enum dlock_event event)
{
    struct client *c = ctx;
    ck_assert(!c->is_busy && l == &c->l && c->nevents < 8);
    c->events[c->nevents++] = event;
    if (event == DLOCK_DID_ACQUIRE && c->releases_early)
        dlock_release(l);
}

static void client_init(struct client *c, int n)
{
    *c = (struct client){.nevents = 0};
    for (int i = 0; i < n; i++)
        c->nodes[i] = (struct dlock_node){.eval = eval, .ctx = &c->wires[i]};
    dlock_init(&c->l, &(struct dlock_setup){.nodes = c->nodes,
                                            .n = n,
                                            .lock_key = SLICE("lock"),
                                            .fence_key = SLICE("fence"),
                                            .ttl_ms = TTL_MS,
                                            .changed = changed,
                                            .ctx = c});
}

static void acquire(struct client *c)
{
    c->is_busy = true;
    ck_assert(dlock_acquire(&c->l, (uint64_t[2]){7, ++tokens}, now_ns));
    c->is_busy = false;
    ck_assert_int_ne(dlock_state(&c->l), DLOCK_FREE);
}

static void release(struct client *c)
{
    c->is_busy = true;
    dlock_release(&c->l);
    c->is_busy = false;
}

static void extend(struct client *c)
{
    c->is_busy = true;
    ck_assert(dlock_extend(&c->l, now_ns));
    c->is_busy = false;
}

/* The oldest ask of node I, or the one of that script. */
static struct dlock_ask *take(struct client *c, int i, int script)
{
    struct wire *wire = &c->wires[i];
    for (int k = 0; k < wire->n; k++) {
        if (script >= 0 && (int)wire->asks[k]->script != script)
            continue;
        struct dlock_ask *ask = wire->asks[k];
        wire->asks[k] = wire->asks[--wire->n];
        return ask;
    }
    ck_abort_msg("node %d was not asked", i);
    return NULL;
}

static int64_t run(struct dlock_ask *ask, int i)
{
    struct dlock_message m = dlock_message_of(ask);
    return dlock_store_run(&stores[i], &m, now_ns);
}

static void answer(struct dlock_ask *ask, int64_t number)
{
    dlock_answer(ask, &(struct dlock_reply){.is_answered = true, .number = number}, now_ns);
}

/* Node I runs what it was asked first, and answers. */
static void serve(struct client *c, int i)
{
    struct dlock_ask *ask = take(c, i, -1);
    answer(ask, run(ask, i));
}

static void serve_all(struct client *c)
{
    for (bool is_idle = false; !is_idle;) {
        is_idle = true;
        for (int i = 0; i < NODES; i++)
            for (; c->wires[i].n > 0; is_idle = false)
                serve(c, i);
    }
}

static void silence(struct client *c, int i)
{
    dlock_answer(take(c, i, -1), NULL, now_ns);
}

/* The next event that was told. */
static enum dlock_event event(struct client *c)
{
    return c->seen < c->nevents ? c->events[c->seen++] : DLOCK_DID_NOTHING;
}

#define EXPECT(c, state, ...)                                                                                \
    do {                                                                                                     \
        const enum dlock_event expected[] = {__VA_ARGS__};                                                   \
        for (size_t k = 0; k < sizeof(expected) / sizeof(expected[0]); k++)                                  \
            ck_assert_str_eq(dlock_event_name(event(c)), dlock_event_name(expected[k]));                     \
        ck_assert_str_eq(dlock_event_name(event(c)), "nothing");                                             \
        ck_assert_str_eq(dlock_state_name(dlock_state(&(c)->l)), dlock_state_name(state));                   \
    } while (0)

static bool has_key(const struct client *c, int i)
{
    dlock_store_expire(&stores[i], now_ns);
    return strcmp(stores[i].token, dlock_token(&c->l).p) == 0;
}

static bool is_held(const struct client *c)
{
    return dlock_is_held(&c->l, now_ns);
}

static struct client a, b;

static void set_up(void)
{
    memset(stores, 0, sizeof(stores));
    now_ns = 1000 * MS;
    client_init(&a, 1);
    client_init(&b, 1);
}

static void set_up_three(void)
{
    set_up();
    client_init(&a, 3);
    client_init(&b, 3);
}

/* ---- one node ---- */

START_TEST(one_at_a_time)
{
    ck_assert(!is_held(&a));
    acquire(&a);
    ck_assert(!dlock_acquire(&a.l, (uint64_t[2]){1, 2}, now_ns) && !is_held(&a));
    serve(&a, 0);
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    ck_assert(is_held(&a) && has_key(&a, 0) && dlock_fence(&a.l) == stores[0].last);
    now_ns += 400 * MS;
    acquire(&b);
    serve(&b, 0);
    EXPECT(&b, DLOCK_FREE, DLOCK_DID_REFUSE, DLOCK_DID_END);
    ck_assert(!is_held(&b) && dlock_holder_ms(&b.l) == 600);
    release(&a);
    ck_assert(!is_held(&a) && has_key(&a, 0));
    serve(&a, 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    ck_assert(!has_key(&a, 0));
    int64_t first = dlock_fence(&a.l);
    acquire(&b);
    serve(&b, 0);
    EXPECT(&b, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    ck_assert(dlock_fence(&b.l) > first && dlock_holder_ms(&b.l) == 0);
}
END_TEST

START_TEST(a_stranger_releases_nothing)
{
    acquire(&a);
    serve(&a, 0);
    now_ns += 1000 * MS;
    acquire(&b);
    serve(&b, 0);
    ck_assert(!is_held(&a) && is_held(&b));
    release(&a);
    serve(&a, 0);
    ck_assert(has_key(&b, 0));
    EXPECT(&b, DLOCK_HELD, DLOCK_DID_ACQUIRE);
}
END_TEST

START_TEST(it_ends_by_itself)
{
    acquire(&a);
    now_ns += 100 * MS; /* the answer takes long: it counts from the sending */
    serve(&a, 0);
    ck_assert_uint_eq(dlock_next_ns(&a.l), 1000 * MS + VALID_NS);
    ck_assert_uint_eq(dlock_until_ns(&a.l), 1000 * MS + VALID_NS);
    now_ns = 1000 * MS + VALID_NS - 1;
    dlock_tick(&a.l, now_ns);
    ck_assert(is_held(&a));
    now_ns++;
    ck_assert(!is_held(&a) && has_key(&a, 0) && !dlock_extend(&a.l, now_ns));
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_LOST, DLOCK_DID_LOSE);
    ck_assert(dlock_next_ns(&a.l) == DLOCK_NEVER && dlock_renew_ns(&a.l) == DLOCK_NEVER);
    dlock_tick(&a.l, now_ns);
    release(&a);
    serve(&a, 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

START_TEST(extended_it_stays)
{
    acquire(&a);
    serve(&a, 0);
    ck_assert_uint_eq(dlock_renew_ns(&a.l), now_ns + TTL_MS * MS / 3);
    for (int i = 0; i < 10; i++) {
        now_ns = dlock_renew_ns(&a.l);
        uint64_t sent_ns = now_ns;
        extend(&a);
        ck_assert(dlock_renew_ns(&a.l) == DLOCK_NEVER && !dlock_extend(&a.l, now_ns));
        now_ns += 20 * MS;
        serve(&a, 0);
        ck_assert(is_held(&a) && dlock_until_ns(&a.l) == sent_ns + VALID_NS);
        ck_assert_uint_eq(dlock_renew_ns(&a.l), sent_ns + TTL_MS * MS / 3);
        acquire(&b);
        serve(&b, 0);
        ck_assert(!is_held(&b));
        b.nevents = b.seen = 0;
    }
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
}
END_TEST

START_TEST(an_extension_that_is_refused_loses_it)
{
    acquire(&a);
    serve(&a, 0);
    dlock_store_lose_all(&stores[0]);
    extend(&a);
    serve(&a, 0);
    EXPECT(&a, DLOCK_LOST, DLOCK_DID_ACQUIRE, DLOCK_DID_LOSE);
    ck_assert(!is_held(&a));
    release(&a);
    serve(&a, 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

START_TEST(an_extension_without_answer_loses_nothing)
{
    acquire(&a);
    serve(&a, 0);
    uint64_t until_ns = dlock_until_ns(&a.l);
    now_ns += 400 * MS;
    extend(&a);
    silence(&a, 0);
    ck_assert(is_held(&a) && dlock_until_ns(&a.l) == until_ns);
    ck_assert_uint_eq(dlock_renew_ns(&a.l), now_ns + 100 * MS);
    a.wires[0].is_down = true;
    now_ns += 100 * MS;
    extend(&a);
    ck_assert(is_held(&a) && dlock_until_ns(&a.l) == until_ns);
    ck_assert_uint_eq(dlock_renew_ns(&a.l), now_ns + 100 * MS);
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    now_ns = until_ns;
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_LOST, DLOCK_DID_LOSE);
    release(&a);
    ck_assert_uint_eq(dlock_next_ns(&a.l), 0);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

START_TEST(an_extension_that_is_answered_late_does_not_revive)
{
    acquire(&a);
    serve(&a, 0);
    now_ns += 900 * MS;
    extend(&a);
    struct dlock_ask *ask = take(&a, 0, DLOCK_EXTEND);
    int64_t number = run(ask, 0);
    now_ns += 88 * MS;
    ck_assert(!is_held(&a));
    answer(ask, number);
    EXPECT(&a, DLOCK_LOST, DLOCK_DID_ACQUIRE, DLOCK_DID_LOSE);
}
END_TEST

START_TEST(given_up_and_granted_late)
{
    /* The release overtakes. */
    acquire(&a);
    release(&a);
    struct dlock_ask *late = take(&a, 0, DLOCK_ACQUIRE);
    serve(&a, 0);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_NOTHING);
    ck_assert(!dlock_acquire(&a.l, (uint64_t[2]){1, 1}, now_ns));
    answer(late, run(late, 0));
    ck_assert(has_key(&a, 0));
    serve(&a, 0);
    ck_assert(!has_key(&a, 0));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* It overtakes, but is not answered before the grant is. */
    acquire(&a);
    release(&a);
    late = take(&a, 0, DLOCK_ACQUIRE);
    struct dlock_ask *early = take(&a, 0, DLOCK_RELEASE);
    int64_t nothing = run(early, 0);
    answer(late, run(late, 0));
    answer(early, nothing);
    ck_assert(has_key(&a, 0));
    serve(&a, 0);
    ck_assert(!has_key(&a, 0));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* It does not. */
    acquire(&a);
    release(&a);
    serve(&a, 0);
    serve(&a, 0);
    ck_assert(!has_key(&a, 0));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

START_TEST(granted_when_the_time_is_over)
{
    acquire(&a);
    now_ns += 500 * MS;
    struct dlock_ask *ask = take(&a, 0, DLOCK_ACQUIRE);
    int64_t number = run(ask, 0);
    now_ns = 1000 * MS + VALID_NS;
    answer(ask, number);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    ck_assert(!is_held(&a) && has_key(&a, 0));
    serve(&a, 0);
    ck_assert(!has_key(&a, 0));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

START_TEST(a_node_that_is_silent)
{
    acquire(&a);
    ck_assert_uint_eq(dlock_next_ns(&a.l), now_ns + VALID_NS);
    struct dlock_ask *ask = take(&a, 0, DLOCK_ACQUIRE);
    (void)run(ask, 0); /* it did it, and the answer is lost */
    dlock_answer(ask, NULL, now_ns);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    ck_assert(has_key(&a, 0));
    serve(&a, 0);
    ck_assert(!has_key(&a, 0));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* So silent that not even the transport gives up. */
    acquire(&a);
    now_ns = dlock_next_ns(&a.l);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    silence(&a, 0);
    silence(&a, 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* Not even there. */
    a.wires[0].is_down = true;
    acquire(&a);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_NOTHING);
    ck_assert_uint_eq(dlock_next_ns(&a.l), 0);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_FAIL, DLOCK_DID_END);
    ck_assert_uint_eq(dlock_next_ns(&a.l), DLOCK_NEVER);
}
END_TEST

START_TEST(answers_that_make_no_sense)
{
    static const int64_t nonsense[] = {DLOCK_FENCE_MAX + 1, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        acquire(&a);
        answer(take(&a, 0, DLOCK_ACQUIRE), nonsense[i]);
        EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
        answer(take(&a, 0, DLOCK_RELEASE), nonsense[i]);
        EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
        a.nevents = a.seen = 0;
    }
    acquire(&a);
    answer(take(&a, 0, DLOCK_ACQUIRE), INT64_MIN + 1);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_REFUSE, DLOCK_DID_END);
    ck_assert_uint_eq(dlock_holder_ms(&a.l), DLOCK_TTL_MAX_MS);
    acquire(&a);
    dlock_answer(take(&a, 0, DLOCK_ACQUIRE), &(struct dlock_reply){.number = 5}, now_ns);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    serve(&a, 0);
    a.nevents = a.seen = 0;
    acquire(&a);
    serve(&a, 0);
    extend(&a);
    answer(take(&a, 0, DLOCK_EXTEND), -3);
    ck_assert(is_held(&a));
}
END_TEST

START_TEST(released_by_who_is_told)
{
    a.releases_early = true;
    acquire(&a);
    serve(&a, 0);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_ACQUIRE);
    serve(&a, 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    release(&a); /* does nothing */
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_NOTHING);
    /* News that nobody wants any more. */
    a.wires[0].is_down = true;
    acquire(&a);
    release(&a);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

START_TEST(numbers_grow_over_restarts)
{
    int64_t last = 0;
    for (int i = 0; i < 50; i++) {
        now_ns += i % 3 ? 1000 : 0; /* often enough twice in a microsecond, but not just after a loss */
        client_init(&a, 1);
        acquire(&a);
        serve(&a, 0);
        ck_assert_int_gt(dlock_fence(&a.l), last);
        last = dlock_fence(&a.l);
        release(&a);
        serve(&a, 0);
        if (i % 9 == 0) {
            now_ns += 1000 * MS;
            dlock_store_lose_all(&stores[0]);
        }
    }
}
END_TEST

START_TEST(adopted_from_a_script)
{
    const uint64_t random[2] = {UINT64_C(0x0123456789abcdef), 0xfe};
    struct slice token = dlock_offer(&a.l, random);
    char early[DLOCK_TOKEN_LEN];
    ck_assert(slice_eq(token, SLICE("0123456789abcdef00000000000000fe")));
    dlock_write_token(random, early);
    ck_assert(slice_eq(token, (struct slice){early, sizeof(early)}));
    ck_assert(dlock_state(&a.l) == DLOCK_ACQUIRING && a.wires[0].n == 0);
    ck_assert(dlock_next_ns(&a.l) == DLOCK_NEVER);
    dlock_refused(&a.l);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_NOTHING);
    dlock_offer(&a.l, random);
    ck_assert(dlock_granted(&a.l, 77, now_ns - 10 * MS, now_ns));
    ck_assert(is_held(&a) && dlock_fence(&a.l) == 77);
    ck_assert_uint_eq(dlock_until_ns(&a.l), now_ns - 10 * MS + VALID_NS);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_NOTHING);
    extend(&a);
    answer(take(&a, 0, DLOCK_EXTEND), 1);
    ck_assert_uint_eq(dlock_until_ns(&a.l), now_ns + VALID_NS);
    release(&a);
    serve(&a, 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* Given back by a script as well, while an extension is out. */
    dlock_offer(&a.l, random);
    ck_assert(dlock_granted(&a.l, 78, now_ns, now_ns));
    extend(&a);
    dlock_released(&a.l);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_NOTHING);
    ck_assert_int_eq(a.wires[0].n, 1);
    answer(take(&a, 0, DLOCK_EXTEND), 0);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* Too late, no number, not answered: given back in case. */
    static const int64_t fences[] = {77, 0, -5, DLOCK_FENCE_MAX + 1};
    for (int i = 0; i < 5; i++) {
        dlock_offer(&a.l, random);
        if (i < 4)
            ck_assert(!dlock_granted(&a.l, fences[i], now_ns - (i ? 0 : VALID_NS), now_ns));
        release(&a);
        serve(&a, 0);
        EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
        a.nevents = a.seen = 0;
    }
}
END_TEST

START_TEST(waiting_at_random)
{
    uint64_t low_ns = 2500000, high_ns = 5000000;
    for (int i = 0; i < 40; i++) {
        ck_assert_uint_eq(dlock_backoff_ns(&a.l, 0), low_ns);
        ck_assert_uint_eq(dlock_backoff_ns(&a.l, UINT64_MAX), high_ns);
        acquire(&a);
        silence(&a, 0);
        silence(&a, 0);
        a.nevents = a.seen = 0;
        if (i > 0)
            high_ns = high_ns * 2 < 500 * MS ? high_ns * 2 : 500 * MS;
        low_ns = high_ns / 2;
    }
    acquire(&a);
    serve(&a, 0);
    ck_assert_uint_eq(dlock_backoff_ns(&a.l, 0), 2500000);
}
END_TEST

/* ---- three nodes ---- */

START_TEST(a_majority_is_enough)
{
    acquire(&a);
    serve(&a, 0);
    ck_assert(!is_held(&a));
    serve(&a, 1); /* both stand at the same number */
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    acquire(&b);
    serve_all(&b);
    EXPECT(&b, DLOCK_FREE, DLOCK_DID_REFUSE, DLOCK_DID_END);
    serve(&a, 2); /* late, and part of it */
    ck_assert(has_key(&a, 2));
    release(&a);
    serve_all(&a);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(stores[i].token, "");
    acquire(&b);
    serve_all(&b);
    EXPECT(&b, DLOCK_HELD, DLOCK_DID_ACQUIRE);
}
END_TEST

START_TEST(one_of_three_is_dead)
{
    acquire(&a);
    silence(&a, 1);
    serve(&a, 0);
    ck_assert(!is_held(&a));
    serve(&a, 2);
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    a.wires[1].is_down = true;
    now_ns += 900 * MS;
    extend(&a);
    serve(&a, 2);
    ck_assert_uint_lt(dlock_until_ns(&a.l), now_ns + VALID_NS);
    serve(&a, 0);
    ck_assert_uint_eq(dlock_until_ns(&a.l), now_ns + VALID_NS);
    release(&a);
    serve_all(&a);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    ck_assert(!has_key(&a, 0) && !has_key(&a, 2));
}
END_TEST

START_TEST(two_of_three_are_dead)
{
    a.wires[0].is_down = true;
    acquire(&a);
    serve(&a, 2);
    EXPECT(&a, DLOCK_ACQUIRING, DLOCK_DID_NOTHING);
    silence(&a, 1);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    ck_assert(has_key(&a, 2) && a.wires[1].n == 1 && a.wires[0].n == 0);
    serve_all(&a);
    ck_assert(!has_key(&a, 2));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    a.wires[1].is_down = true;
    acquire(&a); /* it is clear at once, and told later */
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_NOTHING);
    dlock_tick(&a.l, now_ns);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    serve_all(&a);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    ck_assert(!has_key(&a, 2));
}
END_TEST

START_TEST(split_over_the_nodes)
{
    acquire(&a);
    acquire(&b);
    serve(&a, 0);
    serve(&b, 1);
    silence(&a, 2);
    silence(&b, 2);
    serve(&a, 1);
    serve(&b, 0);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_REFUSE);
    EXPECT(&b, DLOCK_RELEASING, DLOCK_DID_REFUSE);
    ck_assert_int_eq(a.wires[1].n, 0); /* it said no: nothing to give back */
    serve_all(&a);
    serve_all(&b);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    EXPECT(&b, DLOCK_FREE, DLOCK_DID_END);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(stores[i].token, "");
}
END_TEST

START_TEST(a_majority_that_says_no_more)
{
    acquire(&a);
    serve_all(&a);
    stores[0].token[0] = '\0';
    extend(&a);
    serve_all(&a);
    ck_assert(is_held(&a));
    stores[1].token[0] = '\0';
    now_ns += 10 * MS;
    extend(&a);
    serve_all(&a);
    EXPECT(&a, DLOCK_LOST, DLOCK_DID_ACQUIRE, DLOCK_DID_LOSE);
    release(&a);
    serve_all(&a);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    ck_assert(!has_key(&a, 2));
}
END_TEST

START_TEST(grants_when_the_time_is_over)
{
    acquire(&a);
    serve(&a, 0);
    struct dlock_ask *one = take(&a, 1, -1), *two = take(&a, 2, -1);
    int64_t first = run(one, 1), second = run(two, 2);
    now_ns += VALID_NS;
    answer(one, first);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    serve_all(&a);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_NOTHING);
    ck_assert(!has_key(&a, 0) && !has_key(&a, 1) && !has_key(&a, 2));
    answer(two, second);
    serve_all(&a);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

/* The example of the header: without the second round, B's number would be smaller. */
START_TEST(numbers_of_majorities_grow)
{
    stores[0].last = 900000000;
    acquire(&a);
    serve(&a, 0);
    serve(&a, 1);
    EXPECT(&a, DLOCK_ACQUIRING, DLOCK_DID_NOTHING);
    serve(&a, 1);
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    ck_assert_int_eq(dlock_fence(&a.l), 900000001);
    release(&a);
    serve_all(&a);
    b.wires[0].is_down = true;
    acquire(&b);
    serve_all(&b);
    EXPECT(&b, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    ck_assert_int_gt(dlock_fence(&b.l), 900000001);
}
END_TEST

START_TEST(a_raise_that_fails)
{
    stores[0].last = 900000000;
    acquire(&a);
    serve(&a, 0);
    serve(&a, 1);
    silence(&a, 1);
    EXPECT(&a, DLOCK_ACQUIRING, DLOCK_DID_NOTHING);
    serve(&a, 2); /* comes in for it, after a raise of its own */
    ck_assert(!is_held(&a));
    serve(&a, 2);
    EXPECT(&a, DLOCK_HELD, DLOCK_DID_ACQUIRE);
    release(&a);
    serve_all(&a);
    ck_assert(!has_key(&a, 1));
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
    /* The key has gone before. */
    stores[0].last = 1800000000;
    acquire(&a);
    serve(&a, 0);
    serve(&a, 1);
    stores[1].token[0] = '\0';
    serve(&a, 1);
    silence(&a, 2);
    EXPECT(&a, DLOCK_RELEASING, DLOCK_DID_FAIL);
    serve_all(&a);
    EXPECT(&a, DLOCK_FREE, DLOCK_DID_END);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("dlock");
    TCase *one = tcase_create("one node"), *three = tcase_create("three nodes");
    tcase_add_checked_fixture(one, set_up, NULL);
    tcase_add_test(one, one_at_a_time);
    tcase_add_test(one, a_stranger_releases_nothing);
    tcase_add_test(one, it_ends_by_itself);
    tcase_add_test(one, extended_it_stays);
    tcase_add_test(one, an_extension_that_is_refused_loses_it);
    tcase_add_test(one, an_extension_without_answer_loses_nothing);
    tcase_add_test(one, an_extension_that_is_answered_late_does_not_revive);
    tcase_add_test(one, given_up_and_granted_late);
    tcase_add_test(one, granted_when_the_time_is_over);
    tcase_add_test(one, a_node_that_is_silent);
    tcase_add_test(one, answers_that_make_no_sense);
    tcase_add_test(one, released_by_who_is_told);
    tcase_add_test(one, numbers_grow_over_restarts);
    tcase_add_test(one, adopted_from_a_script);
    tcase_add_test(one, waiting_at_random);
    suite_add_tcase(s, one);
    tcase_add_checked_fixture(three, set_up_three, NULL);
    tcase_add_test(three, a_majority_is_enough);
    tcase_add_test(three, one_of_three_is_dead);
    tcase_add_test(three, two_of_three_are_dead);
    tcase_add_test(three, split_over_the_nodes);
    tcase_add_test(three, a_majority_that_says_no_more);
    tcase_add_test(three, grants_when_the_time_is_over);
    tcase_add_test(three, numbers_of_majorities_grow);
    tcase_add_test(three, a_raise_that_fails);
    suite_add_tcase(s, three);
    return s;
}

UNIT_MAIN(make_suite)
