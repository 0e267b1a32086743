/* test_admin_reply.c: refusals of the admin port, through libmicrohttpd over a socket pair. */
#include "gateway/admin_reply.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/httpd.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (10 * CLOCK_SECOND_NS)

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
    (void)ctx, (void)method, (void)version, (void)body, (void)body_len;
    static const struct admin_field later = {"Retry-After", "5"};
    if (!*request) {
        *request = c;
        return MHD_YES;
    }
    return strcmp(url, "/short") == 0 ? admin_refuse_short(c)
                                      : admin_refuse(c, 404, "no \"such\" page", &later);
}

/* All that comes for a request until the connection ends; in ANSWER. */
static void ask(const char *request, char *answer, size_t size)
{
    uv_loop_t loop;
    int fds[2];
    size_t len = 0;
    struct sockaddr_storage addr = {.ss_family = AF_UNIX};
    const struct httpd_setup setup = {
        .loop = &loop, .memory = 16384, .max_connections = 4, .handler = on_request};
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct httpd *h = httpd_new(&setup, NULL);
    ck_assert_ptr_nonnull(h);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    ck_assert(httpd_add(h, fds[0], (struct sockaddr *)&addr, sizeof(addr)));
    ck_assert_int_eq(write(fds[1], request, strlen(request)), (ssize_t)strlen(request));
    for (uint64_t end = clock_now_ns() + PATIENCE_NS; clock_now_ns() < end;) {
        httpd_turn(h);
        uv_run(&loop, UV_RUN_NOWAIT);
        ssize_t n = read(fds[1], answer + len, size - 1 - len);
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    answer[len] = '\0';
    close(fds[1]);
    httpd_close(h);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    httpd_free(h);
}

static void check_problem(const char *answer, int status, const char *detail)
{
    ck_assert_msg(strncmp(answer, "HTTP/1.", 7) == 0 && atoi(answer + 9) == status, "%s", answer);
    ck_assert_ptr_nonnull(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\r\nCache-Control: no-store\r\n"));
    const char *body = strstr(answer, "\r\n\r\n");
    ck_assert_ptr_nonnull(body);
    cJSON *j = cJSON_Parse(body + 4);
    ck_assert_ptr_nonnull(j);
    ck_assert_str_eq(cJSON_GetObjectItem(j, "type")->valuestring, "about:blank");
    ck_assert_str_eq(cJSON_GetObjectItem(j, "detail")->valuestring, detail);
    ck_assert_int_eq(cJSON_GetObjectItem(j, "status")->valueint, status);
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(j, "title"));
    ck_assert_int_eq(cJSON_GetArraySize(j), 4);
    cJSON_Delete(j);
}

START_TEST(a_refusal_is_a_problem)
{
    char answer[4096];
    ask("GET / HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    check_problem(answer, 404, "no \"such\" page");
    ck_assert_ptr_nonnull(strstr(answer, "\r\nRetry-After: 5\r\n"));
}
END_TEST

START_TEST(so_is_one_for_want_of_memory)
{
    char answer[4096];
    ask("GET /short HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    check_problem(answer, 503, "memory is short");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("admin_reply");
    TCase *t = tcase_create("refusals");
    tcase_add_test(t, a_refusal_is_a_problem);
    tcase_add_test(t, so_is_one_for_want_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
