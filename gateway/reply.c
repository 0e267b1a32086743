/*
 * reply.c: see reply.h.
 *
 * libmicrohttpd keeps each field of a reply in three pieces of memory of its own, which cost more than all
 * else that is done for a small reply. So most fields go in as one, a block whose line ends are written into
 * it afterwards: the library checks the block, copies it, and sends it as it stands.
 */
#include "gateway/reply.h"

#include <stdio.h>
#include <sys/socket.h>

#include "gateway/front.h"
#include "gateway/worker.h"

#define STREAM_BLOCK                                                                                         \
    (32 * 1024) /* bytes of a reply that are read and sent at a time; 64 KB cost twice as much */
#define STREAM_BLOCK_MIN 1024

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
    bool is_cached = x->caching.reads || x->caching.parts;
    ssize_t n = is_cached ? cache_read(x, p, max) : forward_read(x, p, max);
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
        if (!is_cached)
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

/* ---- fields ---- */

#define BLOCK_MAX    4096 /* bytes of fields that go in as one */
#define BLOCK_FIELDS 64
#define LINE_END     "\r\n"

struct block {
    const char *name; /* of the first field; NULL: there is none */
    size_t len, nends;
    uint16_t ends[BLOCK_FIELDS]; /* where line ends belong; other bytes hold their places */
    char text[BLOCK_MAX];        /* its value, and the other fields */
};

/* Whether the library has to see the field itself: Date, Connection, Content-Length, Transfer-Encoding. */
static bool is_the_librarys(struct slice name)
{
    return name.len == 4 || name.len == 10 || name.len == 14 || name.len == 17;
}

static void block_put(struct block *b, struct slice s)
{
    memcpy(b->text + b->len, s.p, s.len);
    b->len += s.len;
}

/* False: it does not fit. */
static bool block_add(struct block *b, const struct http_field *f)
{
    if (b->nends == BLOCK_FIELDS || f->name.len + f->value.len + 8 > BLOCK_MAX - b->len)
        return false;
    if (b->name) {
        b->ends[b->nends++] = (uint16_t)b->len;
        block_put(b, SLICE("--"));
        block_put(b, f->name);
        block_put(b, SLICE(": "));
    } else {
        b->name = f->name.p;
    }
    block_put(b, f->value);
    return true;
}

/* B may be NULL. */
static void add_field(struct MHD_Response *r, struct block *b, const struct http_field *f)
{
    if (f->value.len > 0 && (!b || is_the_librarys(f->name) || !block_add(b, f)))
        MHD_add_response_header(r, f->name.p, f->value.p);
}

static void add_all(struct exchange *x, struct MHD_Response *r, struct block *b)
{
    for (size_t i = 0; i < x->reply.nfields; i++)
        add_field(r, b, &x->reply.fields[i]);
    for (size_t i = 0; i < x->nextra; i++)
        add_field(r, b, &x->extra[i]);
}

/* False when the library does not take it, because of a control byte in a value. */
static bool block_finish(struct MHD_Response *r, struct block *b)
{
    b->text[b->len] = '\0';
    if (!b->name)
        return true;
    if (MHD_add_response_header(r, b->name, b->text) != MHD_YES)
        return false;
    char *copy = (char *)(uintptr_t)MHD_get_response_header(r, b->name);
    for (size_t i = 0; i < b->nends; i++)
        memcpy(copy + b->ends[i], LINE_END, strlen(LINE_END));
    return true;
}

static struct MHD_Response *response_with_fields(struct exchange *x)
{
    struct block b;
    struct MHD_Response *r = make_response(x);
    b.name = NULL;
    b.len = b.nends = 0;
    if (!r)
        return NULL;
    add_all(x, r, &b);
    if (block_finish(r, &b))
        return r;
    /* One by one, then, so that only the field is left out that it does not take. */
    MHD_destroy_response(r);
    if ((r = make_response(x)))
        add_all(x, r, NULL);
    return r;
}

enum MHD_Result reply_send(struct exchange *x)
{
    struct client *c = x->client;
    cache_decorate(x);
    struct MHD_Response *r = response_with_fields(x);
    if (!r)
        return MHD_NO;
    if (x->worker->draining || (CHUNKS_ARE_UNSAFE && x->head.framing == HTTP1_CHUNKED))
        MHD_add_response_header(r, "Connection", "close");
    x->response = r;
    c->replied = true;
    enum MHD_Result ok = MHD_queue_response(c->mhd, x->reply.status, r);
    MHD_destroy_response(r); /* the connection holds it now */
    return ok;
}

bool reply_write(struct exchange *x)
{
    struct client *c = x->client;
    struct buf b = worker_scratch(x->worker);
    if (c->tls || x->reply.body != REPLY_BYTES)
        return false;
    buf_printf(&b, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n", x->reply.status,
               http_status_phrase(x->reply.status), x->reply.bytes.len);
    for (size_t i = 0; i < x->reply.nfields; i++)
        buf_printf(&b, "%s: %s\r\n", x->reply.fields[i].name.p, x->reply.fields[i].value.p);
    for (size_t i = 0; i < x->nextra; i++)
        buf_printf(&b, "%s: %s\r\n", x->extra[i].name.p, x->extra[i].value.p);
    buf_add(&b, SLICE("\r\n"));
    buf_add(&b, x->reply.bytes);
    return !b.failed && send(c->fd, b.p, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b.len;
}
