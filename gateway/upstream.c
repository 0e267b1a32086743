/*
 * upstream.c: connect-only libcurl handles as a connection pool.
 *
 * While a connection is being made libcurl owns its events: it tells us which socket to watch for what, and
 * we tell it what happened. Once it is made the socket is ours, and the easy handle only stays in the multi
 * handle so that the connection lives.
 *
 * Invariants:
 *   - a connection is in exactly one state, changed by set_state(), which also moves it between the lists;
 *   - a socket has one uv_poll handle, used in turn by libcurl (CONNECTING) and by us;
 *   - the memory of a connection is freed only when libuv has closed its handle.
 *
 * libcurl 7.88 looks through all connections of a multi handle when it makes another, and closes those that
 * it takes for idle: older than CURLOPT_MAXAGE_CONN (118 s by default) or with bytes waiting. A connect-only
 * connection counts as idle until the first curl_easy_recv or curl_easy_send has bound the handle to it
 * again; so we read once as soon as it is made, which also finds a server that talks before it is asked.
 */
#include "gateway/upstream.h"

#include <curl/curl.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/connect.h"
#include "gateway/easy.h"

enum conn_state { CONN_CONNECTING, CONN_BUSY, CONN_IDLE };

/* Connections of one worker to one endpoint; lives in the endpoint's slot while there are any. */
struct upstream_pool {
    struct upstream_conn *idle; /* most recently used first: those at the end may expire */
    unsigned nidle;
    unsigned nopen;
};

/* A libuv handle outlives the connection that used it until its close callback, so it is a thing of its own.
 */
struct conn_poll {
    uv_poll_t handle;
    struct upstream_conn *conn; /* NULL once closing */
    curl_socket_t fd;
    int mask; /* UV_READABLE | UV_WRITABLE that it watches for */
};

struct upstream_conn {
    struct upstream *owner;
    struct endpoint *endpoint; /* counted */
    enum conn_state state;
    struct upstream_conn *next, *prev;           /* in owner->all */
    struct upstream_conn *next_idle, *prev_idle; /* in the pool's idle list */
    const struct upstream_user *user;
    void *ctx;
    struct conf_keepalive keepalive; /* of its last user's backend */
    uint32_t requests;               /* users it has had */
    CURL *easy;
    struct curl_slist *connect_to;
    struct conn_poll *poll;
    curl_socket_t fd;
    struct wheel_entry idle_end;
    char curl_error[CURL_ERROR_SIZE];
};

struct upstream {
    uv_loop_t *loop;
    struct wheel *wheel;
    unsigned worker;
    CURLM *multi;
    uv_timer_t timer;  /* libcurl's */
    bool has_messages; /* libcurl may have something to report */
    struct upstream_conn *all;
    struct upstream_stats stats;
};

static void count(_Atomic uint32_t *gauge, int by)
{
    uint32_t now = atomic_load_explicit(gauge, memory_order_relaxed);
    atomic_store_explicit(gauge, now + (uint32_t)by, memory_order_relaxed);
}

static void count_up(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static struct upstream_pool **pool_slot(const struct upstream_conn *c)
{
    return (struct upstream_pool **)&c->endpoint->slots[c->owner->worker].pool;
}

/* ---- events of a socket ---- */

static void on_poll_closed(uv_handle_t *h)
{
    free(h->data);
}

static void poll_close(struct upstream_conn *c)
{
    if (!c->poll)
        return;
    c->poll->conn = NULL;
    uv_close((uv_handle_t *)&c->poll->handle, on_poll_closed);
    c->poll = NULL;
}

static void conn_close(struct upstream_conn *c);

static void connecting_event(struct upstream_conn *c, int status, int events)
{
    int running, mask = 0;
    if (status < 0)
        mask |= CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        mask |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        mask |= CURL_CSELECT_OUT;
    c->owner->has_messages = true;
    curl_multi_socket_action(c->owner->multi, c->fd, mask, &running);
}

/* An idle TLS connection may get a session ticket; anything else on an idle connection ends it. */
static bool idle_is_still_clean(struct upstream_conn *c)
{
    char byte;
    return c->endpoint->tls && upstream_recv(c, &byte, 1, NULL) == UPSTREAM_AGAIN;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct conn_poll *p = h->data;
    struct upstream_conn *c = p->conn;
    if (!c)
        return;
    switch (c->state) {
    case CONN_CONNECTING:
        connecting_event(c, status, events);
        return;
    case CONN_IDLE:
        if (!idle_is_still_clean(c))
            conn_close(c);
        return;
    case CONN_BUSY:
        /* An error is found by reading, so that what came before it is not lost. */
        if (status < 0)
            events = UV_READABLE | UV_WRITABLE;
        if (events & UV_WRITABLE)
            c->user->writable(c->ctx);
        if ((events & UV_READABLE) && p->conn == c && c->state == CONN_BUSY)
            c->user->readable(c->ctx);
        return;
    }
}

/* Watch FD for MASK, making the handle when the socket is a new one. False when there is no memory. */
static bool poll_set(struct upstream_conn *c, curl_socket_t fd, int mask)
{
    if (c->poll && c->poll->fd != fd)
        poll_close(c);
    if (!c->poll) {
        struct conn_poll *p = calloc(1, sizeof(*p));
        if (!p)
            return false;
        if (uv_poll_init_socket(c->owner->loop, &p->handle, fd) != 0) {
            free(p);
            return false;
        }
        p->handle.data = p;
        p->conn = c;
        p->fd = fd;
        c->poll = p;
        c->fd = fd;
    }
    if (c->poll->mask == mask)
        return true;
    c->poll->mask = mask;
    return (mask ? uv_poll_start(&c->poll->handle, mask, on_poll) : uv_poll_stop(&c->poll->handle)) == 0;
}

/* ---- what libcurl asks of us while connecting ---- */

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    (void)ctx, (void)socket_ctx;
    char *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct upstream_conn *c = (struct upstream_conn *)private;
    if (!c || c->state != CONN_CONNECTING)
        return 0;
    int in = what == CURL_POLL_IN || what == CURL_POLL_INOUT ? UV_READABLE : 0;
    int out = what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? UV_WRITABLE : 0;
    if (what != CURL_POLL_REMOVE)
        return poll_set(c, fd, in | out) ? 0 : -1;
    /* Before the socket may be closed: its number can be another worker's when we hear of the failure. */
    if (c->poll && c->poll->fd == fd)
        poll_close(c);
    return 0;
}

static void on_timer(uv_timer_t *t)
{
    struct upstream *u = t->data;
    int running;
    u->has_messages = true;
    curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct upstream *u = ctx;
    if (timeout_ms < 0)
        return uv_timer_stop(&u->timer) == 0 ? 0 : -1;
    return uv_timer_start(&u->timer, on_timer, (uint64_t)timeout_ms, 0) == 0 ? 0 : -1;
}

/* ---- life of a connection ---- */

static void idle_unlink(struct upstream_conn *c)
{
    struct upstream_pool *pool = *pool_slot(c);
    if (c->prev_idle)
        c->prev_idle->next_idle = c->next_idle;
    else
        pool->idle = c->next_idle;
    if (c->next_idle)
        c->next_idle->prev_idle = c->prev_idle;
    c->next_idle = c->prev_idle = NULL;
    pool->nidle--;
    count(&c->owner->stats.idle, -1);
    wheel_cancel(&c->idle_end);
}

static void idle_link(struct upstream_conn *c)
{
    struct upstream_pool *pool = *pool_slot(c);
    c->prev_idle = NULL;
    c->next_idle = pool->idle;
    if (pool->idle)
        pool->idle->prev_idle = c;
    pool->idle = c;
    pool->nidle++;
    count(&c->owner->stats.idle, 1);
    wheel_set(c->owner->wheel, &c->idle_end,
              c->owner->wheel->now_ns + c->keepalive.idle_ms * UINT64_C(1000000));
}

static void set_state(struct upstream_conn *c, enum conn_state state)
{
    if (c->state == state)
        return;
    if (c->state == CONN_IDLE)
        idle_unlink(c);
    c->state = state;
    if (state == CONN_IDLE)
        idle_link(c);
}

static void on_idle_end(struct wheel_entry *e)
{
    conn_close((struct upstream_conn *)((char *)e - offsetof(struct upstream_conn, idle_end)));
}

static void conn_unlink(struct upstream_conn *c)
{
    struct upstream_pool **slot = pool_slot(c);
    if (--(*slot)->nopen == 0) {
        free(*slot);
        *slot = NULL;
    }
    if (c->prev)
        c->prev->next = c->next;
    else
        c->owner->all = c->next;
    if (c->next)
        c->next->prev = c->prev;
    count(&c->owner->stats.open, -1);
}

static void conn_close(struct upstream_conn *c)
{
    set_state(c, CONN_BUSY);
    poll_close(c);
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, NULL);
    curl_multi_remove_handle(c->owner->multi, c->easy);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->connect_to);
    conn_unlink(c);
    endpoint_put(c->endpoint);
    free(c);
}

static struct upstream_conn *conn_new(struct upstream *u, struct endpoint *e)
{
    struct upstream_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->owner = u;
    c->endpoint = e;
    c->fd = CURL_SOCKET_BAD;
    c->idle_end.expired = on_idle_end;
    struct upstream_pool **slot = pool_slot(c);
    if (!*slot && !(*slot = calloc(1, sizeof(**slot)))) {
        free(c);
        return NULL;
    }
    (*slot)->nopen++;
    endpoint_get(e);
    c->next = u->all;
    if (u->all)
        u->all->prev = c;
    u->all = c;
    count(&u->stats.open, 1);
    return c;
}

static bool begin_connect(struct upstream_conn *c, const struct conf_backend *b)
{
    CURL *easy = c->easy = easy_new();
    if (!easy)
        return false;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->curl_error);
    int running;
    c->owner->has_messages = true;
    return connect_setup(easy, c->endpoint, b->timeout.connect_ms, &c->connect_to) &&
           curl_multi_add_handle(c->owner->multi, easy) == CURLM_OK &&
           curl_multi_socket_action(c->owner->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK;
}

/* ---- the end of connecting ---- */

static void connect_failed(struct upstream_conn *c, CURLcode code)
{
    struct err err = {0};
    const struct upstream_user *user = c->user;
    void *ctx = c->ctx;
    err_set(&err, ERR_UPSTREAM, "%s", c->curl_error[0] ? c->curl_error : curl_easy_strerror(code));
    err.retryable = true;
    err_add(&err, "connect to %s", c->endpoint->text);
    struct endpoint *e = endpoint_get(c->endpoint); /* the user has it only by the connection */
    conn_close(c);
    user->failed(ctx, connect_reason(code), &err);
    endpoint_put(e);
}

/* Bind the handle to its connection (see the top of the file); a server that talks first is none. */
static bool bind_handle(struct upstream_conn *c)
{
    char byte;
    size_t n;
    curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &c->fd);
    return c->fd != CURL_SOCKET_BAD && curl_easy_recv(c->easy, &byte, 1, &n) == CURLE_AGAIN;
}

static void connect_done(struct upstream_conn *c, CURLcode code)
{
    if (code == CURLE_OK && !bind_handle(c)) {
        snprintf(c->curl_error, sizeof(c->curl_error), "closed, or talked before it was asked");
        code = CURLE_COULDNT_CONNECT;
    }
    if (code == CURLE_OK && !poll_set(c, c->fd, UV_READABLE))
        code = CURLE_OUT_OF_MEMORY;
    if (code != CURLE_OK) {
        connect_failed(c, code);
        return;
    }
    set_state(c, CONN_BUSY);
    count_up(&c->owner->stats.opened);
    c->user->connected(c->ctx);
}

void upstream_run_pending(struct upstream *u)
{
    while (u->has_messages) {
        int left;
        CURLMsg *m = curl_multi_info_read(u->multi, &left);
        if (!m) {
            u->has_messages = false;
            break;
        }
        char *private = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        struct upstream_conn *c = (struct upstream_conn *)private;
        if (m->msg == CURLMSG_DONE && c && c->state == CONN_CONNECTING)
            connect_done(c, m->data.result);
    }
}

bool upstream_has_pending(const struct upstream *u)
{
    return u->has_messages;
}

/* ---- for users ---- */

void upstream_hand_over(struct upstream_conn *c, const struct upstream_user *user, void *ctx)
{
    c->user = user;
    c->ctx = ctx;
}

static void lend(struct upstream_conn *c, const struct upstream_want *want)
{
    upstream_hand_over(c, want->user, want->ctx);
    c->keepalive = want->backend->keepalive;
    c->requests++;
}

enum upstream_result upstream_acquire(struct upstream *u, const struct upstream_want *want,
                                      struct upstream_conn **conn, struct err *err)
{
    struct upstream_pool *pool = want->endpoint->slots[u->worker].pool;
    if (pool && pool->idle && !want->fresh) {
        *conn = pool->idle;
        set_state(*conn, CONN_BUSY);
        lend(*conn, want);
        count_up(&u->stats.reused);
        return UPSTREAM_READY;
    }
    if (pool && pool->nopen >= want->backend->max_connections) {
        if (!pool->idle)
            return UPSTREAM_FULL;
        conn_close(pool->idle);
    }
    struct upstream_conn *c = conn_new(u, want->endpoint);
    if (!c)
        return err_sys(err, ERR_SELF, ENOMEM, "connection"), UPSTREAM_ERROR;
    c->state = CONN_CONNECTING;
    lend(c, want);
    if (!begin_connect(c, want->backend)) {
        err_set(err, ERR_SELF, "libcurl refuses to connect to %s", want->endpoint->text);
        conn_close(c);
        return UPSTREAM_ERROR;
    }
    *conn = c;
    return UPSTREAM_PENDING;
}

static bool may_keep(const struct upstream_conn *c)
{
    const struct conf_keepalive *k = &c->keepalive;
    return c->state == CONN_BUSY && !atomic_load_explicit(&c->endpoint->retired, memory_order_relaxed) &&
           (*pool_slot(c))->nidle < k->max_idle && (k->max_requests == 0 || c->requests < k->max_requests);
}

void upstream_release(struct upstream_conn *c, bool reusable)
{
    upstream_hand_over(c, NULL, NULL);
    if (reusable && may_keep(c) && poll_set(c, c->fd, UV_READABLE))
        set_state(c, CONN_IDLE);
    else
        conn_close(c);
}

static ssize_t send_tls(struct upstream_conn *c, const struct iovec *iov, int n, struct err *err)
{
    size_t sent = 0;
    for (int i = 0; i < n; i++) {
        size_t done = 0;
        while (done < iov[i].iov_len) {
            size_t now = 0;
            CURLcode code =
                curl_easy_send(c->easy, (char *)iov[i].iov_base + done, iov[i].iov_len - done, &now);
            if (code == CURLE_AGAIN)
                return (ssize_t)(sent + done);
            if (code != CURLE_OK) {
                err_set(err, ERR_UPSTREAM, "%s", curl_easy_strerror(code));
                return -1;
            }
            done += now;
        }
        sent += done;
    }
    return (ssize_t)sent;
}

ssize_t upstream_send(struct upstream_conn *c, const struct iovec *iov, int n, struct err *err)
{
    if (c->endpoint->tls)
        return send_tls(c, iov, n, err);
    const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    for (;;) {
        ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            return sent;
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        err_sys(err, ERR_UPSTREAM, errno, "send");
        return -1;
    }
}

static ssize_t recv_tls(struct upstream_conn *c, void *p, size_t len, struct err *err)
{
    size_t n = 0;
    CURLcode code = curl_easy_recv(c->easy, p, len, &n);
    if (code == CURLE_AGAIN)
        return UPSTREAM_AGAIN;
    if (code == CURLE_OK)
        return (ssize_t)n;
    err_set(err, ERR_UPSTREAM, "%s", curl_easy_strerror(code));
    return UPSTREAM_BROKEN;
}

ssize_t upstream_recv(struct upstream_conn *c, void *p, size_t len, struct err *err)
{
    if (c->endpoint->tls)
        return recv_tls(c, p, len, err);
    for (;;) {
        ssize_t n = recv(c->fd, p, len, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return UPSTREAM_AGAIN;
        err_sys(err, ERR_UPSTREAM, errno, "recv");
        return UPSTREAM_BROKEN;
    }
}

void upstream_watch(struct upstream_conn *c, bool readable, bool writable)
{
    if (c->state == CONN_BUSY)
        (void)poll_set(c, c->fd, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0));
}

bool upstream_is_reused(const struct upstream_conn *c)
{
    return c->requests > 1;
}

struct endpoint *upstream_endpoint(const struct upstream_conn *c)
{
    return c->endpoint;
}

/* ---- the whole ---- */

struct upstream *upstream_new(uv_loop_t *loop, struct wheel *wheel, unsigned worker)
{
    struct upstream *u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->loop = loop;
    u->wheel = wheel;
    u->worker = worker;
    u->multi = curl_multi_init();
    if (!u->multi || uv_timer_init(loop, &u->timer) != 0) {
        curl_multi_cleanup(u->multi);
        free(u);
        return NULL;
    }
    u->timer.data = u;
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
    curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, 1L << 24);
    return u;
}

static void close_idle_where(struct upstream *u, bool retired_only)
{
    for (struct upstream_conn *c = u->all, *next; c; c = next) {
        next = c->next;
        if (c->state == CONN_IDLE && (!retired_only || atomic_load(&c->endpoint->retired)))
            conn_close(c);
    }
}

void upstream_forget_retired(struct upstream *u)
{
    close_idle_where(u, true);
}

void upstream_close(struct upstream *u)
{
    close_idle_where(u, false);
    uv_timer_stop(&u->timer);
    uv_close((uv_handle_t *)&u->timer, NULL);
}

void upstream_free(struct upstream *u)
{
    CHECK(u->all == NULL);
    curl_multi_cleanup(u->multi);
    free(u);
}

const struct upstream_stats *upstream_stats(const struct upstream *u)
{
    return &u->stats;
}
