/*
 * stream.c: one long transfer at a bounded rate, for watching how much memory a proxy takes meanwhile.
 *
 *     stream get PORT SIZE RATE SECONDS    GET /b/SIZE, reading RATE bytes a second
 *     stream put PORT SIZE RATE SECONDS    POST /slow/RATE of SIZE bytes, as fast as the proxy takes them
 *
 * Stops after SECONDS or when all has moved, whichever is first, and prints the bytes moved. The bytes of a
 * download are compared with the pattern (pattern.h). Exit 1: wrong bytes or a broken connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/pattern.h"

#define CHUNK 32768u

struct transfer {
    int fd;
    uint64_t size, rate, moved;
    double seconds;
    struct pattern pattern;
    unsigned char buf[CHUNK];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void dial(struct transfer *t, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_usec = 100000};
    int small = 65536;
    t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Small buffers here, so that what is not read waits in the proxy's care and not in the kernel's. */
    setsockopt(t->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (connect(t->fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        perror("stream: connect");
        exit(1);
    }
}

static void send_head(struct transfer *t, bool is_put)
{
    char head[256];
    int n = is_put
                ? snprintf(head, sizeof(head),
                           "POST /slow/%llu HTTP/1.1\r\nHost: bench.example\r\nContent-Length: %llu\r\n\r\n",
                           (unsigned long long)t->rate, (unsigned long long)t->size)
                : snprintf(head, sizeof(head), "GET /b/%llu HTTP/1.1\r\nHost: bench.example\r\n\r\n",
                           (unsigned long long)t->size);
    if (send(t->fd, head, (size_t)n, MSG_NOSIGNAL) != n) {
        perror("stream: send");
        exit(1);
    }
}

/* Read the answer's head, a byte at a time so that nothing of the body goes with it. */
static bool skip_head(struct transfer *t)
{
    unsigned matched = 0;
    double give_up = now() + 10;
    while (matched < 4 && now() < give_up) {
        char c;
        ssize_t n = recv(t->fd, &c, 1, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n == 1)
            matched = c == "\r\n\r\n"[matched] ? matched + 1 : c == '\r';
    }
    return matched == 4;
}

static bool get(struct transfer *t, double start)
{
    if (!skip_head(t))
        return false;
    while (t->moved < t->size && now() < start + t->seconds) {
        if ((double)t->moved > (now() - start) * (double)t->rate) {
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
            continue;
        }
        uint64_t left = t->size - t->moved;
        ssize_t n = recv(t->fd, t->buf, left < CHUNK ? (size_t)left : CHUNK, 0);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0 || memcmp(t->buf, pattern_at(&t->pattern, t->moved), (size_t)n) != 0)
            return false;
        t->moved += (uint64_t)n;
    }
    return true;
}

static bool put(struct transfer *t, double start)
{
    while (t->moved < t->size && now() < start + t->seconds) {
        uint64_t left = t->size - t->moved;
        ssize_t n =
            send(t->fd, pattern_at(&t->pattern, t->moved), left < CHUNK ? (size_t)left : CHUNK, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n > 0)
            t->moved += (uint64_t)n;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct transfer t;
    if (argc != 6) {
        fprintf(stderr, "usage: stream get|put PORT SIZE RATE SECONDS\n");
        return 2;
    }
    bool is_put = strcmp(argv[1], "put") == 0;
    t.size = strtoull(argv[3], NULL, 10);
    t.rate = strtoull(argv[4], NULL, 10);
    t.seconds = strtod(argv[5], NULL);
    pattern_init(&t.pattern);
    dial(&t, (uint16_t)atoi(argv[2]));
    send_head(&t, is_put);
    bool is_good = is_put ? put(&t, now()) : get(&t, now());
    printf("%llu\n", (unsigned long long)t.moved);
    close(t.fd);
    return is_good ? 0 : 1;
}
