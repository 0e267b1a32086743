/* The table of reasons is complete, its words can stand anywhere, and its statuses are those of the header.
 */
#include "gateway/reason.h"

#include "lib/http.h"
#include "tests/unit/unit.h"

START_TEST(every_reason_is_described)
{
    for (unsigned r = 0; r < REASONS; r++) {
        const struct reason_info *info = reason_info((enum reason)r);
        ck_assert_msg(info->name && info->name[0] && info->title && info->title[0], "reason %u", r);
        for (const char *p = info->name; *p; p++)
            ck_assert_msg((*p >= 'a' && *p <= 'z') || *p == '_', "%s is no plain word", info->name);
        for (unsigned other = 0; other < r; other++)
            ck_assert_str_ne(info->name, reason_info((enum reason)other)->name);
    }
}
END_TEST

START_TEST(statuses_are_errors_that_have_a_phrase)
{
    for (unsigned r = REASON_NONE + 1; r < REASONS; r++) {
        const struct reason_info *info = reason_info((enum reason)r);
        ck_assert_uint_ge(info->status, 400);
        ck_assert_uint_le(info->status, 599);
        if (r != REASON_CLIENT_GONE)
            ck_assert_msg(http_status_phrase(info->status)[0] != '\0', "%s: %u", info->name, info->status);
    }
}
END_TEST

START_TEST(error_types_are_registered)
{
    static const char *const types[] = {
        "http_request_error",       "http_request_denied",     "destination_not_found",
        "destination_unavailable",  "connection_refused",      "connection_timeout",
        "connection_limit_reached", "tls_protocol_error",      "connection_terminated",
        "http_protocol_error",      "connection_read_timeout", "http_response_incomplete",
        "http_response_timeout",    "proxy_internal_response", "proxy_internal_error",
    };
    for (unsigned r = REASON_NONE + 1; r < REASONS; r++) {
        const char *type = reason_info((enum reason)r)->proxy_status;
        bool known = type == NULL && r == REASON_CLIENT_GONE;
        for (size_t i = 0; type && i < sizeof(types) / sizeof(types[0]); i++)
            known = known || strcmp(type, types[i]) == 0;
        ck_assert_msg(known, "%s: %s", reason_info((enum reason)r)->name, type ? type : "(none)");
    }
}
END_TEST

START_TEST(what_others_rely_on)
{
    ck_assert_str_eq(reason_info(REASON_CONNECT_FAILED)->name, "connect_failed");
    ck_assert_str_eq(reason_info(REASON_CONNECT_FAILED)->proxy_status, "connection_refused");
    ck_assert_uint_eq(reason_info(REASON_CONNECT_FAILED)->status, 502);
    ck_assert_uint_eq(reason_info(REASON_METHOD_REFUSED)->status, 501);
    ck_assert_uint_eq(reason_info(REASON_NO_SERVER)->status, 503);
    ck_assert_uint_eq(reason_info(REASON_UPSTREAM_TIMEOUT)->status, 504);
    ck_assert_uint_eq(reason_info(REASON_CLIENT_GONE)->status, 499);
    ck_assert_uint_eq(reason_info(REASON_NO_ROUTE)->status, 404);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("reason");
    TCase *t = tcase_create("table");
    tcase_add_test(t, every_reason_is_described);
    tcase_add_test(t, statuses_are_errors_that_have_a_phrase);
    tcase_add_test(t, error_types_are_registered);
    tcase_add_test(t, what_others_rely_on);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
