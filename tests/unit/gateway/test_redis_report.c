/* test_redis_report.c: what is read of INFO, what is warned of, and the two forms of the report. */
#include <cjson/cJSON.h>
#include <inttypes.h>

#include "gateway/redis_report.h"
#include "tests/unit/unit.h"

#define NODES 3

static struct conf_redis_node nodes[NODES] = {
    {.name = "a:6379", .weight = 1}, {.name = "b:6379", .weight = 1}, {.name = "c:6379", .weight = 2}};
static const struct conf_redis conf = {
    .enabled = true, .nodes = nodes, .nnodes = NODES, .prefix = "tollgate", .command_ms = 50};

/* A node with nothing to complain of. */
static struct redis_probe good(void)
{
    return (struct redis_probe){.median_us = 100,
                                .max_us = 900,
                                .address = "10.0.0.1:6379",
                                .redis_version = "7.2.4",
                                .mode = "standalone",
                                .role = "master",
                                .policy = "allkeys-lfu",
                                .used_memory = 3 << 19,
                                .maxmemory = 1 << 30,
                                .evicted = 5,
                                .clients = 6,
                                .keys = 7,
                                .has_clock = true};
}

struct world {
    struct redis_probe probes[NODES];
    struct redis_report report;
    char *text; /* the warnings, "node: text" each on a line */
    size_t size;
    FILE *out;
};

static struct world *begin(void)
{
    struct world *w = calloc(1, sizeof(*w));
    ck_assert_ptr_nonnull(w);
    for (size_t i = 0; i < NODES; i++)
        w->probes[i] = good();
    w->report = (struct redis_report){&conf, w->probes};
    w->out = open_memstream(&w->text, &w->size);
    ck_assert_ptr_nonnull(w->out);
    return w;
}

static void end(struct world *w)
{
    free(w->text);
    free(w);
}

static void tell(void *ctx, size_t node, const char *text)
{
    struct world *w = ctx;
    fprintf(w->out, "%s: %s\n", node == SIZE_MAX ? "all" : conf.nodes[node].name, text);
}

static void check_warnings(struct world *w, const char *want)
{
    redis_report_warnings(&w->report, tell, w);
    fclose(w->out);
    ck_assert_str_eq(w->text, want);
    end(w);
}

START_TEST(info_is_read_line_by_line)
{
    struct redis_probe p = {.maxmemory = PROBE_UNKNOWN, .clients = PROBE_UNKNOWN};
    redis_probe_read_info(
        SLICE("# Server\r\nredis_version:7.0.1\x1b[m\r\nrole:slave\r\n:\r\n\r\nused_memory: 12 \n"
              "maxmemory:-1\r\nconnected_clients:99999999999999999999\r\nused_memory_peak:3\r\n"
              "maxmemory_policy:a-policy-that-is-longer-than-its-field-has-room\r\nevicted_keys:4"),
        &p);
    ck_assert_str_eq(p.redis_version, "7.0.1?[m");
    ck_assert_str_eq(p.valkey_version, "");
    ck_assert_str_eq(p.role, "slave");
    ck_assert_str_eq(p.policy, "a-policy-that-is-longer-than-it");
    ck_assert_uint_eq(p.used_memory, 12);
    ck_assert_uint_eq(p.maxmemory, PROBE_UNKNOWN);
    ck_assert_uint_eq(p.clients, PROBE_UNKNOWN);
    ck_assert_uint_eq(p.evicted, 4);
}
END_TEST

START_TEST(of_good_nodes_nothing_is_said)
{
    struct world *w = begin();
    w->probes[1].ahead_us = 1000000;
    w->probes[2].ahead_us = -1000000;
    w->probes[2].median_us = 25000;
    strcpy(w->probes[2].valkey_version, "8.0.1");
    ck_assert(redis_report_is_good(&w->report));
    check_warnings(w, "");
}
END_TEST

START_TEST(memory_is_warned_of)
{
    struct world *w = begin();
    w->probes[0].maxmemory = 0;
    strcpy(w->probes[1].policy, "noeviction");
    check_warnings(w,
                   "a:6379: maxmemory is not set: it takes memory until the machine has none\n"
                   "b:6379: maxmemory-policy is noeviction: once it is full it refuses what is to be stored; "
                   "allkeys-lfu or allkeys-lru make room\n");
}
END_TEST

START_TEST(the_kind_of_server_is_warned_of)
{
    struct world *w = begin();
    strcpy(w->probes[0].redis_version, "5.0.14");
    strcpy(w->probes[0].role, "slave");
    strcpy(w->probes[1].mode, "cluster");
    strcpy(w->probes[2].info_error, "NOPERM no");
    check_warnings(
        w, "a:6379: version 5.0.14 is older than 6.0, the oldest that is supported\n"
           "a:6379: it is a replica: it refuses to write, so that nothing of its share of the keys is "
           "shared\n"
           "b:6379: its mode is cluster: the nodes have to be plain servers, each by itself\n"
           "c:6379: it does not tell about itself: INFO: NOPERM no\n");
}
END_TEST

START_TEST(latency_is_warned_of)
{
    struct world *w = begin();
    w->probes[0].median_us = 25001;
    w->probes[1].median_us = 50001;
    check_warnings(
        w, "a:6379: half of the PINGs take longer than 25.0 ms, more than half of timeout (50 ms)\n"
           "b:6379: half of the PINGs take longer than 50.0 ms, and timeout is 50 ms: most commands come "
           "to nothing\n");
}
END_TEST

/* All are 10 s ahead of this machine, which is no matter. */
START_TEST(clocks_are_compared_with_each_other)
{
    struct world *w = begin();
    w->probes[0].ahead_us = 10000000;
    w->probes[1].ahead_us = 8999999;
    w->probes[2].ahead_us = 11000001;
    check_warnings(
        w, "b:6379: its clock is 1.0 s behind that of a:6379\nc:6379: its clock is 1.0 s ahead of that of "
           "a:6379\n");
}
END_TEST

START_TEST(a_clock_that_is_not_told_is_not_compared)
{
    struct world *w = begin();
    w->probes[0].ahead_us = 90000000;
    w->probes[0].state = PROBE_LATE;
    w->probes[1].has_clock = false;
    w->probes[1].ahead_us = -90000000;
    check_warnings(w, "");
}
END_TEST

START_TEST(gateways_with_other_nodes_are_told_once)
{
    char want[512];
    struct world *w = begin();
    const struct probe_stranger s = {"gw-1", "0123456789abcdef"};
    w->probes[0].strangers[w->probes[0].nstrangers++] = s;
    w->probes[2].strangers[w->probes[2].nstrangers++] = s;
    snprintf(want, sizeof(want),
             "all: GATEWAY gw-1 RUNS WITH OTHER NODES: the fingerprint of its nodes, weights and database is "
             "0123456789abcdef, that of this configuration %016" PRIx64
             "; it looks for keys where others do not put them\n",
             conf_redis_fingerprint(&conf));
    check_warnings(w, want);
}
END_TEST

START_TEST(of_bad_nodes_only_why_is_said)
{
    struct world *w = begin();
    w->probes[0] = (struct redis_probe){.state = PROBE_NO_LOGIN, .why = "AUTH: WRONGPASS"};
    w->probes[1] = (struct redis_probe){.state = PROBE_LOADING, .why = "PING: LOADING"};
    ck_assert(!redis_report_is_good(&w->report));
    check_warnings(w, "b:6379: it reads its data from disk, and refuses everything until it has\n");
}
END_TEST

START_TEST(a_table_is_printed)
{
    struct world *w = begin();
    w->probes[1] = (struct redis_probe){.state = PROBE_NO_CONNECTION, .why = "cannot connect: no"};
    w->probes[2].maxmemory = 0;
    ck_assert(redis_report_print(&w->report, w->out));
    fclose(w->out);
    ck_assert_str_eq(w->text,
                     "node    address        state          ping us  server       share  weight  keys  "
                     "memory        policy       "
                     "evicted  clients\n"
                     "a:6379  10.0.0.1:6379  ok             100/900  redis 7.2.4  24.3%  1       7     1.5m "
                     "of 1.0g  allkeys-lfu  "
                     "5        6\n"
                     "b:6379  -              no connection  -        -            25.4%  1       -     -     "
                     "        -            "
                     "-        -\n"
                     "c:6379  10.0.0.1:6379  ok             100/900  redis 7.2.4  50.2%  2       7     1.5m "
                     "of any   allkeys-lfu  "
                     "5        6\n"
                     "bad: b:6379: cannot connect: no\n"
                     "warning: c:6379: maxmemory is not set: it takes memory until the machine has none\n");
    end(w);
}
END_TEST

START_TEST(the_same_is_written_as_json)
{
    struct world *w = begin();
    w->probes[0].keys = PROBE_UNKNOWN;
    w->probes[1] = (struct redis_probe){.state = PROBE_LATE, .why = "no answer in time: PING"};
    w->probes[2].maxmemory = 0;
    ck_assert(redis_report_json(&w->report, w->out));
    fclose(w->out);
    cJSON *j = cJSON_Parse(w->text);
    ck_assert_ptr_nonnull(j);
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(j, "good")));
    const cJSON *all = cJSON_GetObjectItem(j, "nodes"), *warnings = cJSON_GetObjectItem(j, "warnings");
    ck_assert_int_eq(cJSON_GetArraySize(all), NODES);
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(all, 0), "keys")));
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(all, 1), "state")), "late");
    ck_assert_int_eq(cJSON_GetArraySize(warnings), 1);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(warnings, 0), "node")),
                     "c:6379");
    double sum = 0;
    for (int i = 0; i < NODES; i++)
        sum += cJSON_GetObjectItem(cJSON_GetArrayItem(all, i), "share_percent")->valuedouble;
    ck_assert_double_gt(sum, 99.97);
    ck_assert_double_lt(sum, 100.03);
    ck_assert_double_gt(cJSON_GetObjectItem(cJSON_GetArrayItem(all, 2), "share_percent")->valuedouble, 40);
    cJSON_Delete(j);
    end(w);
}
END_TEST

static Suite *redis_report_suite(void)
{
    Suite *s = suite_create("redis_report");
    TCase *t = tcase_create("redis_report");
    tcase_add_test(t, info_is_read_line_by_line);
    tcase_add_test(t, of_good_nodes_nothing_is_said);
    tcase_add_test(t, memory_is_warned_of);
    tcase_add_test(t, the_kind_of_server_is_warned_of);
    tcase_add_test(t, latency_is_warned_of);
    tcase_add_test(t, clocks_are_compared_with_each_other);
    tcase_add_test(t, a_clock_that_is_not_told_is_not_compared);
    tcase_add_test(t, gateways_with_other_nodes_are_told_once);
    tcase_add_test(t, of_bad_nodes_only_why_is_said);
    tcase_add_test(t, a_table_is_printed);
    tcase_add_test(t, the_same_is_written_as_json);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(redis_report_suite)
