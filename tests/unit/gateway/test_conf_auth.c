/* test_conf_auth.c: who may come: what a configuration refuses, and what it makes of the files it names. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

#define HASH   "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"
#define SECRET "0123456789abcdef0123456789abcdef"
#define USER                                                                                                 \
    "jane:$6$abcdefgh$"                                                                                      \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234.\n"

static const struct conf_case cases[] = {
    {"api_keys \"k\" { }", "1: api_keys \"k\" needs a file\n", true},
    {"api_keys \"k\" { file = \"missing\" header = off }",
     "1: file: cannot read DIR/missing: No such file or directory\n"
     "1: api_keys \"k\" looks nowhere: it needs header or query\n",
     true},
    {"api_keys \"k\" { file = \"good.keys\" header = \"X Key\" }",
     "1: header: 'X Key' is not the name of a header field\n", true},
    {"api_keys \"k\" { file = \"good.keys\" }\njwt \"k\" { secret_file = \"secret\" issuer = \"i\" }",
     "2: \"k\" is there already, as api_keys at t.conf:1\n", true},
    {"api_keys \"a\\\"b\" { file = \"good.keys\" }", "1: api_keys: 'a\"b' is no name\n", true},
    {"api_keys \"k\" { file = \"empty\" }", "1: warning: file: DIR/empty has no keys: nobody gets in\n",
     true},
    {"jwt \"t\" { }",
     "1: jwt \"t\" needs one of jwks_file, jwks_url, public_key_file, secret_file\n"
     "1: warning: jwt \"t\" asks for no issuer and no audience: tokens for other services get in\n",
     true},
    {"jwt \"t\" { jwks_url = \"https://x/\" secret_file = \"secret\" issuer = \"i\" }",
     "1: jwt \"t\" needs only one of jwks_file, jwks_url, public_key_file, secret_file\n", true},
    {"jwt \"t\" { jwks_url = \"ftp://x/\" issuer = \"i\" }",
     "1: jwks_url: 'ftp://x/' is no http or https URL\n", true},
    {"jwt \"t\" { jwks_url = \"http://x/\" issuer = \"i\" }",
     "1: warning: jwks_url: without https, who can change the answer can make tokens\n", true},
    {"jwt \"t\" { secret_file = \"secret\" issuer = \"i\" algorithms = {\"none\", \"RS256\", \"HS265\"} }",
     "1: algorithms: 'none' is not known\n"
     "1: algorithms: RS256 does not go with a shared secret\n"
     "1: algorithms: 'HS265' is not known; did you mean 'HS256'?\n",
     true},
    {"jwt \"t\" { jwks_url = \"https://x/\" issuer = \"i\" algorithms = {\"HS256\"} }",
     "1: algorithms: HS256 does not go with public keys\n", true},
    {"jwt \"t\" { secret_file = \"secret\" issuer = \"i\" claim_header = {\"X-A\", \"b c: d\", \"Upgrade: "
     "e\"} }",
     "1: claim_header: 'X-A' needs a claim behind a colon: \"X-User: sub\"\n"
     "1: claim_header: 'b c' is not the name of a header field\n"
     "1: claim_header: 'Upgrade' is not the name of a header field\n",
     true},
    {"users \"u\" { file = \"good.users\" realm = \"a\\\\b\" }",
     "1: realm: quotes, backslashes and control characters cannot be told\n", true},
    {"route \"/x\" { backend = b auth = {\"good\", \"godo\", \"zzzzz\"} }\nusers \"good\" { file = "
     "\"good.users\" }",
     "1: auth: there is no api_keys, users, jwt or auth_request 'godo'; did you mean 'good'?\n"
     "1: auth: there is no api_keys, users, jwt or auth_request 'zzzzz'\n",
     true},
    {"route \"/x\" { backend = b auth = \"u\" scope = \"s\" }\nusers \"u\" { file = \"good.users\" }",
     "1: scope: only tokens and API keys have scopes: the route needs one of them in its auth\n", true},
};

/* DIR stands for where the test runs. */
static void expect(const struct conf_case *c)
{
    char *want = NULL;
    size_t size;
    FILE *f = open_memstream(&want, &size);
    ck_assert_ptr_nonnull(f);
    for (const char *p = c->want; *p; p++)
        if (strncmp(p, "DIR/", 4) == 0) {
            fprintf(f, "%s/", conf_directory);
            p += 3;
        } else {
            fputc(*p, f);
        }
    fclose(f);
    conf_check_case(&(struct conf_case){c->text, want, c->is_continued});
    free(want);
}

static void write_files(void)
{
    conf_write("good.keys", "# who\nbilling sha256:" HASH " plan=gold\n", "");
    conf_write("good.users", USER, "");
    conf_write("secret", SECRET "\n", "");
    conf_write("empty", "\n", "");
}

START_TEST(mistakes_are_told_exactly)
{
    write_files();
    expect(&cases[_i]);
}
END_TEST

START_TEST(faults_of_a_file_are_told_with_their_lines)
{
    struct conf_mistakes m;
    conf_write("bad.keys", "a nohash\nb sha256:" HASH "\nc sha256:12\n", "");
    conf_write("t.conf", "api_keys \"k\" { file = \"bad.keys\" }\n", CONF_REST);
    ck_assert_ptr_null(conf_load("t.conf", &m));
    ck_assert_uint_eq(m.n, 2);
    ck_assert_ptr_nonnull(strstr(m.at[0], "/bad.keys: line 1"));
    ck_assert_ptr_nonnull(strstr(m.at[1], "/bad.keys: line 3"));
    conf_mistakes_free(&m);
}
END_TEST

START_TEST(a_short_secret_stops_the_load)
{
    struct conf_mistakes m;
    conf_write("short", "secret\n", "");
    conf_write("t.conf", "jwt \"t\" { secret_file = \"short\" issuer = \"i\" }\n", CONF_REST);
    ck_assert_ptr_null(conf_load("t.conf", &m));
    ck_assert_uint_eq(m.n, 1);
    ck_assert_ptr_nonnull(strstr(m.at[0], "secret_file: "));
    conf_mistakes_free(&m);
}
END_TEST

static char *dump(const struct conf *c)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(f);
    conf_dump(c, f);
    fclose(f);
    return text;
}

START_TEST(a_dump_loads_again)
{
    struct conf_mistakes m;
    write_files();
    conf_write(
        "t.conf",
        "api_keys \"k\" { file = \"good.keys\" query = key header = off }\n"
        "users \"u\" { file = \"good.users\" realm = \"the staff\" }\n"
        "jwt \"t\" { secret_file = \"secret\" issuer = {\"i\", \"j\"} algorithms = \"HS512\" leeway = 5s "
        "claim_header = {\"X-A: a.b\", \"X-C: c\"} }\n"
        "route \"/x\" { backend = b auth = {\"t\", \"k\"} scope = {\"r\", \"w\"} }\n",
        CONF_REST);
    struct conf *first = conf_load("t.conf", &m);
    ck_assert_ptr_nonnull(first);
    conf_mistakes_free(&m);
    ck_assert_uint_eq(first->nauths, 3);
    ck_assert_ptr_null(first->auths[0].header);
    ck_assert_ptr_nonnull(api_keys_get(first->auths[0].keys));
    api_keys_put(first->auths[0].keys);
    ck_assert_uint_eq(first->auths[2].policy.algs, JWK_BIT(JWK_HS512));
    ck_assert_uint_eq(first->auths[2].policy.leeway_s, 5);
    ck_assert_uint_eq(first->log.nmask_query, 1);
    ck_assert_str_eq(first->log.mask_query[0], "key");
    ck_assert_uint_eq(first->routes[0].auths[0], 2);
    ck_assert_uint_eq(first->routes[0].auths[1], 0);
    char *text = dump(first);
    conf_write("t.conf", text, "");
    struct conf *second = conf_load("t.conf", &m);
    ck_assert_ptr_nonnull(second);
    conf_mistakes_free(&m);
    char *again = dump(second);
    ck_assert_str_eq(text, again);
    free(text);
    free(again);
    conf_free(first);
    conf_free(second);
}
END_TEST

static Suite *conf_auth_suite(void)
{
    Suite *s = suite_create("conf_auth");
    TCase *t = tcase_create("conf_auth");
    tcase_add_unchecked_fixture(t, conf_cases_begin, conf_cases_end);
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, faults_of_a_file_are_told_with_their_lines);
    tcase_add_test(t, a_short_secret_stops_the_load);
    tcase_add_test(t, a_dump_loads_again);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_auth_suite)
