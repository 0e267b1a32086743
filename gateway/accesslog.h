/*
 * accesslog.h: the line that tells of a request.
 *
 *     struct accesslog a;
 *     accesslog_configure(&a, &conf->log);
 *     accesslog_format(&a, &record, &conf->log, &b);       // one line, without its line end
 *
 * JSON (RFC 8259), with what is empty or did not happen left out:
 *     time request_id trace_id span_id client_ip method host path query protocol status bytes_in bytes_out
 * duration_ms overhead_ms upstream_addr upstream_status upstream_connect_ms upstream_first_byte_ms retries
 * route backend reason error user_agent referer
 * `_ms` are decimals to the microsecond. overhead_ms is the total less the time that backends had the
 * request, of all tries. `time` is when the request began.
 *
 * Combined: the format of Apache, then the request id in quotes and the duration in milliseconds:
 *     192.0.2.1 - - [23/Nov/2026:13:01:00 +0000] "GET /a?b=c HTTP/1.1" 200 512 "-" "curl/7.88.1"
 * "4bf9..." 12.345
 *
 * Values of the query parameters that conf_log.mask_query names are shown as "***", in the referer too. Names
 * are compared decoded, without regard to case and to an index in brackets, so that no spelling of a name
 * escapes.
 *
 * No byte of a request can end a line or forge a field. Values are cut: path, query and referer at
 * ACCESSLOG_LONG bytes, the others at ACCESSLOG_SHORT.
 *
 * A struct accesslog belongs to one thread; it only remembers how the last seconds are written.
 */
#ifndef GATEWAY_ACCESSLOG_H
#define GATEWAY_ACCESSLOG_H

#include "gateway/conf.h"
#include "gateway/record.h"
#include "gateway/timestamp.h"
#include "lib/buf.h"

#define ACCESSLOG_LONG     4096
#define ACCESSLOG_SHORT    512
#define ACCESSLOG_LINE_MAX (120 * 1024) /* no line is longer, whatever the record holds */
#define ACCESSLOG_TIMES    4

struct accesslog {
    struct timestamp times[ACCESSLOG_TIMES]; /* by second modulo their number */
};

/* Make ready. Nothing of LOG is kept: each line is made by the configuration that its request began with. */
void accesslog_configure(struct accesslog *a, const struct conf_log *log);

/* Add the line to OUT, which fails when it lacks room; with ACCESSLOG_LINE_MAX bytes it never does. */
void accesslog_format(struct accesslog *a, const struct record *r, const struct conf_log *log,
                      struct buf *out);

/* A query, and a URL with one, without the values that LOG masks. SPACE has ACCESSLOG_GROWTH times its bytes.
 */
#define ACCESSLOG_GROWTH 4
struct slice accesslog_query(struct slice query, const struct conf_log *log, char *space);
struct slice accesslog_url(struct slice url, const struct conf_log *log, char *space);

#endif
