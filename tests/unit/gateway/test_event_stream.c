/* Server-sent events: how they are framed; and a stream through libmicrohttpd over a socket pair. */
#include "gateway/event_stream.h"

#include <stdio.h>

#include "tests/unit/gateway/event_stream_fixture.h"
#include "tests/unit/unit.h"

static const char *framed(const char *name, uint64_t id, struct slice data)
{
    static char text[512];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    event_stream_frame(&b, name, id, data);
    const char *all = buf_cstr(&b);
    ck_assert_ptr_nonnull(all);
    return all;
}

START_TEST(one_line)
{
    ck_assert_str_eq(framed("status", 7, SLICE("{}")), "event: status\nid: 7\ndata: {}\n\n");
    ck_assert_str_eq(framed("dropped", 0, SLICE("x")), "event: dropped\ndata: x\n\n");
    ck_assert_str_eq(framed("e", 1, SLICE("")), "event: e\nid: 1\ndata: \n\n");
}
END_TEST

/* No byte of the data can end the event or begin a field. */
START_TEST(hostile_data)
{
    ck_assert_str_eq(framed("e", 0, SLICE("a\nb")), "event: e\ndata: a\ndata: b\n\n");
    ck_assert_str_eq(framed("e", 0, SLICE("a\rb")), "event: e\ndata: a\ndata: b\n\n");
    ck_assert_str_eq(framed("e", 0, SLICE("a\r\nb")), "event: e\ndata: a\ndata: b\n\n");
    ck_assert_str_eq(framed("e", 0, SLICE("a\n\nevent: x\n")),
                     "event: e\ndata: a\ndata: \ndata: event: x\ndata: \n\n");
    ck_assert_str_eq(framed("e", 0, SLICE("a\r")), "event: e\ndata: a\ndata: \n\n");
    ck_assert_str_eq(framed("e", 0, SLICE("\r\r\n\n")), "event: e\ndata: \ndata: \ndata: \ndata: \n\n");
    ck_assert_str_eq(framed("e", 0, SLICE("a\0b\0")), "event: e\ndata: a\xef\xbf\xbd"
                                                      "b\xef\xbf\xbd\n\n");
}
END_TEST

START_TEST(no_room)
{
    char text[16];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    event_stream_frame(&b, "name", 1, SLICE("more than fits"));
    ck_assert(b.failed);
}
END_TEST

/* ---- through libmicrohttpd ---- */

START_TEST(head_and_events)
{
    struct world w;
    world_open(&w);
    world_ask(&w);
    event_stream_send(w.last, "status", SLICE("{}"));
    const char *all = read_until(&w, "data: {}\n\n");
    ck_assert_ptr_nonnull(all);
    ck_assert_ptr_nonnull(strstr(all, "Content-Type: text/event-stream\r\n"));
    ck_assert_ptr_nonnull(strstr(all, "Cache-Control: no-store\r\n"));
    ck_assert_ptr_nonnull(strstr(all, "retry: 1000\n\n"));
    ck_assert_ptr_nonnull(strstr(all, "event: status\nid: 1\n"));
    event_stream_send(w.last, "status", SLICE("again"));
    ck_assert_ptr_nonnull(read_until(&w, "id: 2\ndata: again\n\n"));
    world_close(&w);
    ck_assert_uint_eq(w.gone, 1);
}
END_TEST

/* With nothing to send, libmicrohttpd is not run again and again. */
START_TEST(idle_costs_nothing)
{
    struct world w;
    world_open(&w);
    world_ask(&w);
    ck_assert_ptr_nonnull(read_until(&w, "retry: 1000\n\n"));
    for (int i = 0; i < 10; i++)
        turn(&w);
    unsigned runs = httpd_run_number(w.httpd);
    for (int i = 0; i < 1000; i++)
        turn(&w);
    ck_assert_uint_eq(httpd_run_number(w.httpd), runs);
    world_close(&w);
}
END_TEST

/* Who does not read gets the first events, then how many were dropped, then the next; ids count all. */
START_TEST(slow_client)
{
    struct world w;
    char data[1000], count[64];
    memset(data, 'x', sizeof(data));
    world_open(&w);
    world_ask(&w);
    for (int i = 0; i < 1000; i++)
        event_stream_send(w.last, "e", (struct slice){data, sizeof(data)});
    event_stream_drop(w.last, 5);
    const char *all = read_until(&w, "\"count\":");
    ck_assert_ptr_nonnull(all);
    unsigned got = 0;
    for (const char *p = all; (p = strstr(p, "event: e\n")); p++)
        got++;
    snprintf(count, sizeof(count), "data: {\"count\":%u}\n\n", 1005 - got);
    ck_assert_uint_ge(got, 50);
    ck_assert_uint_lt(got, 500);
    ck_assert_ptr_nonnull(strstr(all, "event: dropped\n"));
    ck_assert_msg(strstr(all, count) != NULL, "%u came, and not %s", got, count);
    event_stream_send(w.last, "e", SLICE("last"));
    ck_assert_ptr_nonnull(read_until(&w, "id: 1006\ndata: last\n\n"));
    world_close(&w);
}
END_TEST

/* The status of many routes has more bytes than a stream holds of anything else. */
START_TEST(large_events)
{
    const size_t len = 5 * EVENT_STREAM_ROOM;
    struct world w;
    char *data = malloc(len);
    ck_assert_ptr_nonnull(data);
    memset(data, 'x', len);
    memcpy(data + len - 4, "LAST", 4);
    world_open(&w);
    world_ask(&w);
    event_stream_send(w.last, "e", SLICE("before"));
    event_stream_send(w.last, "large", (struct slice){data, len});
    event_stream_send(w.last, "large", (struct slice){data, len}); /* no room beside the first */
    event_stream_send(w.last, "e", SLICE("behind"));
    const char *all = read_until(&w, "data: behind\n\n");
    ck_assert_ptr_nonnull(all);
    ck_assert_ptr_nonnull(strstr(all, "id: 1\ndata: before\n\nevent: large\nid: 2\ndata: xxx"));
    const char *end = strstr(all, "LAST\n\n");
    ck_assert_ptr_nonnull(end);
    size_t got = 0;
    for (const char *p = strstr(all, "xxx"); p < end; p++) /* chunks have their sizes in between */
        got += *p == 'x';
    ck_assert_uint_eq(got, len - 4);
    ck_assert_ptr_nonnull(strstr(end, "LAST\n\nevent: dropped\ndata: {\"count\":1}\n\nevent: e\nid: 4\n"));
    event_stream_send(w.last, "large", (struct slice){data, len});
    ck_assert_ptr_nonnull(read_until(&w, "LAST\n\n"));
    world_close(&w);
    free(data);
}
END_TEST

START_TEST(an_event_larger_than_the_most_is_dropped)
{
    struct world w;
    char *data = malloc(EVENT_STREAM_LARGE + 1);
    ck_assert_ptr_nonnull(data);
    memset(data, 'x', EVENT_STREAM_LARGE + 1);
    world_open(&w);
    world_ask(&w);
    event_stream_send(w.last, "large", (struct slice){data, EVENT_STREAM_LARGE + 1});
    ck_assert_ptr_nonnull(read_until(&w, "event: dropped\ndata: {\"count\":1}\n\n"));
    world_close(&w);
    free(data);
}
END_TEST

/* Its socket is watched: nothing has to be sent to see it. */
START_TEST(client_leaves)
{
    struct world w;
    world_open(&w);
    world_ask(&w);
    ck_assert_ptr_nonnull(read_until(&w, "retry: 1000\n\n"));
    ck_assert_int_eq(shutdown(w.fd, SHUT_WR), 0);
    for (uint64_t end = clock_now_ns() + WAIT_NS; w.gone == 0 && clock_now_ns() < end;)
        turn(&w);
    ck_assert_uint_eq(w.gone, 1);
    ck_assert_uint_eq(event_streams_count(w.all), 0);
    world_close(&w);
}
END_TEST

START_TEST(too_many)
{
    struct world w;
    int fds[EVENT_STREAMS_MAX];
    world_open(&w);
    world_ask(&w);
    for (int i = 0; i < EVENT_STREAMS_MAX; i++)
        fds[i] = world_knock(&w);
    for (uint64_t end = clock_now_ns() + WAIT_NS; w.refused == 0 && clock_now_ns() < end;)
        turn(&w);
    ck_assert_uint_eq(w.refused, 1);
    ck_assert_uint_eq(event_streams_count(w.all), EVENT_STREAMS_MAX);
    world_close(&w);
    ck_assert_uint_eq(w.gone, EVENT_STREAMS_MAX);
    for (int i = 0; i < EVENT_STREAMS_MAX; i++)
        close(fds[i]);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("event_stream");
    TCase *t = tcase_create("event_stream");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, one_line);
    tcase_add_test(t, hostile_data);
    tcase_add_test(t, no_room);
    tcase_add_test(t, head_and_events);
    tcase_add_test(t, idle_costs_nothing);
    tcase_add_test(t, slow_client);
    tcase_add_test(t, large_events);
    tcase_add_test(t, an_event_larger_than_the_most_is_dropped);
    tcase_add_test(t, client_leaves);
    tcase_add_test(t, too_many);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
