/* state_fleet.c: the part of state.h about the Redis nodes and the other gateways. */
#include <inttypes.h>

#include "gateway/state_internal.h"
#include "lib/clock.h"

cJSON *state_redis_json(const struct state_view *v)
{
    struct fleet_view f;
    cJSON *j = cJSON_CreateObject();
    fleet_view(v->fleet, &f);
    cJSON_AddStringToObject(j, "gateway", fleet_id(v->fleet));
    cJSON_AddNumberToObject(j, "gateways", f.gateways);
    cJSON_AddBoolToObject(j, "same_nodes", !f.has_other_rings);
    cJSON *nodes = cJSON_AddArrayToObject(j, "nodes");
    for (size_t i = 0; i < fleet_conf(v->fleet)->nnodes; i++) {
        struct fleet_node_view n;
        cJSON *one = cJSON_CreateObject();
        fleet_view_node(v->fleet, i, clock_now_ns(), &n);
        cJSON_AddStringToObject(one, "node", n.name);
        cJSON_AddBoolToObject(one, "up", n.is_heard);
        cJSON_AddNumberToObject(one, "share", n.share);
        cJSON_AddNumberToObject(one, "sessions", (double)n.session);
        cJSON_AddNumberToObject(one, "verified_ago_s", (double)n.verified_ago_ns / 1e9);
        cJSON_AddItemToArray(nodes, one);
    }
    return j;
}

struct state_answer state_show_redis(const struct state_view *v, const struct state_ask *ask)
{
    (void)ask;
    return v->fleet ? state_answer_with(200, state_redis_json(v))
                    : state_refuse(404, "there is no section redis");
}

/* ---- metrics ---- */

static uint64_t up_of(const struct fleet_node_view *n)
{
    return n->is_heard;
}

static uint64_t sent_of(const struct fleet_node_view *n)
{
    return n->sent;
}

static uint64_t writes_of(const struct fleet_node_view *n)
{
    return n->writes;
}

static uint64_t late_of(const struct fleet_node_view *n)
{
    return n->late;
}

static uint64_t refused_of(const struct fleet_node_view *n)
{
    return n->refused;
}

static uint64_t connects_of(const struct fleet_node_view *n)
{
    return n->connects;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*value)(const struct fleet_node_view *n);
} of_nodes[] = {
    {"redis_up", "gauge", "1: the node is heard and can be used.", up_of},
    {"redis_commands_total", "counter", "Commands that workers have sent.", sent_of},
    {"redis_writes_total", "counter", "System calls that wrote them: several commands share one.", writes_of},
    {"redis_late_total", "counter", "Commands that were not answered in time.", late_of},
    {"redis_refused_total", "counter", "Commands that were not sent, because the node was not up.",
     refused_of},
    {"redis_connects_total", "counter", "Connections that were made.", connects_of},
};

static void print_durations(FILE *out, const struct fleet_node_view *n)
{
    /* None that "%g" writes without a point: see metrics_scale.c. */
    static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                    0.01,   0.025,   0.05,   0.1,   0.5};
    uint64_t counts[sizeof(bounds) / sizeof(bounds[0])];
    histogram_cumulative(&n->durations, bounds, sizeof(bounds) / sizeof(bounds[0]), counts);
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        fprintf(out, "tollgate_redis_request_duration_seconds_bucket{node=\"%s\",le=\"%g\"} %" PRIu64 "\n",
                n->name, bounds[i], counts[i]);
    fprintf(out, "tollgate_redis_request_duration_seconds_bucket{node=\"%s\",le=\"+Inf\"} %" PRIu64 "\n",
            n->name, n->durations.count);
    fprintf(out, "tollgate_redis_request_duration_seconds_sum{node=\"%s\"} %.9f\n", n->name,
            (double)n->durations.sum_ns / 1e9);
    fprintf(out, "tollgate_redis_request_duration_seconds_count{node=\"%s\"} %" PRIu64 "\n", n->name,
            n->durations.count);
}

static void print_nodes(const struct fleet *f, FILE *out)
{
    struct fleet_node_view n;
    uint64_t now = clock_now_ns();
    for (size_t m = 0; m < sizeof(of_nodes) / sizeof(of_nodes[0]); m++) {
        state_family(out, of_nodes[m].name, of_nodes[m].type, of_nodes[m].help);
        for (size_t i = 0; i < fleet_conf(f)->nnodes; i++) {
            fleet_view_node(f, i, now, &n);
            fprintf(out, "tollgate_%s{node=\"%s\"} %" PRIu64 "\n", of_nodes[m].name, n.name,
                    of_nodes[m].value(&n));
        }
    }
    state_family(out, "redis_request_duration_seconds", "histogram",
                 "From the writing of a command to its reply.");
    for (size_t i = 0; i < fleet_conf(f)->nnodes; i++) {
        fleet_view_node(f, i, now, &n);
        print_durations(out, &n);
    }
}

void state_fleet_metrics(const struct state_view *v, FILE *out)
{
    struct fleet_view f;
    if (!v->fleet)
        return;
    fleet_view(v->fleet, &f);
    state_sample(out, "fleet_gateways", "gauge", "Gateways that are alive, as the Redis nodes tell.",
                 f.gateways);
    state_sample(out, "redis_ring_mismatch", "gauge", "1: a gateway has another list of nodes.",
                 f.has_other_rings);
    state_sample(out, "fleet_messages_total", "counter", "Announcements that were heard.", f.heard);
    state_sample(out, "fleet_purges_total", "counter", "Purges of all gateways.", f.purges);
    state_sample(out, "fleet_purges_partial_total", "counter", "Of them, those that a node did not get.",
                 f.purges_partial);
    print_nodes(v->fleet, out);
}
