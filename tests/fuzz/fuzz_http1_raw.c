/*
 * fuzz_http1_raw.c: any bytes as a raw request, read by a model of the lenient library, judged by
 * http1_raw_head_check.
 *
 * The model does in place what libmicrohttpd 0.9.75 does: cuts at CRLF and bare LF, takes a NUL at the start
 * of a line for the end of the head, strings for as long as their first NUL, joins folded lines elsewhere.
 * What has to hold: a head that the check lets through was well-formed before it was cut (but for NUL LF in
 * the place of CR LF, which cannot be told), and its fields are those that a strict reader finds. And a head
 * that is well-formed is let through.
 */
#include "lib/http1.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#define FIELDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the model ---- */

struct model {
    char *text;
    size_t size, at;
    struct http1_raw_head head;
    struct http_field fields[FIELDS];
    struct slice last;  /* the field that is not added yet */
    struct slice colon; /* its value */
    char *joined;       /* a folded name */
    bool target_is_clean;
};

/* The next line, cut off; NULL when there is none. */
static char *next_line(struct model *m)
{
    char *line = m->text + m->at;
    for (size_t i = m->at; i < m->size; i++) {
        bool crlf = m->text[i] == '\r' && i + 1 < m->size && m->text[i + 1] == '\n';
        if (!crlf && m->text[i] != '\n')
            continue;
        m->text[i] = '\0';
        m->text[i + crlf] = '\0';
        m->at = i + crlf + 1;
        return line;
    }
    return NULL;
}

/* The query's string loses its separators. */
static void cut_query(char *target, char *end)
{
    char *p = memchr(target, '?', (size_t)(end - target));
    if (!p)
        return;
    for (*p++ = '\0'; *p != '\0'; p++)
        if (*p == '+')
            *p = ' ';
        else if (*p == '=' || *p == '&')
            *p = '\1'; /* for now, so that the string goes on */
    while (p > target)
        if (*--p == '\1')
            *p = '\0';
}

static bool is_clean(const char *target)
{
    while (*target > ' ' && *target < 0x7F)
        target++;
    return *target == '\0';
}

static bool read_request_line(struct model *m, char *line)
{
    size_t len = (size_t)(m->text + m->at - line);
    while (len > 0 && line[len - 1] == '\0')
        len--;
    char *space = memchr(line, ' ', len), *version = line + len;
    if (!space)
        return false;
    *space = '\0';
    char *target = space + 1;
    while (target < line + len && *target == ' ')
        target++;
    while (version > target && version[-1] != ' ')
        version--;
    if (version <= target + 1 || line + len - version != 8 || memcmp(version, "HTTP/1.", 7) != 0)
        return false;
    version[-1] = '\0';
    m->head.raw = line;
    m->head.version = version;
    m->head.target_len = strlen(target);
    m->target_is_clean = is_clean(target);
    cut_query(target, version - 1);
    return true;
}

static bool begin_field(struct model *m, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon)
        return false;
    *colon++ = '\0';
    while (*colon == ' ' || *colon == '\t')
        colon++;
    m->last = slice_of(line);
    m->colon = slice_of(colon);
    return true;
}

static bool join(struct model *m, const char *line)
{
    while (*line == ' ' || *line == '\t')
        line++;
    char *joined = malloc(m->last.len + strlen(line) + 1);
    memcpy(joined, m->last.p, m->last.len);
    strcpy(joined + m->last.len, line);
    free(m->joined);
    m->joined = joined;
    m->last = slice_of(joined);
    return true;
}

/* A line behind the first field's. */
static bool read_line(struct model *m, char *line)
{
    if (*line == ' ' || *line == '\t')
        return join(m, line);
    if (m->head.fields.n == FIELDS)
        return false;
    m->fields[m->head.fields.n++] = (struct http_field){m->last, m->colon};
    return *line == '\0' || begin_field(m, line);
}

static bool run_model(struct model *m)
{
    char *line;
    do
        line = next_line(m);
    while (line && *line == '\0');
    if (!line || !read_request_line(m, line) || !(line = next_line(m)))
        return false;
    m->head.fields.at = m->fields;
    if (*line != '\0') {
        if (!begin_field(m, line))
            return false;
        do {
            if (!(line = next_line(m)) || !read_line(m, line))
                return false;
        } while (*line != '\0');
    }
    m->head.len = (size_t)(m->text + m->at - m->head.raw);
    return true;
}

/* ---- the strict reader ---- */

/* The next line of REST up to CRLF, without any NUL, CR or LF in it. */
static bool strict_line(struct slice *rest, struct slice *line)
{
    const char *end = memmem(rest->p, rest->len, "\r\n", 2);
    if (!end)
        return false;
    *line = slice_between(rest->p, end);
    *rest = slice_skip(*rest, line->len + 2);
    for (size_t i = 0; i < line->len; i++)
        if (memchr("\0\r\n", line->p[i], 3))
            return false;
    return true;
}

/* Whether TEXT is a head; its fields, as offsets into it. */
static bool strict_head(struct slice text, struct http_field *f, size_t *n)
{
    struct slice line;
    if (!strict_line(&text, &line))
        return false;
    ptrdiff_t first = slice_find(line, ' ');
    const char *last = memrchr(line.p, ' ', line.len);
    if (first <= 0 || !http_is_token((struct slice){line.p, (size_t)first}) || last <= line.p + first + 1 ||
        line.p[first + 1] == ' ')
        return false;
    struct slice version = slice_between(last + 1, line.p + line.len);
    if (!slice_eq(version, SLICE("HTTP/1.1")) && !slice_eq(version, SLICE("HTTP/1.0")))
        return false;
    for (*n = 0; strict_line(&text, &line); ++*n) {
        if (line.len == 0)
            return text.len == 0;
        ptrdiff_t colon = slice_find(line, ':');
        if (colon <= 0 || *n == FIELDS)
            return false;
        struct slice value = slice_skip(line, (size_t)colon + 1);
        while (value.len > 0 && (*value.p == ' ' || *value.p == '\t'))
            value = slice_skip(value, 1);
        f[*n] = (struct http_field){{line.p, (size_t)colon}, value};
        if (!http_is_token(f[*n].name) || !http_is_field_value(value))
            return false;
    }
    return false;
}

/* The two bytes at P were cut to NULs: what was a NUL before, or a colon, cannot be told from CR and LF. */
static void mend_line_end(const struct model *m, char *original, const char *p)
{
    char *end = original + (p - m->text);
    CHECK(memchr("\0:\r\n", end[0], 4) && memchr("\0:\r\n", end[1], 4));
    memcpy(end, "\r\n", 2);
}

static void mend_line_ends(const struct model *m, char *original)
{
    mend_line_end(m, original, m->head.version + 8);
    for (size_t i = 0; i < m->head.fields.n; i++)
        mend_line_end(m, original, m->fields[i].value.p + m->fields[i].value.len);
    mend_line_end(m, original, m->head.raw + m->head.len - 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_field strict[FIELDS];
    struct model m = {.size = size};
    size_t n = 0;
    if (size == 0)
        return 0;
    char *original = malloc(size);
    memcpy(original, data, size);
    m.text = malloc(size + 1); /* its strings end */
    memcpy(m.text, data, size);
    m.text[size] = '\0';
    if (run_model(&m) && m.target_is_clean) { /* http1_request_check refuses others */
        size_t begin = (size_t)(m.head.raw - m.text);
        struct slice text = {original + begin, m.head.len};
        bool well_formed = strict_head(text, strict, &n);
        ASAN_POISON_MEMORY_REGION(m.text + m.at, size + 1 - m.at); /* nothing behind it may be read */
        bool accepted = http1_raw_head_check(&m.head) == HTTP1_OK;
        ASAN_UNPOISON_MEMORY_REGION(m.text + m.at, size + 1 - m.at);
        CHECK(!well_formed || accepted);
        if (accepted && !well_formed) {
            mend_line_ends(&m, original);
            CHECK(strict_head(text, strict, &n));
        }
        if (accepted) {
            CHECK(n == m.head.fields.n);
            for (size_t i = 0; i < n; i++)
                CHECK(slice_eq(strict[i].name, m.fields[i].name) &&
                      slice_eq(strict[i].value, m.fields[i].value));
        }
    }
    free(m.joined);
    free(m.text);
    free(original);
    return 0;
}
