/*
 * front.c: see front.h.
 *
 * What libmicrohttpd does, and what we do about it:
 *   - it parses leniently: every head is checked again, field by field, and on versions before 0.9.76 byte by
 * byte in its own buffer (http1_raw_head_check), before anything is done with it;
 *   - it clobbers the target while parsing: the raw one is copied in the callback that sees it first;
 *   - it takes an answer only before a request's body (and then closes the connection) or after it: the body
 * of a request that was refused is read and dropped up to a bound; past it the answer is written straight to
 * the socket and the connection is cut;
 *   - bytes that nobody read turn a close into a reset, which may destroy the answer: such sockets linger
 * (client.h).
 */
#include "gateway/front.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"

/* Before 0.9.76 the parser lets much through; in chunked bodies, where we cannot look behind it, so much that
 * no other request may follow on the connection. */
#define LIBRARY_IS_LENIENT (MHD_VERSION < 0x00097600)

#define ACCEPT_BURST    64                        /* connections taken in one go */
#define ACCEPT_PAUSE_NS (UINT64_C(100) * 1000000) /* without descriptors: try again after this */
#define DRAIN_MAX                                                                                            \
    (1024 * 1024) /* bytes of an unwanted body that are read so that the connection can be kept */
#define STREAM_BLOCK     (64 * 1024) /* bytes of a reply that are read and sent at a time */
#define STREAM_BLOCK_MIN 1024
#define TRAILERS_MAX     32 /* trailer fields of a request that are passed on */

/* A listening socket on the worker's loop. */
struct door {
    uv_poll_t poll;
    struct front *front;
    const struct listener *listener;
    struct httpd *httpd;
};

struct front {
    struct worker *worker;
    struct httpd **httpds; /* the plain one, then one for each TLS listener */
    size_t nhttpds;
    struct door *doors;
    size_t ndoors;
    bool doors_open;
    bool draining;
    uint64_t reopen_ns; /* doors shut for want of descriptors: until then */
    uint32_t max_clients;
    struct client *accepting; /* handed to the connection that is being added */
    struct clients clients;
};

/* ---- parking and waking ---- */

void front_wake(struct exchange *x)
{
    x->client->woken = true;
    client_resume(x->client);
}

bool front_has_replied(const struct exchange *x)
{
    return x->client->replied;
}

/* The client of a suspended connection has left: stop its request. */
static void on_gone(struct client *c)
{
    struct exchange *x = c->exchange;
    if (!x)
        return;
    forward_undo(x);
    exchange_fail(x, REASON_CLIENT_GONE);
    front_wake(x);
}

/* ---- the reply ---- */

static enum MHD_Result add_trailers(struct MHD_Response *r, struct http_fields trailers)
{
    for (size_t i = 0; i < trailers.n; i++) {
        char name[128], value[1024];
        if (trailers.at[i].name.len >= sizeof(name) || trailers.at[i].value.len >= sizeof(value))
            continue;
        snprintf(name, sizeof(name), "%.*s", SLICE_ARG(trailers.at[i].name));
        snprintf(value, sizeof(value), "%.*s", SLICE_ARG(trailers.at[i].value));
        MHD_add_response_footer(r, name, value);
    }
    return MHD_YES;
}

static ssize_t on_read(void *ctx, uint64_t at, char *p, size_t max)
{
    (void)at;
    struct exchange *x = ctx;
    struct client *c = x->client;
    if (client_still_waits(c))
        return 0;
    c->woken = false;
    client_moved(c);
    ssize_t n = forward_read(x, p, max);
    httpd_poke(c->httpd);
    if (n > 0)
        return n;
    c->finished = n == FORWARD_END && x->reply.length == LENGTH_UNKNOWN && x->record.http_minor == 0;
    if (n == FORWARD_FAILED || c->finished) {
        /* To say END, where the end is a close, would leave the connection in limbo until something else
         * makes the library look at it: shut its socket down, which sends all that is pending, and have the
         * next send fail. */
        client_cut(c);
        p[0] = '\0';
        return 1;
    }
    if (n == FORWARD_END) {
        add_trailers(x->response, forward_trailers(x));
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (!c->woken)
        client_park(c, true);
    return 0;
}

static struct MHD_Response *stream_response(struct exchange *x)
{
    uint64_t length = x->reply.length;
    size_t block = STREAM_BLOCK;
    if (x->reply.body == REPLY_LENGTH)
        block = 1;
    else if (length < STREAM_BLOCK)
        block = length > STREAM_BLOCK_MIN ? (size_t)length : STREAM_BLOCK_MIN;
    else if (length == LENGTH_UNKNOWN && x->record.http_minor > 0)
        block = STREAM_BLOCK_MIN; /* chunks are made in the connection's own memory */
    return MHD_create_response_from_callback(length == LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : length, block,
                                             on_read, x, NULL);
}

static struct MHD_Response *empty_response(struct exchange *x)
{
    struct MHD_Response *r;
    if (x->reply.status == 204)
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    /* To HEAD, or 304, of a length that is not known. */
    r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, on_read, x, NULL);
#if MHD_VERSION >= 0x01000000
    if (r)
        MHD_set_response_options(r, MHD_RF_HEAD_ONLY_RESPONSE, MHD_RO_END);
#else
    /* It would send a last chunk behind the head: have it end by closing instead. */
    if (r)
        MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
#endif
    return r;
}

static struct MHD_Response *make_response(struct exchange *x)
{
    struct reply *reply = &x->reply;
    switch (reply->body) {
    case REPLY_BYTES:
        return MHD_create_response_from_buffer(reply->bytes.len,
                                               (void *)(uintptr_t)(reply->bytes.p ? reply->bytes.p : ""),
                                               MHD_RESPMEM_PERSISTENT);
    case REPLY_LENGTH:
    case REPLY_STREAM:
        return stream_response(x);
    case REPLY_EMPTY:
        return empty_response(x);
    }
    return NULL;
}

static enum MHD_Result send_reply(struct exchange *x)
{
    struct client *c = x->client;
    struct MHD_Response *r = make_response(x);
    if (!r)
        return MHD_NO;
    for (size_t i = 0; i < x->reply.nfields; i++)
        if (x->reply.fields[i].value.len > 0)
            MHD_add_response_header(r, x->reply.fields[i].name.p, x->reply.fields[i].value.p);
    if (x->worker->front->draining || (LIBRARY_IS_LENIENT && x->head.framing == HTTP1_CHUNKED))
        MHD_add_response_header(r, "Connection", "close");
    x->response = r;
    c->replied = true;
    enum MHD_Result ok = MHD_queue_response(c->mhd, x->reply.status, r);
    MHD_destroy_response(r); /* the connection holds it now */
    return ok;
}

/* Past libmicrohttpd, as far as the socket takes it at once. */
static bool write_reply(struct exchange *x)
{
    struct client *c = x->client;
    struct buf b = worker_scratch(x->worker);
    if (c->tls || x->reply.body != REPLY_BYTES)
        return false;
    buf_printf(&b, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n", x->reply.status,
               http_status_phrase(x->reply.status), x->reply.bytes.len);
    for (size_t i = 0; i < x->reply.nfields; i++)
        buf_printf(&b, "%s: %s\r\n", x->reply.fields[i].name.p, x->reply.fields[i].value.p);
    buf_add(&b, SLICE("\r\n"));
    buf_add(&b, x->reply.bytes);
    return !b.failed && send(c->fd, b.p, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b.len;
}

/*
 * End the connection in the middle of a request's body, with the reply if there is one. libmicrohttpd takes
 * no answer there, and an error would leave the connection in limbo: so the rest of the body is dropped and
 * its socket shut down.
 */
static enum MHD_Result cut_in_body(struct exchange *x)
{
    struct client *c = x->client;
    if (!x->aborted && !c->cut && write_reply(x))
        c->replied = c->lingers = true;
    x->discard = true;
    client_cut(c);
    return MHD_YES;
}

/* ---- the request ---- */

struct field_sink {
    struct exchange *x;
    size_t cap;
    bool too_many;
};

static enum MHD_Result on_field(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                const char *value, size_t value_len)
{
    (void)kind;
    struct field_sink *sink = ctx;
    struct http_fields *fields = &sink->x->fields;
    if (fields->n == sink->cap) {
        size_t cap = sink->cap * 2;
        struct http_field *more = fields->n < exchange_conf(sink->x)->client.max_fields
                                      ? arena_alloc(&sink->x->arena, cap * sizeof(*more))
                                      : NULL;
        if (!more) {
            sink->too_many = true;
            return MHD_NO;
        }
        memcpy(more, fields->at, fields->n * sizeof(*more));
        fields->at = more;
        sink->cap = cap;
    }
    fields->at[fields->n++] =
        (struct http_field){{name, name_len}, {value ? value : "", value ? value_len : 0}};
    return MHD_YES;
}

#if LIBRARY_IS_LENIENT
static enum http1_fault check_raw_head(struct exchange *x, const char *method, const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->client->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const struct http1_raw_head head = {
        .raw = method,
        .len = info ? info->header_size : 0,
        .version = version,
        .target_len = x->target.len,
        .fields = x->fields,
    };
    return http1_raw_head_check(&head);
}
#else
static enum http1_fault check_raw_head(struct exchange *x, const char *method, const char *version)
{
    (void)x, (void)method, (void)version;
    return HTTP1_OK;
}
#endif

static void read_head(struct exchange *x, const char *method, const char *version)
{
    struct field_sink sink = {.x = x, .cap = EXCHANGE_FIELDS};
    x->record.method = slice_of(method);
    x->record.method_kind = http_method_of(x->record.method);
    x->record.http_minor = strcmp(version, "HTTP/1.0") == 0 ? 0 : 1;
    MHD_get_connection_values_n(x->client->mhd, MHD_HEADER_KIND, on_field, &sink);
    const struct http1_request_check_in in = {
        .method = x->record.method,
        .target = x->target,
        .version = slice_of(version),
        .fields = x->fields,
        .max_fields = exchange_conf(x)->client.max_fields,
    };
    x->head_fault = sink.too_many ? HTTP1_TOO_MANY_FIELDS : HTTP1_OK;
    if (x->head_fault == HTTP1_OK)
        x->head_fault = check_raw_head(x, method, version);
    if (x->head_fault == HTTP1_OK)
        x->head_fault = http1_request_check(&in, &x->head);
}

/* A refused request whose body is not worth reading: it is answered before the body, which ends the
 * connection. */
static bool is_not_worth_reading(const struct exchange *x)
{
    return x->head_fault != HTTP1_OK || x->head.expects_continue || x->head.framing == HTTP1_CHUNKED ||
           x->head.length > DRAIN_MAX;
}

static enum MHD_Result on_head(struct exchange *x, const char *method, const char *version)
{
    struct client *c = x->client;
    c->head_seen = true;
    read_head(x, method, version);
    if (x->head_fault == HTTP1_OK && x->head.framing == HTTP1_NO_BODY)
        return MHD_YES; /* the call at the end of the request comes at once */
    exchange_run(x);
    if (x->aborted)
        return MHD_NO;
    if (!x->reply.ready)
        return MHD_YES;
    x->discard = true;
    if (!is_not_worth_reading(x))
        return MHD_YES;
    c->lingers = !c->tls;
    return send_reply(x);
}

static bool is_over_limit(const struct exchange *x, size_t len)
{
    const struct conf_route *r = exchange_route(x);
    return r && r->max_body > 0 && !x->discard && x->body_in + len > r->max_body;
}

static enum MHD_Result on_body(struct exchange *x, const char *p, size_t *len)
{
    struct client *c = x->client;
    size_t taken = *len;
    c->woken = false;
    if (is_over_limit(x, *len)) {
        forward_undo(x);
        exchange_fail(x, REASON_BODY_TOO_LARGE);
        x->discard = true;
        if (!c->tls) {
            *len = 0;
            return cut_in_body(x);
        }
    }
    if (x->aborted) {
        *len = 0;
        return cut_in_body(x);
    }
    if (!x->discard)
        taken = forward_take_body(x, (struct slice){p, *len});
    if (x->discard || x->reply.ready)
        c->discarded += *len;
    if (c->discarded > DRAIN_MAX) {
        *len = 0;
        return cut_in_body(x);
    }
    x->body_in += taken;
    *len -= taken;
    if (*len > 0 && !c->woken)
        client_park(c, false);
    httpd_poke(c->httpd);
    return MHD_YES;
}

struct trailer_sink {
    struct http_field at[TRAILERS_MAX];
    size_t n;
};

static enum MHD_Result on_trailer(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                  const char *value, size_t value_len)
{
    (void)kind;
    struct trailer_sink *t = ctx;
    struct http_field f = {{name, name_len}, {value ? value : "", value ? value_len : 0}};
    if (t->n < TRAILERS_MAX && http_is_token(f.name) && http_is_field_value(f.value) &&
        chunked_may_trail(f.name))
        t->at[t->n++] = f;
    return MHD_YES;
}

static void end_of_request(struct exchange *x)
{
    x->client->body_ended = true;
    if (x->head.framing == HTTP1_NO_BODY) {
        exchange_run(x);
        return;
    }
    struct trailer_sink t = {.n = 0};
    if (x->head.framing == HTTP1_CHUNKED && !x->discard)
        MHD_get_connection_values_n(x->client->mhd, MHD_FOOTER_KIND, on_trailer, &t);
    if (!x->discard)
        forward_end_body(x, (struct http_fields){t.at, t.n});
}

/* The whole request is there; called again whenever the connection is resumed. */
static enum MHD_Result on_end(struct exchange *x)
{
    struct client *c = x->client;
    do {
        c->woken = false;
        if (!c->body_ended)
            end_of_request(x);
        else if (x->parked)
            exchange_run(x);
        if (x->aborted)
            return MHD_NO;
        if (x->reply.ready)
            return send_reply(x);
    } while (c->woken);
    client_park(c, true);
    return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
    (void)ctx, (void)mhd, (void)url;
    struct exchange *x = *request;
    if (!x)
        return MHD_NO;
    if (client_still_waits(x->client))
        return MHD_YES;
    client_moved(x->client);
    if (!x->client->head_seen)
        return on_head(x, method, version);
    return *body_len > 0 ? on_body(x, body, body_len) : on_end(x);
}

/* The request line has come. */
static void *on_target(void *ctx, const char *raw, struct MHD_Connection *mhd)
{
    struct front *f = ctx;
    struct client *c = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct exchange *x = exchange_new(f->worker, c, slice_of(raw));
    if (!x)
        return NULL;
    x->peer_ip = c->ip;
    x->record.client_tls = c->tls;
    c->exchange = x;
    c->has_served = true;
    c->head_seen = c->body_ended = c->woken = c->replied = c->finished = c->lingers = false;
    c->discarded = 0;
    if (c->completed_run == httpd_run_number(c->httpd))
        c->pipelines = true;
    client_set_state(c, CLIENT_BUSY);
    return x;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    struct front *f = ctx;
    struct exchange *x = *request;
    if (!x)
        return;
    struct client *c = x->client;
    if (c->lingers)
        client_linger(c);
    exchange_end(x, c->finished || (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && c->replied));
    c->exchange = NULL;
    *request = NULL;
    c->completed_run = httpd_run_number(c->httpd);
    if (c->pipelines)
        httpd_poke(c->httpd);
    client_set_state(c, CLIENT_IDLE);
    if (f->draining)
        client_cut(c);
}

/* ---- connections ---- */

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    struct front *f = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        f->accepting->mhd = mhd;
        *socket_ctx = f->accepting;
        f->accepting = NULL;
    } else if (*socket_ctx) {
        client_free(*socket_ctx);
        *socket_ctx = NULL;
    }
}

static void add_connection(struct door *d, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct front *f = d->front;
    struct client *c = client_new(&f->clients, fd, addr);
    if (!c) {
        close(fd);
        return;
    }
    c->httpd = d->httpd;
    c->tls = d->listener->tls;
    f->accepting = c;
    if (!httpd_add(d->httpd, fd, addr, len) && f->accepting)
        client_free(c); /* it never began; otherwise its end was notified */
    f->accepting = NULL;
}

static void set_doors(struct front *f, bool open);

static bool has_room(struct front *f)
{
    struct client_list *idle = &f->clients.lists[CLIENT_IDLE];
    if (idle->n + f->clients.lists[CLIENT_BUSY].n < f->max_clients)
        return true;
    for (struct client *c = idle->first; c; c = c->next) {
        if (c->cut)
            continue;
        client_cut(c);
        return true;
    }
    return false;
}

static void accept_all(struct door *d, int burst)
{
    struct front *f = d->front;
    for (int i = 0; i < burst; i++) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof(addr);
        if (!has_room(f)) {
            set_doors(f, false);
            return;
        }
        int fd = accept4(d->listener->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add_connection(d, fd, (struct sockaddr *)&addr, len);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            f->reopen_ns = clock_now_ns() + ACCEPT_PAUSE_NS;
            set_doors(f, false);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void on_door(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    accept_all(p->data, ACCEPT_BURST);
}

static void set_doors(struct front *f, bool open)
{
    if (f->doors_open == open)
        return;
    f->doors_open = open;
    for (size_t i = 0; i < f->ndoors; i++) {
        if (open)
            uv_poll_start(&f->doors[i].poll, UV_READABLE, on_door);
        else
            uv_poll_stop(&f->doors[i].poll);
    }
}

void front_tick(struct front *f, uint64_t now_ns)
{
    clients_tick(&f->clients, now_ns);
    uint32_t open = atomic_load_explicit(&f->clients.stats.open, memory_order_relaxed);
    if (!f->doors_open && !f->draining && now_ns >= f->reopen_ns && open < f->max_clients)
        set_doors(f, true);
}

/* ---- the whole ---- */

static struct httpd *new_httpd(struct front *f, const struct listener *l, struct err *err)
{
    const struct conf *conf = f->worker->current->snapshot->conf;
    const struct httpd_setup setup = {
        .loop = &f->worker->loop,
        .cert_pem = l ? l->cert_pem : NULL,
        .key_pem = l ? l->key_pem : NULL,
        .memory = (size_t)conf->client.max_head * 2,
        .max_connections = f->max_clients * 2 + ACCEPT_BURST,
        .waiting = &f->clients.nwaiting,
        .handler = on_request,
        .target = on_target,
        .completed = on_completed,
        .connection = on_connection,
        .ctx = f,
    };
    struct httpd *h = httpd_new(&setup, err);
    if (h)
        f->httpds[f->nhttpds++] = h;
    return h;
}

static bool open_door(struct front *f, const struct listener *l, struct err *err)
{
    struct door *d = &f->doors[f->ndoors];
    d->front = f;
    d->listener = l;
    d->httpd = l->tls ? new_httpd(f, l, err) : f->httpds[0];
    if (!d->httpd)
        return false;
    if (uv_poll_init(&f->worker->loop, &d->poll, l->fd) != 0) {
        err_set(err, ERR_SELF, "cannot poll a listening socket");
        return false;
    }
    d->poll.data = d;
    f->ndoors++;
    return true;
}

void front_configure(struct front *f, const struct conf *conf)
{
    f->clients.limits = conf->client;
    f->max_clients = (conf->client.max_connections + conf->workers - 1) / conf->workers;
}

struct front *front_new(struct worker *w, const struct listener *listeners, size_t n, struct err *err)
{
    struct front *f = calloc(1, sizeof(*f));
    if (!f || !clients_init(&f->clients, &w->loop, &w->wheel, on_gone)) {
        err_sys(err, ERR_SELF, ENOMEM, "front end");
        free(f);
        return NULL;
    }
    f->worker = w;
    front_configure(f, w->current->snapshot->conf);
    f->httpds = calloc(n + 1, sizeof(*f->httpds));
    f->doors = calloc(n + 1, sizeof(*f->doors));
    bool ok = f->httpds && f->doors && new_httpd(f, NULL, err);
    for (size_t i = 0; ok && i < n; i++)
        ok = open_door(f, &listeners[i], err);
    if (ok) {
        set_doors(f, true);
        return f;
    }
    front_close(f);
    return NULL; /* its memory goes with the process: a worker that cannot start ends it */
}

bool front_is_poked(const struct front *f)
{
    for (size_t i = 0; i < f->nhttpds; i++)
        if (httpd_is_poked(f->httpds[i]))
            return true;
    return false;
}

bool front_turn(struct front *f)
{
    bool worked = false;
    for (size_t i = 0; i < f->nhttpds; i++)
        worked = httpd_turn(f->httpds[i]) || worked;
    return worked;
}

static void cut_idle(struct front *f)
{
    for (struct client *c = f->clients.lists[CLIENT_IDLE].first; c; c = c->next)
        client_cut(c);
}

void front_drain(struct front *f)
{
    if (f->draining)
        return;
    for (size_t i = 0; i < f->ndoors; i++)
        accept_all(&f->doors[i], 1 << 16);
    f->draining = true;
    set_doors(f, false);
    front_turn(f); /* connections just accepted may have brought their request */
    cut_idle(f);
}

bool front_is_empty(const struct front *f)
{
    return f->clients.lists[CLIENT_IDLE].n + f->clients.lists[CLIENT_BUSY].n == 0;
}

void front_close(struct front *f)
{
    set_doors(f, false);
    f->draining = true;
    for (struct client *c = f->clients.lists[CLIENT_BUSY].first, *next; c; c = next) {
        next = c->next;
        if (c->exchange) {
            forward_undo(c->exchange);
            exchange_fail(c->exchange, REASON_DRAINING);
            c->exchange->aborted = true;
        }
        client_cut(c);
    }
    front_turn(f);
    for (size_t i = 0; i < f->nhttpds; i++)
        httpd_close(f->httpds[i]);
    for (size_t i = 0; i < f->ndoors; i++)
        uv_close((uv_handle_t *)&f->doors[i].poll, NULL);
    clients_fini(&f->clients);
}

void front_free(struct front *f)
{
    for (size_t i = 0; i < f->nhttpds; i++)
        httpd_free(f->httpds[i]);
    free(f->httpds);
    free(f->doors);
    free(f);
}

const struct client_stats *front_stats(const struct front *f)
{
    return &f->clients.stats;
}
