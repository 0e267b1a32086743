/*
 * pace.c: requests at a steady rate to several gateways, counted by time. One thread, one epoll set.
 *
 *     pace --to PORT[=WEIGHT] ... --path P ... --rate R --seconds S [--keys K] [--connections N]
 *
 * The loop is open: request i is due at start + i/R whatever became of those before. When none of the N
 * connections to its gateway is free it waits, and that wait counts, since latency is measured from when it
 * was due. Gateways are asked in proportion to their weights, evenly mixed; paths take turns, and '%' in a
 * path stands for a number that goes round below K (0: for ever up).
 *
 * Times are those of CLOCK_MONOTONIC, which all processes of a machine share (Python's time.monotonic).
 * Prints JSON, a line each: {"start_ms"} at once; at the end what was answered in each slot of 100 ms from
 * there, by status, and how many of these said X-Cache: HIT; and last the totals. "failed": not answered, or
 * not properly; "seconds": from the first request to the last answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TARGETS_MAX 8
#define PATHS_MAX   8
#define HEAD_MAX    4096
#define STATUS_MAX  600
#define SLOT_NS     100000000u
#define PATIENCE_NS 15000000000u /* after the last was due; what is not answered then has failed */

struct conn {
    int fd; /* -1: closed */
    struct target *target;
    bool is_busy, is_last;
    uint64_t due_ns;
    size_t sent, head_len, left; /* left: bytes of the body to come */
    bool is_body;
    size_t out_len;
    char out[512], head[HEAD_MAX + 1];
    struct conn *next_free;
};

/* A gateway: its connections, and the requests that wait for one of them. */
struct target {
    uint16_t port;
    unsigned weight;
    long credit;
    struct conn *conns, *free;
    struct waiting {
        uint64_t due_ns, number;
    } * waiting;
    size_t first, end;
};

struct slot {
    uint32_t status[STATUS_MAX];
    uint32_t hits, failed, max_us;
};

struct pace {
    struct target targets[TARGETS_MAX];
    const char *paths[PATHS_MAX];
    unsigned ntargets, npaths, connections;
    uint64_t rate, keys, total;
    double seconds;
    int epoll, timer;
    uint64_t start_ns, begun, done, failed, last_ns;
    struct slot *slots;
    size_t nslots;
    uint32_t *latency_us;
    size_t nlatency;
    const char *why; /* the first failure */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct slot *slot_at(struct pace *p, uint64_t at_ns)
{
    size_t i = (at_ns - p->start_ns) / SLOT_NS;
    return &p->slots[i < p->nslots ? i : p->nslots - 1];
}

static void hang_up(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void release(struct conn *c)
{
    c->is_busy = false;
    c->next_free = c->target->free;
    c->target->free = c;
}

static void failed(struct pace *p, struct conn *c, const char *why)
{
    if (!p->why)
        p->why = why;
    p->failed++;
    p->done++;
    slot_at(p, now_ns())->failed++;
    hang_up(c);
    release(c);
}

static void answered(struct pace *p, struct conn *c)
{
    uint64_t now = now_ns();
    uint32_t us = (uint32_t)((now - c->due_ns) / 1000);
    struct slot *slot = slot_at(p, now);
    unsigned status = (unsigned)atoi(c->head + 9);
    slot->status[status < STATUS_MAX ? status : 0]++;
    slot->hits += strcasestr(c->head, "\r\nx-cache: hit") != NULL;
    slot->max_us = us > slot->max_us ? us : slot->max_us;
    p->latency_us[p->nlatency++] = us;
    p->last_ns = now;
    p->done++;
    if (c->is_last)
        hang_up(c);
    release(c);
}

static bool dial(struct pace *p, struct conn *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c->target->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    return (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS) &&
           epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->fd, &ev) == 0;
}

static void send_rest(struct pace *p, struct conn *c)
{
    while (c->sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->sent, c->out_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n < 0) {
            failed(p, c, "sending failed");
            return;
        }
        c->sent += (size_t)n;
    }
}

static void write_request(const struct pace *p, struct conn *c, uint64_t number)
{
    const char *path = p->paths[number % p->npaths];
    uint64_t key = number / p->npaths;
    const char *place = strchr(path, '%');
    char text[256];
    if (place)
        snprintf(text, sizeof(text), "%.*s%llu%s", (int)(place - path), path,
                 (unsigned long long)(p->keys ? key % p->keys : key), place + 1);
    else
        snprintf(text, sizeof(text), "%s", path);
    c->out_len = (size_t)snprintf(c->out, sizeof(c->out), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", text);
}

static void begin(struct pace *p, struct conn *c, const struct waiting *w)
{
    c->is_busy = true;
    c->is_body = c->is_last = false;
    c->sent = c->head_len = c->left = 0;
    c->due_ns = w->due_ns;
    write_request(p, c, w->number);
    if (c->fd < 0 && !dial(p, c))
        failed(p, c, "connecting failed");
    else
        send_rest(p, c);
}

static void begin_waiting(struct pace *p, struct target *t)
{
    while (t->free && t->first < t->end) {
        struct conn *c = t->free;
        t->free = c->next_free;
        begin(p, c, &t->waiting[t->first++]);
    }
}

/* The next gateway by smooth weighted round robin. */
static struct target *next_target(struct pace *p)
{
    struct target *best = p->targets;
    long sum = 0;
    for (unsigned i = 0; i < p->ntargets; i++) {
        struct target *t = &p->targets[i];
        t->credit += t->weight;
        sum += t->weight;
        if (t->credit > best->credit)
            best = t;
    }
    best->credit -= sum;
    return best;
}

static uint64_t due(const struct pace *p, uint64_t i)
{
    return p->start_ns + (uint64_t)((double)i * 1e9 / (double)p->rate);
}

static void begin_due(struct pace *p)
{
    while (p->begun < p->total && due(p, p->begun) <= now_ns()) {
        struct target *t = next_target(p);
        t->waiting[t->end++] = (struct waiting){due(p, p->begun), p->begun};
        p->begun++;
        begin_waiting(p, t);
    }
    uint64_t at = p->begun < p->total ? due(p, p->begun) : due(p, p->total) + PATIENCE_NS;
    struct itimerspec t = {
        .it_value = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)}};
    timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void take_body(struct pace *p, struct conn *c, size_t n)
{
    if (n > c->left) {
        failed(p, c, "more bytes than were announced");
        return;
    }
    c->left -= n;
    if (c->left == 0)
        answered(p, c);
}

/* More of the head of C has come. */
static void take_head(struct pace *p, struct conn *c)
{
    c->head[c->head_len] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (c->head_len == HEAD_MAX)
            failed(p, c, "endless head");
        return;
    }
    size_t more = c->head_len - (size_t)(end + 4 - c->head);
    end[2] = '\0';
    const char *length = strcasestr(c->head, "\r\ncontent-length: ");
    if (strncmp(c->head, "HTTP/1.1 ", 9) != 0 || !length) {
        failed(p, c, "an answer without a length");
        return;
    }
    c->left = strtoull(length + 18, NULL, 10);
    c->is_last = strcasestr(c->head, "\r\nconnection: close") != NULL;
    c->is_body = true;
    take_body(p, c, more);
}

static void receive(struct pace *p, struct conn *c)
{
    static char body[65536];
    while (c->fd >= 0) {
        bool is_head = c->is_busy && !c->is_body;
        ssize_t n = is_head ? recv(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len, 0)
                            : recv(c->fd, body, sizeof(body), 0);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (!c->is_busy) {
            hang_up(c); /* it was kept and has ended */
        } else if (n <= 0) {
            failed(p, c, n == 0 ? "closed before the end" : strerror(errno));
        } else if (is_head) {
            c->head_len += (size_t)n;
            take_head(p, c);
        } else {
            take_body(p, c, (size_t)n);
        }
    }
}

static void handle(struct pace *p, struct conn *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->is_busy && (events & EPOLLOUT))
        send_rest(p, c);
    if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(p, c);
    begin_waiting(p, c->target);
}

static void give_up(struct pace *p)
{
    for (unsigned i = 0; i < p->ntargets; i++) {
        struct target *t = &p->targets[i];
        p->failed += t->end - t->first;
        for (unsigned j = 0; j < p->connections; j++)
            if (t->conns[j].is_busy)
                failed(p, &t->conns[j], "no answer");
    }
}

static void run(struct pace *p)
{
    struct epoll_event events[256];
    begin_due(p);
    while (p->done < p->total) {
        int n = epoll_wait(p->epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            uint64_t ticks;
            if (events[i].data.ptr)
                handle(p, events[i].data.ptr, events[i].events);
            else if (read(p->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
                perror("pace: timer");
        }
        if (p->begun == p->total && now_ns() >= due(p, p->total) + PATIENCE_NS) {
            give_up(p);
            return;
        }
        begin_due(p);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t quantile(const struct pace *p, double q)
{
    return p->nlatency ? p->latency_us[(size_t)(q * (double)(p->nlatency - 1))] : 0;
}

static void report(struct pace *p)
{
    for (size_t i = 0; i < p->nslots; i++) {
        const struct slot *s = &p->slots[i];
        printf("{\"slot\": %zu, \"hits\": %u, \"failed\": %u, \"max_us\": %u, \"statuses\": {", i, s->hits,
               s->failed, s->max_us);
        const char *comma = "";
        for (unsigned j = 0; j < STATUS_MAX; j++) {
            if (s->status[j]) {
                printf("%s\"%u\": %u", comma, j, s->status[j]);
                comma = ", ";
            }
        }
        printf("}}\n");
    }
    qsort(p->latency_us, p->nlatency, sizeof(*p->latency_us), by_size);
    printf("{\"requests\": %llu, \"answered\": %zu, \"failed\": %llu, \"seconds\": %.4f, \"p50_us\": %u, "
           "\"p99_us\": %u, \"max_us\": %u, \"why\": \"%s\"}\n",
           (unsigned long long)p->total, p->nlatency, (unsigned long long)p->failed,
           p->last_ns ? (double)(p->last_ns - p->start_ns) * 1e-9 : 0.0, quantile(p, 0.5), quantile(p, 0.99),
           quantile(p, 1.0), p->why ? p->why : "");
}

static void parse(struct pace *p, int argc, char **argv)
{
    static const struct option longs[] = {
        {"to", required_argument, NULL, 't'},
        {"path", required_argument, NULL, 'u'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"keys", required_argument, NULL, 'k'},
        {"connections", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        const char *weight = optarg ? strchr(optarg, '=') : NULL;
        if (c == 't' && p->ntargets < TARGETS_MAX)
            p->targets[p->ntargets++] = (struct target){.port = (uint16_t)atoi(optarg),
                                                        .weight = weight ? (unsigned)atoi(weight + 1) : 1};
        else if (c == 'u' && p->npaths < PATHS_MAX)
            p->paths[p->npaths++] = optarg;
        else if (c == 'r')
            p->rate = strtoull(optarg, NULL, 10);
        else if (c == 's')
            p->seconds = atof(optarg);
        else if (c == 'k')
            p->keys = strtoull(optarg, NULL, 10);
        else if (c == 'c')
            p->connections = (unsigned)atoi(optarg);
        else
            exit(2);
    }
    p->total = (uint64_t)(p->seconds * (double)p->rate);
    if (!p->ntargets || !p->npaths || !p->total || !p->connections) {
        fprintf(stderr, "pace: --to, --path, --rate and --seconds are needed\n");
        exit(2);
    }
}

static void *must(void *memory)
{
    if (!memory) {
        perror("pace");
        exit(1);
    }
    return memory;
}

static void make_target(struct pace *p, struct target *t)
{
    t->conns = must(calloc(p->connections, sizeof(*t->conns)));
    t->waiting = must(calloc(p->total, sizeof(*t->waiting)));
    for (unsigned i = p->connections; i-- > 0;) {
        t->conns[i].fd = -1;
        t->conns[i].target = t;
        release(&t->conns[i]);
    }
}

int main(int argc, char **argv)
{
    static struct pace p = {.connections = 16};
    parse(&p, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    p.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    if (p.epoll < 0 || p.timer < 0 || epoll_ctl(p.epoll, EPOLL_CTL_ADD, p.timer, &ev) != 0) {
        perror("pace");
        return 1;
    }
    p.nslots = (size_t)((p.seconds * 1e9 + (double)PATIENCE_NS) / SLOT_NS) + 2;
    p.slots = must(calloc(p.nslots, sizeof(*p.slots)));
    p.latency_us = must(calloc(p.total, sizeof(*p.latency_us)));
    for (unsigned i = 0; i < p.ntargets; i++)
        make_target(&p, &p.targets[i]);
    p.start_ns = now_ns();
    printf("{\"start_ms\": %.3f}\n", (double)p.start_ns * 1e-6);
    fflush(stdout);
    run(&p);
    report(&p);
    return 0;
}
