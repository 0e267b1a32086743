/*
 * headers.c: see headers.h.
 *
 * A field is classified once, by length and then by name. The lists are short; a usual request has ten fields
 * of which two or three are not passed on.
 */
#include "gateway/headers.h"

#include "gateway/cors.h"
#include "gateway/deadline.h"
#include "gateway/worker.h"

#define NAMED_MAX                                                                                            \
    16 /* field names that one Connection field may list; more is refused by dropping all it could mean */

enum role {
    ROLE_PASS,
    ROLE_DROP,      /* belongs to the connection, or is framing */
    ROLE_FORWARDED, /* we write it anew */
    ROLE_PROTECTED, /* passed on, and cannot be named away by Connection */
};

static bool is(struct slice name, const char *lower)
{
    return slice_eq_nocase(name, (struct slice){lower, name.len});
}

static enum role request_role(struct slice n)
{
    switch (n.len) {
    case 2:
        return is(n, "te") ? ROLE_DROP : ROLE_PASS;
    case 3:
        return is(n, "via") ? ROLE_PROTECTED : ROLE_PASS;
    case 4:
        return is(n, "host") ? ROLE_DROP : ROLE_PASS;
    case 6:
        return is(n, "expect") ? ROLE_DROP : is(n, "cookie") ? ROLE_PROTECTED : ROLE_PASS;
    case 7:
        return is(n, "upgrade") || is(n, "trailer") ? ROLE_DROP : ROLE_PASS;
    case 9:
        return is(n, "forwarded") ? ROLE_FORWARDED : ROLE_PASS;
    case 10:
        return is(n, "connection") || is(n, "keep-alive") ? ROLE_DROP : ROLE_PASS;
    case 12:
        return is(n, "x-request-id") ? ROLE_FORWARDED : ROLE_PASS;
    case 13:
        return is(n, "authorization") ? ROLE_PROTECTED : ROLE_PASS;
    case 14:
        return is(n, "content-length") ? ROLE_DROP : ROLE_PASS;
    case 15:
        return is(n, "x-forwarded-for") ? ROLE_FORWARDED : ROLE_PASS;
    case 16:
        return is(n, "proxy-connection") || is(n, "http2-settings") ? ROLE_DROP
               : is(n, "x-forwarded-host")                          ? ROLE_FORWARDED
                                                                    : ROLE_PASS;
    case 17:
        return is(n, "transfer-encoding")   ? ROLE_DROP
               : is(n, "x-forwarded-proto") ? ROLE_FORWARDED
                                            : ROLE_PASS;
    case 19:
        return is(n, "proxy-authorization") ? ROLE_DROP : ROLE_PASS;
    case 24:
        return is(n, "x-authenticated-consumer") ? ROLE_FORWARDED : ROLE_PASS;
    default:
        return ROLE_PASS;
    }
}

static enum role answer_role(struct slice n)
{
    switch (n.len) {
    case 7:
        return is(n, "upgrade") || is(n, "trailer") ? ROLE_DROP : ROLE_PASS;
    case 10:
        return is(n, "connection") || is(n, "keep-alive") ? ROLE_DROP : ROLE_PASS;
    case 12:
        return is(n, "x-request-id") ? ROLE_FORWARDED : ROLE_PASS;
    case 14:
        return is(n, "content-length") ? ROLE_DROP : ROLE_PASS;
    case 16:
        return is(n, "proxy-connection") ? ROLE_DROP : ROLE_PASS;
    case 17:
        return is(n, "transfer-encoding") ? ROLE_DROP : ROLE_PASS;
    case 18:
        return is(n, "proxy-authenticate") ? ROLE_DROP : ROLE_PASS;
    default:
        return ROLE_PASS;
    }
}

/* The names that Connection lists, less the options that are no field names. */
struct named {
    struct slice at[NAMED_MAX];
    size_t n;
};

static void read_connection(struct http_fields fields, struct named *named)
{
    named->n = 0;
    for (size_t i = 0; i < fields.n; i++) {
        struct slice rest = fields.at[i].value, token;
        if (fields.at[i].name.len != 10 || !is(fields.at[i].name, "connection"))
            continue;
        while (named->n < NAMED_MAX && slice_next_token(&rest, &token))
            if (!slice_eq_nocase(token, SLICE("close")) && !slice_eq_nocase(token, SLICE("keep-alive")))
                named->at[named->n++] = token;
    }
}

static bool is_named(const struct named *named, struct slice name)
{
    for (size_t i = 0; i < named->n; i++)
        if (slice_eq_nocase(named->at[i], name))
            return true;
    return false;
}

/* Whether an edit takes the field away (a SET brings it back with its own value). */
static bool is_edited_away(const struct conf_edits *edits, struct slice name)
{
    for (size_t i = 0; i < edits->n; i++)
        if (edits->at[i].kind != EDIT_ADD && slice_eq_nocase(name, slice_of(edits->at[i].name)))
            return true;
    return false;
}

void headers_add(struct buf *b, struct slice name, struct slice value)
{
    buf_add(b, name);
    buf_add(b, SLICE(": "));
    buf_add(b, value);
    buf_add(b, SLICE("\r\n"));
}

/* ---- towards the backend ---- */

static void add_request_line(struct exchange *x, struct buf *b)
{
    struct slice target;
    buf_add(b, x->record.method);
    buf_add_char(b, ' ');
    if (!router_rewrite(&x->match, x->path, x->uri.query, x->uri.has_query, b, &target))
        b->failed = true;
    buf_add(b, SLICE(" HTTP/1.1\r\n"));
}

static void add_host(struct exchange *x, const char *server, struct buf *b)
{
    const struct conf_route *r = exchange_route(x);
    struct slice host = x->authority;
    if (r->upstream_host == UPSTREAM_HOST_FIXED)
        host = slice_of(r->upstream_host_name);
    else if (r->upstream_host == UPSTREAM_HOST_SERVER || host.len == 0)
        host = slice_of(server);
    headers_add(b, SLICE("Host"), host);
}

static void add_client_fields(struct exchange *x, struct buf *b)
{
    const struct conf_edits *edits = &exchange_route(x)->request_edits;
    const bool has_auth = exchange_route(x)->nauths > 0;
    struct named named;
    read_connection(x->fields, &named);
    for (size_t i = 0; i < x->fields.n; i++) {
        const struct http_field *f = &x->fields.at[i];
        enum role role = request_role(f->name);
        if (role == ROLE_DROP || role == ROLE_FORWARDED)
            continue;
        if (named.n > 0 && role != ROLE_PROTECTED && is_named(&named, f->name))
            continue;
        if ((edits->n > 0 && is_edited_away(edits, f->name)) || deadline_owns(x, f->name))
            continue;
        if (tracing_owns(x, f->name))
            continue;
        if ((has_auth && access_owns(x, f->name)) || (x->caching.fetches && cache_owns(x, f->name)))
            continue;
        headers_add(b, f->name, f->value);
    }
}

/* What a trusted proxy said before us, as the beginning of our own value. */
static void add_earlier(const struct exchange *x, struct slice name, struct buf *b)
{
    for (size_t i = 0; x->peer_is_trusted && i < x->fields.n; i++) {
        if (!slice_eq_nocase(x->fields.at[i].name, name) || x->fields.at[i].value.len == 0)
            continue;
        buf_add(b, x->fields.at[i].value);
        buf_add(b, SLICE(", "));
    }
}

static const struct http_field *trusted(const struct exchange *x, struct slice name)
{
    return x->peer_is_trusted ? http_find(x->fields, name) : NULL;
}

static void add_forwarded(struct exchange *x, struct buf *b)
{
    char ip[IP_TEXT_MAX];
    struct slice peer = {ip, ip_text(&x->peer_ip, ip)};
    struct slice scheme = x->record.client_tls ? SLICE("https") : SLICE("http");
    const struct http_field *proto = trusted(x, SLICE("X-Forwarded-Proto"));
    const struct http_field *host = trusted(x, SLICE("X-Forwarded-Host"));
    buf_add(b, SLICE("X-Forwarded-For: "));
    add_earlier(x, SLICE("X-Forwarded-For"), b);
    buf_add(b, peer);
    buf_add(b, SLICE("\r\n"));
    headers_add(b, SLICE("X-Forwarded-Proto"), proto ? proto->value : scheme);
    if (host || x->authority.len > 0)
        headers_add(b, SLICE("X-Forwarded-Host"), host ? host->value : x->authority);
    headers_add(b, SLICE("X-Request-Id"), x->record.request_id);
    buf_add(b, x->record.http_minor == 0 ? SLICE("Via: 1.0 tollgate\r\n") : SLICE("Via: 1.1 tollgate\r\n"));
}

/* RFC 7239: an IPv6 address stands in brackets and quotes; the host may hold a colon, so it is quoted too. */
static void add_rfc7239(struct exchange *x, struct buf *b)
{
    char ip[IP_TEXT_MAX];
    struct slice peer = {ip, ip_text(&x->peer_ip, ip)};
    buf_add(b, SLICE("Forwarded: "));
    add_earlier(x, SLICE("Forwarded"), b);
    buf_add(b, ip_is_v4(&x->peer_ip) ? SLICE("for=") : SLICE("for=\"["));
    buf_add(b, peer);
    buf_add(b, ip_is_v4(&x->peer_ip) ? SLICE("") : SLICE("]\""));
    buf_add(b, x->record.client_tls ? SLICE(";proto=https") : SLICE(";proto=http"));
    if (x->authority.len > 0) {
        buf_add(b, SLICE(";host=\""));
        buf_add(b, x->authority);
        buf_add_char(b, '"');
    }
    buf_add(b, SLICE("\r\n"));
}

/* A template's value may hold what a client wrote into its path; a byte that could end the field never gets
 * in. */
static bool expand_value(struct exchange *x, const char *template, struct slice *value)
{
    char space[4096];
    struct buf b;
    bool ok = true;
    if (!strpbrk(template, "{}")) {
        *value = slice_of(template);
        return true;
    }
    buf_init(&b, space, sizeof(space));
    if (!router_expand(&x->match, template, x->host, x->path, x->uri.query, &b) ||
        !http_is_field_value(buf_slice(&b)))
        return false;
    *value = arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok;
}

static void add_request_edits(struct exchange *x, struct buf *b)
{
    const struct conf_edits *edits = &exchange_route(x)->request_edits;
    for (size_t i = 0; i < edits->n; i++) {
        struct slice value;
        if (edits->at[i].kind == EDIT_REMOVE)
            continue;
        if (expand_value(x, edits->at[i].value, &value))
            headers_add(b, slice_of(edits->at[i].name), value);
        else
            b->failed = true;
    }
}

static void add_framing(struct exchange *x, struct buf *b)
{
    if (x->head.framing == HTTP1_CHUNKED)
        buf_add(b, SLICE("Transfer-Encoding: chunked\r\n"));
    if (x->head.framing == HTTP1_LENGTH) {
        buf_add(b, SLICE("Content-Length: "));
        buf_add_u64(b, x->head.length);
        buf_add(b, SLICE("\r\n"));
    }
}

/* What tells the service which request it is asked about: the client has no say in these. */
static bool is_asked_about(struct slice name)
{
    return slice_eq_nocase(name, SLICE("X-Forwarded-Method")) ||
           slice_eq_nocase(name, SLICE("X-Forwarded-Uri")) || slice_eq_nocase(name, SLICE("Range"));
}

struct slice headers_request(struct exchange *x, const char *server, uint64_t span)
{
    struct buf b = worker_scratch(x->worker);
    bool ok = true;
    add_request_line(x, &b);
    add_host(x, server, &b);
    add_client_fields(x, &b);
    add_forwarded(x, &b);
    if (exchange_route(x)->forwarded)
        add_rfc7239(x, &b);
    access_add(x, &b);
    cache_add(x, &b);
    deadline_add(x, &b);
    tracing_add(x, span, &b);
    add_request_edits(x, &b);
    add_framing(x, &b);
    buf_add(&b, SLICE("\r\n"));
    if (b.failed)
        return (struct slice){"", 0};
    return arena_slice(&x->arena, buf_slice(&b), &ok);
}

struct slice headers_auth_request(struct exchange *x, const char *path)
{
    struct buf b = worker_scratch(x->worker);
    struct named named;
    bool ok = true;
    buf_printf(&b, "GET %s HTTP/1.1\r\n", path);
    headers_add(&b, SLICE("Host"), x->authority.len > 0 ? x->authority : SLICE("localhost"));
    read_connection(x->fields, &named);
    for (size_t i = 0; i < x->fields.n; i++) {
        const struct http_field *f = &x->fields.at[i];
        enum role role = request_role(f->name);
        if (role == ROLE_DROP || role == ROLE_FORWARDED || is_asked_about(f->name) ||
            tracing_owns(x, f->name) || (named.n > 0 && role != ROLE_PROTECTED && is_named(&named, f->name)))
            continue;
        headers_add(&b, f->name, f->value);
    }
    add_forwarded(x, &b);
    tracing_add(x, x->tracing.step ? x->tracing.step->id : x->tracing.span, &b);
    headers_add(&b, SLICE("X-Forwarded-Method"), x->record.method);
    buf_add(&b, SLICE("X-Forwarded-Uri: "));
    buf_add(&b, x->path);
    buf_add(&b, x->uri.has_query ? SLICE("?") : SLICE(""));
    buf_add(&b, x->uri.query);
    buf_add(&b, SLICE("\r\n\r\n"));
    return b.failed ? (struct slice){"", 0} : arena_slice(&x->arena, buf_slice(&b), &ok);
}

/* ---- towards the client ---- */

/* Names and values become C strings in place: behind a name stands its colon, behind a value its CR or white
 * space. libmicrohttpd sends no tab; a space means the same (RFC 9110, 5.5). */
static struct slice terminate(struct slice s)
{
    char *p = (char *)(uintptr_t)s.p;
    p[s.len] = '\0';
    for (char *tab = memchr(p, '\t', s.len); tab; tab = memchr(tab, '\t', (size_t)(p + s.len - tab)))
        *tab = ' ';
    return s;
}

bool headers_edit_reply(struct exchange *x)
{
    const struct conf_edits *edits = &exchange_route(x)->response_edits;
    struct reply *r = &x->reply;
    size_t kept = 0;
    if (edits->n == 0)
        return true;
    for (size_t i = 0; i < r->nfields; i++)
        if (!is_edited_away(edits, r->fields[i].name))
            r->fields[kept++] = r->fields[i];
    r->nfields = kept;
    for (size_t i = 0; i < edits->n; i++) {
        struct slice value;
        if (edits->at[i].kind == EDIT_REMOVE)
            continue;
        if (!expand_value(x, edits->at[i].value, &value) || !reply_add(x, slice_of(edits->at[i].name), value))
            return false;
    }
    return true;
}

void headers_interim(const struct exchange *x, const struct http1_response *answer, struct buf *b)
{
    struct named named;
    read_connection(answer->fields, &named);
    buf_add(b, SLICE("HTTP/1.1 "));
    buf_add_u64(b, answer->status);
    buf_add_char(b, ' ');
    buf_add(b, slice_of(http_status_phrase(answer->status)));
    buf_add(b, SLICE("\r\n"));
    for (size_t i = 0; i < answer->fields.n; i++) {
        const struct http_field *f = &answer->fields.at[i];
        if (f->value.len > 0 && answer_role(f->name) == ROLE_PASS && !cors_owns(exchange_route(x), f->name) &&
            !(named.n > 0 && is_named(&named, f->name)))
            headers_add(b, f->name, f->value);
    }
    buf_add(b, SLICE("\r\n"));
}

struct http_fields headers_to_keep(const struct exchange *x, const struct http1_response *answer,
                                   const struct cache_control *cc, struct http_field *out, size_t max)
{
    struct named named;
    size_t n = 0;
    read_connection(answer->fields, &named);
    for (size_t i = 0; i < answer->fields.n && n < max; i++) {
        const struct http_field *f = &answer->fields.at[i];
        if (f->value.len > 0 && answer_role(f->name) == ROLE_PASS && http_cache_keeps(cc, f->name) &&
            !cors_owns(exchange_route(x), f->name) && !(named.n > 0 && is_named(&named, f->name)))
            out[n++] = *f;
    }
    return (struct http_fields){out, n};
}

bool headers_answer(struct exchange *x, const struct http1_response *answer)
{
    struct named named;
    bool ok = true;
    read_connection(answer->fields, &named);
    for (size_t i = 0; i < answer->fields.n; i++) {
        const struct http_field *f = &answer->fields.at[i];
        if (f->value.len == 0 || answer_role(f->name) != ROLE_PASS || cors_owns(exchange_route(x), f->name) ||
            (named.n > 0 && is_named(&named, f->name)))
            continue;
        ok = reply_add(x, terminate(f->name), terminate(f->value)) && ok;
    }
    ok = reply_add(x, SLICE("Via"), answer->minor == 0 ? SLICE("1.0 tollgate") : SLICE("1.1 tollgate")) && ok;
    ok = reply_add(x, SLICE("X-Request-Id"), x->record.request_id) && ok;
    return ok && headers_edit_reply(x);
}
