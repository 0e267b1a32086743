/* test_admin_access.c: who may do what on the admin port, and what a browser is not made to do. */
#include "gateway/admin_access.h"

#include "tests/unit/unit.h"

#define ALL  "all-rights-0123456789"
#define READ "reading-0123456789"

static struct conf_admin conf(const char *host, const char *token, const char *read_token)
{
    return (struct conf_admin){
        .listen = {.address = "x", .host = host, .port = 9901}, .token = token, .read_token = read_token};
}

static enum admin_denial ask(const struct admin_access *a, enum admin_right right, const char *authorization)
{
    enum admin_who who;
    const struct admin_caller c = {.authorization = slice_of(authorization), .host = SLICE("127.0.0.1")};
    return admin_access_check(a, right, &c, &who);
}

static const struct {
    const char *authorization;
    enum admin_denial read, write;
} rights[] = {
    {NULL, ADMIN_DENIED_TOKEN_MISSING, ADMIN_DENIED_TOKEN_MISSING},
    {"", ADMIN_DENIED_TOKEN_MISSING, ADMIN_DENIED_TOKEN_MISSING},
    {"Bearer " ALL, ADMIN_ALLOWED, ADMIN_ALLOWED},
    {"bearer  " ALL " ", ADMIN_ALLOWED, ADMIN_ALLOWED},
    {"Bearer " READ, ADMIN_ALLOWED, ADMIN_DENIED_RIGHT},
    {"Bearer", ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {"Bearer ", ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {"Bearer   ", ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {"Bearer all-rights-012345678", ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {"Bearer " ALL "0", ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {"Bearer bll-rights-0123456789", ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {"Basic " ALL, ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
    {ALL, ADMIN_DENIED_TOKEN_WRONG, ADMIN_DENIED_TOKEN_WRONG},
};

START_TEST(a_right_comes_with_its_token)
{
    struct admin_access a;
    const struct conf_admin c = conf("0.0.0.0", ALL, READ);
    admin_access_init(&a, &c);
    ck_assert_int_eq(ask(&a, ADMIN_OPEN, rights[_i].authorization), ADMIN_ALLOWED);
    ck_assert_int_eq(ask(&a, ADMIN_READ, rights[_i].authorization), rights[_i].read);
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, rights[_i].authorization), rights[_i].write);
}
END_TEST

/* An empty token equals one that is not configured, and must not be taken for it. */
START_TEST(with_one_token_the_other_is_nobodys)
{
    struct admin_access a;
    const struct conf_admin reading = conf("127.0.0.1", NULL, READ), all = conf("127.0.0.1", ALL, NULL);
    admin_access_init(&a, &reading);
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, "Bearer "), ADMIN_DENIED_TOKEN_WRONG);
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, NULL), ADMIN_DENIED_TOKEN_MISSING);
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, "Bearer " READ), ADMIN_DENIED_RIGHT);
    admin_access_init(&a, &all);
    ck_assert_int_eq(ask(&a, ADMIN_READ, "Bearer  "), ADMIN_DENIED_TOKEN_WRONG);
    ck_assert_int_eq(ask(&a, ADMIN_READ, "Bearer " ALL), ADMIN_ALLOWED);
}
END_TEST

START_TEST(a_token_may_be_as_long_as_the_configuration_allows)
{
    struct admin_access a;
    char token[CONF_TOKEN_MAX + 1], header[2048] = "Bearer ";
    memset(token, 't', CONF_TOKEN_MAX);
    token[CONF_TOKEN_MAX] = '\0';
    const struct conf_admin c = conf("0.0.0.0", token, NULL);
    admin_access_init(&a, &c);
    strcat(header, token);
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, header), ADMIN_ALLOWED);
    strcat(header, "t");
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, header), ADMIN_DENIED_TOKEN_WRONG);
    strcat(header, token); /* longer than the field that is compared */
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, header), ADMIN_DENIED_TOKEN_WRONG);
}
END_TEST

START_TEST(tokens_are_renewed)
{
    struct admin_access a;
    const struct conf_admin first = conf("0.0.0.0", ALL, NULL), second = conf("0.0.0.0", READ, NULL);
    admin_access_init(&a, &first);
    ck_assert(!admin_access_renew(&a, &first));
    ck_assert(admin_access_renew(&a, &second));
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, "Bearer " ALL), ADMIN_DENIED_TOKEN_WRONG);
    ck_assert_int_eq(ask(&a, ADMIN_WRITE, "Bearer " READ), ADMIN_ALLOWED);
}
END_TEST

static const struct {
    const char *bound, *host;
    bool is_own;
} hosts[] = {
    {"127.0.0.1", "localhost", true},
    {"127.0.0.1", "LOCALHOST:9901", true},
    {"127.0.0.1", "127.0.0.1:1", true},
    {"127.0.0.1", "[::1]:65535", true},
    {"127.0.0.1", NULL, true},
    {"127.0.0.2", "127.0.0.2:9901", true},
    {"127.0.0.1", "127.0.0.2", false},
    {"::1", "[::1]", true},
    {"127.0.0.1", "evil.example", false},
    {"127.0.0.1", "evil.example:9901", false},
    {"127.0.0.1", "127.0.0.1.evil.example", false},
    {"127.0.0.1", "localhost.evil.example", false},
    {"127.0.0.1", "localhost:9901:1", false},
    {"127.0.0.1", "localhost:x", false},
    {"127.0.0.1", "localhost:", false},
    {"127.0.0.1", "localhost:65536", false},
    {"127.0.0.1", ":80", false},
    {"127.0.0.1", "[::1", false},
    {"127.0.0.1", "[::1]x", false},
    {"127.0.0.1", "[::2]", false},
};

START_TEST(without_a_token_only_this_machine_is_named)
{
    struct admin_access a;
    enum admin_who who;
    const struct conf_admin c = conf(hosts[_i].bound, NULL, NULL), guarded = conf(hosts[_i].bound, ALL, NULL);
    const struct admin_caller caller = {.host = slice_of(hosts[_i].host)};
    admin_access_init(&a, &c);
    ck_assert_int_eq(admin_access_check(&a, ADMIN_READ, &caller, &who),
                     hosts[_i].is_own ? ADMIN_ALLOWED : ADMIN_DENIED_HOST);
    ck_assert_int_eq(who, ADMIN_NO_TOKEN);
    ck_assert_int_eq(admin_access_check(&a, ADMIN_OPEN, &caller, &who), ADMIN_ALLOWED);
    admin_access_renew(&a, &guarded);
    ck_assert_int_eq(admin_access_check(&a, ADMIN_READ, &caller, &who), ADMIN_DENIED_TOKEN_MISSING);
}
END_TEST

/* What runs in a browser has no way to it. */
START_TEST(a_unix_socket_takes_any_host)
{
    struct admin_access a;
    enum admin_who who;
    const struct conf_admin c = {.listen = {.address = "unix:/x", .unix_path = "/x"}};
    const struct admin_caller caller = {.host = SLICE("a")};
    admin_access_init(&a, &c);
    ck_assert_int_eq(admin_access_check(&a, ADMIN_WRITE, &caller, &who), ADMIN_ALLOWED);
}
END_TEST

static const struct {
    const char *origin;
    bool is_own;
} origins[] = {
    {NULL, true},
    {"http://127.0.0.1:9901", true},
    {"HTTP://127.0.0.1:9901", true},
    {"http://127.0.0.1", false},
    {"https://evil.example", false},
    {"null", false},
    {"127.0.0.1:9901", false},
    {"://", false},
    {"http://evil.example/://127.0.0.1:9901", false},
};

START_TEST(nothing_but_probes_for_other_sites)
{
    struct admin_access a;
    enum admin_who who;
    const struct conf_admin c = conf("127.0.0.1", ALL, NULL);
    const struct admin_caller caller = {.authorization = SLICE("Bearer " ALL),
                                        .host = SLICE("127.0.0.1:9901"),
                                        .origin = slice_of(origins[_i].origin)};
    admin_access_init(&a, &c);
    const enum admin_denial denial = origins[_i].is_own ? ADMIN_ALLOWED : ADMIN_DENIED_ORIGIN;
    ck_assert_int_eq(admin_access_check(&a, ADMIN_WRITE, &caller, &who), denial);
    ck_assert_int_eq(admin_access_check(&a, ADMIN_READ, &caller, &who), denial);
    ck_assert_int_eq(admin_access_check(&a, ADMIN_OPEN, &caller, &who), ADMIN_ALLOWED);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

static Suite *admin_access_suite(void)
{
    Suite *s = suite_create("admin_access");
    TCase *t = tcase_create("admin_access");
    tcase_add_loop_test(t, a_right_comes_with_its_token, 0, N(rights));
    tcase_add_test(t, with_one_token_the_other_is_nobodys);
    tcase_add_test(t, a_token_may_be_as_long_as_the_configuration_allows);
    tcase_add_test(t, tokens_are_renewed);
    tcase_add_loop_test(t, without_a_token_only_this_machine_is_named, 0, N(hosts));
    tcase_add_test(t, a_unix_socket_takes_any_host);
    tcase_add_loop_test(t, nothing_but_probes_for_other_sites, 0, N(origins));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(admin_access_suite)
