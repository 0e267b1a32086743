/*
 * httpd.c: see httpd.h.
 *
 * libmicrohttpd's epoll set is edge-triggered inside, and readable as long as there are events that it has
 * not fetched. What it has fetched but not finished it remembers: MHD_get_timeout then says 0, and it must be
 * run again.
 */
#include "gateway/httpd.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 16 /* runs in one turn, so that backends get their turn too */

struct httpd {
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    bool poked;
    unsigned run;
    const unsigned *waiting;
};

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct httpd *h = p->data;
    h->poked = true;
}

/* The target is normalised by us, once; decoding it here would blur what the client sent. */
static size_t no_unescape(void *ctx, struct MHD_Connection *c, char *s)
{
    (void)ctx, (void)c;
    return strlen(s);
}

static void no_log(void *ctx, const char *fmt, va_list ap)
{
    (void)ctx, (void)fmt, (void)ap;
}

static struct MHD_Daemon *start(const struct httpd_setup *s)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO |
                     (s->cert_pem ? MHD_USE_TLS : 0);
#if MHD_VERSION >= 0x01000000
    /* Without it, MHD_add_connection only queues the connection, and every resume writes to a pipe. */
    flags |= MHD_USE_NO_THREAD_SAFETY;
#endif
    struct MHD_OptionItem options[12];
    size_t n = 0;
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)no_log, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)s->memory, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, (intptr_t)s->max_connections, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)s->idle_s, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)no_unescape, s->ctx};
#if MHD_VERSION >= 0x01000000
    /* Strict; from level 2 on it refuses what RFC 9112 asks servers to bear, an empty line before a request.
     */
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL};
#else
    /* Here a refusal of its own would be sent twice: we refuse. */
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL};
#endif
    if (s->target)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)s->target, s->ctx};
    if (s->completed)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)s->completed, s->ctx};
    if (s->connection)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)s->connection, s->ctx};
    if (s->cert_pem) {
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)s->cert_pem};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)s->key_pem};
    }
    options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, NULL, NULL, s->handler, s->ctx, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

struct httpd *httpd_new(const struct httpd_setup *setup, struct err *err)
{
    struct httpd *h = calloc(1, sizeof(*h));
    const union MHD_DaemonInfo *info;
    if (h && (h->daemon = start(setup)) &&
        (info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)) &&
        uv_poll_init(setup->loop, &h->poll, info->epoll_fd) == 0) {
        h->poll.data = h;
        h->waiting = setup->waiting;
        uv_poll_start(&h->poll, UV_READABLE, on_poll);
        return h;
    }
    err_set(err, ERR_SELF, "libmicrohttpd does not start%s",
            setup->cert_pem ? " (is the certificate good?)" : "");
    if (h && h->daemon)
        MHD_stop_daemon(h->daemon);
    free(h);
    return NULL;
}

bool httpd_add(struct httpd *h, int fd, const struct sockaddr *addr, socklen_t len)
{
    h->poked = true;
    return MHD_add_connection(h->daemon, fd, addr, len) == MHD_YES;
}

void httpd_poke(struct httpd *h)
{
    h->poked = true;
}

bool httpd_is_poked(const struct httpd *h)
{
    return h->poked;
}

bool httpd_turn(struct httpd *h)
{
    if (!h->poked)
        return false;
    for (int i = 0; h->poked && i < ROUNDS_MAX; i++) {
        unsigned long long wait_ms;
        h->poked = false;
        h->run++;
        MHD_run(h->daemon);
        if ((!h->waiting || *h->waiting == 0) && MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES &&
            wait_ms == 0)
            h->poked = true;
    }
    return true;
}

unsigned httpd_run_number(const struct httpd *h)
{
    return h->run;
}

void httpd_close(struct httpd *h)
{
    uv_poll_stop(&h->poll);
    uv_close((uv_handle_t *)&h->poll, NULL);
    MHD_stop_daemon(h->daemon);
    h->daemon = NULL;
    h->poked = false;
}

void httpd_free(struct httpd *h)
{
    free(h);
}
