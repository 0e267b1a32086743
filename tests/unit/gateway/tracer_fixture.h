/* tracer_fixture.h: traces to offer, and the receiver of traces (tests/trace/receiver.py) to send them to. */
#ifndef TESTS_UNIT_GATEWAY_TRACER_FIXTURE_H
#define TESTS_UNIT_GATEWAY_TRACER_FIXTURE_H

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/tracer.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (60 * CLOCK_SECOND_NS)

/* Until COND is true; fails when it is not for a minute. */
#define WAIT_FOR(cond)                                                                                       \
    do {                                                                                                     \
        uint64_t give_up_ns_ = clock_now_ns() + PATIENCE_NS;                                                 \
        while (!(cond)) {                                                                                    \
            ck_assert_msg(clock_now_ns() < give_up_ns_, "waited in vain for: %s", #cond);                    \
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);                                         \
        }                                                                                                    \
    } while (0)

/* ---- the receiver ---- */

static struct {
    pid_t pid;
    int in; /* its standard input: it ends with it */
    unsigned port, tls_port;
    char endpoint[64], tls_endpoint[64];
} receiver;

/* CERTIFICATE: for https too; may be NULL. */
static void start_receiver(const char *certificate)
{
    int in[2], out[2];
    char line[64] = {0};
    ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    receiver.pid = fork();
    ck_assert_int_ge(receiver.pid, 0);
    if (receiver.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("python3", "python3", "tests/trace/receiver.py", certificate ? "--cert" : NULL, certificate,
               NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    receiver.in = in[1];
    FILE *f = fdopen(out[0], "r");
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
    fclose(f);
    ck_assert_int_ge(sscanf(line, "listening %u %u", &receiver.port, &receiver.tls_port), 1);
    snprintf(receiver.endpoint, sizeof(receiver.endpoint), "http://127.0.0.1:%u/v1/traces", receiver.port);
    snprintf(receiver.tls_endpoint, sizeof(receiver.tls_endpoint), "https://127.0.0.1:%u/v1/traces",
             receiver.tls_port);
}

static void end_receiver(void)
{
    close(receiver.in);
    ck_assert_int_eq(waitpid(receiver.pid, NULL, 0), receiver.pid);
}

static size_t on_answer_of_receiver(char *p, size_t size, size_t n, void *ctx)
{
    return fwrite(p, size, n, ctx) * size;
}

/* GET, or POST of BODY; the JSON that it answers. */
static cJSON *ask_receiver(const char *path, const char *body)
{
    char url[128], *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    CURL *curl = curl_easy_init();
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", receiver.port, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 30000L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer_of_receiver);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    ck_assert_int_eq(curl_easy_perform(curl), CURLE_OK);
    curl_easy_cleanup(curl);
    fclose(to);
    cJSON *j = cJSON_Parse(text);
    ck_assert_ptr_nonnull(j);
    free(text);
    return j;
}

/* Forget what came, and meet what comes as MODE says. */
static inline void control_receiver(const char *mode)
{
    cJSON_Delete(ask_receiver("/control", mode));
    cJSON_Delete(ask_receiver("/clear", "{}"));
}

static inline int requests_of_receiver(void)
{
    cJSON *j = ask_receiver("/requests", NULL);
    int n = cJSON_GetArraySize(j);
    cJSON_Delete(j);
    return n;
}

/* ---- traces ---- */

/* Of NSPANS spans, one after the other for a millisecond; what the trace itself says is for the caller. */
static inline struct trace *make_trace(unsigned nspans, uint64_t number)
{
    struct trace *t = calloc(1, sizeof(*t) + nspans * sizeof(struct span) + 32);
    ck_assert_ptr_nonnull(t);
    char *id = (char *)&t->spans[nspans];
    t->id = (struct trace_id){0xabc, number};
    t->is_sampled = true;
    t->begin_wall_us = INT64_C(1700000000000000);
    t->status = 200;
    t->name = SLICE("GET /api/");
    t->method = SLICE("GET");
    t->path = SLICE("/api/1");
    t->route = SLICE("api");
    t->request_id = (struct slice){id, (size_t)snprintf(id, 32, "r%llu-x", (unsigned long long)number)};
    t->nspans = nspans;
    for (unsigned i = 0; i < nspans; i++)
        t->spans[i] = (struct span){.id = number << 20 | (i + 1),
                                    .name = i ? "step" : "request",
                                    .kind = i ? SPAN_INTERNAL : SPAN_SERVER,
                                    .begin_ns = CLOCK_SECOND_NS + i * CLOCK_MILLISECOND_NS,
                                    .end_ns = CLOCK_SECOND_NS + (i + 1) * CLOCK_MILLISECOND_NS};
    t->spans[0].end_ns = CLOCK_SECOND_NS + (nspans + 1) * CLOCK_MILLISECOND_NS;
    return t;
}

static inline struct tracer *make_tracer(struct tracer_setup setup)
{
    struct err err = {0};
    setup.service = "gateway";
    setup.version = "1.2";
    setup.instance = "here:1";
    struct tracer *t = tracer_new(&setup, &err);
    ck_assert_msg(t, "%s", err.link[0]);
    return t;
}

static inline struct tracer_stats stats_of(const struct tracer *t)
{
    struct tracer_stats s;
    tracer_stats(t, &s);
    return s;
}

/* ---- JSON ---- */

static inline const cJSON *member(const cJSON *j, const char *name)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(j, name);
    ck_assert_msg(m, "there is no %s", name);
    return m;
}

static inline const char *text_of(const cJSON *j, const char *name)
{
    const char *text = cJSON_GetStringValue(member(j, name));
    ck_assert_msg(text, "%s is no text", name);
    return text;
}

static inline double number_of(const cJSON *j, const char *name)
{
    const cJSON *m = member(j, name);
    ck_assert_msg(cJSON_IsNumber(m), "%s is no number", name);
    return m->valuedouble;
}

#endif
