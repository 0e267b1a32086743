/*
 * origin.c: see origin.h.
 *
 * The descriptors of open connections stand in a table under a mutex, which exists for
 * origin_close_connections: it shuts them down from outside, and their threads see the end and leave. A
 * thread takes its row out before it closes the descriptor, so no foreign descriptor is ever shut down.
 */
#include "tests/soak/origin.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/wire.h"

#define PORTS_MAX       8
#define CONNECTIONS_MAX 4096

struct origin {
    struct tally *tally;
    unsigned nports;
    int listeners[PORTS_MAX];
    pthread_t acceptors[PORTS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t all_gone;
    unsigned nopen;
    int open[CONNECTIONS_MAX]; /* descriptor, 0: free row */
};

struct visit { /* one connection */
    struct origin *origin;
    unsigned row;
    bool ends_with_reset;
    struct wire wire;
    struct head head;
};

/* One request as the origin sees it. */
struct request {
    uint64_t id, seed, size;
    char method[16];
    struct order order;
    struct body body;
    char verdict[96];
};

static bool register_connection(struct origin *o, int fd, unsigned *row)
{
    pthread_mutex_lock(&o->lock);
    for (*row = 0; *row < CONNECTIONS_MAX && o->open[*row]; ++*row)
        ;
    bool has_room = *row < CONNECTIONS_MAX;
    if (has_room) {
        o->open[*row] = fd;
        o->nopen++;
    }
    pthread_mutex_unlock(&o->lock);
    return has_room;
}

static void unregister_connection(struct origin *o, unsigned row)
{
    pthread_mutex_lock(&o->lock);
    o->open[row] = 0;
    if (--o->nopen == 0)
        pthread_cond_broadcast(&o->all_gone);
    pthread_mutex_unlock(&o->lock);
}

static void wrong(struct request *q, const char *what)
{
    if (strcmp(q->verdict, "ok") == 0)
        snprintf(q->verdict, sizeof(q->verdict), "%s", what);
}

static uint64_t number(const struct head *h, const char *name)
{
    char value[32] = "";
    head_field(h, name, value, sizeof(value));
    return strtoull(value, NULL, 10);
}

static void check_filler(struct request *q, const struct head *h)
{
    char got[2050] = "", expected[2048], path[64];
    plan_filler(q->seed, expected, sizeof(expected));
    if (head_field(h, "X-Filler", got, sizeof(got)) != 1 || got[0] != 'f' || strcmp(got + 1, expected) != 0)
        wrong(q, "filler differs");
    snprintf(path, sizeof(path), " /soak/%" PRIu64 "?q=", q->id);
    if (!strstr(h->text, path))
        wrong(q, "path differs");
}

/* Understand the head. False: it is none of ours, and there is no answer that would tell. */
static bool understand(struct request *q, const struct head *h)
{
    char order[256];
    memset(q, 0, sizeof(*q));
    snprintf(q->verdict, sizeof(q->verdict), "ok");
    snprintf(q->method, sizeof(q->method), "%.*s", (int)strcspn(h->text, " "), h->text);
    q->id = number(h, "X-Id");
    q->seed = number(h, "X-Seed");
    q->size = number(h, "X-Size");
    if (head_field(h, "X-Do", order, sizeof(order)) != 1 || !plan_read_order(&q->order, order))
        return false;
    if (number(h, "X-Check") != plan_check(q->method, q->id, q->size, order))
        wrong(q, "header fields or method are mixed up");
    check_filler(q, h);
    if (!head_framing(h, &q->body.framing, &q->body.size, NO_BODY))
        wrong(q, "contradictory framing");
    q->body.seed = q->seed;
    return true;
}

/* Read the request's body and judge it. False: it did not come to its end. */
static bool read_body(struct visit *v, struct request *q)
{
    enum wire_result r = wire_read_body(&v->wire, &q->body);
    if (r == WIRE_NONSENSE)
        wrong(q, "bad chunks");
    else if (r != WIRE_OK)
        return false;
    if (q->body.moved != q->size)
        wrong(q, "body is complete but of another size");
    if (q->body.is_wrong)
        wrong(q, "body or trailer differs");
    tally_add(v->origin->tally, TALLY_BYTES_UP, q->body.moved);
    tally_add(v->origin->tally, TALLY_TRAILERS_UP, q->body.got_trailers);
    return r == WIRE_OK;
}

/* The client may be gone and never see the verdict, so what is wrong is told here as well. */
static void report(const struct visit *v, const struct request *q)
{
    if (strcmp(q->verdict, "ok") != 0)
        tally_fail_at_origin(v->origin->tally, q->id, q->verdict);
}

static void sleep_ms(unsigned ms)
{
    if (ms)
        nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

static bool send_interim(struct wire *w, unsigned n)
{
    static const char hint[] = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    while (n-- > 0)
        if (!wire_send(w, hint, sizeof(hint) - 1, false))
            return false;
    return true;
}

static size_t write_head(const struct request *q, bool is_last, char *out, size_t size)
{
    char filler[2048], framing[96] = "";
    const struct order *o = &q->order;
    plan_filler(o->seed, filler, sizeof(filler));
    if (o->status == 204)
        ;
    else if (o->framing == LENGTH)
        snprintf(framing, sizeof(framing), "Content-Length: %" PRIu64 "\r\n", o->size);
    else if (o->framing == CHUNKED && o->status != 304)
        snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n%s",
                 o->has_trailers ? "Trailer: X-Trail\r\n" : "");
    return (size_t)snprintf(
        out, size, "HTTP/1.1 %d Soaked\r\nX-Id: %" PRIu64 "\r\nX-Verdict: %s\r\nX-Filler: f%s\r\n%s%s\r\n",
        o->status, q->id, q->verdict, filler, framing, is_last ? "Connection: close\r\n" : "");
}

/* Answer as ordered. True: the connection may serve another request. */
static bool answer(struct visit *v, struct request *q)
{
    const struct order *o = &q->order;
    char head[HEAD_MAX];
    bool has_body = plan_has_answer_body(q->method, o->status);
    bool is_last =
        o->after == SAY_CLOSE || o->fault == EARLY_CLOSE || (has_body && o->framing == UNTIL_CLOSE);
    size_t n = write_head(q, is_last, head, sizeof(head));
    sleep_ms(o->delay_ms);
    if (!send_interim(&v->wire, o->interim))
        return false;
    if (o->fault == CUT_HEAD)
        n = n * 2 / 3;
    if (!wire_send(&v->wire, head, n, o->is_slow) || o->fault == CUT_HEAD)
        return false;
    struct body b = {.framing = o->framing,
                     .size = o->size,
                     .seed = o->seed,
                     .is_slow = o->is_slow,
                     .has_trailers = o->has_trailers,
                     .has_stop = o->fault == CUT_BODY,
                     .stop_at = o->cut_at};
    if (has_body && wire_send_body(&v->wire, &b) != WIRE_OK)
        return false;
    return !is_last;
}

static bool answer_early(struct visit *v, struct request *q)
{
    if (strcmp(q->verdict, "ok") == 0)
        snprintf(q->verdict, sizeof(q->verdict), "early");
    if (!answer(v, q) || q->order.fault == EARLY_CLOSE)
        return false;
    snprintf(q->verdict, sizeof(q->verdict), "ok");
    bool is_whole = read_body(v, q);
    report(v, q);
    return is_whole;
}

static bool ask_for_body(struct visit *v)
{
    char expect[32];
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    return head_field(&v->head, "Expect", expect, sizeof(expect)) == 0 ||
           wire_send(&v->wire, go_on, sizeof(go_on) - 1, false);
}

static void note_arrival(struct visit *v, struct request *q)
{
    unsigned times = tally_reached(v->origin->tally, q->id);
    if (times == 0)
        wrong(q, "no such request");
    else if (times > 1 && !plan_is_idempotent(q->method))
        wrong(q, "reached the origin twice though it is not idempotent");
    else if (times > 1 && times > v->origin->tally->repeats_max)
        wrong(q, "reached the origin too often");
    else if (times == 2)
        tally_add(v->origin->tally, TALLY_REPEATED, 1);
}

/* One request. True: the connection may serve another. */
static bool serve_one(struct visit *v)
{
    struct request q;
    if (wire_read_head(&v->wire, &v->head) != WIRE_OK)
        return false;
    if (!understand(&q, &v->head)) {
        tally_fail_at_origin(v->origin->tally, q.id, "X-Do is missing or damaged");
        static const char lost[] = "HTTP/1.1 400 Not Ours\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        wire_send(&v->wire, lost, sizeof(lost) - 1, false);
        return false;
    }
    note_arrival(v, &q);
    if (q.order.fault == EARLY_KEEP || q.order.fault == EARLY_CLOSE)
        return answer_early(v, &q);
    if (!ask_for_body(v) || !read_body(v, &q)) {
        report(v, &q);
        return false;
    }
    report(v, &q);
    bool may_go_on = q.order.fault != NO_ANSWER && answer(v, &q);
    if (may_go_on && q.order.after == DROP) {
        tally_add(v->origin->tally, TALLY_DROPPED, 1);
        return false;
    }
    v->ends_with_reset = q.order.fault != NO_FAULT && q.order.is_reset;
    return may_go_on;
}

static void *serve(void *arg)
{
    struct visit *v = arg;
    struct origin *o = v->origin;
    while (serve_one(v))
        ;
    unregister_connection(o, v->row);
    wire_close(&v->wire, v->ends_with_reset);
    free(v);
    return NULL;
}

static void start_visit(struct origin *o, int fd)
{
    pthread_t thread;
    struct visit *v = malloc(sizeof(*v));
    if (!v || !register_connection(o, fd, &v->row)) {
        close(fd);
        free(v);
        return;
    }
    v->origin = o;
    v->ends_with_reset = false;
    wire_init(&v->wire, fd);
    /* A proxy may keep a connection for long before it is used: only the client watches the time. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 600}, sizeof(struct timeval));
    if (pthread_create(&thread, NULL, serve, v) != 0) {
        perror("soak: origin thread");
        exit(2);
    }
    pthread_detach(thread);
}

struct acceptor {
    struct origin *origin;
    int listener;
};

static void *accept_all(void *arg)
{
    struct acceptor a = *(struct acceptor *)arg;
    free(arg);
    for (int fd; (fd = accept4(a.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        start_visit(a.origin, fd);
    return NULL;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1024) == 0)
        return fd;
    close(fd);
    return -1;
}

struct origin *origin_start(const uint16_t *ports, unsigned nports, struct tally *tally)
{
    struct origin *o = calloc(1, sizeof(*o));
    if (!o || nports > PORTS_MAX)
        return NULL;
    o->tally = tally;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->all_gone, NULL);
    for (o->nports = 0; o->nports < nports; o->nports++) {
        struct acceptor *a = malloc(sizeof(*a));
        o->listeners[o->nports] = listen_on(ports[o->nports]);
        if (!a || o->listeners[o->nports] < 0)
            return NULL; /* the program ends */
        *a = (struct acceptor){o, o->listeners[o->nports]};
        if (pthread_create(&o->acceptors[o->nports], NULL, accept_all, a) != 0)
            return NULL;
    }
    return o;
}

void origin_close_connections(struct origin *o)
{
    pthread_mutex_lock(&o->lock);
    for (unsigned row = 0; row < CONNECTIONS_MAX; row++)
        if (o->open[row])
            shutdown(o->open[row], SHUT_RDWR);
    while (o->nopen > 0)
        pthread_cond_wait(&o->all_gone, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

void origin_stop(struct origin *o)
{
    for (unsigned i = 0; i < o->nports; i++) {
        shutdown(o->listeners[i], SHUT_RDWR);
        pthread_join(o->acceptors[i], NULL);
        close(o->listeners[i]);
    }
    origin_close_connections(o);
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->all_gone);
    free(o);
}
