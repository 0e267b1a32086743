/* request.c: see request.h. */
#include "gateway/request.h"

#include "gateway/cors.h"
#include "gateway/worker.h"

static enum step_result refuse(struct exchange *x, enum reason reason, const char *why)
{
    err_set(&x->err, ERR_CLIENT, "%s", why);
    exchange_fail(x, reason);
    return STEP_REPLY;
}

static enum reason reason_of(enum http1_fault fault)
{
    switch (fault) {
    case HTTP1_BAD_HOST:
        return REASON_BAD_HOST;
    case HTTP1_BAD_LENGTH:
    case HTTP1_BAD_CODING:
    case HTTP1_TWO_FRAMINGS:
        return REASON_BAD_FRAMING;
    case HTTP1_BAD_EXPECT:
        return REASON_EXPECT_REFUSED;
    case HTTP1_TOO_MANY_FIELDS:
        return REASON_HEAD_TOO_LARGE;
    case HTTP1_BAD_TARGET:
        return REASON_BAD_TARGET;
    case HTTP1_BAD_VERSION:
        return REASON_VERSION_REFUSED;
    default:
        return REASON_BAD_REQUEST;
    }
}

enum step_result request_check_head(struct exchange *x)
{
    if (x->head_fault != HTTP1_OK)
        return refuse(x, reason_of(x->head_fault), http1_fault_text(x->head_fault));
    if (x->record.method_kind == HTTP_TRACE || x->record.method_kind == HTTP_CONNECT)
        return refuse(x, REASON_METHOD_REFUSED, "TRACE and CONNECT are not served");
    return STEP_PASS;
}

/* OPTIONS * asks the gateway itself whether it is there (RFC 9110, 9.3.7). */
static enum step_result answer_asterisk(struct exchange *x)
{
    if (x->record.method_kind != HTTP_OPTIONS)
        return refuse(x, REASON_BAD_TARGET, "asterisk form with another method than OPTIONS");
    x->reply = (struct reply){.status = 204, .body = REPLY_EMPTY};
    return STEP_REPLY;
}

enum step_result request_read_target(struct exchange *x)
{
    if (!uri_split(x->target, &x->uri) || x->uri.form == URI_AUTHORITY)
        return refuse(x, REASON_BAD_TARGET, "malformed request target");
    if (x->uri.form == URI_ASTERISK)
        return answer_asterisk(x);
    struct uri_path normal;
    char *space = arena_alloc(&x->arena, x->uri.path.len + 1);
    if (!space)
        return refuse(x, REASON_OVERLOADED, "out of memory");
    enum uri_fault fault = uri_normalise(x->uri.path, space, &normal);
    if (fault != URI_OK)
        return refuse(x, REASON_BAD_TARGET, uri_fault_text(fault));
    x->path = normal.path;
    x->has_encoded_slash = normal.encoded_slash;
    /* An absolute target says what the Host field says, and wins (RFC 9112, 3.2.2). */
    struct slice authority = x->uri.form == URI_ABSOLUTE ? x->uri.authority : x->head.host;
    x->authority = authority;
    if (!uri_host(authority, &x->host))
        return refuse(x, REASON_BAD_HOST, "malformed host");
    return STEP_PASS;
}

/* A preflight takes the route of the request that it asks for, if that has a section cors. */
static bool find_preflight(struct exchange *x, struct router_request r)
{
    return cors_asks_for(x, &r.method) && router_match(x->use->snapshot->router, &r, &x->match) &&
           x->match.route->cors.enabled;
}

enum step_result request_find_route(struct exchange *x)
{
    const struct router_request r = {
        .host = x->host, .path = x->path, .method = x->record.method, .fields = x->fields};
    x->is_preflight = find_preflight(x, r);
    if (!x->is_preflight && !router_match(x->use->snapshot->router, &r, &x->match)) {
        exchange_fail(x, x->match.method_refused ? REASON_METHOD_NOT_ALLOWED : REASON_NO_ROUTE);
        return STEP_REPLY;
    }
    if (!shedder_admits(&x->worker->shedder, x->match.route->priority))
        return refuse(x, REASON_OVERLOADED, "its route has not the priority that is served now");
    if (x->has_encoded_slash && !x->match.route->encoded_slash)
        return refuse(x, REASON_BAD_TARGET, "encoded slash in the path");
    return STEP_PASS;
}

enum step_result request_check_body(struct exchange *x)
{
    uint64_t max = exchange_route(x)->max_body;
    if (max > 0 && x->head.framing == HTTP1_LENGTH && x->head.length > max)
        return refuse(x, REASON_BODY_TOO_LARGE, "body is longer than the route takes");
    return STEP_PASS;
}
