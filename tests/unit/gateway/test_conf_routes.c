/* test_conf_routes.c: routes that cannot be. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

static const struct conf_case cases[] = {
    {"route \"/r/{id}\" {  }", "1: route \"/r/{id}\" needs one of backend, respond, redirect\n", true},
    {"route \"/r/{id}\" { backend = usrs }", "1: unknown backend 'usrs'\n", true},
    {"route \"/r/{id}\" { backend = bb }", "1: unknown backend 'bb'; did you mean 'b'?\n", true},
    {"route \"/r/{id}\" { backend = b respond { } redirect { to = \"/\" } }",
     "1: route \"/r/{id}\" has more than one of backend, respond, redirect\n", true},
    {"route \"/r/{id}\" { backend = b redirect { to = \"/\" } }",
     "1: route \"/r/{id}\" has more than one of backend, respond, redirect\n", true},
    {"route \"\" { backend = b }", "1: the title of a route is empty\n", true},
    {"route \"api\" { backend = b }",
     "1: path \"api\": a path begins with '/', a regular expression with '~' (the title is the path unless "
     "`path` is given)\n",
     true},
    {"route \"/r/{id}\" { path = \"api\" backend = b }",
     "1: path \"api\": a path begins with '/', a regular expression with '~'\n", true},
    {"route \"~ (\" { backend = b }",
     "1: path \"~ (\": regular expression, at byte 1: missing closing parenthesis (the title is the path "
     "unless `path` is given)\n",
     true},
    {"route \"/{id}/{id}\" { backend = b }",
     "1: path \"/{id}/{id}\": \"{id}\" stands there twice (the title is the path unless `path` is given)\n",
     true},
    {"route \"~ ^/v(\\d+)/\" { backend = b }", "1: unknown escape \"\\d\": a backslash is written \"\\\\\"\n",
     true},
    {"route \"/r/{id}\" { backend = b }\n"
     "route \"/r/{id}\" { backend = b }",
     "2: route \"/r/{id}\" is there twice; the first is at t.conf:1\n", true},
    {"route \"/r/{id}\" { backend = b }\n"
     "route \"/r/{name}\" { backend = b }",
     "2: route \"/r/{name}\" never matches: route \"/r/{id}\" at t.conf:1 asks for the same\n", true},
    {"route \"/q\" { backend = b method = {GET, POST} header = \"X: 1\" host = {\"A\", \"b\"} }\n"
     "route \"q\" { path = \"/q\" backend = b method = {POST, GET} header = \"x: 1\" host = {\"b\", \"a\"} }",
     "2: route \"q\" never matches: route \"/q\" at t.conf:1 asks for the same\n", true},
    {"route \"/r/{id}\" { backend = b host = {\"a:80\", \"*\", \"a.*\", \"http://a\", \"\", \"a_b\", \"a "
     "b\"} }",
     "1: host: a value is empty\n"
     "1: host: 'a:80': leave the port out, any port matches\n"
     "1: host: leave `host` out to match any host\n"
     "1: host: 'a.*': a '*' stands for the first parts only, as in *.example\n"
     "1: host: 'http://a' is not the name of a host: no scheme, no path\n"
     "1: host: ' ' cannot stand in the name of a host\n",
     true},
    {"route \"/r/{id}\" { backend = b method = {get, \"G T\", GTE, FROB} workers = 0 }",
     "1: unknown option 'workers' in route \"/r/{id}\"; it belongs at the top level\n"
     "1: method: methods are in upper case: write GET\n"
     "1: method: 'G T' is not a method\n"
     "1: warning: method: 'GTE' is unusual; did you mean 'GET'?\n",
     true},
    {"route \"/r/{id}\" { backend = b header = {\"X Y\", \"X: \\n\"} }",
     "1: header: 'X Y' is not the name of a header field\n"
     "1: header: no field can have this value\n",
     true},
    {"route \"/r/{id}\" { respond { status = 100 } }", "1: status: 100 is out of range: 200 to 599\n", true},
    {"route \"/r/{id}\" { respond { status = 204 body = \"x\" } }",
     "1: an answer with status 204 has no body\n", true},
    {"route \"/r/{id}\" { respond { content_type = \"a\\nb\" } }",
     "1: content_type: a header cannot carry this value\n", true},
    {"route \"/r/{id}\" { respond { status = 600 content_type = \"\" } }",
     "1: status: 600 is out of range: 200 to 599\n"
     "1: content_type: is empty\n",
     true},
    {"route \"/r/{id}\" { redirect { } }", "1: redirect needs `to`, where it leads\n", true},
    {"route \"/r/{id}\" { redirect { to = \"there\" status = 304 } }",
     "1: status: 304 is no redirect: 301, 302, 303, 307 or 308\n"
     "1: to: 'there' is neither a path nor an http or https URL, or holds a byte that is not visible ASCII\n",
     true},
    {"route \"/r/{id}\" { redirect { to = \"/{no}\" status = 200 } }",
     "1: status: 200 is out of range: 300 to 399\n"
     "1: to: {no} is unknown: the path has {id}; a brace as text is written {{\n",
     true},
    {"route \"/r/{id}\" { redirect { to = \"/a b\" } }",
     "1: to: '/a b' is neither a path nor an http or https URL, or holds a byte that is not visible ASCII\n",
     true},
    {"route \"/r/{id}\" { redirect { to = \"/{id\" } }",
     "1: to: '{' without its '}'; a brace as text is written {{\n", true},
    {"route \"/r/{id}\" { redirect { to = \"\" } }", "1: to: is empty\n", true},
    {"route \"/r/{id}\" { backend = b strip_prefix = \"r\" }",
     "1: strip_prefix: 'r' does not begin with '/'\n", true},
    {"route \"/r/{id}\" { backend = b strip_prefix = \"/x\" }",
     "1: strip_prefix: the path \"/r/{id}\" does not begin with \"/x\"\n", true},
    {"route \"/r/{id}\" { backend = b strip_prefix = \"/r/{id}\" }",
     "1: strip_prefix: '/r/{id}' is taken as it is: no parameters, no query\n", true},
    {"route \"/r/{id}\" { backend = b strip_prefix = \"/r/7\" }",
     "1: strip_prefix: the path \"/r/{id}\" does not begin with \"/r/7\"\n", true},
    {"route \"/r/{id}\" { backend = b add_prefix = \"v1\" }", "1: add_prefix: 'v1' does not begin with '/'\n",
     true},
    {"route \"/r/{id}\" { backend = b add_prefix = \"/a/../b\" }",
     "1: add_prefix: is not in normal form, which is '/b'\n", true},
    {"route \"/r/{id}\" { backend = b rewrite = \"x\" }", "1: rewrite: 'x' does not begin with '/'\n", true},
    {"route \"/r/{id}\" { backend = b rewrite = \"/{no}/{id}\" }",
     "1: rewrite: {no} is unknown: the path has {id}; a brace as text is written {{\n", true},
    {"route \"/r/{id}\" { backend = b rewrite = \"/{host}\" }",
     "1: rewrite: {host} is unknown: the path has {id}; a brace as text is written {{\n", true},
    {"route \"/r/{id}\" { backend = b rewrite = \"/a/./b?x\" }",
     "1: rewrite: is not in normal form, which is '/a/b'\n", true},
    {"route \"/r/{id}\" { backend = b rewrite = \"/a\" strip_prefix = \"/r\" }",
     "1: rewrite makes the whole path: it cannot go with strip_prefix\n", true},
    {"route \"~ ^/(?<n>a)/(?:x)/([(]b)\" { backend = b rewrite = \"/{3}/{2}/{n}/{1}\" }",
     "1: rewrite: {3} is unknown: the path has {n}; a brace as text is written {{\n", true},
    {"route \"/r/{id}\" { backend = b upstream_host = \"http://a\" }",
     "1: upstream_host: 'http://a' is not the name of a host: no scheme, no path; it is pass, server or a "
     "name\n",
     true},
    {"route \"/r/{id}\" { backend = b upstream_host = \"a:x\" }",
     "1: upstream_host: the port 'x' is not a number from 1 to 65535; it is pass, server or a name\n", true},
    {"route \"/r/{id}\" { backend = b max_body = 10t }",
     "1: max_body: '10t' is not a size such as 512, 16k, 10m or 1g\n", true},
    {"route \"/r/{id}\" { backend = b max_body = 2048g }", "1: max_body: 2048g is out of range: 0 to 1024g\n",
     true},
    {"route \"/r/{id}\" { backend = b encoded_slash = 1 forwarded = si }",
     "1: encoded_slash: '1' is neither yes nor no\n"
     "1: forwarded: 'si' is neither yes nor no\n",
     true},
    {"route \"/r/{id}\" { backend = b request_header { set = {\"Host: a\", \"Content-Length: 1\", "
     "\"transfer-encoding: x\", \"Connection: x\", \"X\", \"A b: c\", \"X:\", \"X: a\\tb\", \"X: {no}\"} add "
     "= \"X: {1}{2}\" remove = {\"Host\", \"X: 1\", \"TE\"} } }",
     "1: request_header: set: Host cannot be edited: use upstream_host\n"
     "1: request_header: set: Content-Length tells where the message ends; the gateway sets it\n"
     "1: request_header: set: transfer-encoding tells where the message ends; the gateway sets it\n"
     "1: request_header: set: Connection belongs to one connection; the gateway sets it\n"
     "1: request_header: set: expected \"Name: value\"\n"
     "1: request_header: set: 'A b' is not the name of a header field\n"
     "1: request_header: set: the value is empty; to take the field away use remove\n"
     "1: request_header: set: a value holds no tab, newline or other control byte\n"
     "1: request_header: set: {no} is unknown: the path has {id}; a brace as text is written {{\n"
     "1: request_header: add: {2} is unknown: the path has {id}; a brace as text is written {{\n"
     "1: request_header: remove: Host cannot be edited: use upstream_host\n"
     "1: request_header: remove: only the name is given: \"X\"\n"
     "1: request_header: remove: TE belongs to one connection; the gateway sets it\n",
     true},
    {"route \"/r/{id}\" { backend = b response_header { set = {\"Host: a\", \"Content-Length: 1\"} remove = "
     "{\"Upgrade\", \"a b\"} rename = {\"X\"} } }",
     "1: unknown option 'rename' in response_header\n"
     "1: response_header: set: Content-Length tells where the message ends; the gateway sets it\n"
     "1: response_header: remove: Upgrade belongs to one connection; the gateway sets it\n"
     "1: response_header: remove: 'a b' is not the name of a header field\n",
     true},
    {"route \"/r/{id}\" { bakend = b }",
     "1: unknown option 'bakend' in route \"/r/{id}\"; did you mean 'backend'?\n", true},
    {"bakend \"x\" { server \"http://x\" { } }\n"
     "route \"/x/\" { backend = xyz }",
     "1: unknown option 'bakend'; did you mean 'backend'?\n", true},
};

START_TEST(mistakes_are_told_exactly)
{
    conf_check_case(&cases[_i]);
}
END_TEST

static Suite *conf_routes_suite(void)
{
    Suite *s = suite_create("conf_routes");
    TCase *t = tcase_create("conf_routes");
    tcase_add_unchecked_fixture(t, conf_cases_begin, conf_cases_end);
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_routes_suite)
