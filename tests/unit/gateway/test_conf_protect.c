/* test_conf_protect.c: limits, breakers, retries and their like: what is refused, defaults, and a dump that
 * loads again. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

#define FAULT_WORDS      " is no status such as 503, 5xx or 500-504, nor one of connect, reset, timeout, malformed"
#define IN_ROUTE(text)   "route \"/x\" { backend = b " text " }"
#define IN_BACKEND(text) "backend \"x\" { server \"http://x\" { } " text " } route \"/x\" { backend = x }"

static const struct conf_case cases[] = {
    {IN_ROUTE("limit { }"), "1: limit needs a rate, such as rate = 100/s\n", true},
    {IN_ROUTE("limit { rate = 10 }"), "1: rate: '10' needs a unit: a rate such as 10/s, 100/m or 1000/10m\n",
     true},
    {IN_ROUTE("limit { rate = 10/y }"), "1: rate: '10/y' is not a rate such as 10/s, 100/m or 1000/10m\n",
     true},
    {IN_ROUTE("limit { rate = 10/s cost = 11 }"), "1: cost is above burst: no request would ever pass\n",
     true},
    {IN_ROUTE("limit { rate = 1000000000/s }"),
     "1: rate: 1000000000/s is out of range: at most one request in 2 ns, and a burst that fills in 73 "
     "years\n",
     true},
    {IN_ROUTE("limit { rate = 10/s key = {\"ipp\", \"header:\", \"cookie:a b\", \"claim:x\"} }"),
     "1: key: 'ipp' is none of ip, route, consumer, header:NAME, cookie:NAME, claim:NAME\n"
     "1: key: 'header:' names nothing\n"
     "1: key: 'cookie:a b' names nothing\n",
     true},
    {IN_ROUTE("limit { rate = 10/s mode = shado }"),
     "1: mode: 'shado' is none of enforce, shadow; did you mean 'shadow'?\n", true},
    {IN_ROUTE("limit { rate = 10/s tier \"gold\" { } exempt = {\"10.0.0.1/8\"} }"),
     "1: tier needs a rate, such as rate = 100/s\n"
     "1: exempt: 10.0.0.1/8 has bits behind its prefix; the block is 10.0.0.0/8\n",
     true},
    {IN_BACKEND(
         "breaker { failure_ratio = 120% open_for = 2m open_max = 1m failure = {\"conect\", \"600\"} }"),
     "1: failure_ratio: 120% is out of range: 0.01% to 100%\n"
     "1: failure: 'conect'" FAULT_WORDS "; did you mean 'connect'?\n"
     "1: failure: '600'" FAULT_WORDS "\n"
     "1: open_max is below open_for\n",
     true},
    {IN_BACKEND("breaker { failure_ratio = 0.001% probes = 3 }"),
     "1: unknown option 'probes' in breaker\n"
     "1: failure_ratio: '0.001%' is not a percentage such as 50% or 0.5%\n",
     true},
    {IN_BACKEND("retry { attempts = 9 on = {\"connect\", \"500-400\"} budget = 20 }"),
     "1: attempts: 9 is out of range: 1 to 8\n"
     "1: budget: '20' needs a unit: a percentage such as 50% or 0.5%\n"
     "1: on: '500-400'" FAULT_WORDS "\n",
     true},
    {IN_BACKEND("bulkhead { adaptive = yes queue = 5 }"),
     "1: adaptive needs a max, the most that it may learn\n1: queue needs a max: before that nobody waits\n",
     true},
    {IN_BACKEND("health { path = \"x y\" status = {\"connect\"} kind = htp }"),
     "1: kind: 'htp' is none of http, tcp; did you mean 'http'?\n"
     "1: status: 'connect' is no status such as 503, 5xx or 500-504\n"
     "1: path: 'x y' is no path: it begins with '/' and has no white space\n",
     true},
    {IN_BACKEND("timeout { deadline_header = \"a b\" }"),
     "1: deadline_header: 'a b' is not the name of a header field\n", true},
    {"backend \"x\" { server \"http://x\" { backup = yes } } route \"/x\" { backend = x }",
     "1: every server of backend \"x\" is a backup\n", true},
    {IN_ROUTE("fallback { backend = b }"), "1: fallback: it is the backend of the route itself\n", true},
    {IN_ROUTE("fallback { backend = nope status = 500 }"),
     "1: unknown backend 'nope'\n1: fallback has both a backend and an answer\n", true},
    {"route \"/x\" { respond { } fallback { status = 204 body = \"x\" } hedge { } }",
     "1: warning: fallback has no effect in a route without backend\n"
     "1: an answer with status 204 has no body\n"
     "1: warning: hedge has no effect in a route without backend\n",
     true},
    {IN_ROUTE("concurrency { }"), "1: concurrency needs a max of at least 1\n", true},
    {IN_ROUTE("concurrency { max = 1 queue = 70000 } priority = hi"),
     "1: priority: 'hi' is none of low, normal, high, critical\n1: queue: 70000 is out of range: 0 to "
     "65535\n",
     true},
};

START_TEST(mistakes_are_told_exactly)
{
    conf_check_case(&cases[_i]);
}
END_TEST

static struct conf *load(const char *text)
{
    struct conf_mistakes m;
    conf_write("t.conf", text, "");
    struct conf *c = conf_load("t.conf", &m);
    ck_assert_ptr_nonnull(c);
    conf_mistakes_free(&m);
    return c;
}

START_TEST(what_is_not_said_has_its_default)
{
    struct conf *c = load(CONF_REST);
    const struct conf_backend *b = &c->backends[0];
    ck_assert(b->breaker.enabled);
    ck_assert_uint_eq(b->breaker.failure_ratio, 5000);
    ck_assert_uint_eq(b->breaker.open_ms, 5000);
    ck_assert_uint_eq(b->breaker.failure.ways, FAULT_CONNECT | FAULT_RESET | FAULT_TIMEOUT | FAULT_MALFORMED);
    for (unsigned status = 400; status < 640; status++)
        ck_assert(conf_faults_have_status(&b->breaker.failure, status) ==
                  (status >= 500 && status < 600 && status != 501 && status != 505));
    ck_assert_uint_eq(b->retry.attempts, 3);
    ck_assert_uint_eq(b->retry.on.ways, FAULT_CONNECT | FAULT_RESET);
    ck_assert(!conf_faults_have_status(&b->retry.on, 503));
    ck_assert(!b->health.enabled);
    ck_assert_uint_eq(c->routes[0].nlimits, 0);
    ck_assert(!c->routes[0].hedge.enabled);
    conf_free(c);
}
END_TEST

START_TEST(what_is_said_is_there)
{
    struct conf *c = load("backend \"o\" { server \"http://o\" { } }\n" IN_ROUTE(
        "limit { rate = 90/90s key = {\"route\", \"header:X-A\"} tier \"gold\" { rate = 5/s burst "
        "= 9 } }"
        "limit { name = \"n\" rate = 1/h delay = 2s cost = 1 }"
        "fallback { backend = o } hedge { after = 7ms } concurrency { max = 3 queue = 2 key = route "
        "}") "\n" CONF_REST);
    const struct conf_route *r = &c->routes[0];
    ck_assert_uint_eq(r->nlimits, 2);
    ck_assert_uint_eq(r->limits[0].rate.count, 90);
    ck_assert_uint_eq(r->limits[0].rate.per_ms, 90000);
    ck_assert_uint_eq(r->limits[0].burst, 90);
    ck_assert_uint_eq(r->limits[0].keys.n, 2);
    ck_assert_int_eq(r->limits[0].keys.at[1].kind, KEY_HEADER);
    ck_assert_str_eq(r->limits[0].keys.at[1].name, "X-A");
    ck_assert_str_eq(r->limits[0].tiers[0].plan, "gold");
    ck_assert_uint_eq(r->limits[0].tiers[0].burst, 9);
    ck_assert_int_eq(r->limits[1].keys.at[0].kind, KEY_IP);
    ck_assert_uint_eq(r->limits[1].delay_ms, 2000);
    ck_assert(r->fallback.has_backend);
    ck_assert_str_eq(c->backends[r->fallback.backend].name, "o");
    ck_assert_uint_eq(r->hedge.after_ms, 7);
    ck_assert_uint_eq(r->concurrencies[0].max, 3);
    ck_assert_int_eq(r->concurrencies[0].keys.at[0].kind, KEY_ROUTE);
    conf_free(c);
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
    struct conf *first = load(
        "allow = {\"10.0.0.0/8\", \"::1/128\"}\nshed_lag = 30ms\n"
        "backend \"x\" { server \"http://x\" { backup = yes } server \"http://y\" { }"
        " breaker { consecutive = 7 failure = {\"connect\", \"500-504\", \"599\"} } retry { on = {\"5xx\"} }"
        " health { kind = tcp match = \"a\\\"b\" status = {\"2xx\", \"404\"} } bulkhead { max = 9 adaptive = "
        "yes }"
        " slow_start = 3s panic_threshold = 12.34% }\n"
        "route \"/x\" { backend = x deny = {\"10.1.0.0/16\"} priority = critical"
        " limit { rate = 90/90s key = {\"route\", \"claim:a.b\"} exempt = {\"127.0.0.1/32\"}"
        " tier \"gold\" { rate = 5/s } } concurrency { name = \"c\" max = 3 mode = shadow }"
        " fallback { status = 299 body = \"x\\ny\" } hedge { }"
        " cors { origins = {\"https://*.a.example\", \"null\"} credentials = yes } }\n" CONF_REST);
    char *text = dump(first);
    struct conf *second = load(text);
    char *again = dump(second);
    ck_assert_str_eq(text, again);
    ck_assert_uint_eq(second->backends[0].panic_threshold, 1234);
    ck_assert_str_eq(second->routes[0].fallback.body, "x\ny");
    ck_assert(conf_faults_have_status(&second->backends[0].breaker.failure, 599));
    ck_assert(!conf_faults_have_status(&second->backends[0].breaker.failure, 505));
    free(text);
    free(again);
    conf_free(first);
    conf_free(second);
}
END_TEST

static Suite *conf_protect_suite(void)
{
    Suite *s = suite_create("conf_protect");
    TCase *t = tcase_create("conf_protect");
    tcase_add_unchecked_fixture(t, conf_cases_begin, conf_cases_end);
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, what_is_not_said_has_its_default);
    tcase_add_test(t, what_is_said_is_there);
    tcase_add_test(t, a_dump_loads_again);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_protect_suite)
