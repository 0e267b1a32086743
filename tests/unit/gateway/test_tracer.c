/* test_tracer.c: the last traces as they are shown, and what is exported of them, byte by byte. */
#include <pthread.h>

#include "tests/unit/gateway/tracer_fixture.h"

#include "gateway/tracer_otlp.h"

/* ---- the last ones ---- */

static cJSON *list_of(struct tracer *t, size_t max, bool slow, const char *filter)
{
    char *text = tracer_list_json(t, max, slow, filter);
    cJSON *j = cJSON_Parse(text);
    ck_assert_msg(cJSON_IsArray(j), "%s", text);
    free(text);
    return j;
}

/* The list's request ids, with a space behind each. */
static const char *ids_of(struct tracer *t, size_t max, bool slow, const char *filter)
{
    static char ids[1024];
    size_t n = 0;
    const cJSON *at;
    cJSON *list = list_of(t, max, slow, filter);
    ids[0] = '\0';
    cJSON_ArrayForEach(at, list) n +=
        (size_t)snprintf(ids + n, sizeof(ids) - n, "%s ", text_of(at, "request_id"));
    cJSON_Delete(list);
    return ids;
}

static void offer_and_wait(struct tracer *t, struct trace *trace)
{
    uint64_t before = stats_of(t).kept;
    tracer_offer(t, trace);
    WAIT_FOR(stats_of(t).kept > before);
}

START_TEST(lists_the_last_ones)
{
    struct tracer *t = make_tracer((struct tracer_setup){0});
    ck_assert_str_eq(ids_of(t, 10, false, NULL), "");
    const unsigned spans[] = {3, 9, 1, 9, 4};
    for (unsigned i = 0; i < 5; i++)
        offer_and_wait(t, make_trace(spans[i], i + 1));
    ck_assert_str_eq(ids_of(t, 10, false, NULL), "r5-x r4-x r3-x r2-x r1-x ");
    ck_assert_str_eq(ids_of(t, 2, false, NULL), "r5-x r4-x ");
    ck_assert_str_eq(ids_of(t, 0, false, NULL), "");
    ck_assert_str_eq(ids_of(t, 10, true, NULL), "r4-x r2-x r5-x r1-x r3-x ");
    ck_assert_str_eq(ids_of(t, 1, true, NULL), "r4-x ");
    ck_assert_str_eq(ids_of(t, 10, false, "r3"), "r3-x ");
    ck_assert_str_eq(ids_of(t, 10, false, "r3-xy"), "");
    ck_assert_str_eq(ids_of(t, 10, false, "3-x"), "");
    ck_assert_str_eq(ids_of(t, 10, false, "0000000000000abc0000000000000002"), "r2-x ");
    ck_assert_str_eq(ids_of(t, 2, true, "0000000000000abc"), "r4-x r2-x ");
    ck_assert_str_eq(ids_of(t, 10, false, ""), "r5-x r4-x r3-x r2-x r1-x ");
    const struct tracer_stats s = stats_of(t);
    ck_assert(s.kept == 26 && s.dropped == 0 && s.waiting == 0 && s.exports == 0);
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(keeps_so_many)
{
    struct tracer *t = make_tracer((struct tracer_setup){0});
    for (unsigned i = 1; i <= TRACER_RECENT + 3; i++)
        offer_and_wait(t, make_trace(1, i));
    cJSON *list = list_of(t, SIZE_MAX, false, NULL);
    ck_assert_int_eq(cJSON_GetArraySize(list), TRACER_RECENT);
    ck_assert_str_eq(text_of(cJSON_GetArrayItem(list, 0), "request_id"), "r515-x");
    ck_assert_str_eq(text_of(cJSON_GetArrayItem(list, TRACER_RECENT - 1), "request_id"), "r4-x");
    cJSON_Delete(list);
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(says_what_it_lists)
{
    struct tracer *t = make_tracer((struct tracer_setup){0});
    struct trace *trace = make_trace(4, 7);
    trace->spans[1].name = "limit";
    trace->spans[2].end_ns += CLOCK_MILLISECOND_NS / 2;
    trace->is_error = true;
    trace->status = 502;
    trace->reason = SLICE("connect_failed");
    trace->path = SLICE("/a\"\xff\n");
    trace->begin_wall_us += 42;
    offer_and_wait(t, trace);
    char *text = tracer_list_json(t, 1, false, NULL);
    ck_assert_str_eq(text, "[{\"trace_id\":\"0000000000000abc0000000000000007\",\"request_id\":\"r7-x\","
                           "\"time\":\"2023-11-14T22:13:20.000042Z\",\"method\":\"GET\","
                           "\"path\":\"/a\\\"\xef\xbf\xbd\\n\",\"route\":\"api\",\"status\":502,"
                           "\"reason\":\"connect_failed\",\"duration_ms\":5,\"error\":true,\"sampled\":true,"
                           "\"spans\":4,\"steps\":{\"limit\":1,\"step\":2.5}}]");
    free(text);
    tracer_stop(t, 1000);
}
END_TEST

/* A trace that has all there is. */
static struct trace *make_full_trace(void)
{
    static struct span_attribute of_first[] = {{.name = "client.address", .text = {"::1", 3}},
                                               {.name = "http.route", .text = {"/api/{id}", 9}}},
                                 of_third[] = {{.name = "server.port", .number = 8080},
                                               {.name = "text", .text = {"a\0\xc3\x28\xf0\x9f\x98\x80", 8}},
                                               {.name = "most", .number = INT64_MIN}};
    struct trace *t = make_trace(4, 5);
    t->remote_parent = 0x99;
    t->state = SLICE("a=1,b=2");
    t->is_error = true;
    t->status = 502;
    t->reason = SLICE("connect_failed");
    t->dropped_spans = 3;
    t->nevents = 2;
    t->events[0] = (struct trace_event){"exception", "upstream", SLICE("no answer"), 1002000000};
    t->events[1] = (struct trace_event){"exception", "upstream", SLICE("refused"), 1002000001};
    t->spans[0].attributes = of_first;
    t->spans[0].nattributes = 2;
    t->spans[2].kind = SPAN_CLIENT;
    t->spans[2].parent = t->spans[1].id;
    t->spans[2].failed = true;
    t->spans[2].attributes = of_third;
    t->spans[2].nattributes = 3;
    t->spans[2].link_trace = (struct trace_id){1, 2};
    t->spans[2].link_span = 3;
    t->spans[3].end_ns = 0;
    return t;
}

START_TEST(shows_one_whole)
{
    struct tracer *t = make_tracer((struct tracer_setup){0});
    offer_and_wait(t, make_trace(1, 4));
    offer_and_wait(t, make_full_trace());
    char *by_trace = tracer_show_json(t, "0000000000000abc0000000000000005"),
         *by_request = tracer_show_json(t, "r5-x");
    ck_assert_str_eq(by_trace, by_request);
    ck_assert_ptr_nonnull(
        strstr(by_trace,
               ",\"dropped_spans\":3,\"spans\":[{\"id\":\"0000000000500001\",\"parent\":\"0000000000000099\","
               "\"name\":\"GET /api/\",\"kind\":\"server\",\"begin_ms\":0,\"end_ms\":5,\"failed\":false,"
               "\"attributes\":{\"client.address\":\"::1\",\"http.route\":\"/api/{id}\"}},"));
    ck_assert_ptr_nonnull(
        strstr(by_trace, "{\"id\":\"0000000000500003\",\"parent\":\"0000000000500002\",\"name\":\"step\","
                         "\"kind\":\"client\",\"begin_ms\":2,\"end_ms\":3,\"failed\":true,\"attributes\":{"
                         "\"server.port\":8080,\"text\":\"a\\u0000\xef\xbf\xbd(\xf0\x9f\x98\x80\",\"most\":"
                         "-9.2233720368547758e+18},\"link\":{\"trace_id\":"
                         "\"00000000000000010000000000000002\",\"span_id\":\"0000000000000003\"}}"));
    ck_assert_ptr_nonnull(strstr(by_trace, "\"parent\":\"0000000000500001\",\"name\":\"step\",\"kind\":"
                                           "\"internal\",\"begin_ms\":3,\"end_ms\":5,\"failed\":false,"));
    ck_assert_ptr_nonnull(strstr(by_trace,
                                 "\"events\":[{\"type\":\"upstream\",\"text\":\"no answer\",\"at_ms\":2},"
                                 "{\"type\":\"upstream\",\"text\":\"refused\",\"at_ms\":2.000001}]}"));
    free(by_trace);
    free(by_request);
    ck_assert_ptr_null(tracer_show_json(t, "r5"));
    ck_assert_ptr_null(tracer_show_json(t, ""));
    ck_assert_ptr_null(tracer_show_json(t, "0000000000000abc0000000000000006"));
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(shows_the_newest_of_a_trace)
{
    struct tracer *t = make_tracer((struct tracer_setup){0});
    offer_and_wait(t, make_trace(1, 4));
    struct trace *newer = make_trace(1, 5);
    newer->id.low = 4;
    offer_and_wait(t, newer);
    char *text = tracer_show_json(t, "0000000000000abc0000000000000004");
    ck_assert_ptr_nonnull(strstr(text, "\"request_id\":\"r5-x\""));
    free(text);
    tracer_stop(t, 1000);
}
END_TEST

enum { OFFERERS = 3, OFFERS = 2000 };

static void *offer_many(void *tracer)
{
    for (unsigned i = 0; i < OFFERS; i++)
        tracer_offer(tracer, make_trace(2, i));
    return NULL;
}

/* Nothing is lost between the workers and the ring but what is counted. */
START_TEST(is_looked_at_while_it_takes)
{
    struct tracer *t = make_tracer((struct tracer_setup){0});
    pthread_t threads[OFFERERS];
    for (int i = 0; i < OFFERERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, offer_many, t), 0);
    do {
        cJSON_Delete(list_of(t, 20, true, NULL));
        free(tracer_show_json(t, "r100-x"));
    } while (stats_of(t).kept + stats_of(t).dropped < OFFERERS * OFFERS);
    for (int i = 0; i < OFFERERS; i++)
        pthread_join(threads[i], NULL);
    WAIT_FOR(stats_of(t).kept + stats_of(t).dropped == 2 * OFFERERS * OFFERS);
    ck_assert_uint_gt(stats_of(t).kept, 0);
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(ends_without_having_been_used)
{
    tracer_stop(make_tracer((struct tracer_setup){0}), 0);
    tracer_stop(NULL, 0);
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = receiver.endpoint});
    tracer_stop(t, 1000);
    ck_assert_int_eq(requests_of_receiver(), 0);
}
END_TEST

/* ---- what is exported ---- */

static cJSON *spans_of_receiver(int n)
{
    cJSON *j = ask_receiver("/spans", NULL);
    uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;
    while (cJSON_GetArraySize(j) < n && clock_now_ns() < give_up_ns) {
        cJSON_Delete(j);
        j = ask_receiver("/spans", NULL);
    }
    ck_assert_int_eq(cJSON_GetArraySize(j), n);
    return j;
}

/* A list of attributes as one line: "name=value;". */
static const char *attributes_of(const cJSON *span)
{
    static char text[2048];
    size_t n = 0;
    const cJSON *at;
    text[0] = '\0';
    cJSON_ArrayForEach(at, member(span, "attributes"))
    {
        const cJSON *value = member(at, "value")->child;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s=%c%s;", text_of(at, "key"), value->string[0],
                              cJSON_GetStringValue(value));
    }
    return text;
}

static void check_first(const cJSON *s)
{
    ck_assert_str_eq(text_of(s, "traceId"), "0000000000000abc0000000000000005");
    ck_assert_str_eq(text_of(s, "spanId"), "0000000000500001");
    ck_assert_str_eq(text_of(s, "parentSpanId"), "0000000000000099");
    ck_assert_str_eq(text_of(s, "traceState"), "a=1,b=2");
    ck_assert_str_eq(text_of(s, "name"), "GET /api/");
    ck_assert_str_eq(text_of(s, "startTimeUnixNano"), "1700000000000000000");
    ck_assert_str_eq(text_of(s, "endTimeUnixNano"), "1700000000005000000");
    ck_assert_int_eq((int)number_of(s, "kind"), 2);
    ck_assert_int_eq((int)number_of(s, "flags"), 0x301);
    ck_assert_str_eq(attributes_of(s),
                     "client.address=s::1;http.route=s/api/{id};http.request.method=sGET;url.path=s/api/1;"
                     "tollgate.request_id=sr5-x;tollgate.reason=sconnect_failed;error.type=sconnect_failed;"
                     "http.response.status_code=i502;tollgate.dropped_spans=i3;");
    ck_assert_int_eq((int)number_of(member(s, "status"), "code"), 2);
    ck_assert_str_eq(text_of(member(s, "status"), "message"), "connect_failed");
    const cJSON *events = member(s, "events");
    ck_assert_int_eq(cJSON_GetArraySize(events), 2);
    const cJSON *second = cJSON_GetArrayItem(events, 1);
    ck_assert_str_eq(text_of(second, "name"), "exception");
    ck_assert_str_eq(text_of(second, "timeUnixNano"), "1700000000002000001");
    ck_assert_str_eq(attributes_of(second), "exception.type=supstream;exception.message=srefused;");
    ck_assert_ptr_null(cJSON_GetObjectItem(s, "links"));
}

static void check_third(const cJSON *s)
{
    ck_assert_str_eq(text_of(s, "spanId"), "0000000000500003");
    ck_assert_str_eq(text_of(s, "parentSpanId"), "0000000000500002");
    ck_assert_str_eq(text_of(s, "name"), "step");
    ck_assert_int_eq((int)number_of(s, "kind"), 3);
    ck_assert_int_eq((int)number_of(s, "flags"), 0x101);
    ck_assert_int_eq((int)number_of(member(s, "status"), "code"), 2);
    ck_assert_ptr_null(cJSON_GetObjectItem(member(s, "status"), "message"));
    ck_assert_ptr_null(cJSON_GetObjectItem(s, "events"));
    const cJSON *link = cJSON_GetArrayItem(member(s, "links"), 0);
    ck_assert_str_eq(text_of(link, "traceId"), "00000000000000010000000000000002");
    ck_assert_str_eq(text_of(link, "spanId"), "0000000000000003");
}

START_TEST(exports_all_of_it)
{
    control_receiver("{\"mode\": \"ok\"}");
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = receiver.endpoint});
    tracer_offer(t, make_full_trace());
    cJSON *spans = spans_of_receiver(4);
    const cJSON *first = cJSON_GetArrayItem(spans, 0), *second = cJSON_GetArrayItem(spans, 1),
                *fourth = cJSON_GetArrayItem(spans, 3);
    check_first(first);
    check_third(cJSON_GetArrayItem(spans, 2));
    ck_assert_str_eq(text_of(second, "parentSpanId"), "0000000000500001");
    ck_assert_ptr_null(cJSON_GetObjectItem(second, "status"));
    ck_assert_str_eq(text_of(fourth, "endTimeUnixNano"), "1700000000005000000"); /* was open */
    char *from = cJSON_PrintUnformatted(member(first, "resource")),
         *scope = cJSON_PrintUnformatted(member(first, "scope"));
    ck_assert_str_eq(from,
                     "{\"service.name\":\"gateway\",\"service.version\":\"1.2\",\"service.instance.id\":"
                     "\"here:1\"}");
    ck_assert_str_eq(scope, "{\"name\":\"tollgate\",\"version\":\"1.2\"}");
    cJSON_free(from);
    cJSON_free(scope);
    cJSON_Delete(spans);
    WAIT_FOR(stats_of(t).exported == 4);
    tracer_stop(t, 1000);
}
END_TEST

/* Bytes that no client may bring into the document: it is the same as with the marks in their stead. */
START_TEST(exports_hostile_text)
{
    const struct tracer_otlp_from from = {.service = "s", .version = "v", .instance = "i"};
    struct trace *t = make_full_trace();
    char *text = tracer_otlp_json(&from, &t, 1);
    ck_assert_ptr_nonnull(strstr(text, "{\"key\":\"text\",\"value\":{\"stringValue\":\"a\\u0000\xef\xbf\xbd("
                                       "\xf0\x9f\x98\x80\"}},{\"key\":\"most\",\"value\":{\"intValue\":"
                                       "\"-9223372036854775808\"}}"));
    free(text);
    static char large[3000]; /* all of it wants an escape */
    memset(large, 1, sizeof(large));
    t->path = t->name = t->route = t->request_id = t->reason = t->state =
        (struct slice){large, sizeof(large)};
    text = tracer_otlp_json(&from, &t, 1);
    cJSON *j = cJSON_Parse(text);
    ck_assert_ptr_nonnull(j);
    const char *path = strstr(text, "\"url.path\",\"value\":{\"stringValue\":\"");
    ck_assert_ptr_nonnull(path);
    path += strlen("\"url.path\",\"value\":{\"stringValue\":\"");
    ck_assert_uint_eq(strcspn(path, "\""), 6 * sizeof(large));
    cJSON_Delete(j);
    free(text);
    free(t);
}
END_TEST

START_TEST(exports_what_is_least)
{
    control_receiver("{\"mode\": \"ok\"}");
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = receiver.endpoint});
    struct trace *least = calloc(1, sizeof(*least) + sizeof(struct span));
    least->id.low = 1;
    least->begin_wall_us = 1;
    least->is_error = true;
    least->status = 504;
    least->nspans = 1;
    least->spans[0] = (struct span){.id = 1, .name = "request", .kind = SPAN_SERVER, .begin_ns = 50};
    tracer_offer(t, least);
    cJSON *spans = spans_of_receiver(1);
    const cJSON *s = cJSON_GetArrayItem(spans, 0);
    ck_assert_ptr_null(cJSON_GetObjectItem(s, "parentSpanId"));
    ck_assert_ptr_null(cJSON_GetObjectItem(s, "traceState"));
    ck_assert_int_eq((int)number_of(s, "flags"), 0x100);
    ck_assert_str_eq(text_of(s, "name"), "request");
    ck_assert_str_eq(text_of(s, "startTimeUnixNano"), "1000");
    ck_assert_str_eq(text_of(s, "endTimeUnixNano"), "1000");
    ck_assert_str_eq(attributes_of(s), "error.type=s504;http.response.status_code=i504;");
    cJSON_Delete(spans);
    tracer_stop(t, 1000);
}
END_TEST

static void begin(void)
{
    start_receiver(NULL);
}

static Suite *suite(void)
{
    Suite *s = suite_create("tracer");
    TCase *recent = tcase_create("recent"), *exported = tcase_create("exported");
    tcase_add_unchecked_fixture(recent, begin, end_receiver);
    tcase_add_test(recent, lists_the_last_ones);
    tcase_add_test(recent, keeps_so_many);
    tcase_add_test(recent, says_what_it_lists);
    tcase_add_test(recent, shows_one_whole);
    tcase_add_test(recent, shows_the_newest_of_a_trace);
    tcase_add_test(recent, is_looked_at_while_it_takes);
    tcase_add_test(recent, ends_without_having_been_used);
    tcase_add_unchecked_fixture(exported, begin, end_receiver);
    tcase_add_test(exported, exports_all_of_it);
    tcase_add_test(exported, exports_hostile_text);
    tcase_add_test(exported, exports_what_is_least);
    suite_add_tcase(s, recent);
    suite_add_tcase(s, exported);
    return s;
}

UNIT_MAIN(suite)
