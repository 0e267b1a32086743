/* event_stream_fixture.h: a stream of server-sent events through libmicrohttpd, over a socket pair. */
#ifndef TESTS_UNIT_GATEWAY_EVENT_STREAM_FIXTURE_H
#define TESTS_UNIT_GATEWAY_EVENT_STREAM_FIXTURE_H

#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/event_stream.h"
#include "gateway/httpd.h"
#include "lib/clock.h"

#define WAIT_NS (10 * CLOCK_SECOND_NS)

struct world {
    uv_loop_t loop;
    uv_prepare_t prepare;
    struct httpd *httpd;
    struct event_streams *all;
    struct event_stream *last; /* that was made */
    unsigned gone, refused;
    bool (*listen)(void *ctx, struct event_stream *s); /* makes it somebody's; NULL: it is the world's */
    void *ctx;
    int fd;     /* the client's end */
    size_t len; /* bytes it has read */
};

static void on_gone(void *owner, struct event_stream *s)
{
    struct world *w = owner;
    w->gone++;
    if (w->last == s)
        w->last = NULL;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
    (void)url, (void)method, (void)version, (void)body, (void)body_len;
    struct world *w = ctx;
    if (!*request) {
        *request = w;
        return MHD_YES;
    }
    struct event_stream *s = event_stream_new(w->all, c);
    if (!s) {
        w->refused++;
        return MHD_NO;
    }
    if (w->listen)
        ck_assert(w->listen(w->ctx, s));
    else
        event_stream_own(s, on_gone, w);
    w->last = s;
    return event_stream_answer(s);
}

static void on_poke(void *ctx)
{
    struct world *w = ctx;
    httpd_poke(w->httpd);
}

static void on_prepare(uv_prepare_t *p)
{
    struct world *w = p->data;
    httpd_turn(w->httpd);
}

static void turn(struct world *w)
{
    httpd_turn(w->httpd);
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* A client's end whose request was sent; bytes that wait in it are few. */
static int world_knock(struct world *w)
{
    int fds[2], small = 4096;
    struct sockaddr_storage addr = {.ss_family = AF_UNIX};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    ck_assert(httpd_add(w->httpd, fds[0], (struct sockaddr *)&addr, sizeof(addr)));
    ck_assert_int_gt(write(fds[1], "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27), 0);
    return fds[1];
}

static void world_open(struct world *w)
{
    *w = (struct world){.fd = -1};
    const struct httpd_setup setup = {
        .loop = &w->loop, .memory = 16384, .max_connections = 64, .handler = on_request, .ctx = w};
    ck_assert_int_eq(uv_loop_init(&w->loop), 0);
    ck_assert_ptr_nonnull(w->all = event_streams_new(&w->loop, on_poke, w));
    ck_assert_ptr_nonnull(w->httpd = httpd_new(&setup, NULL));
    uv_prepare_init(&w->loop, &w->prepare);
    w->prepare.data = w;
    uv_prepare_start(&w->prepare, on_prepare);
}

/* A client whose stream begins; it is read by read_until. */
static void world_ask(struct world *w)
{
    w->last = NULL;
    w->len = 0;
    w->fd = world_knock(w);
    for (uint64_t end = clock_now_ns() + WAIT_NS; !w->last && clock_now_ns() < end;)
        turn(w);
    ck_assert_ptr_nonnull(w->last);
}

static void world_close(struct world *w)
{
    event_streams_end(w->all);
    httpd_turn(w->httpd);
    httpd_close(w->httpd);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
    ck_assert_uint_eq(event_streams_count(w->all), 0);
    httpd_free(w->httpd);
    event_streams_free(w->all);
    if (w->fd >= 0)
        close(w->fd);
}

/* A turn; all that the client has read. */
static const char *world_read(struct world *w)
{
    static char all[1 << 20];
    turn(w);
    ssize_t n = read(w->fd, all + w->len, sizeof(all) - 1 - w->len);
    w->len += n > 0 ? (size_t)n : 0;
    all[w->len] = '\0';
    return all;
}

/* What the client reads from now on until TEXT is in it; NULL when it never is. */
static inline const char *read_until(struct world *w, const char *text)
{
    size_t from = w->len;
    for (uint64_t end = clock_now_ns() + WAIT_NS; clock_now_ns() < end;) {
        const char *all = world_read(w);
        if (strstr(all + from, text))
            return all + from;
    }
    return NULL;
}

#endif
