/* rest.c: see rest.h. */
#include "gateway/rest.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 64

static void take_out(struct rests *r, struct rest *e)
{
    if (e->prev)
        e->prev->next = e->next;
    else
        r->first = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        r->last = e->prev;
    r->n--;
}

static void close_one(struct rests *r, struct rest *e)
{
    take_out(r, e);
    close(e->socket.fd);
    free(e);
}

static void wake(struct rests *r, struct rest *e)
{
    struct rest_socket s = e->socket;
    char byte;
    if (recv(s.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
        close_one(r, e);
        return;
    }
    epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, s.fd, NULL);
    take_out(r, e);
    free(e);
    r->woken(r->ctx, &s);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct rests *r = p->data;
    struct epoll_event e[EVENTS_MAX];
    int n = epoll_wait(r->epoll_fd, e, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++)
        wake(r, e[i].data.ptr);
}

bool rests_init(struct rests *r, uv_loop_t *loop, void (*woken)(void *ctx, const struct rest_socket *s),
                void *ctx)
{
    *r = (struct rests){.woken = woken, .ctx = ctx};
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll_fd < 0)
        return false;
    if (uv_poll_init(loop, &r->poll, r->epoll_fd) != 0) {
        close(r->epoll_fd);
        return false;
    }
    r->poll.data = r;
    uv_poll_start(&r->poll, UV_READABLE, on_poll);
    return true;
}

static void on_closed(uv_handle_t *h)
{
    close(((struct rests *)h->data)->epoll_fd);
}

void rests_fini(struct rests *r)
{
    rests_close_all(r);
    uv_close((uv_handle_t *)&r->poll, on_closed);
}

void rests_add(struct rests *r, const struct rest_socket *s)
{
    struct rest *e = calloc(1, sizeof(*e));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = e};
    if (!e || epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) != 0) {
        free(e);
        close(s->fd);
        return;
    }
    e->socket = *s;
    e->prev = r->last;
    if (r->last)
        r->last->next = e;
    else
        r->first = e;
    r->last = e;
    r->n++;
}

void rests_expire(struct rests *r, uint64_t now_ns, uint32_t idle_ms)
{
    while (r->first && r->first->socket.idle_ns + idle_ms * UINT64_C(1000000) <= now_ns)
        close_one(r, r->first);
}

bool rests_evict(struct rests *r)
{
    if (!r->first)
        return false;
    close_one(r, r->first);
    return true;
}

void rests_close_all(struct rests *r)
{
    while (rests_evict(r))
        ;
}
