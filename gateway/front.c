/*
 * front.c: see front.h.
 *
 * Doors are the listening sockets on the worker's loop. What comes in through them goes to libmicrohttpd,
 * whose callbacks are in intake.c; a connection that comes back from its rest goes there again.
 */
#include "gateway/front.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/intake.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define ACCEPT_BURST    64                        /* connections taken in one go */
#define ACCEPT_PAUSE_NS (UINT64_C(100) * 1000000) /* without descriptors: try again after this */

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

/* libmicrohttpd knows no interim answers but 100. Between the end of a request and its reply nothing of its
 * own is on its way, so the socket can be written to; half a head, though, would be the end of the
 * connection.
 */
void front_send_interim(struct exchange *x, struct slice head)
{
    struct client *c = x->client;
    if (!c || c->tls || c->replied || c->cut || !c->body_ended || x->record.http_minor == 0)
        return;
    ssize_t n = send(c->fd, head.p, head.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0 && (size_t)n < head.len)
        client_cut(c);
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
    if (!cache_goes_on(x))
        forward_undo(x);
    exchange_fail(x, REASON_CLIENT_GONE);
    front_wake(x);
}

/* ---- connections ---- */

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    struct front *f = ((struct worker *)ctx)->front;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        f->accepting->mhd = mhd;
        *socket_ctx = f->accepting;
        f->accepting = NULL;
    } else if (*socket_ctx) {
        client_free(*socket_ctx);
        *socket_ctx = NULL;
    }
}

/* A connection through a door, or from its rest. */
struct arrival {
    struct httpd *httpd;
    int fd;
    bool tls;
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

/* The client, when its connection has begun; otherwise the socket is closed. */
static struct client *add_connection(struct front *f, const struct arrival *a)
{
    struct client *c = client_new(&f->clients, a->fd, (const struct sockaddr *)&a->addr);
    if (!c) {
        close(a->fd);
        return NULL;
    }
    c->httpd = a->httpd;
    c->tls = a->tls;
    f->accepting = c;
    bool begun = httpd_add(a->httpd, a->fd, (const struct sockaddr *)&a->addr, a->addr_len);
    if (!begun && f->accepting)
        client_free(c); /* it never began; otherwise its end was notified */
    f->accepting = NULL;
    return begun ? c : NULL;
}

static void on_woken(void *ctx, const struct rest_socket *s)
{
    struct arrival a = {.httpd = s->httpd, .fd = s->fd, .addr_len = sizeof(a.addr)};
    if (getpeername(s->fd, (struct sockaddr *)&a.addr, &a.addr_len) != 0) {
        close(s->fd);
        return;
    }
    struct client *c = add_connection(ctx, &a);
    if (c)
        c->consumed = s->consumed;
}

static void set_doors(struct front *f, bool open);

static bool has_room(struct front *f)
{
    if (clients_open(&f->clients) < f->max_clients || rests_evict(&f->clients.rests))
        return true;
    for (struct client *c = f->clients.lists[CLIENT_IDLE].first; c; c = c->next) {
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
        struct arrival a = {.httpd = d->httpd, .tls = d->listener->tls, .addr_len = sizeof(a.addr)};
        if (!has_room(f)) {
            set_doors(f, false);
            return;
        }
        a.fd =
            accept4(d->listener->fd, (struct sockaddr *)&a.addr, &a.addr_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (a.fd >= 0) {
            struct client_stats *stats = &f->clients.stats;
            uint64_t accepted = atomic_load_explicit(&stats->accepted, memory_order_relaxed);
            atomic_store_explicit(&stats->accepted, accepted + 1, memory_order_relaxed);
            add_connection(f, &a);
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
    if (!f->doors_open && !f->draining && now_ns >= f->reopen_ns &&
        clients_open(&f->clients) < f->max_clients)
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
        .handler = intake_request,
        .target = intake_target,
        .completed = intake_completed,
        .connection = on_connection,
        .ctx = f->worker,
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
    const struct clients_setup setup = {
        .loop = &w->loop, .wheel = &w->wheel, .gone = on_gone, .woken = on_woken, .ctx = f};
    if (!f || !clients_init(&f->clients, &setup)) {
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
    rests_close_all(&f->clients.rests);
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
    return clients_open(&f->clients) == 0;
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
