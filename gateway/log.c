/*
 * log.c: see log.h.
 *
 * A line is put together on the caller's stack and goes to the writer as a block of its own: these lines are
 * rare, and come from any thread.
 */
#include "gateway/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/logwriter.h"
#include "gateway/timestamp.h"
#include "lib/clock.h"

#define FLUSH_MS     2000
#define LOG_LINE_MAX (LOG_TEXT_MAX * 6 + 128) /* bytes; an escape is six long */

struct log {
    struct logwriter *writer;
    bool is_json;
    struct log_listener listener; /* hear == NULL: none */
    _Atomic int level;            /* relaxed: a line more or less at the moment of a change is as well */
};

static const char *level_name(enum conf_log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "unknown";
}

static void add_time(struct buf *b)
{
    struct timestamp t = {0};
    int64_t now_us = clock_wall_us();
    timestamp_set(&t, now_us / 1000000);
    buf_add(b, (struct slice){t.rfc3339, TIMESTAMP_RFC3339});
    buf_printf(b, ".%06dZ", (int)(now_us % 1000000));
}

/* Control bytes as \xhh; everything else as it is. */
static void add_plain(struct buf *b, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c != 0x7f) {
            buf_add_char(b, (char)c);
            continue;
        }
        buf_add(b, SLICE("\\x"));
        buf_add_hex(b, c, 2);
    }
}

static void add_json_line(struct buf *b, enum conf_log_level level, struct slice text)
{
    buf_add(b, SLICE("{\"time\":\""));
    add_time(b);
    buf_add(b, SLICE("\",\"level\":\""));
    buf_add(b, slice_of(level_name(level)));
    buf_add(b, SLICE("\",\"message\":\""));
    buf_add_json(b, text);
    buf_add(b, SLICE("\"}"));
}

static void add_text_line(struct buf *b, enum conf_log_level level, struct slice text)
{
    add_time(b);
    buf_add(b, SLICE(" tollgate: "));
    buf_add(b, slice_of(level_name(level)));
    buf_add(b, SLICE(": "));
    add_plain(b, text);
}

/* Nobody can be told when this fails. */
static void write_now(struct buf *b)
{
    buf_add_char(b, '\n');
    if (write(STDERR_FILENO, b->p, b->len) < 0)
        return;
}

struct log *log_new(const struct conf_log *conf, struct err *err)
{
    struct log *log = calloc(1, sizeof(*log));
    if (!log) {
        err_set(err, ERR_SELF, "out of memory");
        return NULL;
    }
    log->is_json = conf->format == LOG_JSON;
    atomic_init(&log->level, (int)conf->level);
    log->writer = logwriter_new(conf->error, conf->queue, err);
    if (log->writer)
        return log;
    free(log);
    return NULL;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    logwriter_stop(log->writer, FLUSH_MS);
    free(log);
}

void log_set_level(struct log *log, enum conf_log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

void log_reopen(struct log *log)
{
    logwriter_reopen(log->writer);
}

void log_set_listener(struct log *log, const struct log_listener *listener)
{
    log->listener = *listener;
}

uint64_t log_dropped(const struct log *log)
{
    return logwriter_dropped(log->writer);
}

void log_printf(struct log *log, enum conf_log_level level, const char *fmt, ...)
{
    char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
    struct buf b;
    va_list ap;
    if (log && (int)level < atomic_load_explicit(&log->level, memory_order_relaxed))
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    buf_init(&b, line, sizeof(line));
    if (log && log->is_json)
        add_json_line(&b, level, slice_of(text));
    else
        add_text_line(&b, level, slice_of(text));
    if (!log) {
        write_now(&b);
        return;
    }
    logwriter_line(log->writer, buf_slice(&b));
    if (!log->listener.hear || !log->listener.wants(log->listener.ctx))
        return;
    if (!log->is_json) {
        buf_init(&b, line, sizeof(line));
        add_json_line(&b, level, slice_of(text));
    }
    log->listener.hear(log->listener.ctx, buf_slice(&b));
}
