/* answer.c: see answer.h. */
#include "gateway/answer.h"

#include <inttypes.h>

#include "gateway/front.h"
#include "gateway/problem.h"
#include "gateway/headers.h"
#include "gateway/worker.h"

static bool add_own_fields(struct exchange *x)
{
    const struct conf *conf = exchange_conf(x);
    bool ok = true;
    if (conf->server_header)
        ok = reply_add(x, SLICE("Server"), slice_of(conf->server_header));
    if (x->record.request_id.len > 0)
        ok = reply_add(x, SLICE("X-Request-Id"), x->record.request_id) && ok;
    return ok;
}

bool answer_empty(struct exchange *x, unsigned status)
{
    x->reply = (struct reply){.status = status, .body = REPLY_EMPTY};
    return add_own_fields(x);
}

static bool respond(struct exchange *x, const struct conf_route *r)
{
    struct reply *reply = &x->reply;
    reply->status = r->status;
    reply->body = REPLY_BYTES;
    reply->bytes = slice_of(r->body);
    return add_own_fields(x) &&
           (reply->bytes.len == 0 || reply_add(x, SLICE("Content-Type"), slice_of(r->content_type))) &&
           headers_edit_reply(x);
}

static bool add_retry_after(struct exchange *x, unsigned status)
{
    char text[24];
    bool ok = true;
    if (x->retry_after_s == 0)
        return (status != 503 && status != 429) || reply_add(x, SLICE("Retry-After"), SLICE("1"));
    int n = snprintf(text, sizeof(text), "%" PRIu64, x->retry_after_s);
    struct slice value = arena_slice(&x->arena, (struct slice){text, (size_t)n}, &ok);
    return ok && reply_add(x, SLICE("Retry-After"), value);
}

bool answer_fallback(struct exchange *x, const struct conf_fallback *f, enum reason reason)
{
    x->record.reason = reason;
    x->reply = (struct reply){.status = f->status, .body = REPLY_BYTES, .bytes = slice_of(f->body)};
    return add_own_fields(x) &&
           (x->reply.bytes.len == 0 || reply_add(x, SLICE("Content-Type"), slice_of(f->content_type))) &&
           add_retry_after(x, f->status) && headers_edit_reply(x);
}

/* A path that begins with two slashes would name another site to a client: only the template may do that. */
static struct slice same_site(struct slice location, const char *template)
{
    while (slice_starts(location, SLICE("//")) && !slice_starts(slice_of(template), SLICE("//")))
        location = slice_skip(location, 1);
    return location;
}

static bool redirect(struct exchange *x, const struct conf_route *r)
{
    struct buf b = worker_scratch(x->worker);
    if (!router_expand(&x->match, r->location, x->host, x->path, x->uri.query, &b))
        return false;
    bool ok = true;
    struct slice location = same_site(buf_slice(&b), r->location);
    location = arena_slice(&x->arena, location, &ok);
    x->reply.status = r->status;
    x->reply.body = REPLY_BYTES;
    return ok && add_own_fields(x) && reply_add(x, SLICE("Location"), location) && headers_edit_reply(x);
}

enum step_result answer_run(struct exchange *x)
{
    const struct conf_route *r = exchange_route(x);
    bool ok;
    if (r->action == ACTION_PROXY)
        return STEP_PASS;
    ok = r->action == ACTION_RESPOND ? respond(x, r) : redirect(x, r);
    if (!ok)
        exchange_fail(x, REASON_OVERLOADED);
    return STEP_REPLY;
}

static bool add_allow(struct exchange *x, enum reason reason)
{
    if (reason != REASON_METHOD_NOT_ALLOWED || x->match.allow[0] == '\0')
        return true;
    return reply_add(x, SLICE("Allow"), slice_of(x->match.allow));
}

bool answer_problem(struct exchange *x, enum reason reason)
{
    const struct reason_info *info = reason_info(reason);
    const struct http_field *accept = http_find(x->fields, SLICE("Accept"));
    struct buf b = worker_scratch(x->worker);
    const struct problem p = {
        .reason = reason,
        .request_id = x->record.request_id,
        .accept = accept ? accept->value : (struct slice){"", 0},
    };
    x->reply = (struct reply){.status = info->status, .body = REPLY_BYTES};
    struct slice type = problem_body(&p, &b);
    bool ok = !b.failed;
    x->reply.bytes = arena_slice(&x->arena, buf_slice(&b), &ok);
    b.len = 0;
    problem_proxy_status(&p, &b);
    struct slice proxy_status = arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok && reply_add(x, SLICE("Content-Type"), type) &&
           reply_add(x, SLICE("Cache-Control"), SLICE("no-store")) && add_own_fields(x) &&
           add_retry_after(x, info->status) && add_allow(x, reason) &&
           (proxy_status.len == 0 || reply_add(x, SLICE("Proxy-Status"), proxy_status));
}
