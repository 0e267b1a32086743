/* test_conf_values.c: values, addresses and servers that cannot be. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

static const struct conf_case cases[] = {
    {"workers = 257", "1: workers: 257 is out of range: 1 to 256, or auto\n", true},
    {"workers = 99999999999999999999",
     "1: workers: 99999999999999999999 is out of range: 1 to 256, or auto\n", true},
    {"workers = -1", "1: workers: '-1' is not a whole number\n", true},
    {"workers = 2.5", "1: workers: '2.5' is not a whole number\n", true},
    {"drain_timeout = 10", "1: drain_timeout: '10' needs a unit: a time such as 500ms, 10s, 5m, 2h or 1d\n",
     true},
    {"drain_timeout = 10x", "1: drain_timeout: '10x' is not a time such as 500ms, 10s, 5m, 2h or 1d\n", true},
    {"drain_timeout = 2h", "1: drain_timeout: 2h is out of range: 0 to 1h\n", true},
    {"drain_timeout = 99999999999999999999d",
     "1: drain_timeout: 99999999999999999999d is out of range: 0 to 1h\n", true},
    {"resolve_interval = 0", "1: resolve_interval: 0 is out of range: 100ms to 1h\n", true},
    {"server_header = \"\"", "1: server_header: is empty\n", true},
    {"server_header = \"a\\nb\"", "1: server_header: a header cannot carry this value\n", true},
    {"trusted_proxies = {\"10.0.0.1/8\", \"2001:db8::1/32\", \"x\", \"\"}",
     "1: trusted_proxies: a value is empty\n"
     "1: trusted_proxies: 10.0.0.1/8 has bits behind its prefix; the block is 10.0.0.0/8\n"
     "1: trusted_proxies: 2001:db8::1/32 has bits behind its prefix; the block is 2001:db8::/32\n"
     "1: trusted_proxies: 'x' is neither an address nor a block such as 10.0.0.0/8\n",
     true},
    {"trusted_proxies = {\"10.0.0.0/33\"}",
     "1: trusted_proxies: '10.0.0.0/33' is neither an address nor a block such as 10.0.0.0/8\n", true},
    {"client { max_head = 2k head_timeout = 0 idle_timeout = 1500ms max_fields = 0 }",
     "1: head_timeout: 0 is out of range: 100ms to 1h\n"
     "1: max_head: 2k is out of range: 4k to 64k\n"
     "1: max_fields: 0 is out of range: 1 to 1000\n"
     "1: idle_timeout: must be whole seconds\n",
     true},
    {"client { max_head = 64x }", "1: max_head: '64x' is not a size such as 512, 16k, 10m or 1g\n", true},
    {"log { format = jsn level = warning queue = 1 access = stdot error = off mask_query = {\"\"} }",
     "1: format: 'jsn' is none of json, combined; did you mean 'json'?\n"
     "1: level: 'warning' is none of debug, info, warn, error; did you mean 'warn'?\n"
     "1: queue: 1 is out of range: 16 to 1048576\n"
     "1: mask_query: a value is empty\n"
     "1: access: 'stdot' is neither stdout nor off nor the path of a file; did you mean 'stdout'?\n"
     "1: error: 'off' is neither stderr nor the path of a file, which has a '/'\n",
     true},
    {"log { access = \"/nonexistent/a.log\" }", "1: access: there is no directory for /nonexistent/a.log\n",
     true},
    {"listen \"8080\" { }",
     "1: listen \"8080\": the address is missing: 0.0.0.0:8080, or 127.0.0.1:8080 for this machine only\n",
     true},
    {"listen \":8080\" { }",
     "1: listen \":8080\": the address is missing: 0.0.0.0:8080, or 127.0.0.1:8080 for this machine only\n",
     true},
    {"listen \"0.0.0.0\" { }", "1: listen \"0.0.0.0\": the port is missing: 0.0.0.0:8080\n", true},
    {"listen \"localhost:80\" { }",
     "1: listen \"localhost:80\": 'localhost' is not a numeric address: write 127.0.0.1:80\n", true},
    {"listen \"*:80\" { }", "1: listen \"*:80\": '*' is not a numeric address: write 0.0.0.0:80\n", true},
    {"listen \"::1:80\" { }", "1: listen \"::1:80\": an IPv6 address stands in brackets: [::1]:80\n", true},
    {"listen \"[::1]\" { }", "1: listen \"[::1]\": the port is missing: [::1]:8080\n", true},
    {"listen \"[::1\" { }", "1: listen \"[::1\": ']' is missing\n", true},
    {"listen \"[::1]x\" { }", "1: listen \"[::1]x\": unexpected 'x' behind the address\n", true},
    {"listen \"[1.2.3.4]:80\" { }",
     "1: listen \"[1.2.3.4]:80\": '[1.2.3.4]' is not a numeric address, such as 0.0.0.0, 127.0.0.1 or [::]\n",
     true},
    {"listen \"0.0.0.0:0\" { }", "1: listen \"0.0.0.0:0\": the port '0' is not a number from 1 to 65535\n",
     true},
    {"listen \"0.0.0.0:65536\" { }",
     "1: listen \"0.0.0.0:65536\": the port '65536' is not a number from 1 to 65535\n", true},
    {"listen \"http://0.0.0.0:80\" { }",
     "1: listen \"http://0.0.0.0:80\": an address has no scheme and no path: 0.0.0.0:8080\n", true},
    {"listen \"example.com:80\" { }",
     "1: listen \"example.com:80\": 'example.com' is not a numeric address, such as 0.0.0.0, 127.0.0.1 or "
     "[::]\n",
     true},
    {"listen \"unix:x\" { }",
     "1: listen \"unix:x\": the path of a unix socket begins with '/': unix:/run/tollgate.sock\n", true},
    {"listen "
     "\"unix:/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaa\" { }",
     "1: listen "
     "\"unix:/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaa\": the path of a unix socket is longer than 107 bytes\n",
     true},
    {"listen \"\" { }", "1: listen \"\": the address is empty\n", true},
    {"listen \"0.0.0.0:80\" { }\n"
     "listen \"0.0.0.0:80\" { }",
     "2: listen \"0.0.0.0:80\" is there twice; the first is at t.conf:1\n", true},
    {"listen \"[::1]:80\" { }\n"
     "listen \"[0:0::1]:80\" { }\n"
     "admin \"[::1]:80\" { }",
     "2: \"[0:0::1]:80\" is the same address as \"[::1]:80\" at t.conf:1\n"
     "3: \"[::1]:80\" is the same address as \"[::1]:80\" at t.conf:1\n"
     "3: \"[::1]:80\" is the same address as \"[0:0::1]:80\" at t.conf:2\n",
     true},
    {"listen \"0.0.0.0:80\" { tls { } }", "1: tls needs a certificate and a key\n", true},
    {"listen \"0.0.0.0:80\" { tls { certificate = \"/nope.pem\" key = \"/\" } }",
     "1: certificate: cannot read /nope.pem: No such file or directory\n"
     "1: key: cannot read /: is a directory\n",
     true},
    {"listen \"0.0.0.0:80\" { tls { key = \"t.conf\" } }",
     "1: a certificate and its key go together: 'certificate' is missing\n", true},
    {"admin \"0.0.0.0:9901\" { }",
     "1: admin \"0.0.0.0:9901\" needs a token: others than this machine can reach it\n", true},
    {"admin \"0.0.0.0:9901\" { token = \"\" }", "1: token: is empty\n", true},
    {"admin \"0.0.0.0:9901\" { read_token = 0123456789abcdef }", "", true},
    {"admin \"127.0.0.1:9901\" { token = 0123456789abcde }",
     "1: warning: token: a token of fewer than 16 characters can be guessed; try `openssl rand -hex 32`\n",
     true},
    {"admin \"127.0.0.1:9901\" { token = 0123456789abcdef read_token = 0123456789abcdef }",
     "1: the token and the read_token are the same: nobody could be held to reading\n", true},
    {"admin \"127.0.0.1:9901\" { token = 0123456789abcdef token_file = t.conf }",
     "1: token and token_file exclude each other\n", true},
    {"admin \"0.0.0.0:9901\" { token_file = \"/nope\" }",
     "1: token_file: cannot read /nope: No such file or directory\n", true},
    {"admin \"127.0.0.1:9901\" { read_token_file = t.conf }",
     "1: read_token_file: only visible ASCII characters can be sent as a token\n", true},
    {"admin \"127.0.0.1:9901\" { token_file = \"/dev/null\" }",
     "1: token_file: cannot read /dev/null: is not a regular file\n", true},
    {"admin \"127.0.0.1:9901\" { token = \"a b\" }",
     "1: token: only visible ASCII characters can be sent as a token\n", true},
    {"admin \"127.0.0.1:1\" { }", "1: \"127.0.0.1:1\" is the same address as \"127.0.0.1:1\" at t.conf:2\n",
     true},
    {"admin \"127.0.0.1:2\" { }\n"
     "admin \"127.0.0.1:3\" { }",
     "2: 'admin' is given twice; the first is at t.conf:1\n", true},
    {"admin \"0.0.0.0:9901\" { token = \"${NOPE}\" }",
     "1: the variable NOPE is not set and has no default: ${NOPE:-default}\n", true},
    {"backend \"x\" { }\n"
     "route \"/x/\" { backend = x }",
     "1: backend \"x\" has no server\n", true},
    {"backend \"\" { server \"http://a\" { } }", "1: a backend's name is empty\n", true},
    {"backend \"a b\" { server \"http://a\" { } }", "1: backend \"a b\": a name has no white space\n", true},
    {"backend \"x\" { server \"a:80\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"a:80\": the scheme is missing: http://a:80\n", true},
    {"backend \"x\" { server \"http://u:p@a\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"...@a\": a user or password cannot be given here: set an Authorization field in the "
     "route's request_header\n",
     true},
    {"backend \"x\" { server \"http://a/api\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a/api\": a server has no path: give '/api' to the route, as add_prefix or rewrite\n",
     true},
    {"backend \"x\" { server \"http://a?x\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a?x\": a server has no query and no fragment: '?x'\n", true},
    {"backend \"x\" { server \"ftp://a\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"ftp://a\": the scheme 'ftp' is not known: http, https or unix\n", true},
    {"backend \"x\" { server \"http://\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://\": the name of the host is missing\n", true},
    {"backend \"x\" { server \"http://a:0\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a:0\": the port '0' is not a number from 1 to 65535\n", true},
    {"backend \"x\" { server \"http://a:99999\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a:99999\": the port '99999' is not a number from 1 to 65535\n", true},
    {"backend \"x\" { server \"http://a:\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a:\": the port '' is not a number from 1 to 65535\n", true},
    {"backend \"x\" { server \"http://a b\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a b\": ' ' cannot stand in the name of a host\n", true},
    {"backend \"x\" { server \"http://a..b\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://a..b\": the name of the host has an empty part\n", true},
    {"backend \"x\" { server \"http://300.1.1.1\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://300.1.1.1\": '300.1.1.1' is not an IPv4 address\n", true},
    {"backend \"x\" { server \"http://[::1\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://[::1\": ']' is missing\n", true},
    {"backend \"x\" { server \"http://[x]\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://[x]\": '[x]' is not an IPv6 address\n", true},
    {"backend \"x\" { server \"http://::1:80\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://::1:80\": an IPv6 address stands in brackets: [::1]:80\n", true},
    {"backend \"x\" { server \"unix:x\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"unix:x\": the path of a unix socket begins with '/': unix:/run/tollgate.sock\n", true},
    {"backend \"x\" { server \"\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"\": the URL is empty\n", true},
    {"backend \"x\" { server "
     "\"http://"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server "
     "\"http://"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": the name of the host is longer than 253 "
     "bytes\n",
     true},
    {"backend \"x\" { server \"http://x\" { } server \"http://x:80/\" { } }\n"
     "route \"/x/\" { backend = x }",
     "1: server \"http://x:80/\" is the same as \"http://x\" in line 1\n", true},
    {"backend \"x\" { server \"http://x\" { } server \"http://y\" { weight = 0 } }\n"
     "route \"/x/\" { backend = x }",
     "1: weight: 0 is out of range: 1 to 1000\n", true},
    {"backend \"x\" { server \"http://x\" { } server \"http://y\" { weight = 1001 } }\n"
     "route \"/x/\" { backend = x }",
     "1: weight: 1001 is out of range: 1 to 1000\n", true},
    {"backend \"x\" { server \"http://x\" { } blance = hash }\n"
     "route \"/x/\" { backend = x }",
     "1: unknown option 'blance' in backend \"x\"; did you mean 'balance'?\n", true},
    {"backend \"x\" { server \"http://x\" { } balance = rr }\n"
     "route \"/x/\" { backend = x }",
     "1: balance: 'rr' is none of round_robin, least_conn, p2c, hash\n", true},
    {"backend \"x\" { server \"http://x\" { } balance = hash hash = foo }\n"
     "route \"/x/\" { backend = x }",
     "1: hash: 'foo' is none of ip, header:NAME, cookie:NAME\n", true},
    {"backend \"x\" { server \"http://x\" { } balance = hash hash = \"header:a b\" }\n"
     "route \"/x/\" { backend = x }",
     "1: hash: 'a b' is not the name of a header\n", true},
    {"backend \"x\" { server \"http://x\" { } balance = hash hash = \"cookie:\" }\n"
     "route \"/x/\" { backend = x }",
     "1: hash: '' is not the name of a cookie\n", true},
    {"backend \"x\" { server \"http://x\" { } hash = ip workers = 0 }\n"
     "route \"/x/\" { backend = x }",
     "1: unknown option 'workers' in backend \"x\"; it belongs at the top level\n"
     "1: warning: hash has no effect without balance = hash\n",
     true},
    {"backend \"x\" { server \"http://x\" { } connect = 1s }\n"
     "route \"/x/\" { backend = x }",
     "1: unknown option 'connect' in backend \"x\"; it belongs in 'timeout'\n", true},
    {"backend \"x\" { server \"http://x\" { } timeout { connect = 0 first_byte = 0 between_bytes = 0 total = "
     "8d } }\n"
     "route \"/x/\" { backend = x }",
     "1: connect: 0 is out of range: 1ms to 1h\n"
     "1: first_byte: 0 is out of range: 1ms to 1d\n"
     "1: between_bytes: 0 is out of range: 1ms to 1d\n"
     "1: total: 8d is out of range: 0 to 7d\n",
     true},
    {"backend \"x\" { server \"http://x\" { } timeout { connect = 2s total = 1s first_byte = 2s } keepalive "
     "{ idle = 0 } }\n"
     "route \"/x/\" { backend = x }",
     "1: idle: 0 is out of range: 100ms to 1d\n"
     "1: warning: total ends before connect can\n"
     "1: warning: total ends before first_byte can\n",
     true},
    {"backend \"x\" { server \"http://x\" { } max_connections = 0 fail_timeout = 2h keepalive { max_idle = "
     "-1 max_requests = 4294967296 } }\n"
     "route \"/x/\" { backend = x }",
     "1: max_connections: 0 is out of range: 1 to 1000000\n"
     "1: fail_timeout: 2h is out of range: 0 to 1h\n"
     "1: max_idle: '-1' is not a whole number\n"
     "1: max_requests: 4294967296 is out of range: 0 to 4294967295\n",
     true},
    {"backend \"x\" { server \"http://x\" { } tls { verify = maybe certificate = \"t.conf\" server_name = "
     "\"a/b\" } }\n"
     "route \"/x/\" { backend = x }",
     "1: verify: 'maybe' is neither yes nor no\n"
     "1: a certificate and its key go together: 'key' is missing\n"
     "1: server_name: '/' cannot stand in the name of a host\n"
     "1: warning: tls has no effect: no server of backend \"x\" is https\n",
     true},
};

START_TEST(mistakes_are_told_exactly)
{
    conf_check_case(&cases[_i]);
}
END_TEST

static Suite *conf_values_suite(void)
{
    Suite *s = suite_create("conf_values");
    TCase *t = tcase_create("conf_values");
    tcase_add_unchecked_fixture(t, conf_cases_begin, conf_cases_end);
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_values_suite)
