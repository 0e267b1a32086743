/* test_conf_redis.c: the Redis nodes and what is shared by them: what is refused, defaults, a dump that loads
 * again, and what gateways have to agree on. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

#define IN_REDIS(text) "redis { nodes = \"r:6379\" " text " }"
#define NODE(text)     "redis { nodes = {\"" text "\"} }"
#define IN_LIMIT(text) "route \"/x\" { backend = b limit { rate = 1/s " text " } }"
#define IN_BREAKER(text)                                                                                     \
    "backend \"x\" { server \"http://x\" { } breaker { " text " } } route \"/x\" { backend = x }"
#define IN_CACHE(text) "route \"/x\" { backend = b cache { " text " } }"

#define MANY8(d)                                                                                             \
    "\"r" d "0\", \"r" d "1\", \"r" d "2\", \"r" d "3\", \"r" d "4\", \"r" d "5\", \"r" d "6\", \"r" d "7\""
#define MANY64                                                                                               \
    MANY8("0")                                                                                               \
    ", " MANY8("1") ", " MANY8("2") ", " MANY8("3") ", " MANY8("4") ", " MANY8("5") ", " MANY8(              \
        "6") "," MANY8("7")

static const struct conf_case cases[] = {
    /* nodes */
    {"redis { }", "1: redis has no node, such as nodes = {\"redis-1:6379\"}\n", true},
    {"redis { nodes = {} }", "1: redis has no node, such as nodes = {\"redis-1:6379\"}\n", true},
    {"redis {\nnodes = {\"\",\n\"a b\"} }",
     "2: nodes: a value is empty\n3: node \"a b\": ' ' cannot stand in the name of a host\n", true},
    {"redis {\nnodes = {\"r\",\n\"R:6379\"}\nnode \"r:6379\" { } }",
     "3: node \"R:6379\" is the same as \"r\" in line 2\n4: node \"r:6379\" is the same as \"r\" in line 2\n",
     true},
    {"redis { nodes = {\"unix:/r\", \"unix:/r\"} }",
     "1: node \"unix:/r\" is the same as \"unix:/r\" in line 1\n", true},
    {"redis { nodes = {" MANY64 "} }", "", true},
    {"redis { nodes = {" MANY64 "}\nnode \"x\" { }\nnode \"y\" { } }", "2: more than 64 nodes\n", true},
    {NODE("redis://:secret@r:6379"),
     "1: node \"...@r:6379\": a user or password is not part of it: they are options of their own\n", true},
    {NODE("redis://r"), "1: node \"redis://r\": a node has no scheme and no path: redis-1:6379\n", true},
    {NODE("r:0"), "1: node \"r:0\": the port '0' is not a number from 1 to 65535\n", true},
    {NODE("::1:6379"), "1: node \"::1:6379\": an IPv6 address stands in brackets: [::1]:6379\n", true},
    {NODE("[::g]:1"), "1: node \"[::g]:1\": '[::g]' is not an IPv6 address\n", true},
    {NODE("unix:r.sock"),
     "1: node \"unix:r.sock\": the path of a unix socket begins with '/': unix:/run/tollgate.sock\n", true},
    {"redis {\nnode \"\" { } }", "2: node \"\": the address is empty\n", true},
    {"redis { node \"r\" {\nweight = 0 } }", "2: weight: 0 is out of range: 1 to 1000\n", true},

    /* the rest of the section */
    {IN_REDIS("\nusername = u"), "2: username needs a password\n", true},
    {IN_REDIS("\nusername = u\npassword = \"\""), "3: password: is empty\n", true},
    {IN_REDIS("\nprefix = \"\""), "2: prefix: is empty\n", true},
    {IN_REDIS("\nprefix = \"a b\""), "2: prefix: only visible ASCII characters but { and } can begin a key\n",
     true},
    {IN_REDIS("\nprefix = \"{a\""), "2: prefix: only visible ASCII characters but { and } can begin a key\n",
     true},
    {IN_REDIS("\nprefix = \"a}\""), "2: prefix: only visible ASCII characters but { and } can begin a key\n",
     true},
    {IN_REDIS("\nprefix = \"a\xc3\xa4\""),
     "2: prefix: only visible ASCII characters but { and } can begin a key\n", true},
    {IN_REDIS("\nprefix = 12345678901234567890123456789012345678901234567890123456789012345"),
     "2: prefix: is longer than 64 bytes\n", true},
    {IN_REDIS("\ndatabase = 1024\nconnect_timeout = 5ms\ntimeout = 11s\ntrust = 99ms\nlock_ttl = "
              "11m\nlock_wait = 1h"),
     "2: database: 1024 is out of range: 0 to 1023\n"
     "3: connect_timeout: 5ms is out of range: 10ms to 1m\n"
     "4: timeout: 11s is out of range: 1ms to 10s\n"
     "5: trust: 99ms is out of range: 100ms to 1h\n"
     "6: lock_ttl: 11m is out of range: 100ms to 10m\n"
     "7: lock_wait: 1h is out of range: 0 to 10m\n",
     true},
    {IN_REDIS("timeout = 3s"),
     "1: warning: lock_ttl is not longer than timeout: a lock may end before it is known to be held\n", true},
    {IN_REDIS("\npasswort = x"), "2: unknown option 'passwort' in redis; did you mean 'password'?\n", true},
    {IN_REDIS("\ntls { key = \"t.conf\" server_name = \"a b\" }"),
     "2: a certificate and its key go together: 'certificate' is missing\n"
     "2: server_name: ' ' cannot stand in the name of a host\n",
     true},
    {"redis {\nnodes = {\"r\", \"unix:/r\"}\ntls { } }",
     "3: warning: tls has no effect on node \"unix:/r\"\n", true},

    /* what wants it */
    {IN_LIMIT("\nscope = cluster"),
     "2: warning: scope = cluster has no effect without a section redis: each gateway counts alone\n", true},
    {IN_LIMIT("\nscope = cluster-exact"),
     "2: warning: scope = cluster-exact has no effect without a section redis: each gateway counts alone\n",
     true},
    {IN_LIMIT("scope = cluster when_down = closed") IN_REDIS(""), "", true},
    {IN_LIMIT("scope = clustr\nwhen_down = no"),
     "1: scope: 'clustr' is none of gateway, cluster, cluster-exact; did you mean 'cluster'?\n"
     "2: when_down: 'no' is none of share, open, closed\n",
     true},
    {IN_BREAKER("\nshare = open"),
     "2: warning: share = open has no effect without a section redis: the breaker is this gateway's alone\n",
     true},
    {IN_BREAKER("share = cautious") IN_REDIS(""), "", true},
    {IN_BREAKER("share = yes"), "1: share: 'yes' is none of off, open, cautious\n", true},
    {IN_CACHE("\nshared = maybe\nshared_max = 65m\ncompress = gzip"),
     "2: shared: 'maybe' is neither yes nor no\n"
     "3: shared_max: 65m is out of range: 1 to 64m\n"
     "4: compress: 'gzip' is none of off, zstd\n",
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
    conf_write("t.conf", text, "\n" CONF_REST);
    struct conf *c = conf_load("t.conf", &m);
    ck_assert_msg(c != NULL, "%s", m.n ? m.at[0] : "?");
    conf_mistakes_free(&m);
    return c;
}

START_TEST(without_the_section_nothing_is_shared)
{
    struct conf *c = load("route \"/x\" { backend = b limit { rate = 1/s } cache { } }");
    ck_assert(!c->redis.enabled);
    ck_assert_uint_eq(c->redis.nnodes, 0);
    ck_assert_int_eq(c->backends[0].breaker.share, BREAKER_SHARE_OFF);
    conf_free(c);
}
END_TEST

START_TEST(what_is_not_said_has_its_default)
{
    struct conf *c = load(IN_REDIS("") "route \"/y\" { backend = b limit { rate = 1/s } cache { } }");
    const struct conf_redis *r = &c->redis;
    ck_assert(r->enabled);
    ck_assert_int_eq(r->where.line, 1);
    ck_assert_uint_eq(r->nnodes, 1);
    ck_assert_uint_eq(r->nodes[0].weight, 1);
    ck_assert_ptr_null(r->username);
    ck_assert_ptr_null(r->password);
    ck_assert_uint_eq(r->database, 0);
    ck_assert_str_eq(r->prefix, "tollgate");
    ck_assert_uint_eq(r->connect_ms, 1000);
    ck_assert_uint_eq(r->command_ms, 50);
    ck_assert_uint_eq(r->trust_ms, 3000);
    ck_assert_uint_eq(r->lock_ms, 3000);
    ck_assert_uint_eq(r->lock_wait_ms, 30000);
    ck_assert(!r->tls.enabled);
    ck_assert(r->tls.verify);
    const struct conf_route *route = &c->routes[0];
    ck_assert_int_eq(route->limits[0].scope, LIMIT_SCOPE_GATEWAY);
    ck_assert_int_eq(route->limits[0].when_down, LIMIT_DOWN_SHARE);
    ck_assert(route->cache.shared);
    ck_assert_uint_eq(route->cache.shared_max, 1 << 20);
    ck_assert_int_eq(route->cache.compress, CACHE_COMPRESS_OFF);
    conf_free(c);
}
END_TEST

/* Everything that can be said. */
#define FULL                                                                                                 \
    "redis { node \"[::1]:7000\" { weight = 3 } nodes = {\"r\", \"10.0.0.1:6380\"} node "                    \
    "\"unix:/run/r.sock\" { }\n"                                                                             \
    " username = u password = \"p w\\\"\" database = 7 prefix = \"fleet:a\" connect_timeout = 300ms\n"       \
    " timeout = 20ms trust = 5s lock_ttl = 4s lock_wait = 0\n"                                               \
    " tls { verify = no ca = \"t.conf\" certificate = \"t.conf\" key = \"t.conf\" server_name = \"r.x\" } "  \
    "}\n"                                                                                                    \
    "backend \"x\" { server \"http://x\" { } breaker { share = cautious } }\n"                               \
    "route \"/x\" { backend = x limit { rate = 1/s scope = cluster when_down = open }\n"                     \
    " limit { rate = 1/s scope = cluster-exact when_down = closed }\n"                                       \
    " cache { shared = no shared_max = 64m compress = zstd } }\n"

static void check_node(const struct conf_redis_node *n, const char *name, const char *host, unsigned port)
{
    ck_assert_str_eq(n->name, name);
    ck_assert_str_eq(n->host, host);
    ck_assert_uint_eq(n->port, port);
    ck_assert_ptr_null(n->unix_path);
}

static void check_full(const struct conf *c)
{
    const struct conf_redis *r = &c->redis;
    ck_assert_uint_eq(r->nnodes, 4);
    check_node(&r->nodes[0], "r", "r", 6379);
    check_node(&r->nodes[1], "10.0.0.1:6380", "10.0.0.1", 6380);
    check_node(&r->nodes[2], "[::1]:7000", "::1", 7000);
    ck_assert_uint_eq(r->nodes[2].weight, 3);
    ck_assert_str_eq(r->nodes[3].unix_path, "/run/r.sock");
    ck_assert_ptr_null(r->nodes[3].host);
    ck_assert_uint_eq(r->nodes[3].port, 0);
    ck_assert_str_eq(r->username, "u");
    ck_assert_uint_eq(r->database, 7);
    ck_assert_str_eq(r->prefix, "fleet:a");
    ck_assert_uint_eq(r->connect_ms, 300);
    ck_assert_uint_eq(r->command_ms, 20);
    ck_assert_uint_eq(r->trust_ms, 5000);
    ck_assert_uint_eq(r->lock_ms, 4000);
    ck_assert_uint_eq(r->lock_wait_ms, 0);
    ck_assert(r->tls.enabled);
    ck_assert(!r->tls.verify);
    ck_assert_ptr_nonnull(strstr(r->tls.ca_file, "/t.conf"));
    ck_assert_str_eq(r->tls.server_name, "r.x");
    ck_assert_int_eq(c->backends[0].breaker.share, BREAKER_SHARE_CAUTIOUS);
    const struct conf_route *route = &c->routes[0];
    ck_assert_int_eq(route->limits[0].scope, LIMIT_SCOPE_CLUSTER);
    ck_assert_int_eq(route->limits[0].when_down, LIMIT_DOWN_OPEN);
    ck_assert_int_eq(route->limits[1].scope, LIMIT_SCOPE_CLUSTER_EXACT);
    ck_assert_int_eq(route->limits[1].when_down, LIMIT_DOWN_CLOSED);
    ck_assert(!route->cache.shared);
    ck_assert_uint_eq(route->cache.shared_max, 64 << 20);
    ck_assert_int_eq(route->cache.compress, CACHE_COMPRESS_ZSTD);
}

START_TEST(what_is_said_is_there)
{
    struct conf *c = load(FULL);
    check_full(c);
    ck_assert_str_eq(c->redis.password, "p w\"");
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

static struct conf *load_dump(const char *text)
{
    struct conf_mistakes m;
    conf_write("t.conf", text, "");
    struct conf *c = conf_load("t.conf", &m);
    ck_assert_msg(c != NULL, "%s", m.n ? m.at[0] : "?");
    conf_mistakes_free(&m);
    return c;
}

START_TEST(a_dump_loads_again_and_hides_the_password)
{
    struct conf *first = load(FULL);
    char *text = dump(first);
    ck_assert_ptr_null(strstr(text, "p w"));
    struct conf *second = load_dump(text);
    char *again = dump(second);
    ck_assert_str_eq(text, again);
    check_full(second);
    ck_assert_str_eq(second->redis.password, "****************");
    ck_assert_uint_eq(conf_redis_fingerprint(&first->redis), conf_redis_fingerprint(&second->redis));
    free(text);
    free(again);
    conf_free(first);
    conf_free(second);
}
END_TEST

static uint64_t fingerprint(const char *text)
{
    struct conf *c = load(text);
    uint64_t f = conf_redis_fingerprint(&c->redis);
    conf_free(c);
    return f;
}

START_TEST(a_fingerprint_is_of_nodes_weights_and_database)
{
    uint64_t f = fingerprint("redis { nodes = {\"a\", \"b\"} }");
    ck_assert_uint_eq(f, UINT64_C(5919311579337640623)); /* gateways of other versions have to agree */
    ck_assert_uint_eq(f, fingerprint("redis { nodes = {\"b\", \"a\"} }"));
    ck_assert_uint_eq(f, fingerprint("redis { node \"b\" { } nodes = \"a\" prefix = x timeout = 1s }"));
    ck_assert_uint_ne(f, fingerprint("redis { nodes = {\"a\"} }"));
    ck_assert_uint_ne(f, fingerprint("redis { nodes = {\"a\", \"c\"} }"));
    ck_assert_uint_ne(f, fingerprint("redis { nodes = {\"a\", \"b:6379\"} }"));
    ck_assert_uint_ne(f, fingerprint("redis { node \"b\" { weight = 2 } nodes = \"a\" }"));
    ck_assert_uint_ne(fingerprint("redis { node \"b\" { weight = 2 } nodes = \"a\" }"),
                      fingerprint("redis { node \"a\" { weight = 2 } nodes = \"b\" }"));
    ck_assert_uint_ne(f, fingerprint("redis { nodes = {\"a\", \"b\"} database = 1 }"));
}
END_TEST

static const struct {
    const char *a, *b;
    bool is_same;
} pairs[] = {
    {"", "", true},
    {"", IN_REDIS(""), false},
    {IN_REDIS(""), "\n\nredis { node \"r:6379\" { } }", true},
    {IN_REDIS(""), "redis { node \"r:6379\" { weight = 2 } }", false},
    {IN_REDIS("password = a"), IN_REDIS("password = b"), false},
    {IN_REDIS("password = a"), IN_REDIS("password = a username = u"), false},
    {IN_REDIS(""), IN_REDIS("prefix = a"), false},
    {IN_REDIS(""), IN_REDIS("database = 1"), false},
    {IN_REDIS(""), IN_REDIS("connect_timeout = 2s"), false},
    {IN_REDIS(""), IN_REDIS("timeout = 51ms"), false},
    {IN_REDIS(""), IN_REDIS("trust = 4s"), false},
    {IN_REDIS(""), IN_REDIS("lock_ttl = 4s"), false},
    {IN_REDIS(""), IN_REDIS("lock_wait = 4s"), false},
    {IN_REDIS(""), IN_REDIS("tls { }"), false},
    {IN_REDIS("tls { }"), IN_REDIS("tls { verify = no }"), false},
    {IN_REDIS("tls { }"), IN_REDIS("tls { ca = \"t.conf\" }"), false},
    {IN_REDIS("tls { }"), IN_REDIS("tls { server_name = a }"), false},
    {IN_REDIS("tls { }"), IN_REDIS("tls { verify = yes }"), true},
};

START_TEST(what_is_the_same_for_a_gateway_is_known)
{
    struct conf *a = load(pairs[_i].a), *b = load(pairs[_i].b);
    ck_assert(conf_redis_is_same(&a->redis, &b->redis) == pairs[_i].is_same);
    ck_assert(conf_redis_is_same(&b->redis, &a->redis) == pairs[_i].is_same);
    conf_free(a);
    conf_free(b);
}
END_TEST

static Suite *conf_redis_suite(void)
{
    Suite *s = suite_create("conf_redis");
    TCase *t = tcase_create("conf_redis");
    tcase_add_unchecked_fixture(t, conf_cases_begin, conf_cases_end);
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, without_the_section_nothing_is_shared);
    tcase_add_test(t, what_is_not_said_has_its_default);
    tcase_add_test(t, what_is_said_is_there);
    tcase_add_test(t, a_dump_loads_again_and_hides_the_password);
    tcase_add_test(t, a_fingerprint_is_of_nodes_weights_and_database);
    tcase_add_loop_test(t, what_is_the_same_for_a_gateway_is_known, 0,
                        (int)(sizeof(pairs) / sizeof(pairs[0])));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_redis_suite)
