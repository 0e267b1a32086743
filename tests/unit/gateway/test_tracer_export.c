/* test_tracer_export.c: batches, and collectors that are slow, full, broken, hostile, or not there. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "gateway/collector.h"
#include "gateway/log.h"
#include "gateway/tracer_otlp.h"
#include "lib/gzip.h"
#include "tests/unit/gateway/tracer_fixture.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static char directory[] = "/tmp/tollgate-tracer-XXXXXX";
static char certificate[64], log_file[64];

/* A port of 127.0.0.1 where nobody listens, as long as the socket is open. */
static int closed_port(char endpoint[64])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(fd, (struct sockaddr *)&a, len) == 0);
    ck_assert(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    snprintf(endpoint, 64, "http://127.0.0.1:%u/v1/traces", ntohs(a.sin_port));
    return fd;
}

static struct tracer *tracer_for(const char *mode)
{
    control_receiver(mode);
    return make_tracer((struct tracer_setup){.endpoint = receiver.endpoint});
}

/* Spans of the request INDEX that came, or another number of it. */
static double of_request(int index, const char *what)
{
    cJSON *j = ask_receiver("/requests", NULL);
    ck_assert_int_gt(cJSON_GetArraySize(j), index);
    double n = number_of(cJSON_GetArrayItem(j, index), what);
    cJSON_Delete(j);
    return n;
}

/* ---- batches ---- */

START_TEST(sends_batches_over_one_connection)
{
    struct tracer *t = tracer_for("{\"mode\": \"ok\"}");
    for (unsigned i = 1; i <= 200; i++)
        tracer_offer(t, make_trace(8, i));
    WAIT_FOR(stats_of(t).exported == 1600);
    const struct tracer_stats s = stats_of(t);
    ck_assert(s.kept == 1600 && s.dropped == 0 && s.failed == 0 && s.waiting == 0 && s.export_errors == 0);
    int n = requests_of_receiver();
    ck_assert_uint_eq(s.exports, (unsigned)n);
    ck_assert_int_ge(n, 4);
    ck_assert_int_lt(n, 200);
    for (int i = 0; i < n; i++) {
        ck_assert(of_request(i, "spans") <= 512);
        ck_assert(of_request(i, "port") == of_request(0, "port"));
    }
    ck_assert(of_request(0, "bytes") < 512 * 60); /* a span of this kind takes some 900 */
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(sends_a_large_trace_alone)
{
    struct tracer *t = tracer_for("{\"mode\": \"status\", \"status\": 503, \"times\": 1}");
    tracer_offer(t, make_trace(600, 1));
    WAIT_FOR(requests_of_receiver() == 1); /* now it waits */
    tracer_offer(t, make_trace(5, 2));
    tracer_offer(t, make_trace(507, 3));
    tracer_offer(t, make_trace(1, 4));
    WAIT_FOR(stats_of(t).exported == 1113);
    ck_assert_int_eq(requests_of_receiver(), 4);
    ck_assert_int_eq((int)of_request(1, "spans"), 600);
    ck_assert_int_eq((int)of_request(2, "spans"), 512);
    ck_assert_int_eq((int)of_request(3, "spans"), 1);
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(sends_fields_that_are_set)
{
    static const char *const headers[] = {"X-Api-Key: secret", "Authorization: Basic abc"};
    control_receiver("{\"mode\": \"ok\"}");
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* not heeded */
    struct tracer *t = make_tracer(
        (struct tracer_setup){.endpoint = receiver.endpoint, .headers = headers, .nheaders = N(headers)});
    tracer_offer(t, make_trace(1, 1));
    WAIT_FOR(stats_of(t).exported == 1);
    unsetenv("http_proxy");
    cJSON *j = ask_receiver("/requests", NULL);
    const cJSON *got = member(cJSON_GetArrayItem(j, 0), "headers");
    ck_assert_str_eq(text_of(got, "x-api-key"), "secret");
    ck_assert_str_eq(text_of(got, "authorization"), "Basic abc");
    ck_assert_str_eq(text_of(got, "content-type"), "application/json");
    ck_assert_str_eq(text_of(got, "content-encoding"), "gzip");
    ck_assert_ptr_null(cJSON_GetObjectItem(got, "expect"));
    cJSON_Delete(j);
    tracer_stop(t, 1000);
}
END_TEST

/* ---- trouble ---- */

static const char *const passing[] = {"{\"mode\": \"status\", \"status\": 503, \"times\": 2}",
                                      "{\"mode\": \"reset\", \"times\": 2}"};

START_TEST(tries_again)
{
    struct tracer *t = tracer_for(passing[_i]);
    tracer_offer(t, make_trace(3, 1));
    WAIT_FOR(stats_of(t).exported == 3);
    const struct tracer_stats s = stats_of(t);
    ck_assert(s.exports == 3 && s.export_errors == 2 && s.failed == 0 && s.waiting == 0);
    /* The pause grows: from a quarter of a second at least to a half at least. */
    ck_assert(of_request(1, "at") - of_request(0, "at") >= 0.25);
    ck_assert(of_request(2, "at") - of_request(1, "at") >= 0.5);
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(waits_as_long_as_it_is_told)
{
    struct tracer *t =
        tracer_for("{\"mode\": \"status\", \"status\": 503, \"times\": 1, \"retry_after\": \"3\"}");
    tracer_offer(t, make_trace(3, 1));
    WAIT_FOR(stats_of(t).exported == 3);
    ck_assert(of_request(1, "at") - of_request(0, "at") >= 3);
    tracer_stop(t, 1000);
}
END_TEST

/* An empty document in gzip: an export that no collector takes. */
static const char nothing[] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0};

START_TEST(says_what_a_collector_answers)
{
    struct collector_answer a;
    struct collector *c = collector_new(&(struct collector_setup){.endpoint = receiver.endpoint}, NULL);
    ck_assert_ptr_nonnull(c);
    control_receiver("{\"mode\": \"ok\"}");
    collector_post(c, (struct slice){nothing, sizeof(nothing)}, clock_now_ns() + PATIENCE_NS, &a);
    ck_assert_int_eq(a.result, COLLECTOR_REFUSED);
    ck_assert_msg(strstr(a.err.link[0], "status 400: not JSON"), "%s", a.err.link[0]);
    ck_assert_uint_eq(a.retry_after_ms, 0);
    collector_post(c, (struct slice){nothing, sizeof(nothing)}, clock_now_ns(), &a);
    ck_assert_int_eq(a.result, COLLECTOR_LATER); /* no time */
    ck_assert_int_eq(requests_of_receiver(), 1);
    collector_hurry(c, 1);
    collector_post(c, (struct slice){nothing, sizeof(nothing)}, clock_now_ns() + PATIENCE_NS, &a);
    ck_assert_int_eq(a.result, COLLECTOR_LATER);
    ck_assert_int_eq(requests_of_receiver(), 1);
    collector_free(c);
}
END_TEST

/* The answer to an export of one span, when the receiver is told MODE. */
static struct collector_answer answer_to(const char *mode)
{
    struct collector_answer a;
    const struct tracer_otlp_from from = {"s", "v", "i"};
    struct collector *c = collector_new(&(struct collector_setup){.endpoint = receiver.endpoint}, NULL);
    struct trace *t = make_trace(1, 1);
    char *json = tracer_otlp_json(&from, &t, 1);
    size_t len;
    char *packed = gzip_pack(json, strlen(json), &len);
    ck_assert(packed);
    control_receiver(mode);
    collector_post(c, (struct slice){packed, len}, clock_now_ns() + PATIENCE_NS, &a);
    free(packed);
    free(json);
    free(t);
    collector_free(c);
    return a;
}

START_TEST(knows_what_may_be_sent_again)
{
    static const int statuses[] = {200, 202, 204, 299, 300, 302, 307, 400, 401, 403, 404, 408,
                                   413, 415, 429, 431, 500, 501, 502, 503, 504, 505, 511, 599};
    for (size_t i = 0; i < N(statuses); i++) {
        char mode[64];
        int s = statuses[i];
        bool may = s == 429 || s == 502 || s == 503 || s == 504;
        snprintf(mode, sizeof(mode), "{\"mode\": \"status\", \"status\": %d}", s);
        struct collector_answer a = answer_to(mode);
        ck_assert_msg(a.result == (s < 300 ? COLLECTOR_TAKEN
                                   : may   ? COLLECTOR_LATER
                                           : COLLECTOR_REFUSED),
                      "%d", s);
        ck_assert_int_eq(err_is_set(&a.err), s >= 300);
    }
}
END_TEST

/* The longest pause is bounded, whatever it says. */
START_TEST(bounds_what_it_is_told)
{
    static const struct {
        const char *said;
        unsigned ms;
    } cases[] = {{"7", 7000}, {"100000", COLLECTOR_RETRY_AFTER_MAX_MS},
                 {"0", 0},    {"Fri, 31 Dec 2100 00:00:00 GMT", COLLECTOR_RETRY_AFTER_MAX_MS},
                 {"-5", 0},   {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
                 {"soon", 0}, {"2000000000000", COLLECTOR_RETRY_AFTER_MAX_MS}};
    for (size_t i = 0; i < N(cases); i++) {
        char mode[128];
        snprintf(mode, sizeof(mode), "{\"mode\": \"status\", \"status\": 503, \"retry_after\": \"%s\"}",
                 cases[i].said);
        struct collector_answer a = answer_to(mode);
        ck_assert_int_eq(a.result, COLLECTOR_LATER);
        ck_assert_msg(a.retry_after_ms == cases[i].ms, "%u for %s", a.retry_after_ms, cases[i].said);
    }
}
END_TEST

static const char *const lasting[] = {
    "{\"mode\": \"status\", \"status\": 400, \"times\": 1}",
    "{\"mode\": \"redirect\", \"location\": \"/v1/traces\", \"times\": 1}",
    "{\"mode\": \"endless\", \"times\": 1}",
};

START_TEST(gives_up_what_is_refused)
{
    struct tracer *t = tracer_for(lasting[_i]);
    tracer_offer(t, make_trace(3, 1));
    WAIT_FOR(stats_of(t).failed == 3);
    ck_assert_int_eq(requests_of_receiver(), 1);
    tracer_offer(t, make_trace(4, 2));
    WAIT_FOR(stats_of(t).exported == 4);
    const struct tracer_stats s = stats_of(t);
    ck_assert(s.exports == 2 && s.export_errors == 1 && s.failed == 3 && s.waiting == 0 && s.dropped == 0);
    tracer_stop(t, 1000);
}
END_TEST

START_TEST(counts_what_was_not_taken)
{
    struct tracer *t =
        tracer_for("{\"mode\": \"partial\", \"rejected\": 2, \"message\": \"two\", \"times\": 1}");
    tracer_offer(t, make_trace(5, 1));
    WAIT_FOR(stats_of(t).exported == 3);
    ck_assert(stats_of(t).failed == 2 && stats_of(t).export_errors == 0);
    control_receiver("{\"mode\": \"partial\", \"rejected\": 99, \"times\": 1}");
    tracer_offer(t, make_trace(5, 2));
    WAIT_FOR(stats_of(t).failed == 7);
    control_receiver("{\"mode\": \"partial\", \"rejected\": -1, \"message\": \"only a word\", \"times\": 1}");
    tracer_offer(t, make_trace(5, 3));
    WAIT_FOR(stats_of(t).exported == 8);
    ck_assert(stats_of(t).failed == 7 && stats_of(t).waiting == 0);
    tracer_stop(t, 1000);
}
END_TEST

/* While an export hangs, whose time is not over for ten minutes, offers come back and what is too much is
 * counted. */
START_TEST(does_not_wait_for_a_collector_that_hangs)
{
    enum { OFFERS = 5000 };
    control_receiver("{\"mode\": \"hang\"}");
    struct tracer *t =
        make_tracer((struct tracer_setup){.endpoint = receiver.endpoint, .timeout_ms = 600000});
    tracer_offer(t, make_trace(2, 1));
    WAIT_FOR(requests_of_receiver() == 1);
    for (unsigned i = 0; i < OFFERS; i++)
        tracer_offer(t, make_trace(2, i + 2));
    struct tracer_stats s = stats_of(t);
    ck_assert(s.exports == 1 && s.export_errors == 0 && s.exported == 0);
    ck_assert_uint_gt(s.dropped, 0);
    ck_assert_uint_lt(s.dropped, 2 * OFFERS);
    char *json = tracer_list_json(t, 10, false, NULL);
    ck_assert_ptr_nonnull(strstr(json, "\"r1-x\""));
    free(json);
    uint64_t begin_ns = clock_now_ns();
    tracer_stop(t, 200);
    ck_assert_uint_lt(clock_now_ns() - begin_ns, PATIENCE_NS);
    control_receiver("{\"mode\": \"ok\"}");
}
END_TEST

START_TEST(an_export_that_hangs_is_over_in_time)
{
    control_receiver("{\"mode\": \"hang\", \"times\": 1}");
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = receiver.endpoint, .timeout_ms = 100});
    tracer_offer(t, make_trace(2, 1));
    WAIT_FOR(stats_of(t).exported == 2);
    ck_assert_uint_eq(stats_of(t).export_errors, 1);
    ck_assert_uint_eq(stats_of(t).exports, 2); /* the second one while the first is still unanswered */
    tracer_stop(t, 1000);
}
END_TEST

/* Nobody listens: the oldest wait, the newest are dropped, and the ring has all. */
START_TEST(drops_the_newest)
{
    char endpoint[64];
    int fd = closed_port(endpoint);
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = endpoint, .queue = 22});
    for (unsigned i = 1; i <= 10; i++)
        tracer_offer(t, make_trace(5, i));
    WAIT_FOR(stats_of(t).kept == 50 && stats_of(t).export_errors >= 2);
    const struct tracer_stats s = stats_of(t);
    ck_assert(s.waiting == 20 && s.dropped == 30 && s.exported == 0 && s.failed == 0);
    tracer_offer(t, make_trace(2, 11));
    WAIT_FOR(stats_of(t).waiting == 22);
    char *json = tracer_list_json(t, 20, false, NULL);
    for (unsigned i = 1; i <= 11; i++) {
        char id[32];
        snprintf(id, sizeof(id), "\"r%u-x\"", i);
        ck_assert_ptr_nonnull(strstr(json, id));
    }
    free(json);
    tracer_stop(t, 0);
    close(fd);
}
END_TEST

/* ---- the end ---- */

START_TEST(sends_the_rest_at_the_end)
{
    struct tracer *t = tracer_for("{\"mode\": \"status\", \"status\": 503, \"times\": 1}");
    for (unsigned i = 1; i <= 100; i++)
        tracer_offer(t, make_trace(10, i));
    tracer_stop(t, 60000);
    cJSON *spans = ask_receiver("/spans", NULL);
    ck_assert_int_eq(cJSON_GetArraySize(spans), 1000);
    cJSON_Delete(spans);
}
END_TEST

START_TEST(ends_while_it_pauses)
{
    struct tracer *t =
        tracer_for("{\"mode\": \"status\", \"status\": 503, \"times\": 1, \"retry_after\": \"100000\"}");
    tracer_offer(t, make_trace(3, 1));
    WAIT_FOR(stats_of(t).export_errors == 1);
    tracer_stop(t, 60000); /* sends at once, whatever the pause */
    cJSON *spans = ask_receiver("/spans", NULL);
    ck_assert_int_eq(cJSON_GetArraySize(spans), 3);
    cJSON_Delete(spans);
}
END_TEST

START_TEST(ends_though_nobody_answers)
{
    char endpoint[64];
    int fd = closed_port(endpoint);
    static const unsigned within_ms[] = {0, 1, 300, 1500};
    for (size_t i = 0; i < N(within_ms); i++) {
        struct tracer *t = make_tracer((struct tracer_setup){.endpoint = endpoint});
        for (unsigned k = 1; k <= 20; k++)
            tracer_offer(t, make_trace(10, k));
        uint64_t begin_ns = clock_now_ns();
        tracer_stop(t, within_ms[i]);
        ck_assert_uint_lt(clock_now_ns() - begin_ns, PATIENCE_NS);
    }
    close(fd);
}
END_TEST

/* ---- what is logged ---- */

static char *lines_of_log(void)
{
    char *text = calloc(1, 1 << 16);
    FILE *f = fopen(log_file, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, f), (1 << 16) - 1);
    fclose(f);
    return text;
}

static int count_of_text(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* One line for three failures, one for the recovery, and never what is secret in the URL. */
START_TEST(says_little)
{
    char endpoint[128];
    struct conf_log conf = {.error = log_file, .format = LOG_COMBINED, .level = LOG_INFO, .queue = 100};
    struct log *log = log_new(&conf, NULL);
    ck_assert_ptr_nonnull(log);
    snprintf(endpoint, sizeof(endpoint), "http://user:secret@127.0.0.1:%u/v1/traces?key=secret",
             receiver.port);
    control_receiver("{\"mode\": \"status\", \"status\": 404, \"times\": 3}");
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = receiver.endpoint, .log = log});
    for (unsigned i = 1; i <= 3; i++) {
        tracer_offer(t, make_trace(1, i));
        WAIT_FOR(stats_of(t).failed == i);
    }
    tracer_offer(t, make_trace(1, 4));
    WAIT_FOR(stats_of(t).exported == 1);
    tracer_stop(t, 1000);
    t = make_tracer((struct tracer_setup){.endpoint = endpoint, .log = log});
    tracer_offer(t, make_trace(1, 5));
    WAIT_FOR(stats_of(t).failed == 1); /* another path */
    tracer_stop(t, 1000);
    log_free(log);
    char *text = lines_of_log();
    ck_assert_msg(count_of_text(text, "were refused and are lost: status 404: told to\n") == 1, "%s", text);
    ck_assert_msg(count_of_text(text, "again\n") == 1, "%s", text);
    ck_assert_msg(count_of_text(text, "were refused and are lost: status 404: no such path\n") == 1, "%s",
                  text);
    ck_assert_int_eq(count_of_text(text, "\n"), 3);
    ck_assert_int_eq(count_of_text(text, "secret"), 0);
    free(text);
}
END_TEST

/* ---- https, and what is refused at once ---- */

START_TEST(verifies_who_it_is)
{
    control_receiver("{\"mode\": \"ok\"}");
    struct tracer *t = make_tracer((struct tracer_setup){.endpoint = receiver.tls_endpoint});
    tracer_offer(t, make_trace(1, 1));
    WAIT_FOR(stats_of(t).export_errors == 1);
    tracer_stop(t, 0);
    ck_assert_int_eq(requests_of_receiver(), 0);
    t = make_tracer((struct tracer_setup){.endpoint = receiver.tls_endpoint, .ca = certificate});
    tracer_offer(t, make_trace(1, 2));
    WAIT_FOR(stats_of(t).exported == 1);
    tracer_stop(t, 1000);
    char other[64]; /* the certificate is of the address */
    snprintf(other, sizeof(other), "https://localhost:%u/v1/traces", receiver.tls_port);
    t = make_tracer((struct tracer_setup){.endpoint = other, .ca = certificate});
    tracer_offer(t, make_trace(1, 3));
    WAIT_FOR(stats_of(t).export_errors == 1);
    tracer_stop(t, 0);
    ck_assert_int_eq(requests_of_receiver(), 1);
}
END_TEST

static const char *const bad_endpoints[] = {
    "",        "/v1/traces",      "collector",     "ftp://h/",   "file:///etc/passwd",
    "http://", "http://h:99999/", "http://h ost/", "gopher://h/"};
static const char *const bad_headers[] = {"",
                                          "Name",
                                          ": value",
                                          "Name:",
                                          "Name:  ",
                                          "Na me: v",
                                          "Name : v",
                                          "Name: a\r\nB: c",
                                          "Content-Type: text/plain",
                                          "content-length: 5",
                                          "Content-Encoding: br",
                                          "Transfer-Encoding: chunked",
                                          "EXPECT: x"};

START_TEST(refuses_a_bad_endpoint)
{
    struct err err = {0};
    ck_assert_ptr_null(tracer_new(&(struct tracer_setup){.endpoint = bad_endpoints[_i]}, &err));
    ck_assert(err_is_set(&err));
}
END_TEST

START_TEST(refuses_a_bad_header)
{
    struct err err = {0};
    struct tracer_setup setup = {.endpoint = "http://h/", .headers = &bad_headers[_i], .nheaders = 1};
    ck_assert_ptr_null(tracer_new(&setup, &err));
    ck_assert(err_is_set(&err));
}
END_TEST

static void begin(void)
{
    char command[512];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(certificate, sizeof(certificate), "%s/certificate", directory);
    snprintf(log_file, sizeof(log_file), "%s/log", directory);
    snprintf(
        command, sizeof(command),
        "exec 2>/dev/null; cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-keyout key -out crt -days 2 -subj /CN=collector -addext subjectAltName=IP:127.0.0.1 && "
        "cat key crt >certificate",
        directory);
    ck_assert_int_eq(system(command), 0);
    start_receiver(certificate);
}

static void end(void)
{
    char command[128];
    end_receiver();
    snprintf(command, sizeof(command), "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static Suite *suite(void)
{
    Suite *s = suite_create("tracer_export");
    TCase *c = tcase_create("export");
    tcase_set_timeout(c, 120);
    tcase_add_unchecked_fixture(c, begin, end);
    tcase_add_test(c, sends_batches_over_one_connection);
    tcase_add_test(c, sends_a_large_trace_alone);
    tcase_add_test(c, sends_fields_that_are_set);
    tcase_add_loop_test(c, tries_again, 0, N(passing));
    tcase_add_test(c, waits_as_long_as_it_is_told);
    tcase_add_test(c, says_what_a_collector_answers);
    tcase_add_test(c, knows_what_may_be_sent_again);
    tcase_add_test(c, bounds_what_it_is_told);
    tcase_add_loop_test(c, gives_up_what_is_refused, 0, N(lasting));
    tcase_add_test(c, counts_what_was_not_taken);
    tcase_add_test(c, does_not_wait_for_a_collector_that_hangs);
    tcase_add_test(c, an_export_that_hangs_is_over_in_time);
    tcase_add_test(c, drops_the_newest);
    tcase_add_test(c, sends_the_rest_at_the_end);
    tcase_add_test(c, ends_while_it_pauses);
    tcase_add_test(c, ends_though_nobody_answers);
    tcase_add_test(c, says_little);
    tcase_add_test(c, verifies_who_it_is);
    tcase_add_loop_test(c, refuses_a_bad_endpoint, 0, N(bad_endpoints));
    tcase_add_loop_test(c, refuses_a_bad_header, 0, N(bad_headers));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
