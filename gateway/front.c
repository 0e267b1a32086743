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
#include "gateway/reply.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define ACCEPT_BURST    64                        /* connections taken in one go */
#define ACCEPT_PAUSE_NS (UINT64_C(100) * 1000000) /* without descriptors: try again after this */
#define DRAIN_MAX                                                                                            \
    (1024 * 1024)       /* bytes of an unwanted body that are read so that the connection can be kept */
#define TRAILERS_MAX 32 /* trailer fields of a request that are passed on */

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
    return reply_send(x);
}

/*
 * End the connection in the middle of a request's body, with the reply if there is one. libmicrohttpd takes
 * no answer there, and an error would leave the connection in limbo: so the rest of the body is dropped and
 * its socket shut down.
 */
static enum MHD_Result cut_in_body(struct exchange *x)
{
    struct client *c = x->client;
    if (!x->aborted && !c->cut && reply_write(x))
        c->replied = c->lingers = true;
    x->discard = true;
    client_cut(c);
    return MHD_YES;
}

static bool is_over_limit(const struct exchange *x, size_t len)
{
    const struct conf_route *r = exchange_route(x);
    return r && r->max_body > 0 && !x->discard && x->body_in + len > r->max_body;
}

/* Parked with bytes left over, the connection is only visited again when it is resumed: a wake that came
 * meanwhile has to be followed now. */
static size_t take_body(struct exchange *x, struct slice data)
{
    size_t taken = 0;
    do {
        x->client->woken = false;
        taken += forward_take_body(x, slice_skip(data, taken));
    } while (taken < data.len && x->client->woken);
    return taken;
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
        taken = take_body(x, (struct slice){p, *len});
    if (x->discard || x->reply.ready)
        c->discarded += *len;
    if (c->discarded > DRAIN_MAX) {
        *len = 0;
        return cut_in_body(x);
    }
    x->body_in += taken;
    *len -= taken;
    if (*len > 0)
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
            return reply_send(x);
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
