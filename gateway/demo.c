/* demo.c: see demo.h. A thread for each connection: simple, and nothing that a request path would want. */
#include "gateway/demo.h"

#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/conf.h"
#include "gateway/listener.h"

#define DELAY_MAX_MS 60000
#define BYTES_MAX    (64L << 20)
#define EVENTS_MAX   3600

struct demo {
    const char *name;
    char host[256];
    atomic_uint served; /* requests, by all threads; only a number, so that relaxed is enough */
};

struct call {
    unsigned number; /* of the request, from 1 */
    size_t body_bytes;
    int event; /* next one of a stream */
};

static long query_number(struct MHD_Connection *c, const char *name, long max)
{
    const char *text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
    long n = text ? strtol(text, NULL, 10) : 0;
    return n < 0 ? 0 : n > max ? max : n;
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static enum MHD_Result add_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    cJSON_AddStringToObject(ctx, name, value ? value : "");
    return MHD_YES;
}

static struct MHD_Response *describe(const struct demo *d, struct MHD_Connection *c, const char *url,
                                     const char *method, const struct call *call)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "backend", d->name);
    cJSON_AddStringToObject(o, "host", d->host);
    cJSON_AddNumberToObject(o, "pid", getpid());
    cJSON_AddNumberToObject(o, "served", call->number);
    cJSON_AddStringToObject(o, "method", method);
    cJSON_AddStringToObject(o, "path", url);
    cJSON_AddNumberToObject(o, "body_bytes", (double)call->body_bytes);
    MHD_get_connection_values(c, MHD_HEADER_KIND, add_header, cJSON_AddObjectToObject(o, "headers"));
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    if (!text)
        return NULL;
    size_t len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL: a terminal likes it */
    struct MHD_Response *r = MHD_create_response_from_buffer(len + 1, text, MHD_RESPMEM_MUST_FREE);
    if (r)
        MHD_add_response_header(r, "Content-Type", "application/json");
    return r;
}

static ssize_t next_event(void *ctx, uint64_t at, char *p, size_t max)
{
    (void)at;
    struct call *call = ctx;
    if (call->event > 0)
        pause_ms(1000);
    if (call->event == EVENTS_MAX)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return snprintf(p, max, "data: event %d\n\n", call->event++);
}

static struct MHD_Response *events(struct call *call)
{
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 256, next_event, call, NULL);
    if (r)
        MHD_add_response_header(r, "Content-Type", "text/event-stream");
    return r;
}

static struct MHD_Response *filler(size_t n)
{
    char *bytes = malloc(n);
    if (!bytes)
        return NULL;
    memset(bytes, 'x', n);
    return MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **state)
{
    (void)version, (void)body;
    struct demo *d = ctx;
    struct call *call = *state;
    if (!call) {
        call = *state = calloc(1, sizeof(*call));
        if (call)
            call->number = 1 + atomic_fetch_add_explicit(&d->served, 1, memory_order_relaxed);
        return call ? MHD_YES : MHD_NO;
    }
    if (*body_len > 0) {
        call->body_bytes += *body_len;
        *body_len = 0;
        return MHD_YES;
    }
    pause_ms(query_number(c, "ms", DELAY_MAX_MS));
    long status = query_number(c, "status", 599), bytes = query_number(c, "bytes", BYTES_MAX);
    struct MHD_Response *r = slice_ends(slice_of(url), SLICE("/events")) ? events(call)
                             : bytes > 0                                 ? filler((size_t)bytes)
                                                                         : describe(d, c, url, method, call);
    if (!r)
        return MHD_NO;
    enum MHD_Result ok = MHD_queue_response(c, status >= 200 ? (unsigned)status : 200, r);
    MHD_destroy_response(r);
    return ok;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode how)
{
    (void)ctx, (void)c, (void)how;
    free(*state);
    *state = NULL;
}

/* "host:port", numeric. */
static bool read_address(char *text, struct conf_listen *l)
{
    char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    *colon = '\0';
    l->address = l->host = text;
    l->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    if (text[0] == '[') {
        text[strlen(text) - 1] = '\0';
        l->host = text + 1;
    }
    return l->port > 0;
}

int demo_run(const char *listen, const char *name)
{
    struct demo d = {.name = name};
    struct conf_listen l = {0};
    struct err err = {0};
    char address[128];
    sigset_t ends;
    int number, fd = -1;
    snprintf(address, sizeof(address), "%s", listen);
    gethostname(d.host, sizeof(d.host) - 1);
    if (read_address(address, &l))
        fd = listener_open_one(&l, false, &err);
    if (fd < 0) {
        fprintf(stderr, "tollgate demo: cannot listen on %s\n", listen);
        return EXIT_FAILURE;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0,
                         NULL, NULL, on_request, &d, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!daemon)
        return EXIT_FAILURE;
    sigwait(&ends, &number);
    MHD_stop_daemon(daemon);
    return EXIT_SUCCESS;
}
