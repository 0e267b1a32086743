/*
 * test_raw_head.c: hostile and good heads through the real library, judged by http1_raw_head_check and
 * http1_request_check as the front end does.
 *
 * A daemon without threads is run by hand between portions of what a client sends, so nothing waits and
 * nothing races. Every head goes in at once and in small portions. Refused means: the library itself answered
 * or closed, or a check said no; then the connection is closed and nothing behind the head may have been
 * taken for another request.
 */
#include "lib/http1.h"

#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define FIELDS     256
#define NOT_CALLED ((enum http1_fault)1000) /* the library refused it itself */
#define HAS_RAW    (MHD_VERSION < 0x00097600)
#define ROUNDS_MAX 2000
#define TURN_MS    10

/* What the handler saw of one connection. */
struct probe {
    struct MHD_Daemon *daemon;
    char target[4096];
    size_t target_len;
    unsigned calls; /* heads that reached the handler */
    unsigned accepted;
    enum http1_fault raw;   /* of the first head */
    enum http1_fault check; /* of the first head; only when the raw check was content */
    struct http_field fields[FIELDS];
    size_t nfields;
    char reply[65536];
    size_t reply_len;
};

static struct probe probe;

static void *on_target(void *ctx, const char *uri, struct MHD_Connection *c)
{
    struct probe *p = ctx;
    (void)c;
    p->target_len = uri ? strlen(uri) : 0;
    if (p->target_len >= sizeof(p->target))
        p->target_len = 0;
    memcpy(p->target, uri ? uri : "", p->target_len);
    return NULL;
}

static size_t no_unescape(void *ctx, struct MHD_Connection *c, char *s)
{
    (void)ctx, (void)c;
    return strlen(s);
}

static enum MHD_Result on_field(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                const char *value, size_t value_len)
{
    struct probe *p = ctx;
    (void)kind;
    if (p->nfields < FIELDS)
        p->fields[p->nfields++] = (struct http_field){{name, name_len}, {value, value_len}};
    return MHD_YES;
}

static enum http1_fault judge_raw(struct probe *p, struct MHD_Connection *c, const char *method,
                                  const char *version)
{
#if HAS_RAW
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const struct http1_raw_head head = {
        method, info->header_size, version, p->target_len, {p->fields, p->nfields}};
    return http1_raw_head_check(&head);
#else
    (void)p, (void)c, (void)method, (void)version;
    return HTTP1_OK;
#endif
}

static enum http1_fault judge(struct probe *p, struct MHD_Connection *c, const char *method,
                              const char *version)
{
    enum http1_fault raw, check = HTTP1_OK;
    struct http1_request r;
    p->nfields = 0;
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, on_field, p);
    raw = judge_raw(p, c, method, version);
    if (raw == HTTP1_OK) {
        const struct http1_request_check_in in = {
            slice_of(method), {p->target, p->target_len}, slice_of(version), {p->fields, p->nfields}, FIELDS};
        check = http1_request_check(&in, &r);
    }
    if (p->calls++ == 0) {
        p->raw = raw;
        p->check = check;
    }
    return raw != HTTP1_OK ? raw : check;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (status != 200)
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **seen)
{
    struct probe *p = ctx;
    (void)url, (void)upload;
    if (!*seen) {
        *seen = p;
        if (judge(p, c, method, version) != HTTP1_OK)
            return answer(c, 400);
        p->accepted++;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    return answer(c, 200);
}

static void no_log(void *ctx, const char *fmt, va_list ap)
{
    (void)ctx, (void)fmt, (void)ap;
}

static void start(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(&probe, 0, sizeof(probe));
    probe.raw = probe.check = NOT_CALLED;
    probe.daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, &probe, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL,
        MHD_OPTION_SOCK_ADDR, &sin, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, &probe, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
#if MHD_VERSION >= 0x01000000
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, /* as gateway/httpd.c */
#else
        MHD_OPTION_STRICT_FOR_CLIENT, 0,
#endif
        MHD_OPTION_END);
    ck_assert_ptr_nonnull(probe.daemon);
}

static int dial(void)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(probe.daemon, MHD_DAEMON_INFO_BIND_PORT);
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(info->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    return fd;
}

/* True when the daemon has closed the connection. */
static bool take_reply(int fd)
{
    for (;;) {
        ssize_t n =
            recv(fd, probe.reply + probe.reply_len, sizeof(probe.reply) - 1 - probe.reply_len, MSG_DONTWAIT);
        if (n <= 0)
            return n == 0 || errno != EAGAIN;
        probe.reply_len += (size_t)n;
    }
}

/* Send TEXT in portions, close our half, and run the daemon until it closes its own. */
static void talk(struct slice text, size_t portion)
{
    bool closed = false;
    start();
    int fd = dial();
    for (size_t at = 0, n; at < text.len && !closed; at += n) {
        n = portion < text.len - at ? portion : text.len - at;
        if (send(fd, text.p + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        MHD_run(probe.daemon);
        MHD_run(probe.daemon);
        closed = take_reply(fd);
    }
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < ROUNDS_MAX && !closed; i++) {
        MHD_run_wait(probe.daemon, TURN_MS);
        closed = take_reply(fd);
    }
    close(fd);
    MHD_stop_daemon(probe.daemon);
    ck_assert_msg(closed, "not closed after %u requests in portions of %zu: %s", probe.calls, portion,
                  text.p);
}

static size_t count_replies(const char *status_line)
{
    size_t n = 0;
    for (const char *p = probe.reply; (p = strstr(p, status_line)); p++)
        n++;
    return n;
}

/* ---- good ones ---- */

static const struct good_case {
    struct slice text;
    unsigned requests;
    size_t nfields; /* of the last */
} good[] = {
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1, 1},
    {SLICE("GET / HTTP/1.0\r\n\r\n"), 1, 0},
    {SLICE("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1, 1},
    {SLICE("GET /a?b=c&d=e+f&&g&=&h=%00%3D HTTP/1.1\r\nHost:a\r\n\r\n"), 1, 1},
    {SLICE("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"), 1, 1},
    {SLICE("GET /?? HTTP/1.1\r\nHost: a\r\n\r\n"), 1, 1},
    {SLICE("GET /a%20b/../%2e HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Blank: \t \r\nTrailing: a\tb \t\r\n\r\n"),
     1, 4},
    {SLICE("GET http://a/b HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=\"d\"\r\nCookie: e\r\nObs: \xE4\r\n\r\n"), 1,
     4},
    {SLICE("PROPFIND / HTTP/1.1\r\nHost: a\r\nA: :b: c\r\n!#$%&'*+-.^_`|~: x\r\n\r\n"), 1, 3},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), 1, 2},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: r\r\n\r\n"),
     1, 2},
#if !HAS_RAW
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 1, 2},
#endif
    {SLICE("GET /1?x=y HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
           "GET /3 HTTP/1.1\r\nHost: a\r\nA: b\r\nConnection: close\r\n\r\n"),
     3, 3},
};

START_TEST(takes_good_heads)
{
    const struct good_case *c = &good[_i];
    static const size_t portions[] = {65536, 1, 7};
    for (size_t i = 0; i < COUNT(portions); i++) {
        talk(c->text, portions[i]);
        ck_assert_msg(probe.raw == HTTP1_OK, "%s: %s", c->text.p, http1_fault_text(probe.raw));
        ck_assert_msg(probe.check == HTTP1_OK, "%s: %s", c->text.p, http1_fault_text(probe.check));
        ck_assert_msg(probe.calls == c->requests && probe.accepted == c->requests, "%s: %u", c->text.p,
                      probe.calls);
        ck_assert_uint_eq(probe.nfields, c->nfields);
        ck_assert_uint_eq(count_replies("HTTP/1.1 200") + count_replies("HTTP/1.0 200"), c->requests);
    }
}
END_TEST

/* The library's buffer grows while the head comes; the head must still lie in one piece. */
START_TEST(takes_large_heads)
{
    static char text[20000];
    static const size_t portions[] = {65536, 1000};
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_add(&b, SLICE("GET /?"));
    for (int i = 0; i < 60; i++)
        buf_add(&b, SLICE("k=v&"));
    buf_add(&b, SLICE(" HTTP/1.1\r\nHost: a\r\n"));
    for (int i = 0; i < 100; i++)
        buf_add(&b, SLICE("X-Some-Field-Name: some value that is longer\r\n"));
    buf_add(&b, SLICE("X: "));
    for (int i = 0; i < 6000; i++)
        buf_add(&b, SLICE("x"));
    buf_add(&b, SLICE("\r\n\r\n"));
    for (size_t i = 0; i < COUNT(portions); i++) {
        talk(buf_slice(&b), portions[i]);
        ck_assert_msg(probe.accepted == 1, "%s %s", http1_fault_text(probe.raw), probe.reply);
        ck_assert_uint_eq(probe.nfields, 102);
    }
}
END_TEST

/* ---- hostile ones ---- */

#define NEXT "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

/* RAW and CHECK are what version 0.9.75 comes to; others may refuse earlier. */
static const struct bad_case {
    struct slice text;
    enum http1_fault raw, check;
} bad[] = {
    /* folded lines */
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-\r\n Length: 5\r\n\r\nhello" NEXT), NOT_CALLED, NOT_CALLED},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n" NEXT), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-: 5\r\n\tLength\r\n\r\n" NEXT), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n \r\n\r\n"), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"), HTTP1_FOLDED, HTTP1_OK},
    /* line ends */
    {SLICE("GET / HTTP/1.1\nHost: a\r\n\r\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\nHost: a\n\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\n\r\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\n\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"), HTTP1_BAD_VALUE, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), HTTP1_BAD_VALUE, HTTP1_OK},
    {SLICE("GET / HTTP/1.0\n\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    /* lines that end the head for the library */
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n:x\r\n" NEXT), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n: x\r\nContent-Length: 9\r\n\r\n" NEXT), HTTP1_PARSED_WRONGLY,
     HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\n:x\r\nHost: a\r\n\r\n"), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\0x: y\r\n" NEXT), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\0\r\n" NEXT), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\n\0\r\n" NEXT), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    /* NUL elsewhere */
    {SLICE("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n"), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\0\0\r\n\r\n"), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\0\0X: y\r\n\r\n"), HTTP1_PARSED_WRONGLY, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: \0a\r\n\r\n"), HTTP1_BAD_LINE_END, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    {SLICE("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET, HTTP1_OK},
    {SLICE("GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET, HTTP1_OK},
    {SLICE("GET /a?b=c\0d HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET, HTTP1_OK},
    {SLICE("GET /a\0HTTP/1.1\0\0Host?a&& HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET, HTTP1_OK},
    {SLICE("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET, HTTP1_OK},
    /* the request line */
    {SLICE("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET, HTTP1_OK},
    {SLICE("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_OK, HTTP1_BAD_TARGET},
    {SLICE("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_OK, HTTP1_BAD_TARGET},
    {SLICE("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    {SLICE("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    {SLICE("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION, HTTP1_OK},
    {SLICE("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    {SLICE("GET /\r\nHost: a\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    {SLICE("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_METHOD, HTTP1_OK},
    {SLICE(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    /* names and values */
    {SLICE("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n"), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n"), HTTP1_BAD_NAME, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"), NOT_CALLED, NOT_CALLED},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: a\x1B\r\n\r\n"), HTTP1_BAD_VALUE, HTTP1_OK},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n(: x\r\n\r\n"), HTTP1_BAD_NAME, HTTP1_OK},
    /* framing and Host */
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), HTTP1_OK,
     HTTP1_BAD_LENGTH},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), HTTP1_OK,
     HTTP1_BAD_LENGTH},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     HTTP1_OK, HTTP1_TWO_FRAMINGS},
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), HTTP1_OK,
     HTTP1_BAD_CODING},
/* The blank is no part of the value; this version takes it for one, and would read until the end. */
#if HAS_RAW
    {SLICE("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\n"), HTTP1_OK,
     HTTP1_BAD_CODING},
#endif
    {SLICE("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), HTTP1_OK,
     HTTP1_BAD_CODING},
    {SLICE("GET / HTTP/1.1\r\n\r\n"), HTTP1_OK, HTTP1_BAD_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), HTTP1_OK, HTTP1_BAD_HOST},
};

START_TEST(refuses_hostile_heads)
{
    const struct bad_case *c = &bad[_i];
    static const size_t portions[] = {65536, 1, 5};
    for (size_t i = 0; i < COUNT(portions); i++) {
        talk(c->text, portions[i]);
        ck_assert_msg(probe.accepted == 0, "accepted: %s", c->text.p);
        ck_assert_msg(probe.calls <= 1, "%u requests in: %s", probe.calls, c->text.p);
        ck_assert_msg(count_replies("HTTP/1.1 200") == 0, "%s", c->text.p);
        if (HAS_RAW) {
            ck_assert_msg(probe.raw == c->raw, "%s: raw %u, %s", c->text.p, probe.raw,
                          http1_fault_text(probe.raw));
            ck_assert_msg(probe.check == c->check, "%s: %s", c->text.p, http1_fault_text(probe.check));
        }
    }
}
END_TEST

/* ---- the walk itself, without the library ---- */

/* A head as the library leaves it, and lists that are not what is in it. */
START_TEST(compares_with_the_list)
{
    static const char raw[] = "GET\0/a\0HTTP/1.1\0\0A\0 b\0\0C\0\0\0\0";
    const char *line = raw + 17;
    struct http_field f[3] = {
        {{line, 1}, {line + 3, 1}}, {{line + 6, 1}, {line + 8, 0}}, {{line, 1}, {line + 3, 1}}};
    struct http1_raw_head head = {raw, sizeof(raw) - 1 + 1, raw + 7, 2, {f, 2}};
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_OK);
    for (size_t len = 0; len < head.len; len++) {
        struct http1_raw_head cut = head;
        cut.len = len;
        ck_assert_msg(http1_raw_head_check(&cut) != HTTP1_OK, "%zu bytes", len);
    }
    struct http1_raw_head other = head;
    other.fields.n = 1;
    ck_assert_int_eq(http1_raw_head_check(&other), HTTP1_PARSED_WRONGLY);
    other.fields.n = 3;
    ck_assert_int_ne(http1_raw_head_check(&other), HTTP1_OK);
    other = head;
    other.target_len = 1;
    ck_assert_int_eq(http1_raw_head_check(&other), HTTP1_BAD_TARGET);
    other.target_len = SIZE_MAX;
    ck_assert_int_eq(http1_raw_head_check(&other), HTTP1_BAD_TARGET);
    other = head;
    other.version++;
    ck_assert_int_eq(http1_raw_head_check(&other), HTTP1_BAD_TARGET);
    const struct slice good_value = f[0].value, good_name = f[1].name;
    f[0].value = (struct slice){"b", 1};
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_PARSED_WRONGLY);
    f[0].value = (struct slice){good_value.p, 0};
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_PARSED_WRONGLY);
    f[0].value = good_value;
    f[1].name = f[0].name;
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_PARSED_WRONGLY);
    f[1].name = (struct slice){good_name.p, 2};
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_PARSED_WRONGLY);
    f[1].name = good_name;
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_OK);
    static const char no_target[] = "GET\0\0HTTP/1.0\0\0\0";
    head = (struct http1_raw_head){no_target, sizeof(no_target), no_target + 5, 0, {f, 0}};
    ck_assert_int_eq(http1_raw_head_check(&head), HTTP1_BAD_TARGET);
}
END_TEST

static Suite *raw_head_suite(void)
{
    Suite *s = suite_create("raw_head");
    TCase *t = tcase_create("raw_head");
    tcase_add_loop_test(t, takes_good_heads, 0, COUNT(good));
    tcase_add_test(t, takes_large_heads);
    tcase_add_loop_test(t, refuses_hostile_heads, 0, COUNT(bad));
    tcase_add_test(t, compares_with_the_list);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(raw_head_suite)
