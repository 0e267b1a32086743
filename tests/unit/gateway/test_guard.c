/* test_guard.c: what guards do with news of other gateways' breakers (gateway/guard), hostile ones among
 * them. */
#include "gateway/guard.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/fleet.h"
#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)
#define START  (77 * SECOND)

static char path[64];
static struct log *error_log;
static struct guards *reg;
static struct guard *guard;

/* A backend "b", whose breaker opens for 5 s, 1 min at most; its window is 10 s. */
static void begin(enum conf_breaker_share share, bool enabled)
{
    struct conf_backend b;
    memset(&b, 0, sizeof(b)); /* the padding too */
    b.name = "b";
    b.breaker.enabled = enabled;
    b.breaker.failure_ratio = 5000;
    b.breaker.min_requests = 20;
    b.breaker.window_ms = 10000;
    b.breaker.open_ms = 5000;
    b.breaker.open_max_ms = 60000;
    b.breaker.half_open_probes = b.breaker.close_after = 1;
    b.breaker.share = share;
    snprintf(path, sizeof(path), "/tmp/tollgate-guard-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    const struct conf_log conf = {.error = path, .level = LOG_INFO, .queue = 16384};
    ck_assert_ptr_nonnull(error_log = log_new(&conf, NULL));
    ck_assert_ptr_nonnull(reg = guards_new());
    ck_assert_ptr_nonnull(guard = guards_find(reg, &b, START));
}

/* How often TEXT is in the log, once all is written. */
static unsigned end(const char *text)
{
    static char all[1 << 16];
    unsigned n = 0;
    guard_put(guard);
    guards_free(reg);
    log_free(error_log);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    all[fread(all, 1, sizeof(all) - 1, f)] = '\0';
    fclose(f);
    unlink(path);
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static void hear(struct slice backend, uint64_t open_ms, uint64_t now_ns)
{
    struct guard_news *news = guard_news_new(backend, open_ms);
    ck_assert_ptr_nonnull(news);
    guards_hear(reg, news, now_ns, error_log);
    message_drop(&news->base);
}

static struct breaker_view look(uint64_t now_ns)
{
    return breaker_view(&guard->breaker, now_ns);
}

START_TEST(share_open_opens)
{
    begin(BREAKER_SHARE_OPEN, true);
    hear(SLICE("b"), 7000, START);
    hear(SLICE("b"), 7000, START + SECOND); /* from another node */
    struct breaker_view v = look(START + SECOND);
    ck_assert_int_eq(v.state, BREAKER_OPEN);
    ck_assert_uint_eq(v.events[BREAKER_DID_FOLLOW], 1);
    ck_assert_uint_ge(v.time_left_ns, 5 * SECOND); /* the jitter is a tenth */
    ck_assert_uint_le(v.time_left_ns, 7 * SECOND);
    ck_assert_uint_eq(v.cautious_left_ns, 0);
    ck_assert_uint_eq(end("backend b: breaker opened, as another gateway's has (change 2)"), 1);
}
END_TEST

START_TEST(share_cautious_is_cautious)
{
    begin(BREAKER_SHARE_CAUTIOUS, true);
    hear(SLICE("b"), 7000, START);
    hear(SLICE("b"), 7000, START);
    struct breaker_view v = look(START);
    ck_assert_int_eq(v.state, BREAKER_CLOSED);
    ck_assert_uint_eq(v.cautious_left_ns, 17 * SECOND);
    ck_assert_uint_eq(v.cautions, 1);
    ck_assert_uint_eq(v.events[BREAKER_DID_FOLLOW], 0);
    ck_assert_uint_eq(end("backend b: breaker is cautious for 17.0 s, as another gateway's has opened"), 1);
}
END_TEST

START_TEST(others_do_not_care)
{
    for (int i = 0; i < 2; i++) {
        begin(i ? BREAKER_SHARE_OPEN : BREAKER_SHARE_OFF, i == 0);
        hear(SLICE("b"), 7000, START);
        struct breaker_view v = look(START);
        ck_assert_uint_eq(v.generation, 1);
        ck_assert_uint_eq(v.cautious_left_ns, 0);
        ck_assert_uint_eq(end("backend"), 0);
    }
}
END_TEST

START_TEST(names_are_not_believed)
{
    static char letters[FLEET_BACKEND_MAX + 1];
    memset(letters, 'x', sizeof(letters));
    ck_assert_ptr_null(guard_news_new((struct slice){letters, 0}, 1));
    ck_assert_ptr_null(guard_news_new((struct slice){letters, sizeof(letters)}, 1));
    ck_assert_ptr_null(guard_news_new((struct slice){"b\0x", 3}, 1));
    begin(BREAKER_SHARE_OPEN, true);
    hear((struct slice){letters, FLEET_BACKEND_MAX}, 7000, START);
    hear(SLICE("bb"), 7000, START);
    hear(SLICE("%s%n\r\n"), 7000, START);
    ck_assert_uint_eq(look(START).generation, 1);
    ck_assert_uint_eq(end("backend"), 0);
}
END_TEST

START_TEST(times_are_not_believed)
{
    static const uint64_t times[] = {60001, UINT64_MAX / 1000000 + 1, UINT64_MAX};
    for (unsigned i = 0; i < 3; i++) {
        begin(BREAKER_SHARE_OPEN, true);
        hear(SLICE("b"), times[i], START);
        ck_assert_uint_ge(look(START).time_left_ns, 54 * SECOND);
        ck_assert_uint_le(look(START).time_left_ns, 67 * SECOND);
        ck_assert_uint_eq(end("opened, as another"), 1);
        begin(BREAKER_SHARE_CAUTIOUS, true);
        hear(SLICE("b"), times[i], START);
        ck_assert_uint_eq(look(START).cautious_left_ns, 70 * SECOND);
        ck_assert_uint_eq(end("cautious for 70.0 s"), 1);
    }
    for (int i = 0; i < 2; i++) {
        begin(i ? BREAKER_SHARE_OPEN : BREAKER_SHARE_CAUTIOUS, true);
        hear(SLICE("b"), 0, START);
        ck_assert_uint_eq(look(START).generation, 1);
        ck_assert_uint_eq(look(START).cautious_left_ns, 0);
        ck_assert_uint_eq(end("backend"), 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("guard");
    TCase *t = tcase_create("guard");
    tcase_add_test(t, share_open_opens);
    tcase_add_test(t, share_cautious_is_cautious);
    tcase_add_test(t, others_do_not_care);
    tcase_add_test(t, names_are_not_believed);
    tcase_add_test(t, times_are_not_believed);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
