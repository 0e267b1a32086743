/*
 * log.h: the error log: what the gateway has to tell its operator, apart from requests.
 *
 *     struct log *log = log_new(&conf->log, &err);
 *     log_printf(log, LOG_WARN, "backend %s: no address is left", name);
 *     log_free(log);
 *
 * One line each, in UTC. Where the access log is JSON, so is this one:
 *     {"time":"2026-11-23T13:01:00.123456Z","level":"warn","message":"backend users: no address is left"}
 *     2026-11-23T13:01:00.123456Z tollgate: warn: backend users: no address is left
 *
 * Lines go through a log writer (logwriter.h): nobody waits for a slow file or terminal, and past
 * conf_log.queue lines are dropped. Before there is a log, a NULL one will do: the line is written to stderr
 * at once, as text.
 *
 * One listener may hear all lines that are logged, as JSON whatever the format.
 *
 * Text longer than LOG_TEXT_MAX is cut, and no byte of it can end the line.
 */
#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

#include "gateway/conf.h"
#include "lib/err.h"
#include "lib/slice.h"

#define LOG_TEXT_MAX 1024 /* bytes of a message, with its NUL */

struct log;

/* NULL with err. */
MUST_USE struct log *log_new(const struct conf_log *conf, struct err *err);

/* Write what waits, for two seconds at most. LOG may be NULL. Nobody may use it any more. */
void log_free(struct log *log);

/* Somebody who hears the lines. Both functions are called by any thread, and must not wait. */
struct log_listener {
    bool (*wants)(const void *ctx); /* false: it does not care now */
    void (*hear)(void *ctx, struct slice line);
    void *ctx;
};

/* Before other threads log. It is there until log_free. */
void log_set_listener(struct log *log, const struct log_listener *listener);

/* Any thread, also these: what is below LEVEL is not logged from now on; open the file anew. */
void log_set_level(struct log *log, enum conf_log_level level);
void log_reopen(struct log *log);

/* Any thread; never waits, unless LOG is NULL. */
void log_printf(struct log *log, enum conf_log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Lines that were dropped. Any thread. */
uint64_t log_dropped(const struct log *log);

#endif
