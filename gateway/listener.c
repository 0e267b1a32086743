/* listener.c: see listener.h. */
#include "gateway/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG      4096
#define PEM_SIZE_MAX (1 << 20)

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static bool make_address(const struct conf_listen *l, union address *a, socklen_t *len)
{
    memset(a, 0, sizeof(*a));
    if (l->unix_path) {
        a->un.sun_family = AF_UNIX;
        *len = sizeof(a->un);
        if (strlen(l->unix_path) >= sizeof(a->un.sun_path))
            return false;
        memcpy(a->un.sun_path, l->unix_path, strlen(l->unix_path) + 1);
        return true;
    }
    if (inet_pton(AF_INET, l->host, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = htons(l->port);
        *len = sizeof(a->in);
        return true;
    }
    a->in6.sin6_family = AF_INET6;
    a->in6.sin6_port = htons(l->port);
    *len = sizeof(a->in6);
    return inet_pton(AF_INET6, l->host, &a->in6.sin6_addr) == 1;
}

/* A socket file that nobody listens on any more is in the way; one that is alive is not ours to take. */
static void remove_stale(const union address *a, socklen_t len)
{
    struct stat st;
    int probe;
    if (lstat(a->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return;
    if (connect(probe, &a->sa, len) != 0 && errno == ECONNREFUSED)
        unlink(a->un.sun_path);
    close(probe);
}

static void set_options(int fd, const union address *a, bool share)
{
    const int on = 1;
    if (a->sa.sa_family == AF_UNIX)
        return;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    /* Accepted sockets inherit it: answers are written whole, there is nothing to wait for. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (a->sa.sa_family == AF_INET6) {
        int only = !IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    }
}

int listener_open_one(const struct conf_listen *l, bool share, struct err *err)
{
    union address a;
    socklen_t len;
    if (!make_address(l, &a, &len)) {
        err_set(err, ERR_SELF, "listen on %s: no such address", l->address);
        return -1;
    }
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_sys(err, ERR_SELF, errno, "socket");
        return -1;
    }
    if (l->unix_path)
        remove_stale(&a, len);
    set_options(fd, &a, share);
    if (bind(fd, &a.sa, len) != 0 || listen(fd, BACKLOG) != 0) {
        err_sys(err, ERR_SELF, errno, "bind");
        err_add(err, "listen on %s", l->address);
        close(fd);
        return -1;
    }
    return fd;
}

char *listener_read_pem(const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(PEM_SIZE_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, PEM_SIZE_MAX, f) : 0;
    if (f)
        fclose(f);
    if (n == 0) {
        err_sys(err, ERR_SELF, errno, path);
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static bool read_pems(struct listeners *l, const struct conf *conf, struct err *err)
{
    l->pem = calloc(conf->nlistens * 2, sizeof(*l->pem));
    l->npem = conf->nlistens * 2;
    if (!l->pem) {
        err_sys(err, ERR_SELF, ENOMEM, "certificates");
        return false;
    }
    for (size_t i = 0; i < conf->nlistens; i++) {
        if (!conf->listens[i].tls_cert)
            continue;
        l->pem[2 * i] = listener_read_pem(conf->listens[i].tls_cert, err);
        l->pem[2 * i + 1] = l->pem[2 * i] ? listener_read_pem(conf->listens[i].tls_key, err) : NULL;
        if (!l->pem[2 * i + 1])
            return false;
    }
    return true;
}

/* Sockets that share an address do not notice that another gateway has it: try it once without sharing. */
static bool is_free(const struct conf_listen *c, struct err *err)
{
    int fd = listener_open_one(c, false, err);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool open_for(struct listeners *l, unsigned worker, const struct conf *conf, struct err *err)
{
    for (size_t i = 0; i < conf->nlistens; i++) {
        const struct conf_listen *c = &conf->listens[i];
        struct listener *at = &l->at[worker * l->per_worker + i];
        bool share = !c->unix_path && conf->workers > 1;
        if (share && worker == 0 && !is_free(c, err))
            return false;
        /* A unix socket has one queue; every worker has its own descriptor for it. */
        if (c->unix_path && worker > 0)
            at->fd = dup(l->at[i].fd);
        else
            at->fd = listener_open_one(c, share, err);
        if (at->fd < 0)
            return false;
        at->tls = c->tls_cert != NULL;
        at->is_unix = c->unix_path != NULL;
        at->cert_pem = l->pem[2 * i];
        at->key_pem = l->pem[2 * i + 1];
    }
    return true;
}

bool listeners_open(struct listeners *l, const struct conf *conf, struct err *err)
{
    *l = (struct listeners){.per_worker = conf->nlistens, .nworkers = conf->workers};
    l->at = calloc(l->per_worker * l->nworkers, sizeof(*l->at));
    if (!l->at) {
        err_sys(err, ERR_SELF, ENOMEM, "listeners");
        return false;
    }
    for (size_t i = 0; i < l->per_worker * l->nworkers; i++)
        l->at[i].fd = -1;
    bool ok = read_pems(l, conf, err);
    for (unsigned w = 0; ok && w < l->nworkers; w++)
        ok = open_for(l, w, conf, err);
    if (!ok)
        listeners_close(l);
    return ok;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; l->at && i < l->per_worker * l->nworkers; i++)
        if (l->at[i].fd >= 0)
            close(l->at[i].fd);
    for (size_t i = 0; l->pem && i < l->npem; i++)
        free(l->pem[i]);
    free(l->at);
    free(l->pem);
    *l = (struct listeners){0};
}
