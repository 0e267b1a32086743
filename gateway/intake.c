/*
 * intake.c: see intake.h.
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
#include "gateway/intake.h"

#include "gateway/path.h"
#include "gateway/reply.h"
#include "gateway/worker.h"

#define DRAIN_MAX    (1024 * 1024) /* bytes of an unwanted body that are read so that the connection is kept */
#define TRAILERS_MAX 32            /* trailer fields of a request that are passed on */

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

static size_t head_size(struct client *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

#if LIBRARY_IS_LENIENT
static enum http1_fault check_raw_head(struct exchange *x, const char *method, const char *version)
{
    const struct http1_raw_head head = {
        .raw = method,
        .len = x->client->head_bytes,
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
    c->head_bytes = head_size(c);
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

/* Whether the body may go on. While a step before the backend waits it may not, and the step is tried again.
 */
static bool waits_for_no_step(struct exchange *x)
{
    if (x->forward.is_begun || x->discard || x->aborted)
        return true;
    exchange_run(x);
    x->discard = x->reply.ready;
    return x->forward.is_begun || x->discard || x->aborted;
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
    if (!waits_for_no_step(x)) {
        client_park(c, false);
        return MHD_YES;
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

enum MHD_Result intake_request(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
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
void *intake_target(void *ctx, const char *raw, struct MHD_Connection *mhd)
{
    struct worker *w = ctx;
    struct client *c = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct exchange *x = exchange_new(w, c, slice_of(raw));
    if (!x)
        return NULL;
    x->peer_ip = c->ip;
    x->record.client_tls = c->tls;
    c->exchange = x;
    client_stay(c);
    c->head_seen = c->body_ended = c->woken = c->replied = c->finished = c->lingers = false;
    c->discarded = 0;
    if (c->completed_run == httpd_run_number(c->httpd))
        c->pipelines = true;
    client_set_state(c, CLIENT_BUSY);
    return x;
}

void intake_completed(void *ctx, struct MHD_Connection *mhd, void **request,
                      enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    struct worker *w = ctx;
    struct exchange *x = *request;
    if (!x)
        return;
    struct client *c = x->client;
    if (c->lingers)
        client_linger(c);
    client_count_request(c, x->head.framing == HTTP1_CHUNKED ? UINT64_MAX : c->head_bytes + x->body_in);
    exchange_end(x, c->finished || (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && c->replied));
    c->exchange = NULL;
    *request = NULL;
    c->completed_run = httpd_run_number(c->httpd);
    if (c->pipelines)
        httpd_poke(c->httpd);
    client_set_state(c, CLIENT_IDLE);
    if (w->draining)
        client_cut(c);
}
