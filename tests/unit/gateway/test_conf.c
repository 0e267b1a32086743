/* test_conf.c: good configurations: every field, defaults, variables, includes, and the way back to text. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

/* Load TEXT, which must be good; messages must be WANT. */
static struct conf *load(const char *text, const char *want)
{
    struct conf_mistakes m;
    conf_write("t.conf", text, "");
    struct conf *c = conf_load("t.conf", &m);
    char *got = conf_messages(&m);
    ck_assert_str_eq(got, want);
    ck_assert_ptr_nonnull(c);
    free(got);
    conf_mistakes_free(&m);
    return c;
}

static char *dump(const struct conf *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(f);
    conf_dump(c, f);
    fclose(f);
    return text;
}

/* ---- defaults ---- */

START_TEST(what_is_not_said_has_its_default)
{
    struct conf *c = load(CONF_REST, "");
    const struct conf_backend *b = &c->backends[0];
    const struct conf_route *r = &c->routes[0];
    ck_assert_str_eq(c->file, "t.conf");
    ck_assert_uint_ge(c->workers, 1);
    ck_assert_uint_eq(c->drain_timeout_ms, 30000);
    ck_assert_uint_eq(c->resolve_ms, 10000);
    ck_assert_str_eq(c->server_header, "tollgate");
    ck_assert_uint_eq(c->ntrusted, 0);
    ck_assert_ptr_null(c->admin.listen.address);
    ck_assert_uint_eq(c->client.head_timeout_ms, 10000);
    ck_assert_uint_eq(c->client.idle_timeout_ms, 75000);
    ck_assert_uint_eq(c->client.max_head, 8192);
    ck_assert_uint_eq(c->client.max_fields, 100);
    ck_assert_uint_eq(c->client.max_connections, 10000);
    ck_assert_str_eq(c->log.access, "stdout");
    ck_assert_str_eq(c->log.error, "stderr");
    ck_assert_int_eq(c->log.format, LOG_JSON);
    ck_assert_int_eq(c->log.level, LOG_INFO);
    ck_assert_uint_eq(c->log.queue, 16384);
    ck_assert_int_eq(b->balance, BALANCE_ROUND_ROBIN);
    ck_assert_uint_eq(b->timeout.connect_ms, 1000);
    ck_assert_uint_eq(b->timeout.first_byte_ms, 15000);
    ck_assert_uint_eq(b->timeout.between_bytes_ms, 60000);
    ck_assert_uint_eq(b->timeout.total_ms, 0);
    ck_assert_uint_eq(b->keepalive.max_idle, 64);
    ck_assert_uint_eq(b->keepalive.idle_ms, 60000);
    ck_assert_uint_eq(b->keepalive.max_requests, 10000);
    ck_assert(b->tls.verify && !b->tls.ca_file && !b->tls.cert_file && !b->tls.server_name);
    ck_assert_uint_eq(b->max_connections, 1024);
    ck_assert_uint_eq(b->fail_timeout_ms, 10000);
    ck_assert_uint_eq(b->servers[0].weight, 1);
    ck_assert_uint_eq(b->servers[0].port, 80);
    ck_assert_int_eq(r->upstream_host, UPSTREAM_HOST_PASS);
    ck_assert_uint_eq(r->max_body, 0);
    ck_assert(!r->forwarded && !r->encoded_slash && !r->strip_prefix && !r->rewrite);
    ck_assert_int_eq(r->where.line, 3);
    conf_free(c);
}
END_TEST

/* ---- every field ---- */

/* No option has its default. */
static const char full[] =
    "workers = 3 trusted_proxies = {\"10.0.0.0/8\", \"192.0.2.1\", \"2001:db8::/32\", \"::1\"}\n"
    "drain_timeout = 90s resolve_interval = 250ms server_header = off\n"
    "listen \"0.0.0.0:8080\" { }\n"
    "listen '[::]:8443' { tls { certificate = cert.pem key = sub/key.pem } }\n"
    "listen unix:/run/t.sock { }\n"
    "admin \"0.0.0.0:9901\" { token = s3cr3t-of-the-all read_token_file = sub/token }\n"
    "client { head_timeout = 5s idle_timeout = 2m max_head = 32k max_fields = 50 max_connections = 20 }\n"
    "log { access = sub/access.log error = /dev/null format = combined level = debug queue = 64\n"
    "      mask_query = {token, \"api key\"} }\n"
    "backend \"one\" {\n"
    "  server \"http://a.example:9000/\" { weight = 7 }\n"
    "  server \"https://[::1]\" { }\n"
    "  server \"unix:/run/app.sock\" { }\n"
    "  balance = hash hash = \"cookie: sid\"\n"
    "  timeout { connect = 10ms first_byte = 20ms between_bytes = 30ms total = 40ms }\n"
    "  keepalive { max_idle = 1 idle = 2s max_requests = 3 }\n"
    "  tls { verify = no ca = cert.pem certificate = cert.pem key = sub/key.pem server_name = inner.example "
    "}\n"
    "  max_connections = 9 fail_timeout = 8s }\n"
    "backend \"two\" { server \"http://127.0.0.1\" { } balance = p2c }\n"
    "route \"first\" { path = \"/u/{id}/x/\" host = {\"A.Example\", \"*.b.example\"} method = {GET, POST}\n"
    "  header = {\"X-V: 2\", \"X-D\"} encoded_slash = yes backend = two strip_prefix = \"/u\" add_prefix = "
    "\"/v1/\"\n"
    "  upstream_host = \"up.example:8080\" max_body = 10m forwarded = on\n"
    "  request_header { remove = {X-R} add = {\"X-A: \\\"1\\\" \\\\ {id}\"} set = {\"X-S: $${{HOME} {{a}\", "
    "\"X-T:  b \"} }\n"
    "  response_header { set = \"X-O: {host}{path}{query}\" } }\n"
    "route \"/w\" { backend = one rewrite = \"/n/{path}?a={query}\" upstream_host = server }\n"
    "route \"~ ^/v(?<n>\\\\d+)/$\" { respond { status = 418 body = \"a\\n\\tb \\${x} $y\" content_type = "
    "\"text/html\" } }\n"
    "route \"/z/\" { redirect { to = \"https://{host}{path}\" status = 301 } }\n";

static void check_process(const struct conf *c)
{
    char text[IP_TEXT_MAX];
    ck_assert_uint_eq(c->workers, 3);
    ck_assert_uint_eq(c->ntrusted, 4);
    ck_assert_uint_eq(c->trusted_proxies[0].prefix, 104);
    ck_assert_uint_eq(c->trusted_proxies[2].prefix, 32);
    ip_text(&c->trusted_proxies[1].base, text);
    ck_assert_str_eq(text, "192.0.2.1");
    ck_assert_uint_eq(c->drain_timeout_ms, 90000);
    ck_assert_uint_eq(c->resolve_ms, 250);
    ck_assert_ptr_null(c->server_header);
    ck_assert_uint_eq(c->client.head_timeout_ms, 5000);
    ck_assert_uint_eq(c->client.idle_timeout_ms, 120000);
    ck_assert_uint_eq(c->client.max_head, 32768);
    ck_assert_uint_eq(c->client.max_fields, 50);
    ck_assert_uint_eq(c->client.max_connections, 20);
}

static void check_listens(const struct conf *c)
{
    char path[128];
    ck_assert_uint_eq(c->nlistens, 3);
    ck_assert_str_eq(c->listens[0].address, "0.0.0.0:8080");
    ck_assert_str_eq(c->listens[0].host, "0.0.0.0");
    ck_assert_uint_eq(c->listens[0].port, 8080);
    ck_assert_ptr_null(c->listens[0].tls_cert);
    ck_assert_str_eq(c->listens[1].host, "::");
    ck_assert_uint_eq(c->listens[1].port, 8443);
    snprintf(path, sizeof(path), "%s/cert.pem", conf_directory);
    ck_assert_str_eq(c->listens[1].tls_cert, path);
    snprintf(path, sizeof(path), "%s/sub/key.pem", conf_directory);
    ck_assert_str_eq(c->listens[1].tls_key, path);
    ck_assert_ptr_null(c->listens[2].host);
    ck_assert_str_eq(c->listens[2].unix_path, "/run/t.sock");
    ck_assert_str_eq(c->admin.listen.host, "0.0.0.0");
    ck_assert_uint_eq(c->admin.listen.port, 9901);
}

static void check_log(const struct conf_log *log)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/sub/access.log", conf_directory);
    ck_assert_str_eq(log->access, path);
    ck_assert_str_eq(log->error, "/dev/null");
    ck_assert_int_eq(log->format, LOG_COMBINED);
    ck_assert_int_eq(log->level, LOG_DEBUG);
    ck_assert_uint_eq(log->queue, 64);
    ck_assert_uint_eq(log->nmask_query, 2);
    ck_assert_str_eq(log->mask_query[0], "token");
    ck_assert_str_eq(log->mask_query[1], "api key");
}

static void check_backends(const struct conf *c)
{
    const struct conf_backend *b = &c->backends[0];
    ck_assert_uint_eq(c->nbackends, 2);
    ck_assert_str_eq(b->name, "one");
    ck_assert_uint_eq(b->nservers, 3);
    ck_assert_str_eq(b->servers[0].host, "a.example");
    ck_assert_uint_eq(b->servers[0].port, 9000);
    ck_assert_uint_eq(b->servers[0].weight, 7);
    ck_assert(!b->servers[0].tls && b->servers[1].tls);
    ck_assert_str_eq(b->servers[1].host, "::1");
    ck_assert_uint_eq(b->servers[1].port, 443);
    ck_assert_str_eq(b->servers[2].unix_path, "/run/app.sock");
    ck_assert_int_eq(b->balance, BALANCE_HASH);
    ck_assert_int_eq(b->hash_key, HASH_KEY_COOKIE);
    ck_assert_str_eq(b->hash_name, "sid");
    ck_assert_uint_eq(b->timeout.connect_ms, 10);
    ck_assert_uint_eq(b->timeout.first_byte_ms, 20);
    ck_assert_uint_eq(b->timeout.between_bytes_ms, 30);
    ck_assert_uint_eq(b->timeout.total_ms, 40);
    ck_assert_uint_eq(b->keepalive.max_idle, 1);
    ck_assert_uint_eq(b->keepalive.idle_ms, 2000);
    ck_assert_uint_eq(b->keepalive.max_requests, 3);
    ck_assert(!b->tls.verify && b->tls.ca_file && b->tls.cert_file && b->tls.key_file);
    ck_assert_str_eq(b->tls.server_name, "inner.example");
    ck_assert_uint_eq(b->max_connections, 9);
    ck_assert_uint_eq(b->fail_timeout_ms, 8000);
    ck_assert_int_eq(c->backends[1].balance, BALANCE_P2C);
}

static void check_edit(const struct conf_edit *e, enum conf_edit_kind kind, const char *name,
                       const char *value)
{
    ck_assert_int_eq(e->kind, kind);
    ck_assert_str_eq(e->name, name);
    if (value)
        ck_assert_str_eq(e->value, value);
    else
        ck_assert_ptr_null(e->value);
}

static void check_first_route(const struct conf_route *r)
{
    ck_assert_str_eq(r->name, "first");
    ck_assert_str_eq(r->path, "/u/{id}/x/");
    ck_assert_int_eq(r->path_kind, PATH_PARAM_PREFIX);
    ck_assert_uint_eq(r->nhosts, 2);
    ck_assert_str_eq(r->hosts[0], "a.example");
    ck_assert_uint_eq(r->nmethods, 2);
    ck_assert_str_eq(r->methods[1], "POST");
    ck_assert_uint_eq(r->nheaders, 2);
    ck_assert_str_eq(r->headers[0].name, "X-V");
    ck_assert_str_eq(r->headers[0].value, "2");
    ck_assert_ptr_null(r->headers[1].value);
    ck_assert(r->encoded_slash && r->forwarded);
    ck_assert_int_eq(r->action, ACTION_PROXY);
    ck_assert_uint_eq(r->backend, 1);
    ck_assert_str_eq(r->strip_prefix, "/u");
    ck_assert_str_eq(r->add_prefix, "/v1/");
    ck_assert_int_eq(r->upstream_host, UPSTREAM_HOST_FIXED);
    ck_assert_str_eq(r->upstream_host_name, "up.example:8080");
    ck_assert_uint_eq(r->max_body, 10485760);
    ck_assert_uint_eq(r->request_edits.n, 4);
    check_edit(&r->request_edits.at[0], EDIT_SET, "X-S", "${{HOME} {{a}");
    check_edit(&r->request_edits.at[1], EDIT_SET, "X-T", "b");
    check_edit(&r->request_edits.at[2], EDIT_ADD, "X-A", "\"1\" \\ {id}");
    check_edit(&r->request_edits.at[3], EDIT_REMOVE, "X-R", NULL);
    ck_assert_uint_eq(r->response_edits.n, 1);
    check_edit(&r->response_edits.at[0], EDIT_SET, "X-O", "{host}{path}{query}");
}

static void check_other_routes(const struct conf *c)
{
    const struct conf_route *r = c->routes;
    ck_assert_uint_eq(c->nroutes, 4);
    ck_assert_str_eq(r[1].rewrite, "/n/{path}?a={query}");
    ck_assert_uint_eq(r[1].backend, 0);
    ck_assert_int_eq(r[1].path_kind, PATH_EXACT);
    ck_assert_int_eq(r[1].upstream_host, UPSTREAM_HOST_SERVER);
    ck_assert_int_eq(r[2].path_kind, PATH_REGEX);
    ck_assert_str_eq(r[2].path, "~ ^/v(?<n>\\d+)/$");
    ck_assert_int_eq(r[2].action, ACTION_RESPOND);
    ck_assert_uint_eq(r[2].status, 418);
    ck_assert_str_eq(r[2].body, "a\n\tb ${x} $y");
    ck_assert_str_eq(r[2].content_type, "text/html");
    ck_assert_int_eq(r[3].action, ACTION_REDIRECT);
    ck_assert_uint_eq(r[3].status, 301);
    ck_assert_str_eq(r[3].location, "https://{host}{path}");
    ck_assert_int_eq(r[3].path_kind, PATH_PREFIX);
}

static void check_full(const struct conf *c)
{
    check_process(c);
    check_listens(c);
    check_log(&c->log);
    check_backends(c);
    check_first_route(&c->routes[0]);
    check_other_routes(c);
}

START_TEST(every_field_is_filled)
{
    struct conf *c = load(full, "");
    check_full(c);
    ck_assert_str_eq(c->admin.token, "s3cr3t-of-the-all");
    ck_assert_str_eq(c->admin.read_token, "s3cr3t-of-readers");
    ck_assert_str_eq(c->routes[1].where.file, "t.conf");
    ck_assert_int_eq(c->routes[1].where.line, 25);
    conf_free(c);
}
END_TEST

/* What is printed loads again as the same, from another directory too. */
START_TEST(a_dump_loads_again)
{
    struct conf *first = load(full, "");
    char *text = dump(first);
    ck_assert_ptr_null(strstr(text, "s3cr3t"));
    ck_assert_int_eq(chdir("sub"), 0);
    struct conf_mistakes m;
    conf_write("t.conf", text, "");
    struct conf *second = conf_load("t.conf", &m);
    ck_assert_ptr_nonnull(second);
    ck_assert_int_eq(chdir(".."), 0);
    check_full(second);
    char *again = dump(second);
    ck_assert_str_eq(text, again);
    free(text);
    free(again);
    conf_free(first);
    conf_free(second);
    conf_mistakes_free(&m);
}
END_TEST

/* ---- reading ---- */

START_TEST(variables_are_replaced)
{
    ck_assert_int_eq(setenv("TG_HOST", "users", 1), 0);
    ck_assert_int_eq(setenv("TG_TRICK", "a\" { } # \\ ${TG_HOST} 'x'", 1), 0);
    ck_assert_int_eq(setenv("TG_EMPTY", "", 1), 0);
    struct conf *c =
        load("listen 0.0.0.0:${TG_PORT:-81} { }\n"
             "backend b { server http://${TG_HOST}:9000 { weight = ${TG_EMPTY:-5} } }\n"
             "route /${TG_NONE:-r} { respond { body = \"<${TG_TRICK}> ${TG_NONE:-\\\"a b\\\"} $${x}\" } }\n"
             "route /s { backend = b response_header { set = 'X-A: ${{x}' } }\n",
             "");
    ck_assert_uint_eq(c->listens[0].port, 81);
    ck_assert_str_eq(c->backends[0].servers[0].host, "users");
    ck_assert_uint_eq(c->backends[0].servers[0].weight, 5);
    ck_assert_str_eq(c->routes[0].path, "/r");
    ck_assert_str_eq(c->routes[0].body, "<a\" { } # \\ ${TG_HOST} 'x'> \"a b\" ${x}");
    ck_assert_str_eq(c->routes[1].response_edits.at[0].value, "${{x}");
    conf_free(c);
}
END_TEST

START_TEST(layout_does_not_matter)
{
    struct conf *c =
        load("\xef\xbb\xbf# a comment\r\n/* another\n one */ // and one\n"
             "workers\n=\n\"2\"\n"
             "listen\n\"127.0.0.1:1\"\n{\n}\r\n"
             "backend b{server http://b{}}route /{backend=b method={GET,PUT,}header={}}\n"
             "route '/\\d' { path = '~ ^/\\d' respond { body = 'it\\'s \\\\ ${HOME}\n' } } # end",
             "");
    ck_assert_uint_eq(c->workers, 2);
    ck_assert_uint_eq(c->routes[0].nmethods, 2);
    ck_assert_uint_eq(c->routes[0].nheaders, 0);
    ck_assert_str_eq(c->routes[1].path, "~ ^/\\d");
    ck_assert_str_eq(c->routes[1].body, "it's \\ ${HOME}\n");
    conf_free(c);
}
END_TEST

START_TEST(included_files_are_part_of_the_file)
{
    conf_write("sub/a.conf", "\nserver \"http://a\" { }\n", "");
    conf_write("sub/r1.conf", "route \"/1\" { backend = b }\n", "");
    conf_write("sub/r2.conf", "\n\nroute \"/2\" { backend = b }\ninclude(\"more/x.conf\")\n", "");
    ck_assert_int_eq(mkdir("sub/more", 0700), 0);
    conf_write("sub/more/x.conf", "workers = 7", "");
    struct conf *c =
        load("listen \"127.0.0.1:1\" { }\nbackend \"b\" { include(\"sub/a.conf\") max_connections = 5 }\n"
             "include(\"sub/r*.conf\")\nroute \"/3\" { backend = b }\n",
             "");
    ck_assert_uint_eq(c->workers, 7);
    ck_assert_uint_eq(c->backends[0].nservers, 1);
    ck_assert_uint_eq(c->backends[0].max_connections, 5);
    ck_assert_str_eq(c->backends[0].servers[0].where.file, "sub/a.conf");
    ck_assert_int_eq(c->backends[0].servers[0].where.line, 2);
    ck_assert_uint_eq(c->nroutes, 3);
    ck_assert_str_eq(c->routes[1].where.file, "sub/r2.conf");
    ck_assert_int_eq(c->routes[1].where.line, 3);
    ck_assert_int_eq(c->routes[2].where.line, 4);
    conf_free(c);
}
END_TEST

/* ---- warnings ---- */

static const struct conf_case warnings[] = {
    {"listen \"127.0.0.1:1\" { }", "1: warning: no route: every request will be answered with 404\n", false},
    {"backend \"x\" { server \"http://x\" { } }", "1: warning: backend \"x\" is used by no route\n", true},
    {"trusted_proxies = {\"0.0.0.0/0\"}",
     "1: warning: trusted_proxies: 0.0.0.0/0 lets every client choose the address it is known by\n", true},
    {"route \"/r\" { respond { } strip_prefix = \"/r\" forwarded = yes request_header { remove = A } }",
     "1: warning: strip_prefix has no effect in a route without backend\n"
     "1: warning: forwarded has no effect in a route without backend\n"
     "1: warning: request_header has no effect in a route without backend\n",
     true},
    {"route \"/r\" { backend = b method = GTE host = {a, A} }",
     "1: warning: host: \"a\" is there twice\n1: warning: method: 'GTE' is unusual; did you mean 'GET'?\n",
     true},
    {"include(\"none*.conf\")", "1: warning: include: no file matches none*.conf\n", true},
};

START_TEST(warnings_do_not_stop_the_load)
{
    struct conf_mistakes m;
    conf_check_case(&warnings[_i]);
    struct conf *c = conf_load("t.conf", &m);
    ck_assert_ptr_nonnull(c);
    conf_free(c);
    conf_mistakes_free(&m);
}
END_TEST

/* Routes that differ in one condition only can all be reached. */
START_TEST(conditions_tell_routes_apart)
{
    struct conf *c = load(
        "listen \"127.0.0.1:1\" { }\nbackend b { server http://b { } }\n"
        "route a { path = /r backend = b }\nroute b { path = /r backend = b method = GET }\n"
        "route c { path = /r backend = b header = X }\nroute d { path = /r backend = b header = \"X: 1\" }\n"
        "route e { path = /r backend = b host = a }\nroute f { path = /r/ backend = b }\n"
        "route g { path = \"/r/{a}/x\" backend = b }\nroute h { path = \"/r/{a}/y\" backend = b }\n",
        "");
    ck_assert_uint_eq(c->nroutes, 8);
    conf_free(c);
}
END_TEST

static void begin(void)
{
    conf_cases_begin();
    ck_assert_int_eq(mkdir("sub", 0700), 0);
    conf_write("cert.pem", "not read here", "");
    conf_write("sub/key.pem", "not read here", "");
    conf_write("sub/token", "\ts3cr3t-of-readers\r\n\n", "");
}

static Suite *conf_suite(void)
{
    Suite *s = suite_create("conf");
    TCase *t = tcase_create("conf");
    tcase_add_unchecked_fixture(t, begin, conf_cases_end);
    tcase_add_test(t, what_is_not_said_has_its_default);
    tcase_add_test(t, every_field_is_filled);
    tcase_add_test(t, a_dump_loads_again);
    tcase_add_test(t, variables_are_replaced);
    tcase_add_test(t, layout_does_not_matter);
    tcase_add_test(t, included_files_are_part_of_the_file);
    tcase_add_loop_test(t, warnings_do_not_stop_the_load, 0, (int)(sizeof(warnings) / sizeof(warnings[0])));
    tcase_add_test(t, conditions_tell_routes_apart);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_suite)
