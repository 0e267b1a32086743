/*
 * admin.c: see admin.h.
 *
 * A request goes through on_request: the page is looked up, the caller's right to it and the parameters are
 * checked, the page answers. What a page is called, who may see it and what it takes is one row of `pages`;
 * the 404, Allow and every check go by the rows, and tests/admin/api.py holds conf/openapi.json against them.
 */
#include "gateway/admin.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/admin_access.h"
#include "gateway/admin_audit.h"
#include "gateway/admin_door.h"
#include "gateway/admin_query.h"
#include "gateway/admin_reply.h"
#include "gateway/conf_same.h"
#include "gateway/events.h"
#include "gateway/httpd.h"
#include "gateway/listener.h"
#include "gateway/scrape.h"
#include "lib/clock.h"
#include "lib/units.h"

#define MEMORY             (16 * 1024)
#define CONNECTIONS_MAX    64
#define PEER_MAX           64
#define METHOD_MAX         16
#define STATUS_CLIENT_GONE 499  /* in the log only */
#define LIST_MAX           2048 /* bytes of the list of all pages */
#define IDLE_S             30
#define WAIT_S             120 /* an answer may take so long */
#define TICK_MS            1000
#define EVERY_MS           1000 /* between events of the status, unless it is said */

struct admin {
    struct admin_setup setup;
    struct admin_access access;
    struct admin_audit audit;
    char *address; /* where it listens, as configured */
    struct admin_door door;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t tick;
    struct httpd *httpd;
    struct event_streams *streams;
    struct events *events;
    unsigned waiting; /* requests whose answers take a while */
};

/* A request, from its first line to its end. */
struct request {
    bool is_begun;
    struct state_ticket *ticket; /* for an answer that takes a while */
    struct admin_act act;
    char peer[PEER_MAX], method[METHOD_MAX];
    struct admin_query query;
    const char *path; /* in the copy of the target, and so is: */
    char *rest;       /* what is behind the path's '?'; NULL: nothing */
    char target[];    /* raw; then the copy, which is cut into pieces */
};

/* What is asked of a page. */
struct ask {
    const char *path;
    bool is_post;
    const struct admin_query *query;
    struct state_ticket **ticket; /* for an answer that takes a while */
    enum admin_who who;
};

/* ---- answers ---- */

static enum MHD_Result healthz(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)a, (void)ask;
    return admin_reply(c, 200, "text/plain", "alive\n");
}

static enum MHD_Result readyz(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)ask;
    bool ready = a->setup.is_ready(a->setup.ctx);
    return admin_reply(c, ready ? 200 : 503, "text/plain", ready ? "ready\n" : "draining\n");
}

static enum MHD_Result metrics(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)ask;
    size_t len = 0;
    struct scrape s = scrape_wanted(admin_header(c, "Accept"), admin_header(c, "Accept-Encoding"));
    char *text = scrape_pack(&s, a->setup.metrics(a->setup.ctx, s.format, &len), &len);
    struct MHD_Response *r = text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Vary", "Accept, Accept-Encoding");
    if (s.is_packed)
        MHD_add_response_header(r, "Content-Encoding", "gzip");
    const struct admin_field type = {"Content-Type", scrape_type(s.format)};
    return admin_queue(c, 200, r, &type);
}

/* A file of the binary; the path is its name. */
static enum MHD_Result asset(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)a;
    return admin_reply_asset(c, ask->path);
}

static enum MHD_Result reply_with(struct MHD_Connection *c, const struct state_answer *answer)
{
    if (!answer->json)
        return admin_refuse_short(c);
    const struct admin_field type = {"Content-Type", answer->type};
    if (answer->type)
        return admin_queue(c, answer->status,
                           MHD_create_response_from_buffer(answer->len, answer->json, MHD_RESPMEM_MUST_FREE),
                           &type);
    bool is_problem = answer->status >= 400;
    enum MHD_Result ok = admin_reply(
        c, answer->status, is_problem ? "application/problem+json" : "application/json", answer->json);
    free(answer->json);
    return ok;
}

static enum MHD_Result state(struct admin *a, struct MHD_Connection *c, const struct ask *asked)
{
    const struct admin_query *q = asked->query;
    const struct state_ask ask = {
        .path = asked->path,
        .is_post = asked->is_post,
        .backend = admin_query_get(q, "backend"),
        .server = admin_query_get(q, "server"),
        .state = admin_query_get(q, "state"),
        .drain = admin_query_get(q, "drain"),
        .weight = admin_query_get(q, "weight"),
        .url = admin_query_get(q, "url"),
        .prefix = admin_query_get(q, "prefix"),
        .tag = admin_query_get(q, "tag"),
        .all = admin_query_get(q, "all"),
        .soft = admin_query_get(q, "soft"),
        .slow = admin_query_get(q, "slow"),
        .max = admin_query_get(q, "max"),
        .filter = admin_query_get(q, "filter"),
        .seconds = admin_query_get(q, "seconds"),
        .format = admin_query_get(q, "format"),
        .hz = admin_query_get(q, "hz"),
    };
    struct state_answer answer = a->setup.state(a->setup.ctx, &ask);
    *asked->ticket = answer.ticket;
    a->waiting += answer.ticket != NULL;
    if (answer.ticket)
        MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)WAIT_S);
    return answer.ticket ? MHD_YES : reply_with(c, &answer);
}

/* A page need not try what would be refused. */
static enum MHD_Result access_page(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)a;
    char json[128];
    snprintf(json, sizeof(json), "{\"who\":\"%s\",\"may_write\":%s}", admin_who_name(ask->who),
             ask->who == ADMIN_READER ? "false" : "true");
    return admin_reply(c, 200, "application/json", json);
}

/* ---- pages that never end ---- */

static enum MHD_Result status_page(struct admin *a, struct MHD_Connection *c, const struct ask *ask)
{
    (void)ask;
    struct state_answer answer = {.status = 200, .json = a->setup.status(a->setup.ctx)};
    return reply_with(c, &answer);
}

static enum MHD_Result refuse_stream(struct MHD_Connection *c)
{
    const struct admin_field later = {"Retry-After", "5"};
    return admin_refuse(c, 503, "too many look on already", &later);
}

static enum MHD_Result log_page(struct admin *a, struct MHD_Connection *c, const struct ask *asked)
{
    const struct admin_query *q = asked->query;
    struct tail_filter filter;
    const struct tail_ask wanted = {
        .request = admin_query_get(q, "request"),
        .trace = admin_query_get(q, "trace"),
        .route = admin_query_get(q, "route"),
        .backend = admin_query_get(q, "backend"),
        .method = admin_query_get(q, "method"),
        .status = admin_query_get(q, "status"),
        .min_ms = admin_query_get(q, "min_ms"),
        .path = admin_query_get(q, "path"),
        .client = admin_query_get(q, "client"),
        .log = admin_query_get(q, "log"),
    };
    const char *fault = tail_filter_parse(&wanted, &filter);
    if (fault)
        return admin_refuse(c, 400, fault, NULL);
    struct event_stream *s = event_stream_new(a->streams, c);
    if (s && tail_listen(a->setup.tail, s, &filter))
        return event_stream_answer(s);
    event_stream_free(s);
    return refuse_stream(c);
}

static enum MHD_Result events_page(struct admin *a, struct MHD_Connection *c, const struct ask *asked)
{
    const char *every = admin_query_get(asked->query, "every");
    uint64_t every_ms = EVERY_MS;
    if (every && (units_parse_time(slice_of(every), &every_ms) != UNITS_OK ||
                  every_ms < EVENTS_EVERY_MIN_MS || every_ms > EVENTS_EVERY_MAX_MS))
        return admin_refuse(c, 400, "every is a duration from 250ms to 60s", NULL);
    struct event_stream *s = event_stream_new(a->streams, c);
    if (s && events_listen(a->events, s, (uint32_t)every_ms))
        return event_stream_answer(s);
    event_stream_free(s);
    return refuse_stream(c);
}

/* ---- pages ---- */

typedef enum MHD_Result page_fn(struct admin *a, struct MHD_Connection *c, const struct ask *ask);

/* What can be asked for. A row GET answers HEAD too; a path with two methods has two rows. */
static const struct page {
    const char *method, *path; /* "/traces/{id}": any last segment */
    enum admin_right right;
    const char *parameters; /* those of its query, with spaces in between; others are refused */
    page_fn *answer;
} pages[] = {
    {"GET", "/healthz", ADMIN_OPEN, "", healthz},
    {"GET", "/readyz", ADMIN_OPEN, "", readyz},
    {"GET", "/", ADMIN_OPEN, "", asset},
    {"GET", "/dashboard/{file}", ADMIN_OPEN, "", asset},
    {"GET", "/openapi.json", ADMIN_READ, "", asset},
    {"GET", "/access", ADMIN_READ, "", access_page},
    {"GET", "/metrics", ADMIN_READ, "", metrics},
    {"GET", "/status", ADMIN_READ, "", status_page},
    {"GET", "/events", ADMIN_READ, "every", events_page},
    {"GET", "/log", ADMIN_READ, "request trace route backend method status min_ms path client log", log_page},
    {"GET", "/breakers", ADMIN_READ, "", state},
    {"POST", "/breakers", ADMIN_WRITE, "backend state", state},
    {"GET", "/servers", ADMIN_READ, "", state},
    {"POST", "/servers", ADMIN_WRITE, "backend server drain weight", state},
    {"GET", "/limits", ADMIN_READ, "", state},
    {"GET", "/cache", ADMIN_READ, "", state},
    {"POST", "/cache/purge", ADMIN_WRITE, "url prefix tag all soft", state},
    {"GET", "/redis", ADMIN_READ, "", state},
    {"GET", "/traces", ADMIN_READ, "slow max filter", state},
    {"GET", "/traces/{id}", ADMIN_READ, "", state},
    {"GET", "/debug/slow", ADMIN_READ, "", state},
    {"GET", "/debug/profile", ADMIN_READ, "seconds format hz", state},
    {"GET", "/debug/threads", ADMIN_READ, "", state},
    {"GET", "/debug/memory", ADMIN_READ, "", state},
};

#define PAGES (sizeof(pages) / sizeof(pages[0]))

/* From a row on; NULL: there is none of that path. */
static const struct page *next_page(const struct page *from, const char *path)
{
    for (const struct page *p = from; p < pages + PAGES; p++)
        if (admin_path_matches(p->path, path))
            return p;
    return NULL;
}

static const struct page *find_page(const char *path, const char *method)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (const struct page *p = next_page(pages, path); p; p = next_page(p + 1, path))
        if (strcmp(p->method, wanted) == 0)
            return p;
    return NULL;
}

static enum MHD_Result refuse_page(struct MHD_Connection *c)
{
    char text[LIST_MAX];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_add(&b, SLICE("there is no such page; there are:"));
    for (size_t i = 0; i < PAGES; i++)
        if (next_page(pages, pages[i].path) == &pages[i])
            buf_printf(&b, " %s", pages[i].path);
    return admin_refuse(c, 404, buf_cstr(&b) ? text : "there is no such page", NULL);
}

/* 405, or the answer to OPTIONS, where Allow is what was asked for. */
static enum MHD_Result tell_methods(struct MHD_Connection *c, const char *path, bool is_asked)
{
    char text[64];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    for (const struct page *p = next_page(pages, path); p; p = next_page(p + 1, path))
        buf_printf(&b, "%s, ", strcmp(p->method, "GET") == 0 ? "GET, HEAD" : p->method);
    buf_add(&b, SLICE("OPTIONS"));
    const struct admin_field allow = {"Allow", buf_cstr(&b)};
    return is_asked
               ? admin_queue(c, 204, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), &allow)
               : admin_refuse(c, 405, "the page does not take this method", &allow);
}

/* ---- requests ---- */

/* What is told of somebody at the other end. */
static void name_peer(struct MHD_Connection *c, char peer[PEER_MAX])
{
    struct ip ip;
    struct ucred user;
    socklen_t len = sizeof(user);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr && ip_of_sockaddr(info->client_addr, &ip)) {
        ip_text(&ip, peer);
        return;
    }
    info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD); /* may overwrite what it gave before */
    if (info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &user, &len) == 0)
        snprintf(peer, PEER_MAX, "unix, user %u", (unsigned)user.uid);
    else
        snprintf(peer, PEER_MAX, "unix");
}

/* The token that a request brings, as in Authorization. */
static struct slice given_token(struct MHD_Connection *c)
{
    return admin_header(c, "Authorization");
}

static enum admin_denial check_access(const struct admin *a, struct MHD_Connection *c,
                                      const struct page *page, enum admin_who *who)
{
    const struct admin_caller caller = {.authorization = given_token(c),
                                        .host = admin_header(c, "Host"),
                                        .origin = admin_header(c, "Origin")};
    return admin_access_check(&a->access, page->right, &caller, who);
}

static enum MHD_Result deny(struct admin *a, struct MHD_Connection *c, struct request *r,
                            enum admin_denial why)
{
    const struct admin_denial_info *info = admin_denial_info(why);
    const struct admin_field challenge = {"WWW-Authenticate", info->challenge};
    a->audit.wrong_tokens += why == ADMIN_DENIED_TOKEN_WRONG;
    r->act.status = info->status;
    admin_audit_refused(&a->audit, &r->act, info->detail, clock_now_ns());
    return admin_refuse(c, info->status, info->detail, &challenge);
}

/* A request that was let to its page has its answer, or never gets one. */
static void finish(struct admin *a, struct MHD_Connection *c, struct request *r)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_HTTP_STATUS);
    r->act.status = info ? info->http_status : 500;
    admin_audit_done(&a->audit, &r->act);
}

static enum MHD_Result answer(struct admin *a, struct MHD_Connection *c, const struct page *page,
                              struct request *r)
{
    char text[ADMIN_WHY_MAX];
    struct buf why;
    enum MHD_Result ok;
    const struct ask ask = {r->path, strcmp(r->method, "POST") == 0, &r->query, &r->ticket, r->act.who};
    buf_init(&why, text, sizeof(text));
    if (!admin_query_parse(&r->query, r->rest, &why) || !admin_query_check(&r->query, page->parameters, &why))
        ok = admin_refuse(c, 400, buf_cstr(&why) ? text : "the query is not understood", NULL);
    else
        ok = page->answer(a, c, &ask);
    if (!r->ticket)
        finish(a, c, r);
    return ok;
}

static enum MHD_Result handle(struct admin *a, struct MHD_Connection *c, struct request *r)
{
    bool is_options = strcmp(r->method, "OPTIONS") == 0;
    const struct page *page = find_page(r->path, r->method);
    if (!page) {
        bool is_path = next_page(pages, r->path) != NULL;
        a->audit.reads += is_path && is_options;
        if (!is_path || !is_options)
            admin_audit_refused(&a->audit, &r->act, NULL, 0);
        return is_path ? tell_methods(c, r->path, is_options) : refuse_page(c);
    }
    r->act.is_write = page->right == ADMIN_WRITE;
    enum admin_denial why = check_access(a, c, page, &r->act.who);
    return why ? deny(a, c, r, why) : answer(a, c, page, r);
}

/* libmicrohttpd does not read from a connection whose answer it waits for. */
static bool is_gone(struct MHD_Connection *c)
{
    char byte;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Called again and again while the answer is not there. */
static enum MHD_Result collect(struct admin *a, struct MHD_Connection *c, struct request *r)
{
    struct state_answer got;
    if (!state_collect(r->ticket, &got))
        return is_gone(c) ? MHD_NO : MHD_YES;
    r->ticket = NULL;
    a->waiting--;
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)IDLE_S);
    enum MHD_Result ok = reply_with(c, &got);
    finish(a, c, r);
    return ok;
}

/* Sees a target before anything was made of it; gives what on_request and on_completed get. */
static void *on_target(void *ctx, const char *raw, struct MHD_Connection *c)
{
    (void)ctx, (void)c;
    size_t len = strlen(raw);
    struct request *r = calloc(1, sizeof(*r) + 2 * (len + 1));
    if (!r)
        return NULL;
    memcpy(r->target, raw, len);
    char *copy = memcpy(r->target + len + 1, raw, len);
    r->path = copy;
    r->rest = strchr(copy, '?');
    if (r->rest)
        *r->rest++ = '\0';
    r->act = (struct admin_act){.peer = r->peer, .method = r->method, .target = r->target};
    return r;
}

static void begin(struct request *r, struct MHD_Connection *c, const char *method)
{
    r->is_begun = true;
    snprintf(r->method, sizeof(r->method), "%s", method);
    name_peer(c, r->peer);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
    (void)url, (void)version, (void)body;
    struct request *r = *request;
    if (!r) /* memory is short */
        return MHD_NO;
    if (r->ticket)
        return collect(ctx, c, r);
    if (*body_len > 0)
        *body_len = 0;
    else if (r->is_begun)
        return handle(ctx, c, r);
    if (!r->is_begun) /* the head was seen */
        begin(r, c, method);
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode how)
{
    (void)c, (void)how;
    struct admin *a = ctx;
    struct request *r = *request;
    if (r && r->ticket) {
        state_abandon(r->ticket);
        a->waiting--;
        r->act.status = STATUS_CLIENT_GONE;
        admin_audit_done(&a->audit, &r->act);
    }
    free(r);
    *request = NULL;
}

/* ---- loop ---- */

static void on_entered(void *ctx, const struct admin_guest *g)
{
    struct admin *a = ctx;
    (void)!httpd_add(a->httpd, g->fd, g->addr, g->addr_len);
}

static void on_check(uv_check_t *c)
{
    struct admin *a = c->data;
    httpd_turn(a->httpd);
}

static void on_tick(uv_timer_t *t)
{
    struct admin *a = t->data;
    admin_audit_tick(&a->audit, clock_now_ns());
    httpd_poke(a->httpd); /* its own inactivity timeout wants a look now and then */
}

/* A turn sends some blocks of a large answer, and its socket, which has room for more, tells of nothing: the
 * loop may not rest then. */
static void on_prepare(uv_prepare_t *p)
{
    struct admin *a = p->data;
    httpd_turn(a->httpd);
    if (httpd_is_poked(a->httpd))
        uv_timer_start(&a->tick, on_tick, 0, TICK_MS);
}

static void on_stream(void *ctx)
{
    struct admin *a = ctx;
    httpd_poke(a->httpd);
}

struct admin *admin_new(const struct admin_setup *setup, struct err *err)
{
    struct admin *a = calloc(1, sizeof(*a));
    if (!a || !(a->address = strdup(setup->conf->listen.address))) {
        err_set(err, ERR_SELF, "out of memory");
        free(a);
        return NULL;
    }
    a->setup = *setup;
    a->audit.log = setup->log;
    const struct events_setup e = {setup->loop, setup->guards, setup->status, setup->ctx};
    a->streams = event_streams_new(setup->loop, on_stream, a);
    a->events = a->streams ? events_new(&e) : NULL;
    admin_access_init(&a->access, setup->conf);
    const struct httpd_setup h = {
        .loop = setup->loop,
        .memory = MEMORY,
        .max_connections = CONNECTIONS_MAX,
        .idle_s = IDLE_S,
        .waiting = &a->waiting,
        .handler = on_request,
        .target = on_target,
        .completed = on_completed,
        .ctx = a,
    };
    int fd = listener_open_one(&setup->conf->listen, false, err);
    const struct admin_door_setup door = {setup->loop, fd, on_entered, a};
    if (fd < 0 || !a->events || !(a->httpd = httpd_new(&h, err)) || !admin_door_open(&a->door, &door)) {
        if (fd >= 0)
            close(fd);
        free(a->address);
        free(a);
        return NULL;
    }
    uv_prepare_init(setup->loop, &a->prepare);
    uv_check_init(setup->loop, &a->check);
    uv_timer_init(setup->loop, &a->tick);
    a->prepare.data = a->check.data = a->tick.data = a;
    uv_prepare_start(&a->prepare, on_prepare);
    uv_check_start(&a->check, on_check);
    uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    return a;
}

/* The address that is bound stays; tokens that go with another one, or with none, are not for it. */
void admin_reload(struct admin *a, const struct conf_admin *conf)
{
    if (conf_same_text(a->address, conf->listen.address) && admin_access_renew(&a->access, conf))
        log_printf(a->setup.log, LOG_INFO, "admin: the tokens of the new configuration hold from now on");
}

void admin_metrics(const struct admin *a, FILE *out)
{
    admin_audit_metrics(&a->audit, out);
}

void admin_poke(struct admin *a)
{
    httpd_poke(a->httpd);
}

void admin_close(struct admin *a)
{
    event_streams_end(a->streams);
    httpd_turn(a->httpd);
    httpd_close(a->httpd);
    events_close(a->events);
    admin_door_close(&a->door);
    uv_close((uv_handle_t *)&a->prepare, NULL);
    uv_close((uv_handle_t *)&a->check, NULL);
    uv_close((uv_handle_t *)&a->tick, NULL);
}

void admin_free(struct admin *a)
{
    httpd_free(a->httpd);
    event_streams_free(a->streams);
    events_free(a->events);
    free(a->address);
    free(a);
}
