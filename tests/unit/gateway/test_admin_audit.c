/* test_admin_audit.c: what the error log tells of requests to the admin port, with a real log and any clock.
 */
#include "gateway/admin_audit.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/unit.h"

static char path[64];
static struct admin_audit audit;

static void begin(void)
{
    strcpy(path, "/tmp/tollgate-audit-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    const struct conf_log conf = {.error = path, .format = LOG_COMBINED, .level = LOG_INFO, .queue = 1024};
    audit = (struct admin_audit){.log = log_new(&conf, NULL)};
    ck_assert_ptr_nonnull(audit.log);
}

/* What stands behind "admin: " in each line; the log is closed. */
static const char *lines(void)
{
    static char text[65536];
    char line[4096];
    text[0] = '\0';
    log_free(audit.log);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f)) {
        const char *told = strstr(line, "admin: ");
        ck_assert_ptr_nonnull(told);
        strcat(text, told + strlen("admin: "));
    }
    fclose(f);
    unlink(path);
    return text;
}

static struct admin_act act(enum admin_who who, const char *target, unsigned status)
{
    return (struct admin_act){.who = who,
                              .peer = "10.0.0.7",
                              .method = "POST",
                              .target = target,
                              .status = status,
                              .is_write = true};
}

START_TEST(a_write_is_told_and_a_read_is_not)
{
    begin();
    struct admin_act write = act(ADMIN_WRITER, "/cache/purge?url=http%3A%2F%2Fx%2F", 200);
    struct admin_act read = act(ADMIN_READER, "/limits", 200);
    read.is_write = false;
    admin_audit_done(&audit, &write);
    admin_audit_done(&audit, &read);
    write.who = ADMIN_NO_TOKEN;
    admin_audit_done(&audit, &write);
    ck_assert_uint_eq(audit.writes, 2);
    ck_assert_uint_eq(audit.reads, 1);
    ck_assert_str_eq(lines(), "token from 10.0.0.7: POST /cache/purge?url=http%3A%2F%2Fx%2F -> 200\n"
                              "no token from 10.0.0.7: POST /cache/purge?url=http%3A%2F%2Fx%2F -> 200\n");
}
END_TEST

START_TEST(no_byte_of_a_target_does_harm)
{
    char shown[ADMIN_TARGET_SHOWN + 16], want[ADMIN_TARGET_SHOWN + 16], target[4096];
    struct buf b;
    buf_init(&b, shown, sizeof(shown));
    admin_audit_escape("/a?\n\r\x1b[31m \x7f\xc3\xa4%0a", &b);
    ck_assert_str_eq(buf_cstr(&b), "/a?%0A%0D%1B[31m%20%7F%C3%A4%0a");
    memset(target, 'x', sizeof(target) - 1);
    target[sizeof(target) - 1] = '\0';
    buf_init(&b, shown, sizeof(shown));
    admin_audit_escape(target, &b);
    memset(want, 'x', ADMIN_TARGET_SHOWN);
    strcpy(want + ADMIN_TARGET_SHOWN, "...");
    ck_assert_str_eq(buf_cstr(&b), want);
    target[ADMIN_TARGET_SHOWN] = '\0';
    buf_init(&b, shown, sizeof(shown));
    admin_audit_escape(target, &b);
    want[ADMIN_TARGET_SHOWN] = '\0';
    ck_assert_str_eq(buf_cstr(&b), want);
}
END_TEST

START_TEST(refusals_are_told_once_a_second)
{
    const uint64_t second = CLOCK_SECOND_NS;
    begin();
    const struct admin_act wrong = act(ADMIN_UNKNOWN, "/breakers", 401);
    for (uint64_t i = 0; i < 100; i++)
        admin_audit_refused(&audit, &wrong, "bad", second + i);
    admin_audit_tick(&audit, 2 * second - 1); /* too early */
    admin_audit_refused(&audit, &wrong, "bad", 2 * second);
    admin_audit_refused(&audit, &wrong, "bad", 2 * second + 1);
    admin_audit_refused(&audit, &wrong, NULL, 9 * second); /* is counted only */
    admin_audit_tick(&audit, 3 * second);
    admin_audit_tick(&audit, 9 * second);
    ck_assert_uint_eq(audit.denied, 103);
    ck_assert_str_eq(lines(), "refused nobody from 10.0.0.7: POST /breakers -> 401 bad\n"
                              "refused nobody from 10.0.0.7: POST /breakers -> 401 bad (and 99 more)\n"
                              "1 more requests were refused\n");
}
END_TEST

START_TEST(requests_are_counted)
{
    char *page = NULL;
    size_t size;
    const struct admin_audit a = {.reads = 1, .writes = 2, .denied = 3, .wrong_tokens = 4};
    FILE *out = open_memstream(&page, &size);
    ck_assert_ptr_nonnull(out);
    admin_audit_metrics(&a, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(page, "\ntollgate_admin_requests_total{access=\"read\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(page, "\ntollgate_admin_requests_total{access=\"write\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(page, "\ntollgate_admin_requests_total{access=\"refused\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(page, "\ntollgate_admin_wrong_tokens_total 4\n"));
    free(page);
}
END_TEST

static Suite *admin_audit_suite(void)
{
    Suite *s = suite_create("admin_audit");
    TCase *t = tcase_create("admin_audit");
    tcase_add_test(t, a_write_is_told_and_a_read_is_not);
    tcase_add_test(t, no_byte_of_a_target_does_harm);
    tcase_add_test(t, refusals_are_told_once_a_second);
    tcase_add_test(t, requests_are_counted);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(admin_audit_suite)
