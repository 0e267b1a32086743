/*
 * fuzz_chunked.c: any bytes as a chunked body. The first byte seeds how the rest is cut.
 *
 * What has to hold: all at once, byte by byte and in random portions give the same payload, fault, end and
 * trailers; payload that is taken from elsewhere (chunked_skip) too; and payload and trailers, written again,
 * decode to themselves.
 */
#include "lib/chunked.h"

#include <stdlib.h>

#define SPACE     512
#define SPACE_MAX 1024 /* what is written has a space behind each colon */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct chunked d;
    char *payload;
    size_t payload_len;
    size_t consumed;
    size_t space_len;
    _Alignas(16) char space[SPACE_MAX];
};

/* Portions are of PORTION bytes, or random ones when it is 0. With SKIP, payload is passed by the decoder. */
static void decode(const char *text, size_t size, size_t portion, bool skip, unsigned seed, struct result *r)
{
    chunked_init(&r->d, r->space, r->space_len);
    r->payload = malloc(size + 1);
    r->payload_len = r->consumed = 0;
    while (r->consumed < size && !chunked_is_done(&r->d) && r->d.fault == CHUNKED_OK) {
        size_t n = portion ? portion : 1 + (size_t)rand_r(&seed) % 40, used;
        n = n < size - r->consumed ? n : size - r->consumed;
        uint64_t needs = chunked_needs(&r->d);
        if (skip && needs > 0) {
            n = needs < n ? (size_t)needs : n;
            memcpy(r->payload + r->payload_len, text + r->consumed, n);
            chunked_skip(&r->d, n);
            r->payload_len += n;
            r->consumed += n;
            continue;
        }
        char *p = malloc(n); /* of its very size */
        memcpy(p, text + r->consumed, n);
        ssize_t got = chunked_decode(&r->d, p, n, &used);
        CHECK(used <= n && got <= (ssize_t)used);
        CHECK((got < 0) == (r->d.fault != CHUNKED_OK));
        CHECK(used == n || got < 0 || chunked_is_done(&r->d));
        if (got > 0) {
            memcpy(r->payload + r->payload_len, p, (size_t)got);
            r->payload_len += (size_t)got;
        }
        r->consumed += used;
        free(p);
    }
}

/* After a fault only the fault and its place are told: payload before it may have been handed out or not. */
static void check_same(const struct result *a, const struct result *b)
{
    struct http_fields x = chunked_trailers(&a->d), y = chunked_trailers(&b->d);
    CHECK(a->d.fault == b->d.fault && a->d.state == b->d.state && a->consumed == b->consumed);
    CHECK(x.n == y.n);
    for (size_t i = 0; i < x.n; i++)
        CHECK(slice_eq(x.at[i].name, y.at[i].name) && slice_eq(x.at[i].value, y.at[i].value));
    if (a->d.fault == CHUNKED_OK) {
        CHECK(a->payload_len == b->payload_len && memcmp(a->payload, b->payload, a->payload_len) == 0);
        CHECK(chunked_needs(&a->d) == chunked_needs(&b->d));
    }
}

static void check_trailers(struct http_fields t)
{
    CHECK(t.n <= CHUNKED_TRAILERS_MAX);
    for (size_t i = 0; i < t.n; i++) {
        CHECK(http_is_token(t.at[i].name) && http_is_field_value(t.at[i].value));
        CHECK(chunked_may_trail(t.at[i].name) && !http_is_hop_by_hop(t.at[i].name));
    }
}

static void check_round_trip(const struct result *r, unsigned seed)
{
    static char text[262144];
    static struct result again = {.space_len = SPACE_MAX};
    struct buf b;
    buf_init(&b, text, sizeof(text));
    for (size_t at = 0, n; at < r->payload_len; at += n) {
        n = 1 + (size_t)rand_r(&seed) % 300;
        n = n < r->payload_len - at ? n : r->payload_len - at;
        chunked_add_header(&b, n);
        buf_add(&b, (struct slice){r->payload + at, n});
        buf_add(&b, SLICE("\r\n"));
    }
    chunked_add_last(&b, chunked_trailers(&r->d));
    CHECK(!b.failed);
    decode(text, b.len, 0, false, seed, &again);
    CHECK(chunked_is_done(&again.d) && again.consumed == b.len);
    again.consumed = r->consumed;
    check_same(r, &again);
    free(again.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result whole = {.space_len = SPACE}, part = {.space_len = SPACE};
    if (size < 2)
        return 0;
    unsigned seed = data[0];
    const char *text = (const char *)data + 1;
    size--;
    decode(text, size, size, false, seed, &whole);
    for (size_t way = 0; way < 4; way++) {
        decode(text, size, way & 1, way & 2, seed, &part);
        check_same(&whole, &part);
        free(part.payload);
    }
    if (chunked_is_done(&whole.d)) {
        check_trailers(chunked_trailers(&whole.d));
        check_round_trip(&whole, seed);
    }
    free(whole.payload);
    return 0;
}
