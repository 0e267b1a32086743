/*
 * fuzz_http1_request.c: any request line and fields, as a lenient library might hand them on.
 *
 * Input: "METHOD TARGET VERSION" and "name:value", each with a line end; bytes within are free. What has to
 * hold for what is accepted: every name, value and the framing are what the RFC says, by a second, slow
 * reading; and it can be written, and the written lines hold what was judged.
 */
#include "lib/http1.h"

#include "lib/uri.h"

#include <stdlib.h>

#define FIELDS 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice take_until(struct slice *rest, char c)
{
    ptrdiff_t at = slice_find(*rest, c);
    struct slice head = {rest->p, at < 0 ? rest->len : (size_t)at};
    *rest = slice_skip(*rest, at < 0 ? rest->len : (size_t)at + 1);
    return head;
}

static void check_fields(const struct http1_request_check_in *in)
{
    CHECK(in->fields.n <= in->max_fields);
    for (size_t i = 0; i < in->fields.n; i++) {
        const struct http_field *f = &in->fields.at[i];
        CHECK(f->name.len > 0);
        for (size_t k = 0; k < f->name.len; k++)
            CHECK(f->name.p[k] > ' ' && f->name.p[k] < 0x7F && !strchr("()<>@,;:\\\"/[]?={}", f->name.p[k]));
        for (size_t k = 0; k < f->value.len; k++)
            CHECK((unsigned char)f->value.p[k] >= ' ' || f->value.p[k] == '\t');
        CHECK(slice_eq(f->value, slice_trim(f->value)));
    }
}

static void check_framing(const struct http1_request_check_in *in, const struct http1_request *r)
{
    const struct http_field *length = http_find(in->fields, SLICE("content-length"));
    const struct http_field *coding = http_find(in->fields, SLICE("transfer-encoding"));
    const struct http_field *host = http_find(in->fields, SLICE("host"));
    uint64_t n;
    struct slice name;
    CHECK(http_count(in->fields, SLICE("content-length")) <= 1 && http_count(in->fields, SLICE("host")) <= 1);
    CHECK(http_count(in->fields, SLICE("transfer-encoding")) <= 1 && !(length && coding));
    CHECK(!coding ||
          (r->minor == 1 && r->framing == HTTP1_CHUNKED && slice_eq_nocase(coding->value, SLICE("chunked"))));
    CHECK(!length ||
          (r->framing == HTTP1_LENGTH && slice_to_u64(length->value, INT64_MAX, &n) && n == r->length));
    CHECK(length || coding || r->framing == HTTP1_NO_BODY);
    CHECK(r->has_host == (host != NULL) && (host || r->minor == 0));
    CHECK(!host || (slice_eq(r->host, host->value) && uri_host(host->value, &name)));
    const struct http_field *expect = http_find(in->fields, SLICE("expect"));
    CHECK(!r->expects_continue || (expect && r->framing != HTTP1_NO_BODY && r->minor == 1));
    CHECK(r->minor == 0 || !expect || slice_eq_nocase(expect->value, SLICE("100-continue")));
    bool says_close = http_lists_token(in->fields, SLICE("Connection"), SLICE("close"));
    bool says_keep = http_lists_token(in->fields, SLICE("Connection"), SLICE("keep-alive"));
    CHECK(r->keep_alive == (!says_close && (r->minor == 1 || says_keep)));
}

static void check_written(const struct http1_request_check_in *in)
{
    static char text[65536];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    http1_request_begin(&b, in->method, in->target);
    http1_request_fields(&b, in->fields);
    http1_request_end(&b);
    CHECK(!b.failed);
    struct slice rest = buf_slice(&b), line = take_until(&rest, '\n');
    CHECK(slice_eq(take_until(&line, ' '), in->method) && slice_eq(take_until(&line, ' '), in->target));
    CHECK(slice_eq(line, SLICE("HTTP/1.1\r")));
    for (size_t i = 0; i < in->fields.n; i++) {
        line = take_until(&rest, '\n');
        CHECK(line.len > 0 && line.p[--line.len] == '\r');
        CHECK(slice_eq(take_until(&line, ':'), in->fields.at[i].name));
        CHECK(slice_eq(slice_trim(line), in->fields.at[i].value));
    }
    CHECK(slice_eq(rest, SLICE("\r\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field f[FIELDS];
    struct http1_request r;
    if (size < 2)
        return 0;
    struct http1_request_check_in in = {.fields = {f, 0}, .max_fields = data[0] % FIELDS};
    char *copy = malloc(size - 1);
    memcpy(copy, data + 1, size - 1);
    struct slice rest = {copy, size - 1}, line = take_until(&rest, '\n');
    in.method = take_until(&line, ' ');
    in.target = take_until(&line, ' ');
    in.version = line;
    while (rest.len > 0 && in.fields.n < FIELDS) {
        line = take_until(&rest, '\n');
        f[in.fields.n].name = take_until(&line, ':');
        f[in.fields.n++].value = line;
    }
    if (http1_request_check(&in, &r) == HTTP1_OK) {
        check_fields(&in);
        check_framing(&in, &r);
        check_written(&in);
    }
    free(copy);
    return 0;
}
