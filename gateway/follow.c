/* follow.c: see follow.h. */
#include "gateway/follow.h"

#include <cjson/cJSON.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/admin_client.h"
#include "gateway/command.h"
#include "lib/clock.h"
#include "lib/printable.h"

#define EVENT_MAX    (256 * 1024)
#define LINE_MAX_LEN (6 * EVENT_MAX + 256) /* every byte escaped, and what is around it */
#define FILTERS_MAX  32
#define PATH_MAX_LEN 8192
#define RETRY_MS     1000
#define WAIT_MS      1000

#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define GREEN  "\033[32m"
#define DIM    "\033[2m"
#define RESET  "\033[0m"

/* ---- lines ---- */

static void add_text(struct buf *b, const cJSON *j, const char *name, const char *before)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, name));
    if (!text || !*text)
        return;
    buf_add(b, slice_of(before));
    printable_add(b, slice_of(text));
}

static void add_color(struct buf *b, const struct follow_style *style, const char *color)
{
    if (style->has_color)
        buf_add(b, slice_of(color));
}

static double number_of(const cJSON *j, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(j, name));
}

/* Of "2026-11-23T13:01:00.123456Z" the time, to the millisecond. */
static void add_time(struct buf *b, const cJSON *j)
{
    struct slice time = slice_of(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "time")));
    ptrdiff_t t = slice_find(time, 'T');
    time = t >= 0 ? slice_skip(time, (size_t)t + 1) : time;
    printable_add(b, (struct slice){time.p, time.len < 12 ? time.len : 12});
    buf_add_char(b, ' ');
}

static void add_status(struct buf *b, const cJSON *j, const struct follow_style *style)
{
    double status = number_of(j, "status");
    add_color(b, style, status >= 500 ? RED : status >= 400 ? YELLOW : GREEN);
    if (status >= 100 && status <= 999)
        buf_printf(b, "%.0f", status);
    else
        buf_add(b, SLICE("---"));
    add_color(b, style, RESET);
}

static void add_request(struct buf *b, const cJSON *j, const struct follow_style *style)
{
    double ms = number_of(j, "duration_ms"), retries = number_of(j, "retries");
    add_time(b, j);
    add_status(b, j, style);
    add_text(b, j, "method", " ");
    buf_add_char(b, ' ');
    add_text(b, j, "host", "");
    add_text(b, j, "path", "");
    add_text(b, j, "query", "?");
    if (isfinite(ms) && ms >= 0 && ms < 1e9)
        buf_printf(b, " %.1fms", ms);
    add_color(b, style, DIM);
    add_text(b, j, "route", " route=");
    add_text(b, j, "upstream_addr", " server=");
    add_text(b, j, "cache", " cache=");
    if (retries > 0 && retries < 1e6)
        buf_printf(b, " retries=%.0f", retries);
    add_text(b, j, "client_ip", " client=");
    add_text(b, j, "request_id", " id=");
    add_color(b, style, RESET);
    if (cJSON_HasObjectItem(j, "reason"))
        add_color(b, style, RED);
    add_text(b, j, "reason", " ");
    add_text(b, j, "error", ": ");
    add_color(b, style, RESET);
}

static void add_log(struct buf *b, const cJSON *j, const struct follow_style *style)
{
    add_time(b, j);
    add_color(b, style, YELLOW);
    add_text(b, j, "level", "");
    add_text(b, j, "message", ": ");
    add_color(b, style, RESET);
}

/* JSON again, with escapes for what a terminal would obey: control characters, those above ASCII too. */
static void add_json(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i], next = i + 1 < s.len ? (unsigned char)s.p[i + 1] : 0;
        bool is_high = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        if (c >= 0x20 && c != 0x7f && !is_high) {
            buf_add_char(b, (char)c);
            continue;
        }
        buf_add(b, SLICE("\\u"));
        buf_add_hex(b, is_high ? next : c, 4);
        i += is_high;
    }
}

static void add_event(struct buf *b, const struct sse_event *e, const struct follow_style *style)
{
    cJSON *j = e->data.len > 0 ? cJSON_ParseWithLength(e->data.p, e->data.len) : NULL;
    bool is_request = slice_eq(e->type, SLICE("request")), is_log = slice_eq(e->type, SLICE("log"));
    if (cJSON_IsObject(j) && is_request) {
        add_request(b, j, style);
    } else if (slice_eq(e->type, SLICE("dropped")) && number_of(j, "count") > 0) {
        buf_printf(b, "(%.0f events were left out)", fmin(number_of(j, "count"), 1e15));
    } else if (cJSON_IsObject(j) && is_log) {
        add_log(b, j, style);
    } else {
        if (!is_request && !is_log) {
            printable_add(b, e->type);
            buf_add(b, SLICE(": "));
        }
        printable_add(b, e->data);
    }
    cJSON_Delete(j);
}

void follow_render(struct buf *b, const struct sse_event *e, const struct follow_style *style)
{
    struct buf line = *b;
    line.cap -= line.cap > line.len; /* for the line feed */
    if (style->is_json)
        add_json(&line, e->data);
    else
        add_event(&line, e, style);
    b->len = line.len;
    buf_add_char(b, '\n');
}

/* ---- options ---- */

static bool is_filter(struct slice name)
{
    static const char *const names[] = {"request", "trace",  "route", "backend", "status",
                                        "min_ms",  "method", "path",  "client"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_eq(name, slice_of(names[i])))
            return true;
    return false;
}

bool follow_path(struct buf *b, char *const *filters, size_t n)
{
    buf_add(b, SLICE("/log"));
    for (size_t i = 0; i < n; i++) {
        struct slice s = slice_of(filters[i]);
        ptrdiff_t equals = slice_find(s, '=');
        struct slice name = {s.p, equals > 0 ? (size_t)equals : 0};
        buf_add_char(b, i > 0 ? '&' : '?');
        if (!is_filter(name) || !admin_add_parameter(b, name, slice_skip(s, name.len + 1)))
            return false;
    }
    return !b->failed;
}

struct follow {
    struct admin_ask ask;
    struct follow_style style;
    char *filters[FILTERS_MAX];
    size_t nfilters;
    struct admin_target target;
    struct admin_call *call;
    struct sse *sse;
    const char *path;
    char *line;
    bool is_lost; /* and the user was told */
};

static bool add_filter(struct follow *f, char *text)
{
    if (f->nfilters == FILTERS_MAX)
        return false;
    f->filters[f->nfilters++] = text;
    return true;
}

static bool parse(struct follow *f, int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "c:a:t:f:j")) != -1) {
        if (c == 'c')
            f->ask.conf = optarg;
        else if (c == 'a')
            f->ask.url = optarg;
        else if (c == 't')
            f->ask.token = optarg;
        else if (c == 'j')
            f->style.is_json = true;
        else if (c != 'f' || !add_filter(f, optarg))
            return false;
    }
    for (; optind < argc; optind++)
        if (!add_filter(f, argv[optind]))
            return false;
    return true;
}

/* ---- the stream ---- */

static void on_event(void *ctx, const struct sse_event *e)
{
    struct follow *f = ctx;
    struct buf b;
    buf_init(&b, f->line, LINE_MAX_LEN);
    follow_render(&b, e, &f->style);
    (void)!fwrite(b.p, 1, b.len, stdout); /* seen by ferror */
}

static void on_bytes(void *ctx, struct slice bytes)
{
    struct follow *f = ctx;
    if (f->is_lost)
        fprintf(stderr, "tollgate: connected again\n");
    f->is_lost = false;
    sse_feed(f->sse, bytes);
    fflush(stdout);
}

static bool start(struct follow *f)
{
    sse_restart(f->sse);
    return admin_call_start(f->call, f->path, on_bytes, f);
}

/* The gateway does not want to: asking again would be of no use. */
static bool is_refused(const struct follow *f)
{
    long status = admin_call_status(f->call);
    return status >= 400 && status < 500;
}

static void tell_lost(struct follow *f, enum admin_state state)
{
    char why[256];
    printable_copy(why, sizeof(why),
                   slice_of(state == ADMIN_DONE ? "the stream has ended" : admin_call_error(f->call)));
    if (!f->is_lost)
        fprintf(stderr, "tollgate: %s%s\n", why, is_refused(f) ? "" : "; trying again");
    f->is_lost = true;
}

/* Until stdout is closed, the gateway refuses, or memory is short. */
static int follow(struct follow *f)
{
    uint64_t again_ns = 0;
    bool goes_on = start(f);
    while (goes_on && !ferror(stdout)) {
        enum admin_state state = admin_call_run(f->call, -1, f->is_lost ? RETRY_MS / 4 : WAIT_MS);
        if (state == ADMIN_DONE || state == ADMIN_FAILED) {
            tell_lost(f, state);
            if (is_refused(f))
                return EXIT_FAILURE;
            again_ns = clock_now_ns() + RETRY_MS * CLOCK_MILLISECOND_NS;
        } else if (state == ADMIN_IDLE && clock_now_ns() >= again_ns) {
            goes_on = start(f);
        }
    }
    return EXIT_FAILURE;
}

static bool open_follow(struct follow *f)
{
    const char *no_color = getenv("NO_COLOR");
    f->style.has_color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    f->line = malloc(LINE_MAX_LEN);
    f->sse = sse_new(EVENT_MAX, on_event, f);
    f->call = admin_call_new(&f->target);
    if (f->line && f->sse && f->call)
        return true;
    fprintf(stderr, "tollgate: out of memory\n");
    return false;
}

int follow_run(int argc, char **argv)
{
    struct follow f = {.ask.conf = COMMAND_CONF};
    char path[PATH_MAX_LEN];
    struct buf b;
    buf_init(&b, path, sizeof(path));
    if (!parse(&f, argc, argv) || !follow_path(&b, f.filters, f.nfilters) || !(f.path = buf_cstr(&b))) {
        fprintf(stderr, "usage: tollgate tail [-c FILE | -a URL] [-t TOKEN] [-j] [-f NAME=VALUE ...]\n"
                        "       NAME: request trace route backend status min_ms method path client\n");
        return 2;
    }
    int status = admin_target_set(&f.target, &f.ask) && open_follow(&f) ? follow(&f) : EXIT_FAILURE;
    if (f.call)
        admin_call_free(f.call);
    sse_free(f.sse);
    free(f.line);
    return status;
}
