/*
 * accesslog.c: see accesslog.h.
 *
 * A line is made for every request, so it is written straight into the caller's memory: first it is made sure
 * that the longest line this record can give will fit, then nothing is checked any more. Text that needs no
 * escape, which is nearly all, is copied sixteen bytes at a time, looking at all of them at once; only when a
 * byte stands out, the text is done again the slow way.
 *
 * Invariant: a function that begins with put_ writes at P and returns what follows; it writes at most six
 * bytes for each byte of its slice (EXPANSION), and what is fixed fits into FIXED_MAX.
 */
#include "gateway/accesslog.h"

#define EXPANSION     6    /* "\u0000" */
#define FIXED_MAX     2048 /* names of fields, punctuation and numbers of a line */
#define ERROR_MAX     ((ERR_TEXT + 2) * ERR_DEPTH)
#define ALWAYS_INLINE inline __attribute__((always_inline))

_Static_assert((3 * ACCESSLOG_LONG + 10 * ACCESSLOG_SHORT + ERROR_MAX) * EXPANSION + FIXED_MAX <=
                   ACCESSLOG_LINE_MAX,
               "the longest line fits");

/* ---- pieces ---- */

/* Inlined, so that the copy of a literal is a few stores. */
static ALWAYS_INLINE char *put(char *p, struct slice s)
{
    memcpy(p, s.p, s.len);
    return p + s.len;
}

/* "00" to "99". */
static const char pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static inline char *put_pair(char *p, unsigned n)
{
    memcpy(p, pairs + n * 2, 2);
    return p + 2;
}

static char *put_u64(char *p, uint64_t n)
{
    char text[20];
    char *at = text + sizeof(text);
    for (; n >= 100; n /= 100)
        put_pair(at -= 2, (unsigned)(n % 100));
    put_pair(at -= 2, (unsigned)n);
    at += n < 10;
    return put(p, slice_between(at, text + sizeof(text)));
}

/* At most 999, all three digits. */
static inline char *put_three(char *p, unsigned n)
{
    *p = (char)('0' + n / 100);
    return put_pair(p + 1, n % 100);
}

/* Most numbers are small. */
static char *put_number(char *p, uint64_t n)
{
    if (n > 999)
        return put_u64(p, n);
    if (n >= 100)
        return put_three(p, (unsigned)n);
    if (n >= 10)
        return put_pair(p, (unsigned)n);
    *p = (char)('0' + n);
    return p + 1;
}

/* Nanoseconds as "12.345" milliseconds. */
static char *put_ms(char *p, uint64_t ns)
{
    uint64_t us = ns / 1000;
    p = put_number(p, us / 1000);
    *p++ = '.';
    return put_three(p, (unsigned)(us % 1000));
}

static char *put_ip(char *p, const struct ip *ip)
{
    if (!ip_is_v4(ip)) {
        char text[IP_TEXT_MAX];
        size_t n = ip_text(ip, text);
        return put(p, (struct slice){text, n});
    }
    p = put_number(p, ip->b[12]);
    *p++ = '.';
    p = put_number(p, ip->b[13]);
    *p++ = '.';
    p = put_number(p, ip->b[14]);
    *p++ = '.';
    return put_number(p, ip->b[15]);
}

/* ---- text ---- */

#define VECTOR __attribute__((vector_size(16)))

static inline signed char VECTOR join(uint64_t low, uint64_t high)
{
    const uint64_t VECTOR halves = {low, high};
    return (signed char VECTOR)halves;
}

/* For each of sixteen bytes, all ones when it is a control, a quote, a backslash or not ASCII (negative). */
static inline signed char VECTOR stands_out(signed char VECTOR v)
{
    return (v < ' ') | (v == '"') | (v == '\\');
}

static inline bool is_any(signed char VECTOR v)
{
    const uint64_t VECTOR halves = (uint64_t VECTOR)v;
    return (halves[0] | halves[1]) != 0;
}

static inline signed char VECTOR copy16(char *p, const char *s)
{
    signed char VECTOR v;
    memcpy(&v, s, sizeof(v));
    memcpy(p, &v, sizeof(v));
    return stands_out(v);
}

/* Eight bytes at S and eight at S + SKIP, which is less than eight: together all bytes from S on to their
 * end. */
static inline signed char VECTOR copy_8_8(char *p, const char *s, size_t skip)
{
    uint64_t low, high;
    memcpy(&low, s, 8);
    memcpy(&high, s + skip, 8);
    memcpy(p, &low, 8);
    memcpy(p + skip, &high, 8);
    return stands_out(join(low, high));
}

static inline signed char VECTOR copy_4_4(char *p, const char *s, size_t skip)
{
    uint32_t low, high;
    memcpy(&low, s, 4);
    memcpy(&high, s + skip, 4);
    memcpy(p, &low, 4);
    memcpy(p + skip, &high, 4);
    uint64_t both = low | (uint64_t)high << 32;
    return stands_out(join(both, both));
}

static bool copy_few(char *p, struct slice s)
{
    signed char bad = 0;
    for (size_t i = 0; i < s.len; i++) {
        signed char c = (signed char)s.p[i];
        bad |= c < ' ' || c == '"' || c == '\\';
        p[i] = (char)c;
    }
    return !bad;
}

/* The last step overlaps the one before, instead of going byte by byte. False: a byte needs an escape. */
static bool copy_plain(char *p, struct slice s)
{
    if (s.len >= 16) {
        signed char VECTOR bad = copy16(p + s.len - 16, s.p + s.len - 16);
        for (size_t i = 0; i + 16 < s.len; i += 16)
            bad |= copy16(p + i, s.p + i);
        return !is_any(bad);
    }
    if (s.len >= 8)
        return !is_any(copy_8_8(p, s.p, s.len - 8));
    if (s.len >= 4)
        return !is_any(copy_4_4(p, s.p, s.len - 4));
    return copy_few(p, s);
}

typedef char *put_text_fn(char *p, struct slice s);

static char *put_json(char *p, struct slice s)
{
    if (LIKELY(copy_plain(p, s)))
        return p + s.len;
    struct buf b;
    buf_init(&b, p, s.len * EXPANSION);
    buf_add_json(&b, s);
    return p + b.len;
}

/* As Apache has it: \" and \\, and \xhh for what is not printable ASCII. */
static char *put_apache(char *p, struct slice s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f) {
            if (c == '"' || c == '\\')
                *p++ = '\\';
            *p++ = (char)c;
            continue;
        }
        p = put(p, SLICE("\\x"));
        *p++ = digits[c >> 4];
        *p++ = digits[c & 15];
    }
    return p;
}

static struct slice cut(struct slice s, size_t max)
{
    return s.len <= max ? s : (struct slice){s.p, max};
}

/* ---- secrets in the query ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Take the first character off a name of a query, decoded and in lower case. */
static char next_decoded(struct slice *s)
{
    char c = s->p[0];
    size_t n = 1;
    if (c == '%' && s->len >= 3 && hex_value(s->p[1]) >= 0 && hex_value(s->p[2]) >= 0) {
        c = (char)(hex_value(s->p[1]) * 16 + hex_value(s->p[2]));
        n = 3;
    } else if (c == '+') {
        c = ' ';
    }
    *s = slice_skip(*s, n);
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* "key", "KEY", "k%65y", "key[]" and "key[0]" are all the name "key". */
static bool is_named(struct slice raw, const char *name)
{
    for (; raw.len > 0; name++) {
        char c = next_decoded(&raw);
        if (*name == '\0')
            return c == '[';
        if (c != (*name >= 'A' && *name <= 'Z' ? (char)(*name | 0x20) : *name))
            return false;
    }
    return *name == '\0';
}

static bool is_masked(struct slice raw, const struct conf_log *log)
{
    for (size_t i = 0; i < log->nmask_query; i++)
        if (is_named(raw, log->mask_query[i]))
            return true;
    return false;
}

/* Length of S up to the first byte that is one of the two, or all of it. */
static size_t length_until(struct slice s, char one, char other)
{
    size_t n = 0;
    while (n < s.len && s.p[n] != one && s.p[n] != other)
        n++;
    return n;
}

/*
 * A query without the values that are to be masked. Some backends take ';' for a separator and some do not: a
 * name may begin after one, but a value that is masked does not end there.
 */
static char *put_query(char *p, struct slice query, const struct conf_log *log, put_text_fn *put_text)
{
    if (log->nmask_query == 0)
        return put_text(p, query);
    while (query.len > 0) {
        size_t n = length_until(query, '&', ';');
        struct slice name = {query.p, length_until((struct slice){query.p, n}, '=', '=')};
        if (name.len < n && is_masked(name, log)) {
            p = put_text(p, name);
            p = put(p, SLICE("=***"));
            query = slice_skip(query, length_until(query, '&', '&'));
        } else {
            p = put_text(p, (struct slice){query.p, n});
            query = slice_skip(query, n);
        }
        if (query.len > 0) {
            *p++ = query.p[0];
            query = slice_skip(query, 1);
        }
    }
    return p;
}

/* A URL that may have a query. */
static char *put_url(char *p, struct slice url, const struct conf_log *log, put_text_fn *put_text)
{
    size_t n = log->nmask_query > 0 ? length_until(url, '?', '?') : url.len;
    if (n == url.len)
        return put_text(p, url);
    p = put_text(p, (struct slice){url.p, n});
    *p++ = '?';
    return put_query(p, slice_skip(url, n + 1), log, put_text);
}

static char *put_plain(char *p, struct slice s)
{
    memcpy(p, s.p, s.len);
    return p + s.len;
}

struct slice accesslog_query(struct slice query, const struct conf_log *log, char *space)
{
    return (struct slice){space, (size_t)(put_query(space, query, log, put_plain) - space)};
}

struct slice accesslog_url(struct slice url, const struct conf_log *log, char *space)
{
    return (struct slice){space, (size_t)(put_url(space, url, log, put_plain) - space)};
}

/* ---- JSON ---- */

/* KEY is all that stands before the text: `,"host":"`. */
static ALWAYS_INLINE char *put_string(char *p, struct slice key, struct slice value)
{
    if (value.len == 0)
        return p;
    p = put(p, key);
    p = put_json(p, cut(value, ACCESSLOG_SHORT));
    *p = '"';
    return p + 1;
}

static ALWAYS_INLINE char *put_count(char *p, struct slice key, uint64_t n)
{
    return put_number(put(p, key), n);
}

static ALWAYS_INLINE char *put_duration(char *p, struct slice key, uint64_t ns)
{
    return put_ms(put(p, key), ns);
}

static const struct timestamp *time_of(struct accesslog *a, int64_t wall_us)
{
    int64_t second = wall_us / 1000000;
    struct timestamp *t = &a->times[(uint64_t)second % ACCESSLOG_TIMES];
    if (UNLIKELY(!t->is_set || t->second != second))
        timestamp_set(t, second);
    return t;
}

static char *put_identity(char *p, struct accesslog *a, const struct record *r)
{
    unsigned us = (unsigned)((uint64_t)r->wall_us % 1000000);
    p = put(p, SLICE("{\"time\":\""));
    p = put(p, (struct slice){time_of(a, r->wall_us)->rfc3339, TIMESTAMP_RFC3339});
    *p++ = '.';
    p = put_three(p, us / 1000);
    p = put_three(p, us % 1000);
    p = put(p, SLICE("Z\""));
    p = put_string(p, SLICE(",\"request_id\":\""), r->request_id);
    p = put_string(p, SLICE(",\"trace_id\":\""), r->trace_id);
    p = put_string(p, SLICE(",\"span_id\":\""), r->span_id);
    p = put(p, SLICE(",\"client_ip\":\""));
    p = put_ip(p, &r->client_ip);
    *p = '"';
    return p + 1;
}

static char *put_request(char *p, const struct record *r, const struct conf_log *log)
{
    p = put_string(p, SLICE(",\"method\":\""), r->method);
    p = put_string(p, SLICE(",\"host\":\""), r->host);
    if (r->path.len > 0) {
        p = put(p, SLICE(",\"path\":\""));
        p = put_url(p, cut(r->path, ACCESSLOG_LONG), log, put_json);
        *p++ = '"';
    }
    if (r->query.len > 0) {
        p = put(p, SLICE(",\"query\":\""));
        p = put_query(p, cut(r->query, ACCESSLOG_LONG), log, put_json);
        *p++ = '"';
    }
    return put(p, r->http_minor == 0 ? SLICE(",\"protocol\":\"HTTP/1.0\"")
                                     : SLICE(",\"protocol\":\"HTTP/1.1\""));
}

static char *put_outcome(char *p, const struct record *r)
{
    uint64_t total = record_total_ns(r);
    p = put_count(p, SLICE(",\"status\":"), r->status);
    p = put_count(p, SLICE(",\"bytes_in\":"), r->bytes_in);
    p = put_count(p, SLICE(",\"bytes_out\":"), r->bytes_out);
    p = put_duration(p, SLICE(",\"duration_ms\":"), total);
    return put_duration(p, SLICE(",\"overhead_ms\":"), total - record_upstream_ns(r));
}

static char *put_upstream(char *p, const struct record *r)
{
    p = put_string(p, SLICE(",\"upstream_addr\":\""), r->upstream_addr);
    if (r->upstream_status > 0)
        p = put_count(p, SLICE(",\"upstream_status\":"), r->upstream_status);
    if (r->upstream_connected_ns > 0)
        p = put_duration(p, SLICE(",\"upstream_connect_ms\":"),
                         record_span_ns(r->upstream_begin_ns, r->upstream_connected_ns));
    if (r->upstream_first_byte_ns > 0)
        p = put_duration(p, SLICE(",\"upstream_first_byte_ms\":"),
                         record_span_ns(r->upstream_begin_ns, r->upstream_first_byte_ns));
    if (r->retries > 0)
        p = put_count(p, SLICE(",\"retries\":"), r->retries);
    return p;
}

static char *put_error(char *p, const struct err *err)
{
    char text[ERROR_MAX];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    err_text(err, &b);
    p = put(p, SLICE(",\"error\":\""));
    p = put_json(p, buf_slice(&b));
    *p = '"';
    return p + 1;
}

static char *put_ending(char *p, const struct record *r, const struct conf_log *log)
{
    p = put_string(p, SLICE(",\"route\":\""), r->route);
    p = put_string(p, SLICE(",\"backend\":\""), r->backend);
    p = put_string(p, SLICE(",\"consumer\":\""), r->consumer);
    if (r->cache)
        p = put_string(p, SLICE(",\"cache_status\":\""), slice_of(cache_status_name(r->cache)));
    if (r->limit != LIMIT_NONE)
        p = put_string(p, SLICE(",\"limit\":\""), slice_of(limit_result_name(r->limit)));
    if (r->reason != REASON_NONE)
        p = put_string(p, SLICE(",\"reason\":\""), slice_of(reason_info(r->reason)->name));
    if (err_is_set(r->err))
        p = put_error(p, r->err);
    p = put_string(p, SLICE(",\"user_agent\":\""), r->user_agent);
    if (r->referer.len > 0) {
        p = put(p, SLICE(",\"referer\":\""));
        p = put_url(p, cut(r->referer, ACCESSLOG_LONG), log, put_json);
        *p++ = '"';
    }
    *p = '}';
    return p + 1;
}

static char *put_json_line(char *p, struct accesslog *a, const struct record *r, const struct conf_log *log)
{
    p = put_identity(p, a, r);
    p = put_request(p, r, log);
    p = put_outcome(p, r);
    p = put_upstream(p, r);
    return put_ending(p, r, log);
}

/* ---- combined ---- */

/* A quoted text, "-" when there is none. */
static char *put_quoted(char *p, struct slice s)
{
    *p++ = '"';
    p = s.len > 0 ? put_apache(p, cut(s, ACCESSLOG_SHORT)) : put(p, SLICE("-"));
    *p = '"';
    return p + 1;
}

static char *put_request_line(char *p, const struct record *r, const struct conf_log *log)
{
    *p++ = '"';
    p = put_apache(p, cut(r->method, ACCESSLOG_SHORT));
    *p++ = ' ';
    p = put_url(p, cut(r->path, ACCESSLOG_LONG), log, put_apache);
    if (r->query.len > 0) {
        *p++ = '?';
        p = put_query(p, cut(r->query, ACCESSLOG_LONG), log, put_apache);
    }
    return put(p, r->http_minor == 0 ? SLICE(" HTTP/1.0\" ") : SLICE(" HTTP/1.1\" "));
}

static char *put_combined_line(char *p, struct accesslog *a, const struct record *r,
                               const struct conf_log *log)
{
    p = put_ip(p, &r->client_ip);
    p = put(p, SLICE(" - - ["));
    p = put(p, (struct slice){time_of(a, r->wall_us)->clf, TIMESTAMP_CLF});
    p = put(p, SLICE("] "));
    p = put_request_line(p, r, log);
    p = put_number(p, r->status);
    *p++ = ' ';
    p = r->bytes_out > 0 ? put_number(p, r->bytes_out) : put(p, SLICE("-"));
    p = put(p, SLICE(" \""));
    p = r->referer.len > 0 ? put_url(p, cut(r->referer, ACCESSLOG_LONG), log, put_apache)
                           : put(p, SLICE("-"));
    p = put(p, SLICE("\" "));
    p = put_quoted(p, r->user_agent);
    *p++ = ' ';
    p = put_quoted(p, r->request_id);
    *p++ = ' ';
    return put_ms(p, record_total_ns(r));
}

/* ---- public ---- */

void accesslog_configure(struct accesslog *a, const struct conf_log *log)
{
    (void)log;
    *a = (struct accesslog){0};
}

/* Bytes that the line of R may need. */
static size_t longest_line(const struct record *r)
{
    const struct slice texts[] = {cut(r->path, ACCESSLOG_LONG),
                                  cut(r->query, ACCESSLOG_LONG),
                                  cut(r->referer, ACCESSLOG_LONG),
                                  r->request_id,
                                  r->trace_id,
                                  r->span_id,
                                  r->method,
                                  r->host,
                                  r->user_agent,
                                  r->upstream_addr,
                                  r->route,
                                  r->backend,
                                  r->consumer};
    size_t n = err_is_set(r->err) ? ERROR_MAX : 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        n += i < 3 ? texts[i].len : cut(texts[i], ACCESSLOG_SHORT).len;
    return n * EXPANSION + FIXED_MAX;
}

void accesslog_format(struct accesslog *a, const struct record *r, const struct conf_log *log,
                      struct buf *out)
{
    size_t room = out->cap - out->len;
    if (out->failed || (room < ACCESSLOG_LINE_MAX && room < longest_line(r))) {
        out->failed = true;
        return;
    }
    char *p = out->p + out->len;
    char *end = log->format == LOG_JSON ? put_json_line(p, a, r, log) : put_combined_line(p, a, r, log);
    out->len += (size_t)(end - p);
}
