/* The error log: how its lines read, what of them is escaped, which are left out. */
#include "gateway/log.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define TIME "2026-11-23T13:01:00.123456" /* as long as any */

static char dir[64];

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void make_dir(void)
{
    snprintf(dir, sizeof(dir), "/tmp/tollgate-log-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
    unlink(path_of("old"));
    unlink(path_of("log"));
    rmdir(dir);
}

/* The log, NUL-terminated; to be freed. */
static char *read_file(const char *name)
{
    size_t cap = 1 << 20;
    char *text = malloc(cap);
    FILE *f = fopen(path_of(name), "r");
    ck_assert_ptr_nonnull(f);
    text[fread(text, 1, cap - 1, f)] = '\0';
    fclose(f);
    return text;
}

static struct log *open_error_log(enum conf_log_format format, enum conf_log_level level)
{
    struct conf_log conf = {.error = path_of("log"), .format = format, .level = level, .queue = 16384};
    struct log *log = log_new(&conf, NULL);
    ck_assert_ptr_nonnull(log);
    return log;
}

START_TEST(text_lines)
{
    make_dir();
    struct log *log = open_error_log(LOG_COMBINED, LOG_INFO);
    log_printf(log, LOG_DEBUG, "not seen");
    log_printf(log, LOG_WARN, "backend %s: %d\n\x1b[31m\x7f \"q\"", "users", 7);
    log_set_level(log, LOG_DEBUG);
    log_printf(log, LOG_DEBUG, "seen");
    log_set_level(log, LOG_ERROR);
    log_printf(log, LOG_WARN, "not seen");
    log_free(log);
    char *text = read_file("log"), *second = strchr(text, '\n') + 1;
    ck_assert_uint_eq(strspn(text, "0123456789-:.TZ"), strlen("2026-11-23T13:01:00.123456Z"));
    ck_assert_ptr_nonnull(strstr(text, "Z tollgate: warn: backend users: 7\\x0a\\x1b[31m\\x7f \"q\"\n"));
    ck_assert_str_eq(second + strlen(TIME), "Z tollgate: debug: seen\n");
    free(text);
    remove_dir();
}
END_TEST

START_TEST(json_lines)
{
    char longest[3000];
    make_dir();
    memset(longest, 1, sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    struct log *log = open_error_log(LOG_JSON, LOG_INFO);
    log_printf(log, LOG_ERROR, "\"quoted\"\n%s", "\xff");
    log_printf(log, LOG_INFO, "%s", longest);
    log_free(log);
    char *text = read_file("log"), *end = strchr(text, '\n');
    cJSON *one = cJSON_ParseWithLength(text, (size_t)(end - text)), *two = cJSON_Parse(end + 1);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(one, "message")), "\"quoted\"\n\xEF\xBF\xBD");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(one, "level")), "error");
    ck_assert_uint_eq(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(one, "time"))), 27);
    ck_assert_uint_eq(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(two, "message"))), LOG_TEXT_MAX - 1);
    ck_assert_ptr_eq(strchr(end + 1, '\n'), end + strlen(end) - 1);
    cJSON_Delete(one);
    cJSON_Delete(two);
    free(text);
    remove_dir();
}
END_TEST

struct heard {
    bool is_deaf;
    unsigned n;
    char last[512];
};

static bool listens(const void *ctx)
{
    const struct heard *h = ctx;
    return !h->is_deaf;
}

static void hear(void *ctx, struct slice line)
{
    struct heard *h = ctx;
    h->n++;
    snprintf(h->last, sizeof(h->last), "%.*s", SLICE_ARG(line));
}

/* Who listens hears JSON, whatever is written, and only what is. */
START_TEST(listener_hears_json)
{
    struct heard heard = {0};
    make_dir();
    struct log *log = open_error_log(LOG_COMBINED, LOG_INFO);
    log_printf(log, LOG_INFO, "before");
    log_set_listener(log, &(struct log_listener){listens, hear, &heard});
    log_printf(log, LOG_DEBUG, "too low");
    log_printf(log, LOG_WARN, "a \"word\"");
    heard.is_deaf = true;
    log_printf(log, LOG_WARN, "not wanted");
    log_free(log);
    ck_assert_uint_eq(heard.n, 1);
    cJSON *one = cJSON_Parse(heard.last);
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(one, "message")), "a \"word\"");
    ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(one, "level")), "warn");
    cJSON_Delete(one);
    char *text = read_file("log");
    ck_assert_ptr_nonnull(strstr(text, "Z tollgate: warn: a \"word\"\n"));
    ck_assert_ptr_nonnull(strstr(text, "Z tollgate: warn: not wanted\n"));
    free(text);
    remove_dir();
}
END_TEST

static void *log_many(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_printf(arg, LOG_INFO, "line %d", i);
    return NULL;
}

START_TEST(any_thread_may_log)
{
    pthread_t threads[3];
    unsigned n = 0;
    make_dir();
    struct log *log = open_error_log(LOG_COMBINED, LOG_INFO);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, log_many, log);
    log_set_level(log, LOG_INFO);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(log_dropped(log), 0);
    log_free(log);
    char *text = read_file("log");
    for (const char *p = text; *p; p = strchr(p, '\n') + 1, n++)
        if (strncmp(p + strlen(TIME), "Z tollgate: info: line ", 23) != 0)
            ck_abort_msg("%.80s", p);
    ck_assert_uint_eq(n, 1500);
    free(text);
    remove_dir();
}
END_TEST

START_TEST(reopened)
{
    char old[128];
    make_dir();
    snprintf(old, sizeof(old), "%s", path_of("old"));
    struct log *log = open_error_log(LOG_COMBINED, LOG_INFO);
    rename(path_of("log"), old);
    log_reopen(log);
    log_printf(log, LOG_INFO, "after");
    log_free(log);
    char *text = read_file("log");
    ck_assert_str_eq(text + strlen(TIME), "Z tollgate: info: after\n");
    free(text);
    remove_dir();
}
END_TEST

START_TEST(cannot_be_opened)
{
    struct err err = {0};
    struct conf_log conf = {.error = "/nowhere/at/all", .queue = 16};
    ck_assert_ptr_null(log_new(&conf, &err));
    ck_assert(err_is_set(&err));
}
END_TEST

/* Before there is a log: to stderr, which is a pipe for the moment. */
START_TEST(without_a_log)
{
    int fds[2], before = dup(STDERR_FILENO);
    char text[256] = "";
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    dup2(fds[1], STDERR_FILENO);
    log_printf(NULL, LOG_ERROR, "early\n");
    dup2(before, STDERR_FILENO);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    ck_assert_str_eq(text + strlen(TIME), "Z tollgate: error: early\\x0a\n");
    close(before);
    close(fds[0]);
    close(fds[1]);
    log_free(NULL);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_test(t, text_lines);
    tcase_add_test(t, json_lines);
    tcase_add_test(t, listener_hears_json);
    tcase_add_test(t, any_thread_may_log);
    tcase_add_test(t, reopened);
    tcase_add_test(t, cannot_be_opened);
    tcase_add_test(t, without_a_log);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
