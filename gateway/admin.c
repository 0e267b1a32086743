/* admin.c: see admin.h. */
#include "gateway/admin.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/httpd.h"
#include "gateway/listener.h"

#define MEMORY          (16 * 1024)
#define CONNECTIONS_MAX 64
#define TOKEN_MAX       512

struct admin {
    struct admin_setup setup;
    char token[TOKEN_MAX]; /* empty: none is wanted */
    int fd;
    uv_poll_t door;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t tick;
    struct httpd *httpd;
    unsigned waiting; /* requests whose answers take a while */
};

/* What is asked of a page. */
struct ask {
    const char *path;
    bool is_post;
    struct state_ticket **ticket; /* for an answer that takes a while */
};

/* ---- answers ---- */

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type, const char *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    if (status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"tollgate\"");
    if (status == 405)
        MHD_add_response_header(r, "Allow", "GET, HEAD");
    enum MHD_Result ok = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result healthz(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)a, (void)ask;
    return reply(c, 200, "text/plain", "alive\n");
}

static enum MHD_Result readyz(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)ask;
    bool ready = a->setup.is_ready(a->setup.ctx);
    return reply(c, ready ? 200 : 503, "text/plain", ready ? "ready\n" : "draining\n");
}

static enum MHD_Result metrics(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)ask;
    size_t len;
    char *text = a->setup.metrics(a->setup.ctx, &len);
    struct MHD_Response *r = text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result ok = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return ok;
}

/* Values of parameters, without their escapes; what does not fit is as if it were not there. */
struct parameters {
    struct MHD_Connection *c;
    size_t used;
    char space[16384];
};

static const char *parameter(struct parameters *p, const char *name)
{
    const char *raw = MHD_lookup_connection_value(p->c, MHD_GET_ARGUMENT_KIND, name);
    size_t len = raw ? strlen(raw) + 1 : 0;
    if (!raw || len > sizeof(p->space) - p->used)
        return NULL;
    char *value = memcpy(p->space + p->used, raw, len);
    p->used += len;
    MHD_http_unescape(value);
    return value;
}

static enum MHD_Result reply_with(struct MHD_Connection *c, const struct state_answer *answer)
{
    if (!answer->json)
        return MHD_NO;
    enum MHD_Result ok = reply(c, answer->status, "application/json", answer->json);
    free(answer->json);
    return ok;
}

static enum MHD_Result state(struct admin *a, struct MHD_Connection *c, const struct ask *asked)
{
    struct parameters p = {.c = c};
    const struct state_ask ask = {
        .path = asked->path,
        .is_post = asked->is_post,
        .backend = parameter(&p, "backend"),
        .server = parameter(&p, "server"),
        .state = parameter(&p, "state"),
        .drain = parameter(&p, "drain"),
        .weight = parameter(&p, "weight"),
        .url = parameter(&p, "url"),
        .prefix = parameter(&p, "prefix"),
        .tag = parameter(&p, "tag"),
        .all = parameter(&p, "all"),
        .soft = parameter(&p, "soft"),
    };
    struct state_answer answer = a->setup.state(a->setup.ctx, &ask);
    *asked->ticket = answer.ticket;
    a->waiting += answer.ticket != NULL;
    return answer.ticket ? MHD_YES : reply_with(c, &answer);
}

/* Called again and again while the answer is not there. */
static enum MHD_Result collect(struct admin *a, struct MHD_Connection *c, struct state_ticket **ticket)
{
    struct state_answer answer = state_collect(*ticket);
    if (!answer.json)
        return MHD_YES;
    *ticket = NULL;
    a->waiting--;
    return reply_with(c, &answer);
}

/* What can be asked for. */
static const struct page {
    const char *path;
    bool is_open;  /* without the token */
    bool has_post; /* something can be changed */
    enum MHD_Result (*answer)(struct admin *a, struct MHD_Connection *c, const struct ask *ask);
} pages[] = {
    {"/healthz", true, false, healthz},  {"/readyz", true, false, readyz},
    {"/metrics", false, false, metrics}, {"/breakers", false, true, state},
    {"/servers", false, true, state},    {"/limits", false, false, state},
    {"/cache", false, false, state},     {"/cache/purge", false, true, state},
    {"/redis", false, false, state},
};

/* ---- requests ---- */

/* Takes the same time wherever the first difference is. */
static bool equal_in_constant_time(const char *a, const char *b, size_t len)
{
    unsigned char differs = 0;
    for (size_t i = 0; i < len; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

static bool is_authorized(const struct admin *a, struct MHD_Connection *c)
{
    if (a->token[0] == '\0')
        return true;
    const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    struct slice given = slice_of(value), scheme = SLICE("Bearer ");
    if (given.len < scheme.len || !slice_eq_nocase((struct slice){given.p, scheme.len}, scheme))
        return false;
    given = slice_skip(given, scheme.len);
    return given.len == strlen(a->token) && equal_in_constant_time(given.p, a->token, given.len);
}

/* A page of another site may make its visitor's browser send a POST here: it says so in Origin. */
static bool is_foreign(struct MHD_Connection *c)
{
    const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const char *own = origin ? strstr(origin, "://") : NULL;
    return origin && (!own || !host || strcmp(own + 3, host) != 0);
}

static bool allows(const struct page *page, const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           (page->has_post && strcmp(method, "POST") == 0);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
    (void)version, (void)body;
    struct admin *a = ctx;
    if (!*request) /* the head was seen */
        return (*request = calloc(1, sizeof(struct state_ticket *))) ? MHD_YES : MHD_NO;
    struct state_ticket **ticket = *request;
    if (*ticket)
        return collect(a, c, ticket);
    if (*body_len > 0) {
        *body_len = 0;
        return MHD_YES;
    }
    const struct ask ask = {url, strcmp(method, "POST") == 0, ticket};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(url, pages[i].path) != 0)
            continue;
        if (!allows(&pages[i], method))
            return reply(c, 405, "text/plain", "not this method\n");
        if (ask.is_post && is_foreign(c))
            return reply(c, 403, "text/plain", "not from pages of other sites\n");
        if (!pages[i].is_open && !is_authorized(a, c))
            return reply(c, 401, "text/plain", "the admin token is wanted\n");
        return pages[i].answer(a, c, &ask);
    }
    return reply(c, 404, "text/plain",
                 "/healthz /readyz /metrics /breakers /servers /limits /cache /cache/purge /redis\n");
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode how)
{
    (void)c, (void)how;
    struct admin *a = ctx;
    struct state_ticket **ticket = *request;
    if (ticket && *ticket) {
        state_abandon(*ticket);
        a->waiting--;
    }
    free(ticket);
    *request = NULL;
}

/* ---- loop ---- */

static void on_door(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct admin *a = p->data;
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    int fd = accept4(a->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        (void)!httpd_add(a->httpd, fd, (struct sockaddr *)&addr, len);
}

static void on_prepare(uv_prepare_t *p)
{
    struct admin *a = p->data;
    httpd_turn(a->httpd);
}

static void on_check(uv_check_t *c)
{
    struct admin *a = c->data;
    httpd_turn(a->httpd);
}

static void on_tick(uv_timer_t *t)
{
    struct admin *a = t->data;
    httpd_poke(a->httpd); /* its own inactivity timeout wants a look now and then */
}

struct admin *admin_new(const struct admin_setup *setup, struct err *err)
{
    struct admin *a = calloc(1, sizeof(*a));
    if (!a) {
        err_set(err, ERR_SELF, "out of memory");
        return NULL;
    }
    a->setup = *setup;
    if (setup->conf->token)
        snprintf(a->token, sizeof(a->token), "%s", setup->conf->token);
    const struct httpd_setup h = {
        .loop = setup->loop,
        .memory = MEMORY,
        .max_connections = CONNECTIONS_MAX,
        .idle_s = 30,
        .waiting = &a->waiting,
        .handler = on_request,
        .completed = on_completed,
        .ctx = a,
    };
    a->fd = listener_open_one(&setup->conf->listen, false, err);
    if (a->fd < 0 || !(a->httpd = httpd_new(&h, err)) || uv_poll_init(setup->loop, &a->door, a->fd) != 0) {
        if (a->fd >= 0)
            close(a->fd);
        free(a);
        return NULL;
    }
    uv_prepare_init(setup->loop, &a->prepare);
    uv_check_init(setup->loop, &a->check);
    uv_timer_init(setup->loop, &a->tick);
    a->door.data = a->prepare.data = a->check.data = a->tick.data = a;
    uv_poll_start(&a->door, UV_READABLE, on_door);
    uv_prepare_start(&a->prepare, on_prepare);
    uv_check_start(&a->check, on_check);
    uv_timer_start(&a->tick, on_tick, 1000, 1000);
    return a;
}

void admin_poke(struct admin *a)
{
    httpd_poke(a->httpd);
}

void admin_close(struct admin *a)
{
    httpd_close(a->httpd);
    uv_close((uv_handle_t *)&a->door, NULL);
    uv_close((uv_handle_t *)&a->prepare, NULL);
    uv_close((uv_handle_t *)&a->check, NULL);
    uv_close((uv_handle_t *)&a->tick, NULL);
}

void admin_free(struct admin *a)
{
    httpd_free(a->httpd);
    close(a->fd);
    free(a);
}
