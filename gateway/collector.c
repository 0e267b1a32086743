/*
 * collector.c: see collector.h.
 *
 * One easy handle in a multi handle of its own: only the latter can be woken by another thread, which is how
 * a stop cuts a post short whose other end hangs. The connection is kept by the multi handle from one post to
 * the next.
 */
#include "gateway/collector.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "gateway/easy.h"
#include "lib/clock.h"
#include "lib/json.h"

#define ANSWER_MAX  (16u << 10)
#define WHERE_MAX   300
#define POLL_MAX_MS 1000

struct collector {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    _Atomic uint64_t hurry_ns; /* no post lasts longer */
    char where[WHERE_MAX];
    size_t len; /* of the answer */
    char answer[ANSWER_MAX];
};

/* ---- an answer ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct collector *c = ctx;
    size_t len = size * n;
    if (len > ANSWER_MAX - c->len)
        return 0;
    memcpy(c->answer + c->len, p, len);
    c->len += len;
    return len;
}

/* A number of 64 bits is text in this encoding, but a number is taken too. */
static uint64_t read_count(const struct json *j)
{
    uint64_t n = 0;
    int64_t number = 0;
    if (j && j->type == JSON_STRING && slice_to_u64(j->text, INT64_MAX, &n))
        return n;
    if (j && j->type == JSON_NUMBER && json_to_i64(j, &number) && number > 0)
        return (uint64_t)number;
    return 0;
}

static void read_partial(const struct json *root, struct collector_answer *out)
{
    const struct json *partial = json_get(root, SLICE("partialSuccess"));
    struct slice message = json_get_string(partial, SLICE("errorMessage"));
    out->rejected = read_count(json_get(partial, SLICE("rejectedSpans")));
    if (out->rejected > 0 || message.len > 0)
        err_set(&out->err, ERR_UPSTREAM, "%.*s", SLICE_ARG(message));
}

static bool is_retryable(long status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void read_retry_after(struct collector *c, struct collector_answer *out)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0)
        out->retry_after_ms = seconds < COLLECTOR_RETRY_AFTER_MAX_MS / 1000 ? (uint32_t)seconds * 1000
                                                                            : COLLECTOR_RETRY_AFTER_MAX_MS;
}

static void read_answer(struct collector *c, struct collector_answer *out)
{
    long status = 0;
    struct arena arena;
    const struct json *root = NULL;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    arena_init(&arena, NULL, 0, 16 * ANSWER_MAX);
    if (json_parse((struct slice){c->answer, c->len}, &arena, &root) != JSON_OK)
        root = NULL; /* an empty body, or the words of some proxy: the status says it all */
    if (status >= 200 && status < 300) {
        out->result = COLLECTOR_TAKEN;
        read_partial(root, out);
    } else {
        out->result = is_retryable(status) ? COLLECTOR_LATER : COLLECTOR_REFUSED;
        read_retry_after(c, out);
        struct slice message = json_get_string(root, SLICE("message"));
        err_set(&out->err, ERR_UPSTREAM, "status %ld%s%.*s", status, message.len ? ": " : "",
                SLICE_ARG(message));
    }
    arena_fini(&arena);
}

/* ---- a post ---- */

static uint64_t left_ns(struct collector *c, uint64_t deadline_ns)
{
    /* Acquire beside the wake: who is woken sees why. */
    uint64_t hurry = atomic_load_explicit(&c->hurry_ns, memory_order_acquire), now = clock_now_ns();
    uint64_t limit = hurry < deadline_ns ? hurry : deadline_ns;
    return limit > now ? limit - now : 0;
}

static CURLcode wait_for_answer(struct collector *c, uint64_t deadline_ns)
{
    int running = 1, left = 0;
    for (;;) {
        uint64_t ns = left_ns(c, deadline_ns);
        if (ns == 0)
            return CURLE_OPERATION_TIMEDOUT;
        if (curl_multi_perform(c->multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        if (!running)
            break;
        uint64_t ms = ns / CLOCK_MILLISECOND_NS + 1;
        curl_multi_poll(c->multi, NULL, 0, ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS, NULL);
    }
    CURLMsg *m = curl_multi_info_read(c->multi, &left);
    return m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_RECV_ERROR;
}

void collector_post(struct collector *c, struct slice body, uint64_t deadline_ns,
                    struct collector_answer *out)
{
    *out = (struct collector_answer){.result = COLLECTOR_LATER};
    c->len = 0;
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body.p);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (curl_multi_add_handle(c->multi, c->easy) == CURLM_OK)
        code = wait_for_answer(c, deadline_ns);
    if (code == CURLE_OK)
        read_answer(c, out);
    else
        err_set(&out->err, ERR_UPSTREAM, "%s", curl_easy_strerror(code));
    if (code == CURLE_WRITE_ERROR)
        out->result = COLLECTOR_REFUSED; /* an answer without end is none of a collector */
    curl_multi_remove_handle(c->multi, c->easy);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, NULL);
}

void collector_hurry(struct collector *c, uint64_t deadline_ns)
{
    atomic_store_explicit(&c->hurry_ns, deadline_ns, memory_order_release);
    curl_multi_wakeup(c->multi);
}

const char *collector_where(const struct collector *c)
{
    return c->where;
}

/* ---- life ---- */

/* Whether it is a URL that can be posted to; where that is. */
static bool read_url(const char *url, char where[WHERE_MAX])
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (ok)
        snprintf(where, WHERE_MAX, "%s:%s", host, port);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok;
}

/* A field of the operator's own; not one of those that say what the body is. */
static bool is_good_header(const char *text)
{
    static const char *const ours[] = {"content-type", "content-encoding", "content-length",
                                       "transfer-encoding", "expect"};
    size_t len = strcspn(text, ":");
    if (len == 0 || text[len] != ':' || strpbrk(text, "\r\n") || strcspn(text, " \t") < len)
        return false;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strlen(ours[i]) == len && strncasecmp(text, ours[i], len) == 0)
            return false;
    return text[len + 1 + strspn(text + len + 1, " \t")] != '\0';
}

static bool add_header(struct collector *c, const char *text)
{
    struct curl_slist *longer = curl_slist_append(c->headers, text);
    if (longer)
        c->headers = longer;
    return longer;
}

static bool add_headers(struct collector *c, const struct collector_setup *setup, struct err *err)
{
    /* Without Expect: it would only wait for a "100 Continue" that few collectors send. */
    bool ok = add_header(c, "Content-Type: application/json") && add_header(c, "Content-Encoding: gzip") &&
              add_header(c, "Expect:");
    for (size_t i = 0; ok && i < setup->nheaders; i++) {
        if (!is_good_header(setup->headers[i]))
            return err_set(err, ERR_SELF, "header %zu is not \"Name: value\", or it is ours to set", i + 1),
                   false;
        ok = add_header(c, setup->headers[i]);
    }
    if (!ok)
        err_set(err, ERR_SELF, "out of memory");
    return ok;
}

static bool set_options(struct collector *c, const struct collector_setup *setup)
{
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "tollgate");
    curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    return curl_easy_setopt(c->easy, CURLOPT_URL, setup->endpoint) == CURLE_OK &&
           easy_set_trust(c->easy, true, setup->ca);
}

struct collector *collector_new(const struct collector_setup *setup, struct err *err)
{
    struct collector *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(err, ERR_SELF, "out of memory"), NULL;
    atomic_init(&c->hurry_ns, UINT64_MAX);
    if (!read_url(setup->endpoint, c->where)) {
        err_set(err, ERR_SELF, "not an http or https URL");
        goto fail;
    }
    if (!add_headers(c, setup, err))
        goto fail;
    c->easy = easy_new();
    c->multi = curl_multi_init();
    if (c->easy && c->multi && set_options(c, setup))
        return c;
    err_set(err, ERR_SELF, "out of memory");
fail:
    collector_free(c);
    return NULL;
}

void collector_free(struct collector *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->easy);
    curl_multi_cleanup(c->multi);
    curl_slist_free_all(c->headers);
    free(c);
}
