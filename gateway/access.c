/*
 * access.c: see access.h.
 *
 * Every way gives a verdict. Verdicts that refuse are collected, for the answer is the mildest of them: who
 * has one good credential gets in, however wrong the others are. A way that has to wait (a slow password, a
 * key that is not there yet) parks the request and is tried again when woken; it waits once.
 */
#include "gateway/access.h"

#include "gateway/jwks_source.h"
#include "gateway/logins.h"
#include "gateway/answer.h"
#include "gateway/headers.h"
#include "gateway/path.h"
#include "gateway/subrequest.h"
#include "lib/base64.h"
#include "lib/clock.h"

#define MS          UINT64_C(1000000)
#define KEY_WAIT_MS 2000 /* for keys to be fetched, at most */
#define KEY_LOOK_MS 50   /* whether they are there */
#define BASIC_MAX   512  /* bytes of a user, a colon and a password */
#define CONSUMER    "X-Authenticated-Consumer"

enum verdict { ADMITTED, REFUSED, WAITING };

enum refusal {
    REFUSAL_WRONG = 1,     /* a credential that is not good */
    REFUSAL_SCOPE = 2,     /* good, but not for this */
    REFUSAL_UNSURE = 4,    /* nobody can tell now */
    REFUSAL_OFTEN = 8,     /* too many logins */
    REFUSAL_ANSWERED = 16, /* the service that was asked has an answer for the client */
};

static enum verdict refuse(struct exchange *x, unsigned refusal)
{
    x->access.refusals |= refusal;
    return REFUSED;
}

static enum verdict wrong(struct exchange *x, const struct conf_auth *auth, const char *why)
{
    err_set(&x->err, ERR_CLIENT, "%s: %s", auth->name, why);
    return refuse(x, REFUSAL_WRONG);
}

/* ---- where credentials are ---- */

/* The field NAME, when it is there once; twice is as good as none, for who would say which one counts? */
static bool one_field(const struct exchange *x, const char *name, struct slice *value)
{
    const struct http_field *f = http_find(x->fields, slice_of(name));
    if (!f || http_count(x->fields, slice_of(name)) > 1)
        return false;
    *value = f->value;
    return value->len > 0;
}

/* What stands behind SCHEME; false when another scheme is there. */
static bool behind_scheme(struct slice value, struct slice scheme, struct slice *rest)
{
    if (value.len <= scheme.len || value.p[scheme.len] != ' ' ||
        !slice_eq_nocase((struct slice){value.p, scheme.len}, scheme))
        return false;
    *rest = slice_trim(slice_skip(value, scheme.len));
    return rest->len > 0;
}

/* A key or token in a field: in Authorization behind its scheme, elsewhere as it is or behind the scheme. */
static bool in_header(const struct exchange *x, const char *name, struct slice *value)
{
    struct slice whole;
    if (!name || !one_field(x, name, &whole))
        return false;
    if (behind_scheme(whole, SLICE("Bearer"), value))
        return true;
    *value = whole;
    return !slice_eq_nocase(slice_of(name), SLICE("Authorization"));
}

static bool next_parameter(struct slice *rest, struct slice *parameter)
{
    if (rest->len == 0)
        return false;
    ptrdiff_t end = slice_find(*rest, '&');
    *parameter = (struct slice){rest->p, end < 0 ? rest->len : (size_t)end};
    *rest = slice_skip(*rest, parameter->len + 1);
    return true;
}

static bool is_parameter(struct slice parameter, struct slice name)
{
    return slice_starts(parameter, name) && parameter.len > name.len && parameter.p[name.len] == '=';
}

/* The first parameter NAME of the query. */
static bool in_query(const struct exchange *x, const char *name, struct slice *value)
{
    struct slice rest = x->uri.query, parameter;
    while (name && next_parameter(&rest, &parameter))
        if (is_parameter(parameter, slice_of(name))) {
            *value = slice_skip(parameter, strlen(name) + 1);
            return value->len > 0;
        }
    return false;
}

/* Take all parameters NAME out of the query, so that they are neither passed on nor logged. */
static bool strip_query(struct exchange *x, const char *name)
{
    struct slice rest = x->uri.query, parameter;
    struct buf b;
    char *space = arena_alloc(&x->arena, x->uri.query.len + 1);
    if (!space)
        return false;
    buf_init(&b, space, x->uri.query.len + 1);
    while (next_parameter(&rest, &parameter)) {
        if (is_parameter(parameter, slice_of(name)))
            continue;
        if (b.len > 0)
            buf_add_char(&b, '&');
        buf_add(&b, parameter);
    }
    x->uri.query = buf_slice(&b);
    x->uri.has_query = b.len > 0;
    return true;
}

/* ---- scopes ---- */

static bool lists(struct slice list, struct slice word)
{
    struct slice one;
    while (slice_next_token(&list, &one))
        if (slice_eq(one, word))
            return true;
    return false;
}

static bool has_scope(const struct exchange *x, const struct conf_auth *auth, struct slice scope)
{
    if (auth->kind == AUTH_KEYS)
        return lists(api_key_attr(x->access.key, SLICE("scope")), scope);
    return auth->kind == AUTH_JWT && (jwt_claim_has(&x->access.jwt, SLICE("scope"), scope) ||
                                      jwt_claim_has(&x->access.jwt, SLICE("scp"), scope));
}

static enum verdict admit(struct exchange *x, const struct conf_auth *auth, struct slice consumer)
{
    const struct conf_route *r = exchange_route(x);
    for (size_t i = 0; i < r->nscopes; i++)
        if (!has_scope(x, auth, slice_of(r->scopes[i]))) {
            err_set(&x->err, ERR_CLIENT, "%s: it has no scope %s", auth->name, r->scopes[i]);
            return refuse(x, REFUSAL_SCOPE);
        }
    x->access.by = auth;
    x->access.consumer = http_is_field_value(consumer) ? consumer : (struct slice){"", 0};
    x->record.consumer = x->access.consumer;
    if (!access_claim(x, SLICE("plan"), &x->access.plan))
        x->access.plan = (struct slice){"", 0};
    return ADMITTED;
}

/* ---- API keys ---- */

static enum verdict try_keys(struct exchange *x, const struct conf_auth *auth)
{
    struct slice presented;
    bool is_there = in_header(x, auth->header, &presented), is_in_query = false;
    if (!is_there)
        is_there = is_in_query = in_query(x, auth->query, &presented);
    if (!is_there)
        return refuse(x, 0);
    x->access.key = api_keys_find(auth->keys, presented);
    if (is_in_query && !auth->forward && !strip_query(x, auth->query))
        return refuse(x, REFUSAL_UNSURE);
    return x->access.key ? admit(x, auth, x->access.key->id) : wrong(x, auth, "the API key is not known");
}

/* ---- users ---- */

/* "Basic " and base64 of "user:password" (RFC 7617). */
static bool basic_login(const struct exchange *x, char *space, struct password_login *login)
{
    struct slice whole, text;
    size_t len;
    if (!one_field(x, "Authorization", &whole) || !behind_scheme(whole, SLICE("Basic"), &text) ||
        text.len > BASE64_ENCODED_MAX(BASIC_MAX) || !base64_decode(text, space, &len))
        return false;
    struct slice both = {space, len};
    ptrdiff_t colon = slice_find(both, ':');
    if (colon < 0 || memchr(space, '\0', len))
        return false;
    *login = (struct password_login){{space, (size_t)colon}, slice_skip(both, (size_t)colon + 1)};
    return true;
}

static enum verdict ask_login(struct exchange *x, const struct conf_auth *auth,
                              const struct password_login *login)
{
    x->access.has_asked = true;
    switch (logins_check(x, auth->users, login)) {
    case LOGIN_RIGHT:
        x->access.login_is_right = true;
        return ADMITTED;
    case LOGIN_WAIT:
        return WAITING;
    case LOGIN_TOO_MANY:
        return refuse(x, REFUSAL_OFTEN);
    case LOGIN_BUSY:
        break;
    }
    return refuse(x, REFUSAL_UNSURE);
}

static enum verdict try_users(struct exchange *x, const struct conf_auth *auth)
{
    char space[BASE64_DECODED_MAX(BASE64_ENCODED_MAX(BASIC_MAX))];
    struct password_login login;
    if (!basic_login(x, space, &login))
        return refuse(x, 0);
    if (login.user.len > PASSWORD_USER_MAX || login.password.len > PASSWORD_MAX)
        return wrong(x, auth, "the user's name or password is too long");
    enum verdict v = x->access.has_asked ? ADMITTED : ask_login(x, auth, &login);
    bool ok = true;
    struct slice user = v == ADMITTED ? arena_slice(&x->arena, login.user, &ok) : login.user;
    explicit_bzero(space, sizeof(space));
    if (v != ADMITTED)
        return v;
    if (!ok)
        return refuse(x, REFUSAL_UNSURE);
    return x->access.login_is_right ? admit(x, auth, user) : wrong(x, auth, "the password is wrong");
}

/* ---- tokens ---- */

static void on_look(struct wheel_entry *e)
{
    struct access *a = (struct access *)((char *)e - offsetof(struct access, timer));
    exchange_wake((struct exchange *)((char *)a - offsetof(struct exchange, access)));
}

static enum verdict look_later(struct exchange *x)
{
    x->access.timer.expired = on_look;
    wheel_set(&x->worker->wheel, &x->access.timer, clock_now_ns() + KEY_LOOK_MS * MS);
    return WAITING;
}

/* The key is not there: wait once for a fetch, when one may be made. */
static enum verdict await_keys(struct exchange *x, struct jwks_source *source)
{
    uint64_t now = clock_now_ns();
    if (!x->access.has_asked) {
        x->access.has_asked = true;
        x->access.tries = jwks_source_tries(source);
        return jwks_source_refetch(source, now) ? look_later(x) : REFUSED;
    }
    bool is_late = now > x->record.begin_ns + KEY_WAIT_MS * MS;
    return is_late || jwks_source_tries(source) != x->access.tries ? REFUSED : look_later(x);
}

static bool find_token(const struct exchange *x, const struct conf_auth *auth, struct slice *token)
{
    return in_header(x, auth->header, token) ||
           (auth->cookie && http_cookie(x->fields, slice_of(auth->cookie), token) && token->len > 0);
}

static enum verdict try_jwt(struct exchange *x, const struct conf_auth *auth, struct jwks_source *source)
{
    struct slice token;
    if (!find_token(x, auth, &token))
        return refuse(x, 0);
    const struct jwks *keys = source ? jwks_source_keys(source, x->worker->setup.index) : auth->jwks;
    if (!keys) {
        err_set(&x->err, ERR_SELF, "%s: its keys were never fetched", auth->name);
        return refuse(x, REFUSAL_UNSURE);
    }
    const struct jwt_input in = {token, clock_wall_us() / 1000000, &x->arena};
    enum jwt_result r = jwt_verify(&auth->policy, keys, &in, &x->access.jwt);
    if (r == JWT_NO_KEY && source && await_keys(x, source) == WAITING)
        return WAITING;
    if (r == JWT_NO_MEMORY)
        return refuse(x, REFUSAL_UNSURE);
    return r == JWT_OK ? admit(x, auth, x->access.jwt.sub) : wrong(x, auth, jwt_result_text(r));
}

/* ---- a service that is asked ---- */

static struct slice answered_field(const struct exchange *x, const char *name)
{
    struct subrequest_answer answer;
    if (!name || !x->access.asked || !subrequest_result(x->access.asked, &answer))
        return (struct slice){"", 0};
    const struct http_field *f = http_find(answer.fields, slice_of(name));
    return f ? f->value : (struct slice){"", 0};
}

static enum verdict try_service(struct exchange *x, const struct conf_auth *auth);

static enum verdict ask_service(struct exchange *x, const struct conf_auth *auth)
{
    const struct subrequest_ask ask = {
        .backend = auth->backend,
        .head = headers_auth_request(x, auth->path),
        .timeout_ms = auth->timeout_ms,
    };
    x->access.has_asked = true;
    subrequest_end(x->access.asked);
    x->access.asked = ask.head.len > 0 ? subrequest_start(x, &ask) : NULL;
    if (!x->access.asked)
        return refuse(x, REFUSAL_UNSURE);
    return subrequest_is_over(x->access.asked) ? try_service(x, auth) : WAITING;
}

/* 2xx lets in; what else it says below 500 is the client's answer; all other endings let nobody in. */
static enum verdict try_service(struct exchange *x, const struct conf_auth *auth)
{
    struct subrequest_answer answer;
    if (!x->access.has_asked)
        return ask_service(x, auth);
    if (!subrequest_result(x->access.asked, &answer) || answer.status >= 500)
        return refuse(x, REFUSAL_UNSURE);
    if (answer.status < 300) {
        bool ok = true; /* the log wants it when the answer is gone */
        struct slice consumer = arena_slice(&x->arena, answered_field(x, auth->consumer), &ok);
        return ok ? admit(x, auth, consumer) : refuse(x, REFUSAL_UNSURE);
    }
    err_set(&x->err, ERR_CLIENT, "%s: it says %u", auth->name, answer.status);
    return refuse(x, REFUSAL_ANSWERED);
}

/* What the service answered goes to the client. */
static bool pass_on(struct exchange *x, const struct subrequest_answer *answer)
{
    static const char *const names[] = {"Content-Type", "WWW-Authenticate", "Location",
                                        "Set-Cookie",   "Cache-Control",    "Retry-After"};
    bool ok = answer_empty(x, answer->status);
    for (size_t i = 0; i < answer->fields.n; i++)
        for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
            if (slice_eq_nocase(answer->fields.at[i].name, slice_of(names[n])))
                ok = reply_add(x, slice_of(names[n]),
                               arena_slice(&x->arena, answer->fields.at[i].value, &ok)) &&
                     ok;
    x->reply.body = REPLY_BYTES;
    x->reply.bytes = arena_slice(&x->arena, answer->body, &ok);
    return ok;
}

/* ---- answers ---- */

static void challenge(struct exchange *x, const struct conf_auth *auth)
{
    const unsigned refusals = x->access.refusals;
    const char *text = NULL;
    if (auth->kind == AUTH_EXTERNAL)
        return;
    if (auth->kind == AUTH_USERS)
        text = arena_printf(&x->arena, "Basic realm=\"%s\", charset=\"UTF-8\"", auth->realm);
    else if (auth->kind == AUTH_KEYS)
        text = arena_printf(&x->arena, "Key realm=\"%s\"", auth->realm);
    else
        text = arena_printf(&x->arena, "Bearer realm=\"%s\"%s", auth->realm,
                            refusals & REFUSAL_SCOPE   ? ", error=\"insufficient_scope\""
                            : refusals & REFUSAL_WRONG ? ", error=\"invalid_token\""
                                                       : "");
    if (text)
        exchange_decorate(x, SLICE("WWW-Authenticate"), slice_of(text));
}

static enum step_result turn_away(struct exchange *x)
{
    const struct conf_route *r = exchange_route(x);
    const unsigned refusals = x->access.refusals;
    enum reason reason = refusals & REFUSAL_UNSURE  ? REASON_AUTH_UNAVAILABLE
                         : refusals & REFUSAL_OFTEN ? REASON_LIMITED
                         : refusals & REFUSAL_SCOPE ? REASON_FORBIDDEN
                                                    : REASON_UNAUTHORIZED;
    struct subrequest_answer answer;
    if ((refusals & REFUSAL_ANSWERED) && !(refusals & REFUSAL_UNSURE) &&
        subrequest_result(x->access.asked, &answer) && pass_on(x, &answer)) {
        x->record.reason = answer.status == 401 ? REASON_UNAUTHORIZED : REASON_FORBIDDEN;
        return STEP_REPLY;
    }
    if (reason == REASON_UNAUTHORIZED || reason == REASON_FORBIDDEN)
        for (size_t i = 0; i < r->nauths; i++)
            challenge(x, &exchange_conf(x)->auths[r->auths[i]]);
    if (reason == REASON_UNAUTHORIZED && !err_is_set(&x->err))
        err_set(&x->err, ERR_CLIENT, "no credential");
    exchange_fail(x, reason);
    return STEP_REPLY;
}

/* ---- networks ---- */

static bool is_from(const struct exchange *x, const struct conf_networks *n)
{
    uint32_t is_allowed;
    if (!n->set)
        return true;
    return ip_set_find(n->set, &x->record.client_ip, &is_allowed) ? is_allowed != 0 : n->nallow == 0;
}

static enum step_result refuse_network(struct exchange *x, const char *whose)
{
    err_set(&x->err, ERR_CLIENT, "the client's network is not allowed by %s", whose);
    exchange_fail(x, REASON_FORBIDDEN);
    return STEP_REPLY;
}

enum step_result access_admit(struct exchange *x)
{
    return is_from(x, &exchange_conf(x)->networks) ? STEP_PASS : refuse_network(x, "the gateway");
}

/* ---- the step ---- */

static enum verdict try(struct exchange *x, size_t index)
{
    const struct conf_auth *auth = &exchange_conf(x)->auths[index];
    if (auth->kind == AUTH_KEYS)
        return try_keys(x, auth);
    if (auth->kind == AUTH_USERS)
        return try_users(x, auth);
    if (auth->kind == AUTH_EXTERNAL)
        return try_service(x, auth);
    return try_jwt(x, auth, x->use->snapshot->jwks[index]);
}

enum step_result access_step(struct exchange *x)
{
    const struct conf_route *r = exchange_route(x);
    struct access *a = &x->access;
    if (!is_from(x, &r->networks))
        return refuse_network(x, "the route");
    if (r->nauths == 0)
        return STEP_PASS;
    if (a->login || wheel_is_set(&a->timer) || (a->asked && !subrequest_is_over(a->asked)))
        return STEP_PARK;
    for (; a->next < r->nauths; a->next++) {
        enum verdict v = try(x, r->auths[a->next]);
        if (v == WAITING)
            return STEP_PARK;
        if (v == ADMITTED) {
            err_clear(&x->err);
            return STEP_PASS;
        }
        a->has_asked = a->login_is_right = false;
    }
    return turn_away(x);
}

void access_undo(struct exchange *x)
{
    login_forget(x->access.login);
    x->access.login = NULL;
    wheel_cancel(&x->access.timer);
    subrequest_end(x->access.asked);
    x->access.asked = NULL;
}

/* ---- what others want to know ---- */

bool access_claim(struct exchange *x, struct slice name, struct slice *value)
{
    const struct access *a = &x->access;
    if (!a->by || a->by->kind == AUTH_USERS || a->by->kind == AUTH_EXTERNAL)
        return false;
    if (a->by->kind == AUTH_JWT)
        return jwt_claim(&a->jwt, name, &x->arena, value);
    *value = api_key_attr(a->key, name);
    return value->len > 0;
}

/* Whether AUTH looks for a credential in that field. */
static bool looks_in(const struct conf_auth *auth, struct slice name)
{
    const char *header = auth->kind == AUTH_USERS ? "Authorization" : auth->header; /* NULL: of a service */
    return header && slice_eq_nocase(name, slice_of(header));
}

bool access_owns(const struct exchange *x, struct slice name)
{
    const struct conf_route *r = exchange_route(x);
    bool stays = slice_eq_nocase(name, SLICE(CONSUMER));
    for (size_t i = 0; i < r->nauths; i++) {
        const struct conf_auth *auth = &exchange_conf(x)->auths[r->auths[i]];
        for (size_t c = 0; c < auth->nclaim_headers; c++)
            if (slice_eq_nocase(name, slice_of(auth->claim_headers[c].name)))
                return true;
        for (size_t c = 0; c < auth->ncopied; c++)
            if (slice_eq_nocase(name, slice_of(auth->copied[c])))
                return true;
        if (looks_in(auth, name) && auth == x->access.by)
            return !auth->forward;
        stays |= looks_in(auth, name) && !auth->forward;
    }
    return stays;
}

static void add_field(struct buf *b, struct slice name, struct slice value)
{
    if (value.len == 0 || !http_is_field_value(value))
        return;
    headers_add(b, name, value);
}

void access_add(struct exchange *x, struct buf *b)
{
    const struct conf_auth *auth = x->access.by;
    struct slice value;
    if (!auth)
        return;
    add_field(b, SLICE(CONSUMER), x->access.consumer);
    for (size_t i = 0; i < auth->ncopied; i++)
        add_field(b, slice_of(auth->copied[i]), answered_field(x, auth->copied[i]));
    for (size_t i = 0; i < auth->nclaim_headers; i++)
        if (access_claim(x, slice_of(auth->claim_headers[i].claim), &value))
            add_field(b, slice_of(auth->claim_headers[i].name), value);
}
