/* Server-sent events (lib/sse): whole streams, and the same in pieces of every size. */
#include "lib/sse.h"

#include <stdio.h>

#include "lib/buf.h"
#include "tests/unit/unit.h"

#define MAX 32

/* What came, as "type=data;" one after the other. */
struct seen {
    char text[512];
    struct buf b;
};

static void on_event(void *ctx, const struct sse_event *e)
{
    struct seen *seen = ctx;
    buf_add(&seen->b, e->type);
    buf_add_char(&seen->b, '=');
    buf_add(&seen->b, e->data);
    buf_add_char(&seen->b, ';');
}

static void begin(struct seen *seen)
{
    buf_init(&seen->b, seen->text, sizeof(seen->text));
}

/* STREAM gives WANT, and leaves out DROPPED events, however it is cut. */
static void gives(struct slice stream, const char *want, unsigned dropped)
{
    for (size_t piece = 1; piece <= stream.len; piece++) {
        struct seen seen;
        begin(&seen);
        struct sse *s = sse_new(MAX, on_event, &seen);
        ck_assert_ptr_nonnull(s);
        for (size_t at = 0; at < stream.len; at += piece) {
            size_t left = stream.len - at;
            sse_feed(s, (struct slice){stream.p + at, left < piece ? left : piece});
        }
        ck_assert_str_eq(buf_cstr(&seen.b), want);
        ck_assert_uint_eq(sse_dropped(s), dropped);
        sse_free(s);
    }
}

START_TEST(events)
{
    gives(SLICE("data: a\n\n"), "message=a;", 0);
    gives(SLICE("event: request\ndata: {\"a\":1}\n\n"), "request={\"a\":1};", 0);
    gives(SLICE("data: a\ndata: b\n\ndata:c\n\n"), "message=a\nb;message=c;", 0);
    gives(SLICE("data:  a\n\n"), "message= a;", 0);
    gives(SLICE("data\n\n"), "message=;", 0);
    gives(SLICE("data\ndata\n\n"), "message=\n;", 0);
    gives(SLICE("data: a:b\n\n"), "message=a:b;", 0);
    gives(SLICE("data: a\nevent: x\nevent: y\n\n"), "y=a;", 0);
}
END_TEST

START_TEST(what_is_passed_over)
{
    gives(SLICE(": a comment\n\n: more\ndata: a\n\n"), "message=a;", 0);
    gives(SLICE("id: 7\nretry: 10\ndatum: b\ndata: a\n\n"), "message=a;", 0);
    gives(SLICE("event: x\n\ndata: a\n\n"), "message=a;", 0);
    gives(SLICE("\n\n\n"), "", 0);
    gives(SLICE("data: a\n"), "", 0);
    gives(SLICE("\xef\xbb\xbf"
                "data: a\n\n\xef\xbb\xbf"
                "data: b\n\n"),
          "message=a;", 0);
}
END_TEST

START_TEST(ends_of_lines)
{
    gives(SLICE("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), "message=a;message=b;message=c;", 0);
    gives(SLICE("data: a\r\ndata: b\rdata: c\n\r\n"), "message=a\nb\nc;", 0);
}
END_TEST

START_TEST(what_is_too_long_is_left_out)
{
    gives(SLICE("data: 0123456789012345678901234567890123456789\n\ndata: a\n\n"), "message=a;", 1);
    gives(SLICE("data: 0123456789\ndata: 0123456789\ndata: 0123456789\n\ndata: a\n\n"), "message=a;", 1);
    gives(SLICE("data: 01234567890123456789012345\n\n"), "message=01234567890123456789012345;", 0);
    gives(SLICE(": 01234567890123456789012345678901234567890123456789\n\ndata: a\n\n"), "message=a;", 1);
}
END_TEST

START_TEST(a_new_stream)
{
    struct seen seen;
    begin(&seen);
    struct sse *s = sse_new(MAX, on_event, &seen);
    sse_feed(s, SLICE("event: x\ndata: half\r"));
    sse_restart(s);
    sse_feed(s, SLICE("\ndata: a\n\n"));
    ck_assert_str_eq(buf_cstr(&seen.b), "message=a;");
    sse_free(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("sse");
    TCase *t = tcase_create("sse");
    tcase_add_test(t, events);
    tcase_add_test(t, what_is_passed_over);
    tcase_add_test(t, ends_of_lines);
    tcase_add_test(t, what_is_too_long_is_left_out);
    tcase_add_test(t, a_new_stream);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
