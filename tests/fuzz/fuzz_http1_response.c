/*
 * fuzz_http1_response.c: any bytes as the head of an answer. The first byte says whether it is an answer to
 * HEAD and how the rest is cut.
 *
 * What has to hold: all at once, byte by byte and in portions give the same; nothing behind what has come is
 * read; what is accepted is clean, lies within the head, has one framing, and written again it parses to the
 * same.
 */
#include "lib/http1.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#define FIELDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http1_fault feed(char *p, size_t size, size_t portion, bool is_head, struct http_field *f,
                             struct http1_response *r)
{
    enum http1_fault fault = HTTP1_MORE;
    http1_response_init(r, f, FIELDS, is_head);
    for (size_t have = 0; have < size && fault == HTTP1_MORE;) {
        have += portion < size - have ? portion : size - have;
        ASAN_UNPOISON_MEMORY_REGION(p, have);
        ASAN_POISON_MEMORY_REGION(p + have, size - have);
        fault = http1_response_parse(r, p, have);
    }
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return fault;
}

static void check_same(const struct http1_response *a, const struct http1_response *b)
{
    CHECK(a->minor == b->minor && a->status == b->status && slice_eq(a->reason, b->reason));
    CHECK(a->framing == b->framing && a->length == b->length && a->has_length == b->has_length);
    CHECK(a->keep_alive == b->keep_alive && a->fields.n == b->fields.n);
    for (size_t i = 0; i < a->fields.n; i++)
        CHECK(slice_eq(a->fields.at[i].name, b->fields.at[i].name) &&
              slice_eq(a->fields.at[i].value, b->fields.at[i].value));
}

static void check_inside(struct slice s, const char *p, size_t len)
{
    CHECK(s.p >= p && s.len <= len && (size_t)(s.p - p) <= len - s.len);
}

static void check_clean(const struct http1_response *r, const char *p, size_t size)
{
    CHECK(r->head_len <= size && memcmp(p + r->head_len - 4, "\r\n\r\n", 4) == 0);
    CHECK(r->status >= 100 && r->status <= 999 && r->minor <= 1);
    check_inside(r->reason, p, r->head_len);
    for (size_t i = 0; i < r->fields.n; i++) {
        const struct http_field *f = &r->fields.at[i];
        check_inside(f->name, p, r->head_len);
        check_inside(f->value, p, r->head_len);
        CHECK(http_is_token(f->name) && http_is_field_value(f->value));
        CHECK(slice_trim(f->value).len == f->value.len);
    }
}

static void check_framing(const struct http1_response *r, bool is_head)
{
    size_t lengths = http_count(r->fields, SLICE("content-length"));
    size_t codings = http_count(r->fields, SLICE("Transfer-Encoding"));
    bool empty = is_head || r->status < 200 || r->status == 204 || r->status == 304;
    CHECK(!(lengths && codings) && codings <= 1);
    CHECK(r->has_length == (lengths > 0));
    CHECK(!codings || (r->minor == 1 && r->status >= 200 && r->status != 204));
    CHECK(r->framing == (empty     ? HTTP1_NO_BODY
                         : codings ? HTTP1_CHUNKED
                         : lengths ? HTTP1_LENGTH
                                   : HTTP1_UNTIL_CLOSE));
    bool says_close = http_lists_token(r->fields, SLICE("Connection"), SLICE("close"));
    bool says_keep = http_lists_token(r->fields, SLICE("Connection"), SLICE("keep-alive"));
    CHECK(r->keep_alive == (r->framing != HTTP1_UNTIL_CLOSE && !says_close && (r->minor == 1 || says_keep)));
}

static void check_round_trip(const struct http1_response *r, bool is_head)
{
    static char text[65536];
    struct buf b;
    struct http_field f[FIELDS];
    struct http1_response again;
    buf_init(&b, text, sizeof(text));
    buf_add(&b, r->minor ? SLICE("HTTP/1.1 ") : SLICE("HTTP/1.0 "));
    buf_add_char(&b, (char)('0' + r->status / 100));
    buf_add_char(&b, (char)('0' + r->status / 10 % 10));
    buf_add_char(&b, (char)('0' + r->status % 10));
    buf_add_char(&b, ' ');
    buf_add(&b, r->reason);
    buf_add(&b, SLICE("\r\n"));
    http1_request_fields(&b, r->fields);
    http1_request_end(&b);
    CHECK(!b.failed);
    CHECK(feed(text, b.len, b.len, is_head, f, &again) == HTTP1_OK && again.head_len == b.len);
    check_same(r, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field whole[FIELDS], part[FIELDS];
    struct http1_response r, other;
    if (size < 2)
        return 0;
    bool is_head = data[0] & 1;
    const size_t portions[] = {1, 2 + data[0] / 2 % 50};
    char *p = malloc(--size);
    memcpy(p, data + 1, size);
    enum http1_fault fault = feed(p, size, size, is_head, whole, &r);
    for (size_t i = 0; i < 2; i++) {
        CHECK(feed(p, size, portions[i], is_head, part, &other) == fault);
        if (fault == HTTP1_OK) {
            CHECK(r.head_len == other.head_len);
            check_same(&r, &other);
        }
    }
    if (fault == HTTP1_OK) {
        check_clean(&r, p, size);
        check_framing(&r, is_head);
        check_round_trip(&r, is_head);
    }
    free(p);
    return 0;
}
