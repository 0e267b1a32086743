/* client.c: see client.h. */
#include "gateway/client.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/exchange.h"
#include "lib/clock.h"
#include "lib/tcp.h"

#define MS             UINT64_C(1000000)
#define WAITING_MAX    64          /* connections that may wait without being suspended */
#define TIRES_AFTER_NS (20 * MS)   /* and for how long, about */
#define WATCH_AFTER_NS (100 * MS)  /* suspended for this long: look whether the client leaves */
#define HALF_CLOSED_NS (20 * MS)   /* seen within this of watching: it had closed its half before */
#define PROBE_NS       (500 * MS)  /* unmoved for this long: probed */
#define REST_AFTER_NS  (2000 * MS) /* idle for this long: it goes to rest */
#define GOING_MAX      256 /* connections on their way to rest, for libmicrohttpd visits each of them */
#define TRIM_MIN       100 /* connections that went to rest before memory is given back */
#define TRIM_NS        (5000 * MS) /* and how often at most */
#define LINGER_NS      (2000 * MS) /* a socket lingers at most this long */
#define LINGER_MAX     1024        /* sockets that linger at a time */
#define LINGER_READ    (64 * 1024) /* bytes dropped of each at a tick */

/* A socket whose connection has ended. */
struct lingering {
    int fd;
    uint64_t until_ns;
};

static void list_remove(struct client_list *l, struct client *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        l->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        l->last = c->prev;
    c->next = c->prev = NULL;
    l->n--;
}

static void list_append(struct client_list *l, struct client *c)
{
    c->prev = l->last;
    c->next = NULL;
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
    l->n++;
}

size_t clients_open(const struct clients *all)
{
    return all->lists[CLIENT_IDLE].n + all->lists[CLIENT_BUSY].n + all->rests.n;
}

static void count_open(struct clients *all)
{
    atomic_store_explicit(&all->stats.open, (uint32_t)clients_open(all), memory_order_relaxed);
    atomic_store_explicit(&all->stats.resting, (uint32_t)all->rests.n, memory_order_relaxed);
}

/* ---- deadlines ---- */

static uint64_t due_of(const struct client *c)
{
    const struct conf_client *limits = &c->all->limits;
    uint64_t idle_ns = limits->idle_timeout_ms * MS, head_ns = limits->head_timeout_ms * MS;
    if (c->state == CLIENT_IDLE)
        return c->moved_ns + (c->has_served ? idle_ns : head_ns);
    if (!c->head_seen)
        return c->moved_ns + head_ns;
    /* While the backend is waited for, its deadlines count. */
    return (c->parked_ns ? c->all->wheel->now_ns : c->moved_ns) + idle_ns;
}

static void on_deadline(struct wheel_entry *e)
{
    struct client *c = (struct client *)((char *)e - offsetof(struct client, deadline));
    uint64_t due = due_of(c);
    if (c->all->wheel->now_ns < due) {
        wheel_set(c->all->wheel, e, due);
        return;
    }
    if (c->exchange && c->exchange->record.reason == REASON_NONE)
        c->exchange->record.reason = REASON_CLIENT_TIMEOUT;
    client_cut(c);
}

/* A deadline that moved later is left alone until it fires. */
static void arm(struct client *c)
{
    uint64_t due = due_of(c);
    if (!wheel_is_set(&c->deadline) || c->deadline.due_ns > due)
        wheel_set(c->all->wheel, &c->deadline, due);
}

/* ---- life ---- */

struct client *client_new(struct clients *all, int fd, const struct sockaddr *addr)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->all = all;
    c->fd = fd;
    c->rest_fd = -1;
    c->moved_ns = all->wheel->now_ns;
    c->deadline.expired = on_deadline;
    /* A unix socket's client is on this machine. */
    if (!ip_of_sockaddr(addr, &c->ip) && !ip_parse(SLICE("127.0.0.1"), &c->ip))
        c->ip = (struct ip){{0}};
    list_append(&all->lists[CLIENT_IDLE], c);
    arm(c);
    count_open(all);
    return c;
}

static void unwatch(struct client *c)
{
    if (c->watched_ns)
        epoll_ctl(c->all->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
    c->watched_ns = 0;
}

static void stop_waiting(struct client *c)
{
    c->waits = c->tires = false;
    c->all->nwaiting--;
}

/* ---- going to rest ---- */

static bool is_read_out(const struct client *c)
{
    return c->consumed != UINT64_MAX && tcp_bytes_read(c->fd) == c->consumed;
}

static void begin_going(struct client *c)
{
    if (c->all->ngoing == GOING_MAX || !is_read_out(c))
        return;
    c->rest_fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (c->rest_fd < 0)
        return;
    c->all->ngoing++;
    MHD_set_connection_option(c->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1U);
}

void client_stay(struct client *c)
{
    if (c->rest_fd < 0)
        return;
    MHD_set_connection_option(c->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    close(c->rest_fd);
    c->rest_fd = -1;
    c->all->ngoing--;
}

/* libmicrohttpd has given the connection up. */
static void end_going(struct client *c)
{
    const struct rest_socket s = {c->rest_fd, c->httpd, c->moved_ns, c->consumed};
    if (c->rest_fd < 0)
        return;
    c->all->ngoing--;
    if (c->cut || !is_read_out(c))
        close(c->rest_fd);
    else
        rests_add(&c->all->rests, &s);
    c->all->ngone++;
}

static void send_to_rest(struct clients *all, uint64_t now_ns)
{
    for (struct client *c = all->lists[CLIENT_IDLE].first; c && c->moved_ns + REST_AFTER_NS <= now_ns;
         c = c->next) {
        if (c->has_served && !c->tls && !c->cut && c->rest_fd < 0)
            begin_going(c);
    }
}

/* The C library keeps what libmicrohttpd frees: have it give the pages back, when many have gone to rest. */
static void give_memory_back(struct clients *all, uint64_t now_ns)
{
    if (all->ngone < TRIM_MIN || all->ngoing > 0 || now_ns < all->given_ns + TRIM_NS)
        return;
    all->ngone = 0;
    all->given_ns = now_ns;
    malloc_trim(0);
}

/* libmicrohttpd looks at the time only when it runs. */
static void poke_going(struct clients *all)
{
    for (struct client *c = all->lists[CLIENT_IDLE].first; c && all->ngoing > 0; c = c->next) {
        if (c->rest_fd < 0)
            continue;
        httpd_poke(c->httpd);
        return;
    }
}

void client_count_request(struct client *c, uint64_t bytes)
{
    c->consumed = bytes == UINT64_MAX || c->consumed == UINT64_MAX ? UINT64_MAX : c->consumed + bytes;
    c->has_served = true;
}

void client_free(struct client *c)
{
    wheel_cancel(&c->deadline);
    unwatch(c);
    if (c->waits)
        stop_waiting(c);
    list_remove(&c->all->lists[c->state], c);
    end_going(c);
    count_open(c->all);
    free(c);
}

void client_set_state(struct client *c, enum client_state state)
{
    list_remove(&c->all->lists[c->state], c);
    c->state = state;
    list_append(&c->all->lists[state], c);
    client_moved(c);
    arm(c);
}

void client_moved(struct client *c)
{
    c->moved_ns = c->all->wheel->now_ns;
    c->probed = false;
}

void client_cut(struct client *c)
{
    if (c->cut)
        return;
    c->cut = true;
    shutdown(c->fd, SHUT_RDWR);
    client_resume(c);
    httpd_poke(c->httpd);
}

void client_park(struct client *c, bool may_wait)
{
    c->parked_ns = c->all->wheel->now_ns;
    if (may_wait && c->all->nwaiting < WAITING_MAX) {
        c->waits = true;
        c->all->nwaiting++;
    } else {
        MHD_suspend_connection(c->mhd);
    }
}

bool client_still_waits(struct client *c)
{
    if (!c->waits)
        return false;
    if (c->tires) {
        stop_waiting(c);
        MHD_suspend_connection(c->mhd);
    }
    return true;
}

void client_resume(struct client *c)
{
    if (!c->parked_ns)
        return;
    unwatch(c);
    c->parked_ns = 0;
    client_moved(c);
    if (c->waits)
        stop_waiting(c);
    else
        MHD_resume_connection(c->mhd);
    httpd_poke(c->httpd);
}

/* ---- clients that leave ---- */

static void watch(struct client *c, uint64_t now_ns)
{
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    if (epoll_ctl(c->all->watch_fd, EPOLL_CTL_ADD, c->fd, &e) == 0)
        c->watched_ns = now_ns;
}

static void on_left(struct client *c, uint32_t events)
{
    bool broken = events & (EPOLLHUP | EPOLLERR);
    if (!broken && clock_now_ns() < c->watched_ns + HALF_CLOSED_NS) {
        struct epoll_event e = {.events = EPOLLONESHOT, .data.ptr = c};
        c->half_closed = true;
        epoll_ctl(c->all->watch_fd, EPOLL_CTL_MOD, c->fd, &e);
        return;
    }
    c->all->gone(c);
}

static void on_watch(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct clients *all = p->data;
    struct epoll_event e[64];
    int n = epoll_wait(all->watch_fd, e, 64, 0);
    for (int i = 0; i < n; i++)
        on_left(e[i].data.ptr, e[i].events);
}

static void look_after_parked(struct clients *all, uint64_t now_ns)
{
    for (struct client *c = all->lists[CLIENT_BUSY].first; c; c = c->next) {
        if (!c->parked_ns)
            continue;
        if (c->waits && c->parked_ns + TIRES_AFTER_NS <= now_ns) {
            c->tires = true;
            httpd_poke(c->httpd);
        }
        if (!c->watched_ns && !c->half_closed && c->parked_ns + WATCH_AFTER_NS <= now_ns)
            watch(c, now_ns);
    }
}

/* Has the other side closed? Asked once after each movement, when what moved has been read. */
static void probe(struct client *c)
{
    char byte;
    c->probed = true;
    if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        client_cut(c);
}

static void probe_resting(struct clients *all, uint64_t now_ns)
{
    poke_going(all);
    give_memory_back(all, now_ns);
    if (now_ns < all->probe_ns)
        return;
    all->probe_ns = now_ns + PROBE_NS;
    send_to_rest(all, now_ns);
    for (int i = 0; i < 2; i++)
        for (struct client *c = all->lists[i].first; c; c = c->next)
            if (!c->probed && !c->parked_ns && !c->cut && c->moved_ns + PROBE_NS <= now_ns)
                probe(c);
}

/* ---- sockets that linger ---- */

void client_linger(struct client *c)
{
    struct clients *all = c->all;
    c->lingers = false;
    if (all->nlingers == LINGER_MAX)
        return;
    int fd = dup(c->fd);
    if (fd < 0)
        return;
    shutdown(fd, SHUT_WR);
    all->lingers[all->nlingers++] = (struct lingering){fd, clock_now_ns() + LINGER_NS};
}

static bool linger_is_over(const struct lingering *l, uint64_t now_ns)
{
    char waste[4096];
    for (size_t got = 0; got < LINGER_READ;) {
        ssize_t n = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);
        if (n < 0)
            break;
        if (n == 0)
            return true;
        got += (size_t)n;
    }
    return now_ns >= l->until_ns;
}

static void drain_lingers(struct clients *all, uint64_t now_ns)
{
    for (size_t i = 0; i < all->nlingers;) {
        if (!linger_is_over(&all->lingers[i], now_ns)) {
            i++;
            continue;
        }
        close(all->lingers[i].fd);
        all->lingers[i] = all->lingers[--all->nlingers];
    }
}

/* ---- all ---- */

void clients_tick(struct clients *all, uint64_t now_ns)
{
    look_after_parked(all, now_ns);
    probe_resting(all, now_ns);
    drain_lingers(all, now_ns);
    rests_expire(&all->rests, now_ns, all->limits.idle_timeout_ms);
    count_open(all);
}

bool clients_init(struct clients *all, const struct clients_setup *setup)
{
    *all = (struct clients){.wheel = setup->wheel, .gone = setup->gone};
    all->lingers = calloc(LINGER_MAX, sizeof(*all->lingers));
    all->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!all->lingers || all->watch_fd < 0 || uv_poll_init(setup->loop, &all->watch, all->watch_fd) != 0 ||
        !rests_init(&all->rests, setup->loop, setup->woken, setup->ctx)) {
        if (all->watch_fd >= 0)
            close(all->watch_fd);
        free(all->lingers);
        return false;
    }
    all->watch.data = all;
    uv_poll_start(&all->watch, UV_READABLE, on_watch);
    return true;
}

static void on_closed(uv_handle_t *h)
{
    struct clients *all = h->data;
    close(all->watch_fd);
}

void clients_fini(struct clients *all)
{
    for (size_t i = 0; i < all->nlingers; i++)
        close(all->lingers[i].fd);
    free(all->lingers);
    all->lingers = NULL;
    all->nlingers = 0;
    uv_close((uv_handle_t *)&all->watch, on_closed);
    rests_fini(&all->rests);
}
