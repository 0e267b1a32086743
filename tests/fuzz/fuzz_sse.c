/*
 * fuzz_sse.c: any bytes as a stream of server-sent events. The first byte seeds how the rest is cut.
 *
 * What has to hold: all at once, byte by byte and in random portions give the same events; and the events,
 * written as a stream again, are read as themselves.
 */
#include "lib/sse.h"

#include <stdlib.h>

#include "lib/buf.h"

#define MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_event(void *ctx, const struct sse_event *e)
{
    struct buf *b = ctx;
    struct slice rest = e->data;
    CHECK(e->type.len > 0 && e->type.len <= MAX && e->data.len <= MAX);
    buf_add(b, SLICE("event:"));
    buf_add(b, SLICE(" "));
    buf_add(b, e->type);
    for (bool more = true; more;) {
        ptrdiff_t end = slice_find(rest, '\n');
        more = end >= 0;
        struct slice line = {rest.p, more ? (size_t)end : rest.len};
        buf_add(b, SLICE("\ndata: "));
        buf_add(b, line);
        rest = slice_skip(rest, line.len + 1);
    }
    buf_add(b, SLICE("\n\n"));
}

/* Portions are of PORTION bytes, or random ones when it is 0. Gives what was dropped. */
static uint64_t read_stream(struct slice in, size_t portion, unsigned seed, struct buf *out)
{
    struct sse *s = sse_new(MAX, write_event, out);
    CHECK(s);
    while (in.len > 0) {
        size_t n = portion ? portion : 1 + (size_t)rand_r(&seed) % 20;
        n = n < in.len ? n : in.len;
        char *p = malloc(n); /* of its very size */
        memcpy(p, in.p, n);
        sse_feed(s, (struct slice){p, n});
        free(p);
        in = slice_skip(in, n);
    }
    uint64_t dropped = sse_dropped(s);
    sse_free(s);
    return dropped;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char spaces[2][1 << 20];
    struct buf whole, other;
    if (size < 2)
        return 0;
    struct slice in = {(const char *)data + 1, size - 1};
    buf_init(&whole, spaces[0], sizeof(spaces[0]));
    uint64_t dropped = read_stream(in, in.len, 0, &whole);
    CHECK(!whole.failed);
    for (size_t portion = 0; portion < 2; portion++) {
        buf_init(&other, spaces[1], sizeof(spaces[1]));
        CHECK(read_stream(in, portion, data[0], &other) == dropped);
        CHECK(slice_eq(buf_slice(&whole), buf_slice(&other)));
    }
    buf_init(&other, spaces[1], sizeof(spaces[1]));
    CHECK(read_stream(buf_slice(&whole), 0, data[0], &other) == 0);
    CHECK(slice_eq(buf_slice(&whole), buf_slice(&other)));
    return 0;
}
