/*
 * load.c: the client of the bench. One thread, one epoll set, one kind of request; every answer is checked.
 *
 *     load --port P --path /b/128 --expect 128 [--connections 64] [--requests 10000] [--post SIZE] [--close]
 *          [--rate R] [--hold] [--refused] [--keys N [--first K]]
 *
 * Without --rate the loop is closed: each connection sends its next request when its answer is complete. With
 * --rate it is open: request i is due at start + i/R whatever became of those before; when no connection is
 * free it waits, and that wait counts, since latency is measured from when it was due (no coordinated
 * omission). --close asks for a new connection for each request. --hold sends one request on each connection
 * (it wants as many connections as requests), keeps them all open after the last answer, says "holding" and
 * waits for the end of its standard input.
 *
 * An answer is good when its status is 200, its Content-Length is --expect and its bytes are the pattern
 * (pattern.h) with nothing after them; with --refused, when its status is 429 and it has as many bytes as it
 * says, whichever. Anything else is an error: the connection is replaced and the request
 * not repeated. With --keys requests go round N targets, which differ in their query; K is the first. Prints
 * one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/pattern.h"

#define ANSWER_HEAD_MAX 2048
#define READ_MAX        65536
#define KEY             "?00000000" /* behind the path; as many digits as KEY_DIGITS */
#define KEY_DIGITS      8
#define SILENCE_MS      10000 /* nothing at all happened for so long: what is under way has failed */

struct options {
    uint16_t port;
    const char *path;
    uint64_t expect, requests, post, rate, keys, first;
    unsigned connections;
    bool has_post, is_close, is_hold, is_refused;
};

enum state { CLOSED, FREE, SENDING, HEAD, BODY, CLOSING };

struct conn {
    int fd;
    enum state state;
    bool is_watching_write;
    uint64_t sent;   /* of request head and body */
    uint64_t got;    /* of the answer's body */
    uint64_t length; /* of the answer's body, as it says */
    uint64_t due_ns; /* when its request was to be sent */
    size_t head_len;
    struct conn *next_free;
    char head[ANSWER_HEAD_MAX];
};

struct load {
    struct options o;
    int epoll, timer;
    char head[512];
    size_t head_len;
    uint64_t next_key;
    char *key; /* in the head: the digits of the next request's key; NULL: all ask for the same */
    struct conn *conns, *free;
    uint64_t started, done, errors; /* requests */
    uint64_t start_ns;
    uint32_t *latency_us; /* of each good answer */
    size_t nlatency;
    const char *why; /* the first error */
    struct pattern pattern;
    unsigned char buf[READ_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(struct load *l, struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    c->is_watching_write = events & EPOLLOUT;
    epoll_ctl(l->epoll, op, c->fd, &ev);
}

static void hang_up(struct conn *c)
{
    if (c->state != CLOSED)
        close(c->fd);
    c->state = CLOSED;
}

static void release(struct load *l, struct conn *c)
{
    c->next_free = l->free;
    l->free = c;
}

/* The request of C has ended badly, or its connection could not be had. */
static void failed(struct load *l, struct conn *c, const char *why)
{
    if (!l->why)
        l->why = why;
    l->errors++;
    l->done++;
    hang_up(c);
    release(l, c);
}

static void succeeded(struct load *l, struct conn *c)
{
    l->latency_us[l->nlatency++] = (uint32_t)((now_ns() - c->due_ns) / 1000);
    l->done++;
    if (!l->o.is_close)
        c->state = FREE;
    else
        hang_up(c);
    if (!l->o.is_hold)
        release(l, c);
}

static bool dial(struct load *l, struct conn *c)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(l->o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) != 0 && errno != EINPROGRESS) {
        close(c->fd);
        return false;
    }
    c->state = FREE;
    watch(l, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    return true;
}

/* The next request is for another key than this one. */
static void set_key(struct load *l)
{
    uint64_t key = l->next_key++ % l->o.keys;
    for (int i = KEY_DIGITS; i-- > 0; key /= 10)
        l->key[i] = (char)('0' + key % 10);
}

/* Send what is left of the request. On a connection that is not yet established the kernel says EAGAIN. */
static void send_request(struct load *l, struct conn *c)
{
    uint64_t total = l->head_len + l->o.post;
    if (l->key && c->sent == 0)
        set_key(l);
    while (c->sent < total) {
        size_t in_head = c->sent < l->head_len ? l->head_len - (size_t)c->sent : 0;
        uint64_t body_at = in_head ? 0 : c->sent - l->head_len;
        uint64_t left = l->o.post - body_at;
        struct iovec v[2] = {{l->head + (l->head_len - in_head), in_head},
                             {l->pattern.bytes + body_at % PATTERN_PERIOD,
                              left > PATTERN_PERIOD ? PATTERN_PERIOD : (size_t)left}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (!c->is_watching_write)
                watch(l, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            failed(l, c, "sending failed");
            return;
        }
        c->sent += (uint64_t)n;
    }
    if (c->is_watching_write)
        watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
    c->state = HEAD;
}

static void start(struct load *l, uint64_t due_ns)
{
    struct conn *c = l->free;
    l->free = c->next_free;
    l->started++;
    c->due_ns = due_ns;
    c->sent = c->got = 0;
    c->head_len = 0;
    if (c->state == CLOSED && !dial(l, c)) {
        failed(l, c, "connecting failed");
        return;
    }
    c->state = SENDING;
    send_request(l, c);
}

/* What is wrong with the head of C's answer, or NULL. It ends with an empty line and is NUL-terminated. */
static const char *judge_head(const struct load *l, const char *head, uint64_t *length)
{
    if (strncmp(head, l->o.is_refused ? "HTTP/1.1 429" : "HTTP/1.1 200", 12) != 0)
        return l->o.is_refused ? "status is not 429" : "status is not 200";
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "Content-Length:", 15) == 0) {
            *length = strtoull(line + 17, NULL, 10);
            return l->o.is_refused || *length == l->o.expect ? NULL : "Content-Length differs";
        }
    return "no Content-Length";
}

static void take_body(struct load *l, struct conn *c, const unsigned char *bytes, size_t n)
{
    if (n > c->length - c->got) {
        failed(l, c, "bytes after the answer");
        return;
    }
    for (size_t run; n > 0; bytes += run, n -= run, c->got += run) {
        run = n > PATTERN_PERIOD ? PATTERN_PERIOD : n;
        if (!l->o.is_refused && memcmp(bytes, pattern_at(&l->pattern, c->got), run) != 0) {
            failed(l, c, "wrong bytes in the body");
            return;
        }
    }
    if (c->got < c->length)
        return;
    if (l->o.is_close)
        c->state = CLOSING; /* the answer is complete with the end of the connection */
    else
        succeeded(l, c);
}

static void take_head(struct load *l, struct conn *c, size_t n)
{
    if (n > ANSWER_HEAD_MAX - 1 - c->head_len)
        n = ANSWER_HEAD_MAX - 1 - c->head_len;
    memcpy(c->head + c->head_len, l->buf, n);
    c->head[c->head_len + n] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        c->head_len += n;
        if (c->head_len == ANSWER_HEAD_MAX - 1)
            failed(l, c, "endless head");
        return;
    }
    size_t of_head = (size_t)(end + 4 - c->head) - c->head_len;
    end[2] = '\0';
    const char *wrong = judge_head(l, c->head, &c->length);
    if (wrong) {
        failed(l, c, wrong);
        return;
    }
    c->state = BODY;
    take_body(l, c, l->buf + of_head, n - of_head);
}

static void receive(struct load *l, struct conn *c)
{
    /* While a head is awaited no more is read than it may have, so that nothing is left over. */
    size_t most = c->state == HEAD ? ANSWER_HEAD_MAX - 1 - c->head_len : READ_MAX;
    ssize_t n = recv(c->fd, l->buf, most, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (c->state == CLOSING && n == 0)
        succeeded(l, c);
    else if (c->state == FREE)
        hang_up(c); /* it was kept and the proxy closed it: dialled again when it is needed */
    else if (n <= 0)
        failed(l, c, n == 0 ? "closed before the end" : "receiving failed");
    else if (c->state == HEAD)
        take_head(l, c, (size_t)n);
    else if (c->state == BODY)
        take_body(l, c, l->buf, (size_t)n);
    else
        failed(l, c, "bytes nobody asked for");
}

static void handle(struct load *l, struct conn *c, uint32_t events)
{
    if (c->state == SENDING && (events & EPOLLOUT))
        send_request(l, c);
    if (c->state != CLOSED && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(l, c);
    if (c->state == FREE && c->is_watching_write)
        watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
}

static uint64_t due(const struct load *l, uint64_t i)
{
    return l->start_ns + (uint64_t)((double)i * 1e9 / (double)l->o.rate);
}

/* Start what can be started now; with a rate, set the timer for what cannot. */
static void start_due(struct load *l)
{
    while (l->free && l->started < l->o.requests) {
        uint64_t now = now_ns();
        if (l->o.rate && due(l, l->started) > now) {
            uint64_t at = due(l, l->started);
            struct itimerspec t = {
                .it_value = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)}};
            timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
            return;
        }
        start(l, l->o.rate ? due(l, l->started) : now);
    }
}

static void run(struct load *l)
{
    struct epoll_event events[256];
    l->start_ns = now_ns();
    while (l->done < l->o.requests) {
        start_due(l);
        if (l->done >= l->o.requests)
            break;
        int n = epoll_wait(l->epoll, events, 256, SILENCE_MS);
        if (n == 0) {
            l->errors += l->o.requests - l->done;
            l->why = l->why ? l->why : "silence";
            return;
        }
        for (int i = 0; i < n; i++) {
            uint64_t ticks;
            if (events[i].data.ptr)
                handle(l, events[i].data.ptr, events[i].events);
            else if (read(l->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
                perror("load: timer");
        }
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t quantile(const struct load *l, double q)
{
    return l->nlatency ? l->latency_us[(size_t)(q * (double)(l->nlatency - 1))] : 0;
}

static void report(struct load *l)
{
    double seconds = (double)(now_ns() - l->start_ns) * 1e-9;
    qsort(l->latency_us, l->nlatency, sizeof(*l->latency_us), by_size);
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.4f, \"p50_us\": %u, \"p90_us\": %u, "
           "\"p99_us\": %u, \"max_us\": %u, \"why\": \"%s\"}\n",
           (unsigned long long)l->o.requests, (unsigned long long)l->errors, seconds, quantile(l, 0.5),
           quantile(l, 0.9), quantile(l, 0.99), quantile(l, 1.0), l->why ? l->why : "");
    fflush(stdout);
}

static void hold(void)
{
    char c;
    printf("holding\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

static struct options parse(int argc, char **argv)
{
    static const struct option longs[] = {
        {"port", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'u'},
        {"expect", required_argument, NULL, 'e'},
        {"connections", required_argument, NULL, 'c'},
        {"requests", required_argument, NULL, 'n'},
        {"post", required_argument, NULL, 'd'},
        {"rate", required_argument, NULL, 'r'},
        {"close", no_argument, NULL, 'x'},
        {"hold", no_argument, NULL, 'h'},
        {"refused", no_argument, NULL, 'f'},
        {"keys", required_argument, NULL, 'k'},
        {"first", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.path = "/b/128", .expect = 128, .requests = 10000, .connections = 64};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'p')
            o.port = (uint16_t)atoi(optarg);
        else if (c == 'u')
            o.path = optarg;
        else if (c == 'e')
            o.expect = strtoull(optarg, NULL, 10);
        else if (c == 'c')
            o.connections = (unsigned)atoi(optarg);
        else if (c == 'n')
            o.requests = strtoull(optarg, NULL, 10);
        else if (c == 'd')
            o.post = strtoull(optarg, NULL, 10), o.has_post = true;
        else if (c == 'r')
            o.rate = strtoull(optarg, NULL, 10);
        else if (c == 'x')
            o.is_close = true;
        else if (c == 'f')
            o.is_refused = true;
        else if (c == 'k')
            o.keys = strtoull(optarg, NULL, 10);
        else if (c == 'i')
            o.first = strtoull(optarg, NULL, 10);
        else if (c == 'h')
            o.is_hold = true;
        else
            exit(2);
    }
    if (o.port == 0 || o.connections == 0) {
        fprintf(stderr, "load: --port and at least one connection are needed\n");
        exit(2);
    }
    return o;
}

static void build_head(struct load *l)
{
    char length[64] = "";
    if (l->o.has_post)
        snprintf(length, sizeof(length), "Content-Length: %llu\r\n", (unsigned long long)l->o.post);
    l->head_len = (size_t)snprintf(
        l->head, sizeof(l->head),
        "%s %s%s HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: load\r\nAccept: */*\r\n%s%s\r\n",
        l->o.has_post ? "POST" : "GET", l->o.path, l->o.keys ? KEY : "", length,
        l->o.is_close ? "Connection: close\r\n" : "");
    l->key = l->o.keys ? strstr(l->head, KEY) + 1 : NULL;
    if (l->head_len >= sizeof(l->head)) {
        fprintf(stderr, "load: the path is too long\n");
        exit(2);
    }
}

static void raise_file_limit(void)
{
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

int main(int argc, char **argv)
{
    static struct load l;
    l.o = parse(argc, argv);
    l.next_key = l.o.first;
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    pattern_init(&l.pattern);
    build_head(&l);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    l.conns = calloc(l.o.connections, sizeof(*l.conns));
    l.latency_us = calloc(l.o.requests + 1, sizeof(*l.latency_us));
    struct epoll_event ev = {.events = EPOLLIN};
    if (l.epoll < 0 || l.timer < 0 || !l.conns || !l.latency_us ||
        epoll_ctl(l.epoll, EPOLL_CTL_ADD, l.timer, &ev) != 0) {
        perror("load");
        return 1;
    }
    for (unsigned i = l.o.connections; i-- > 0;)
        release(&l, &l.conns[i]);
    run(&l);
    report(&l);
    if (l.o.is_hold)
        hold();
    return l.errors ? 1 : 0;
}
