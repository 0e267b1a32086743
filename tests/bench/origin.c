/*
 * origin.c: the backend of the bench: `origin PORT`, on 127.0.0.1, one thread, until it is killed.
 *
 *     GET  /b/N       200 with N bytes of the pattern (pattern.h)
 *     POST /b/N       the same, after the request body was read and found to be the pattern; 409 when it was
 * not POST /slow/R    as POST /b/2, but the body is read at R bytes a second
 *
 * It keeps connections unless the request says close. Request bodies need a
 * Content-Length: a proxy given one has no reason to change the framing, and a 501 tells the bench that it
 * did.
 *
 * One epoll set, level-triggered. A connection is in exactly one of three states: HEAD (reading up to the
 * empty line), BODY (reading what Content-Length promised), ANSWER (writing). A paced connection is out of
 * the set while its budget is used up; a tick every 10 ms puts it back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/pattern.h"

#define HEAD_MAX    16384
#define TICK_MS     10
#define PACED_CHUNK 65536u

enum state { HEAD, BODY, ANSWER };

struct conn {
    struct conn *next_paced;
    int fd;
    enum state state;
    bool is_watching_write;
    bool is_wrong; /* the request body differed from the pattern */
    bool is_last;  /* the request said Connection: close */
    size_t in_len;
    uint64_t body_at, body_len;
    uint64_t rate, paced_since_ns; /* bytes a second; 0: not paced */
    char out[256];
    size_t out_at, out_len;
    uint64_t answer_at, answer_len;
    char in[HEAD_MAX];
};

struct origin {
    int epoll;
    int listener;
    struct conn *paced; /* connections waiting for the next tick */
    struct pattern pattern;
    unsigned char scratch[PACED_CHUNK];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(struct origin *o, struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    epoll_ctl(o->epoll, op, c->fd, &ev);
}

static void conn_free(struct conn *c)
{
    close(c->fd);
    free(c);
}

/* The value of a field of the head, or NULL. The head ends with an empty line and is NUL-terminated. */
static const char *field(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':')
            return line + 3 + n + strspn(line + 3 + n, " ");
    return NULL;
}

static void answer(struct conn *c, const char *status, uint64_t len)
{
    c->state = ANSWER;
    c->out_at = 0;
    c->answer_at = 0;
    c->answer_len = len;
    c->out_len = (size_t)snprintf(
        c->out, sizeof(c->out),
        "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %llu\r\n\r\n", status,
        (unsigned long long)len);
}

/* Send what is left of head and body. False: the connection is over. */
static bool send_answer(struct origin *o, struct conn *c)
{
    while (c->out_at < c->out_len || c->answer_at < c->answer_len) {
        uint64_t left = c->answer_len - c->answer_at;
        size_t n = left > PATTERN_PERIOD ? PATTERN_PERIOD : (size_t)left;
        struct iovec v[2] = {{c->out + c->out_at, c->out_len - c->out_at},
                             {o->pattern.bytes + c->answer_at % PATTERN_PERIOD, n}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (!c->is_watching_write)
                watch(o, c, EPOLL_CTL_MOD, EPOLLOUT);
            c->is_watching_write = true;
            return true;
        }
        if (sent < 0)
            return false;
        size_t of_head = (size_t)sent < v[0].iov_len ? (size_t)sent : v[0].iov_len;
        c->out_at += of_head;
        c->answer_at += (size_t)sent - of_head;
    }
    if (c->is_last)
        return false;
    c->state = HEAD;
    c->rate = 0;
    if (c->is_watching_write)
        watch(o, c, EPOLL_CTL_MOD, EPOLLIN);
    c->is_watching_write = false;
    return true;
}

static void take_body(struct origin *o, struct conn *c, const unsigned char *bytes, size_t n)
{
    while (n > 0) {
        size_t run = n > PATTERN_PERIOD ? PATTERN_PERIOD : n;
        if (memcmp(bytes, pattern_at(&o->pattern, c->body_at), run) != 0)
            c->is_wrong = true;
        c->body_at += run;
        bytes += run;
        n -= run;
    }
}

static void start_answer(struct conn *c)
{
    const char *path = strchr(c->in, ' ');
    uint64_t len = path && strncmp(path, " /b/", 4) == 0 ? strtoull(path + 4, NULL, 10) : 2;
    answer(c, c->is_wrong ? "409 Conflict" : "200 OK", c->is_wrong ? 0 : len);
}

/* The head is complete, END bytes with its empty line. False: the connection is over. */
static bool take_head(struct origin *o, struct conn *c, size_t end)
{
    const char *path = strchr(c->in, ' ');
    c->in[end - 1] = '\0';
    const char *length = field(c->in, "Content-Length");
    size_t extra = c->in_len - end;
    const char *connection = field(c->in, "Connection");
    c->is_last = connection && strncasecmp(connection, "close", 5) == 0;
    c->is_wrong = false;
    c->body_at = 0;
    c->body_len = length ? strtoull(length, NULL, 10) : 0;
    c->rate = path && strncmp(path, " /slow/", 7) == 0 ? strtoull(path + 7, NULL, 10) : 0;
    c->paced_since_ns = now_ns();
    c->in_len = 0;
    if (field(c->in, "Transfer-Encoding")) {
        answer(c, "501 Not Implemented", 0);
        return send_answer(o, c);
    }
    if (extra > c->body_len) /* the bench does not pipeline */
        return false;
    take_body(o, c, (unsigned char *)c->in + end, extra);
    c->state = BODY;
    if (c->body_at < c->body_len)
        return true;
    start_answer(c);
    return send_answer(o, c);
}

static bool read_head(struct origin *o, struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, HEAD_MAX - 1 - c->in_len, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    const char *end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return c->in_len < HEAD_MAX - 1;
    return take_head(o, c, (size_t)(end - c->in) + 4);
}

/* How many bytes a paced connection may read now; 0: it was put aside until the next tick. */
static size_t budget(struct origin *o, struct conn *c)
{
    if (c->rate == 0)
        return PACED_CHUNK;
    uint64_t due = (uint64_t)((double)(now_ns() - c->paced_since_ns) * 1e-9 * (double)c->rate);
    if (due > c->body_at)
        return due - c->body_at > PACED_CHUNK ? PACED_CHUNK : (size_t)(due - c->body_at);
    watch(o, c, EPOLL_CTL_MOD, 0);
    c->next_paced = o->paced;
    o->paced = c;
    return 0;
}

static bool read_body(struct origin *o, struct conn *c)
{
    size_t most = budget(o, c);
    if (most == 0)
        return true;
    if (most > c->body_len - c->body_at)
        most = (size_t)(c->body_len - c->body_at);
    ssize_t n = recv(c->fd, o->scratch, most, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    take_body(o, c, o->scratch, (size_t)n);
    if (c->body_at < c->body_len)
        return true;
    start_answer(c);
    return send_answer(o, c);
}

static void tick(struct origin *o)
{
    while (o->paced) {
        struct conn *c = o->paced;
        o->paced = c->next_paced;
        watch(o, c, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void accept_all(struct origin *o)
{
    int fd, on = 1;
    while ((fd = accept4(o->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        if (!c)
            abort();
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(o, c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static bool step(struct origin *o, struct conn *c)
{
    switch (c->state) {
    case HEAD:
        return read_head(o, c);
    case BODY:
        return read_body(o, c);
    case ANSWER:
        return send_answer(o, c);
    }
    return false;
}

static void drop_paced(struct origin *o, const struct conn *c)
{
    for (struct conn **at = &o->paced; *at; at = &(*at)->next_paced)
        if (*at == c) {
            *at = c->next_paced;
            return;
        }
}

static void serve(struct origin *o)
{
    struct epoll_event events[128];
    for (;;) {
        int n = epoll_wait(o->epoll, events, 128, o->paced ? TICK_MS : -1);
        bool were_paced = o->paced;
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) {
                accept_all(o);
            } else if ((events[i].events & (EPOLLERR | EPOLLHUP)) || !step(o, c)) {
                drop_paced(o, c);
                conn_free(c);
            }
        }
        if (were_paced)
            tick(o);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 4096) != 0) {
        perror("origin: listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    static struct origin o;
    if (argc != 2) {
        fprintf(stderr, "usage: origin PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    pattern_init(&o.pattern);
    o.listener = listen_on((uint16_t)atoi(argv[1]));
    o.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    epoll_ctl(o.epoll, EPOLL_CTL_ADD, o.listener, &ev);
    serve(&o);
}
