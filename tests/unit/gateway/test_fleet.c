/*
 * test_fleet.c: the fleet (gateway/fleet) of one gateway with real redis-servers: nodes that lose their
 * scripts, refuse a purge, or lose a subscription, and purges that nobody carries out any more. Whole fleets:
 * tests/fleet.
 */
#include <hiredis/hiredis.h>

#include "gateway/conf.h"
#include "gateway/fleet.h"
#include "gateway/log.h"
#include "tests/unit/gateway/redis_fixture.h"

#define NODES 2

static struct conf_redis_node nodes[NODES];
static struct conf conf;
static struct snapshot snapshot;
static struct object_store *store;
static struct log *log_out;
static struct fleet *fleet;
static redisContext *redis[NODES];

#define UNTIL(cond)                                                                                          \
    for (uint64_t until_ns = clock_now_ns() + PATIENCE; !(cond); usleep(1000))                               \
    ck_assert_msg(clock_now_ns() < until_ns, "it did not come to: %s", #cond)

/* ---- a fleet ---- */

static redisContext *connect_to(const char *path)
{
    redisContext *c = NULL;
    UNTIL((redisFree(c), c = redisConnectUnix(path)) && !c->err);
    return c;
}

static void set_up(void)
{
    static const struct conf_log log_conf = {.error = "/dev/null", .queue = 64};
    make_directory();
    for (int i = 0; i < NODES; i++) {
        START(i, "--maxclients", "100");
        redis[i] = connect_to(servers[i].path);
        nodes[i] =
            (struct conf_redis_node){.name = servers[i].path, .unix_path = servers[i].path, .weight = 1};
    }
    conf.redis = (struct conf_redis){.enabled = true,
                                     .nodes = nodes,
                                     .nnodes = NODES,
                                     .prefix = "p",
                                     .connect_ms = 1000,
                                     .command_ms = 1000,
                                     .trust_ms = 3000,
                                     .lock_ms = 3000,
                                     .lock_wait_ms = 30000};
    snapshot.conf = &conf;
    atomic_init(&snapshot.refs, 1);
    store = object_store_new(&(struct object_store_setup){.size = 1 << 20, .secret = 3}, NULL);
    log_out = log_new(&log_conf, NULL);
    fleet = fleet_new(&(struct fleet_setup){.snapshot = &snapshot, .store = store, .log = log_out}, NULL);
    ck_assert(store && log_out && fleet);
    for (size_t i = 0; i < NODES; i++)
        UNTIL(!fleet_bars(fleet, i));
}

static void tear_down(void)
{
    fleet_stop(fleet);
    fleet_free(fleet);
    log_free(log_out);
    object_store_free(store);
    for (int i = 0; i < NODES; i++)
        redisFree(redis[i]);
    remove_directory();
}

static void tell(int node, const char *command)
{
    redisReply *r = redisCommand(redis[node], command);
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(r->type != REDIS_REPLY_ERROR, "%s", r->str);
    freeReplyObject(r);
}

static long long floor_of(int node)
{
    redisReply *r = redisCommand(redis[node], "HGET p:meta floor");
    ck_assert_ptr_nonnull(r);
    long long floor = r->str ? atoll(r->str) : 0;
    freeReplyObject(r);
    return floor;
}

/* ---- purges ---- */

static _Atomic unsigned ndone, ncomplete;

static void on_purged(struct fleet_purge *p)
{
    atomic_fetch_add(&ncomplete, p->result.is_complete && p->result.nodes_done == NODES);
    atomic_fetch_add(&ndone, 1);
    free(p);
}

static void purge(enum object_purge kind, struct slice what)
{
    const struct fleet_purge want = {.done = on_purged, .kind = kind};
    ck_assert(fleet_purge(fleet, &want, what));
}

/* Whether it was complete. */
static bool purge_now(enum object_purge kind, struct slice what)
{
    atomic_store(&ndone, 0);
    atomic_store(&ncomplete, 0);
    purge(kind, what);
    UNTIL(atomic_load(&ndone) == 1);
    return atomic_load(&ncomplete) == 1;
}

START_TEST(purges_are_complete)
{
    for (int kind = OBJECT_GROUP; kind <= OBJECT_ALL; kind++)
        ck_assert(purge_now((enum object_purge)kind, SLICE("x")));
    ck_assert(floor_of(0) > 0 && floor_of(1) > 0);
}
END_TEST

START_TEST(a_node_has_lost_its_scripts)
{
    ck_assert(purge_now(OBJECT_GROUP, SLICE("x")));
    for (int i = 0; i < NODES; i++)
        tell(i, "SCRIPT FLUSH");
    ck_assert(purge_now(OBJECT_GROUP, SLICE("x")));
}
END_TEST

/* It is there, and begins empty once it does not refuse any more. */
START_TEST(a_node_refuses)
{
    uint32_t session = fleet_session(fleet, 1);
    ck_assert(purge_now(OBJECT_GROUP, SLICE("x")));
    long long floor = floor_of(1), other = floor_of(0);
    tell(1, "CONFIG SET min-replicas-to-write 1");
    ck_assert(!purge_now(OBJECT_GROUP, SLICE("x")));
    UNTIL(fleet_bars(fleet, 1));
    tell(1, "CONFIG SET min-replicas-to-write 0");
    UNTIL(!fleet_bars(fleet, 1));
    ck_assert(floor_of(1) > floor && floor_of(0) == other);
    ck_assert_uint_gt(fleet_session(fleet, 1), session);
    ck_assert(purge_now(OBJECT_GROUP, SLICE("x")));
}
END_TEST

START_TEST(as_long_as_a_url_can_be)
{
    static char url[64 * 1024 + 300];
    memset(url, 'x', sizeof(url));
    ck_assert(purge_now(OBJECT_GROUP, (struct slice){url, sizeof(url)}));
    ck_assert(purge_now(OBJECT_PREFIX, (struct slice){url, sizeof(url)}));
}
END_TEST

static bool was_accepted;

static void on_purged_want_more(struct fleet_purge *p)
{
    const struct fleet_purge want = {.kind = OBJECT_TAG};
    was_accepted = fleet_purge(fleet, &want, SLICE("x"));
    on_purged(p);
}

/* All that were accepted are answered; what comes after the end has begun is refused. */
START_TEST(purges_at_the_end)
{
    const struct fleet_purge want = {.done = on_purged_want_more, .kind = OBJECT_TAG};
    for (int i = 0; i < NODES; i++)
        kill(servers[i].pid, SIGSTOP);
    atomic_store(&ndone, 0);
    atomic_store(&ncomplete, 0);
    ck_assert(fleet_purge(fleet, &want, SLICE("x")));
    fleet_stop(fleet);
    ck_assert_uint_eq(atomic_load(&ndone), 1);
    ck_assert_uint_eq(atomic_load(&ncomplete), 0);
    ck_assert(!was_accepted);
    ck_assert(!fleet_purge(fleet, &want, SLICE("x")));
}
END_TEST

/* ---- a subscription ---- */

static long long subscribers(int node)
{
    redisReply *r = redisCommand(redis[node], "PUBSUB NUMSUB p:fleet");
    ck_assert(r && r->type == REDIS_REPLY_ARRAY && r->elements == 2);
    long long n = r->element[1]->integer;
    freeReplyObject(r);
    return n;
}

/* The other node is slow to say whether this one has missed a purge; then its subscription is gone again. */
START_TEST(a_subscription_ends_while_others_are_asked)
{
    kill(servers[1].pid, SIGSTOP);
    tell(0, "CLIENT KILL TYPE pubsub");
    UNTIL(subscribers(0) == 1 && fleet_bars(fleet, 0)); /* it asks */
    uint32_t session = fleet_session(fleet, 0);
    tell(0, "CONFIG SET maxclients 1"); /* nobody comes in */
    tell(0, "CLIENT KILL TYPE pubsub");
    kill(servers[1].pid, SIGCONT);
    for (uint64_t until_ns = clock_now_ns() + 500 * MS; clock_now_ns() < until_ns; usleep(1000))
        ck_assert(fleet_bars(fleet, 0) && fleet_session(fleet, 0) == session);
    tell(0, "CONFIG SET maxclients 100");
    UNTIL(!fleet_bars(fleet, 0));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("fleet");
    TCase *t = tcase_create("fleet");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, purges_are_complete);
    tcase_add_test(t, a_node_has_lost_its_scripts);
    tcase_add_test(t, a_node_refuses);
    tcase_add_test(t, as_long_as_a_url_can_be);
    tcase_add_test(t, purges_at_the_end);
    tcase_add_test(t, a_subscription_ends_while_others_are_asked);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
