/* test_conf_reader.c: what is wrong with the structure: names, sections, quotes, variables, includes. */
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

static const struct conf_case cases[] = {
    {"workerz = 4", "1: unknown option 'workerz'; did you mean 'workers'?\n", true},
    {"foo = 1", "1: unknown option 'foo'\n", true},
    {"foo { a = 1 { } }\n"
     "bar \"x\" { }\n"
     "baz(1)\n"
     "workers = 0",
     "1: unknown option 'foo'\n"
     "2: unknown option 'bar'\n"
     "3: unknown option 'baz'\n"
     "4: workers: 0 is out of range: 1 to 256, or auto\n",
     true},
    {"connect = 1s", "1: unknown option 'connect'; it belongs in 'timeout'\n", true},
    {"log { workers = 4 }", "1: unknown option 'workers' in log; it belongs at the top level\n", true},
    {"workers 4", "1: expected '=' behind 'workers'\n", true},
    {"workers =", "1: 'workers' has no value\n", true},
    {"workers = {1, 2}", "1: 'workers' takes one value, not a list\n", true},
    {"workers = 4;", "1: unexpected ';': an option ends without one\n", true},
    {"workers = 1\n"
     "workers = 2",
     "2: 'workers' is given twice; the first is at t.conf:1\n", true},
    {"log = { level = info }", "1: 'log' is a section: write it without '='\n", true},
    {"log \"x\" { }", "1: log has no title: write log { }\n", true},
    {"log { }\n"
     "log { }",
     "2: 'log' is given twice; the first is at t.conf:1\n", true},
    {"listen { }", "1: listen needs a title, an address: listen \"...\" { }\n", true},
    {"backend \"b\" { server \"http://c\" { } }",
     "3: backend \"b\" is there twice; the first is at t.conf:1\n", true},
    {"log level = info", "1: 'log' is a section: write log { level = ... }\n", true},
    {"mask_query += {\"a\"}",
     "1: '+=' is not known: give the whole list with '='\n"
     "1: unknown option 'mask_query'; it belongs in 'log'\n",
     true},
    {"trusted_proxies = {\"::1\" \"::2\"}", "1: expected ',' between the values of a list, not '::2'\n",
     true},
    {"trusted_proxies = {\"::1\"\n"
     "workers = 2",
     "2: the list that begins in line 1 has no '}'\n", true},
    {"trusted_proxies = {\"::1\", = 2}", "1: expected a value or '}' in a list, not '='\n", true},
    {"}", "1: unexpected '}': there is nothing for it to end\n", true},
    {"= 3",
     "1: expected the name of an option, not '='\n"
     "1: unknown option '3'\n",
     true},
    {"{ workers = 3 }", "1: expected the name of an option, not '{'\n", true},
    {"\"${NOPE}\" = 3", "1: the variable NOPE is not set and has no default: ${NOPE:-default}\n", true},
    {"workers = \"\\q\"", "1: unknown escape \"\\q\": a backslash is written \"\\\\\"\n", true},
    {"workers = \"a\001b\"", "1: a text may hold no control byte but tab and newline\n", true},
    {"\002", "1: unexpected control byte 0x02\n", true},
    {"workers = \"4\\x00\"", "1: a text may hold no control byte but tab and newline\n", true},
    {"log { level = info\n"
     "client { max_fields = 3 }\n"
     "workers = none",
     "2: 'client' cannot stand in log, which began in line 1: is a '}' missing?\n"
     "3: workers: 'none' is not a whole number\n",
     true},
    {"backend \"x\" {\n"
     " server \"http://x\" { }\n"
     " timeout {\n"
     "  connect = 1s\n"
     " server \"http://y\" { }\n"
     "}\n"
     "route \"/x/\" { backend = x }",
     "5: 'server' cannot stand in timeout, which began in line 3: is a '}' missing?\n", true},
    {"route \"/y/\" {\n"
     " backend = b\n"
     "backend \"z\" { server \"http://z\" { } }",
     "3: 'backend' cannot stand in route \"/y/\", which began in line 1: is a '}' missing?\n", true},
    {"log {\n"
     " level = info",
     "1: nothing to listen on: a section listen \"0.0.0.0:8080\" { } is missing\n"
     "1: warning: no route: every request will be answered with 404\n"
     "2: the file ends in log, which began in line 1: '}' is missing\n",
     false},
    {"log { access = \"off\n"
     "}\n"
     "workers = 3",
     "1: a text that begins here has no end: \" is missing\n", false},
    {"workers = 2 /* no end\n", "1: a comment that begins here has no end: '*/' is missing\n", false},
    {"log { access = \"stdout\n"
     " error = \"stderr\" }\n"
     "workers = 3",
     "2: the text that began in line 1 ends here: is its closing quote missing?\n", true},
    {"",
     "1: nothing to listen on: a section listen \"0.0.0.0:8080\" { } is missing\n"
     "1: warning: no route: every request will be answered with 404\n",
     false},
    {"listen \"127.0.0.1:1\" { }", "1: warning: no route: every request will be answered with 404\n", false},
    {"workers = 0\n"
     "log { level = loud }\n"
     "backend \"x\" {\n"
     "  server \"a\" { }\n"
     "  blance = hash\n"
     "}\n"
     "route \"/x/\" { backend = y }\n"
     "route \"/y/\" { backend = xx max_body = 1 k }",
     "1: workers: 0 is out of range: 1 to 256, or auto\n"
     "2: level: 'loud' is none of debug, info, warn, error\n"
     "4: server \"a\": the scheme is missing: http://a\n"
     "5: unknown option 'blance' in backend \"x\"; did you mean 'balance'?\n"
     "7: unknown backend 'y'\n"
     "8: unknown option 'k' in route \"/y/\"\n"
     "8: unknown backend 'xx'; did you mean 'x'?\n",
     true},
    {"backend \"x\" {\n"
     " server \"http://a:1 { }\n"
     " server \"http://b:2\" { }\n"
     "}\n"
     "workers = none",
     "3: the text that began in line 2 ends here: is its closing quote missing?\n", true},
    {"server_header = \"a\"b\n"
     "workers = 0",
     "1: white space is missing behind a text: is a quote missing, or one too many?\n"
     "2: workers: 0 is out of range: 1 to 256, or auto\n",
     true},
    {"trusted_proxies = {\"::1\",,\"::2\"}\n"
     "workers = 0",
     "1: expected a value or '}' in a list, not ','\n"
     "2: workers: 0 is out of range: 1 to 256, or auto\n",
     true},
    {"log { access = off access = off }", "1: 'access' is given twice in log; the first is at t.conf:1\n",
     true},
    {"server_header = 'it's'",
     "1: white space is missing behind a text: is a quote missing, or one too many?\n"
     "1: a text that begins here has no end: ' is missing\n",
     true},
    {"workers = ${NOPE}", "1: the variable NOPE is not set and has no default: ${NOPE:-default}\n", true},
    {"workers = ${NOPE:-x}", "1: workers: 'x' is not a whole number\n", true},
    {"workers = \"${NOPE\"", "1: \"${\" without its '}'; a literal one is written \"$${\"\n", true},
    {"workers = ${}", "1: \"${}\": expected ${NAME} or ${NAME:-default}\n", true},
    {"workers = \"${A:-${B}}\"", "1: the default of A holds another \"${\"\n", true},
    {"server_header = '${NOPE}\001'", "1: a text may hold no control byte but tab and newline\n", true},
    {"include(\"nope.conf\")", "1: cannot include nope.conf: No such file or directory\n", true},
    {"include(\"t.conf\")", "1: cannot include t.conf: it includes itself\n", true},
    {"include(\"sub/bad.conf\")\n"
     "workers = 0",
     "sub/bad.conf:2: workers: 0 is out of range: 1 to 256, or auto\n"
     "sub/more.conf:3: unknown option 'nothing'\n"
     "2: 'workers' is given twice; the first is at sub/bad.conf:2\n",
     true},
    {"include(\"sub\")", "1: cannot include sub: is a directory\n", true},
    {"include \"x\"", "1: include is written include(\"FILE\")\n", true},
    {"include(x",
     "1: cannot include x: No such file or directory\n"
     "2: expected ')' behind the name of a file, not 'listen'\n",
     true},
    {"include(\"*.none\")\n"
     "workers = 0",
     "1: warning: include: no file matches *.none\n"
     "2: workers: 0 is out of range: 1 to 256, or auto\n",
     true},
    {"include(\"sub/open.conf\")",
     "sub/open.conf:2: the file ends in log, which began in line 1: '}' is missing\n", true},
    {"include(\"${NOPE}\")", "1: the variable NOPE is not set and has no default: ${NOPE:-default}\n", true},
    {"include()",
     "1: expected the name of a file, not ')'\n"
     "1: expected the name of an option, not ')'\n",
     true},
    {"include(\"sub/loop.conf\")",
     "sub/loop.conf:1: cannot include sub/../sub/loop.conf: it includes itself\n", true},
};

START_TEST(mistakes_are_told_exactly)
{
    conf_check_case(&cases[_i]);
}
END_TEST

START_TEST(a_path_that_is_no_file_is_told)
{
    struct conf_mistakes m;
    ck_assert_ptr_null(conf_load("missing.conf", &m));
    ck_assert_uint_eq(m.n, 1);
    ck_assert_str_eq(m.at[0], "missing.conf:1: cannot be read: No such file or directory");
    conf_mistakes_free(&m);
    ck_assert_ptr_null(conf_load("sub", &m));
    ck_assert_uint_eq(m.n, 1);
    ck_assert_str_eq(m.at[0], "sub:1: cannot be read: is a directory");
    conf_mistakes_free(&m);
}
END_TEST

/* A FIFO that nobody writes to reads as empty, and does not hang. */
START_TEST(a_file_that_never_speaks_does_not_hang)
{
    struct conf_mistakes m;
    ck_assert_int_eq(mkfifo("quiet", 0600), 0);
    ck_assert_ptr_null(conf_load("quiet", &m));
    ck_assert_uint_ge(m.n, 1);
    conf_mistakes_free(&m);
    ck_assert_ptr_null(conf_load("/dev/tty", &m));
    conf_mistakes_free(&m);
}
END_TEST

START_TEST(a_hundred_mistakes_are_enough)
{
    struct conf_mistakes m;
    char text[4096] = "";
    for (int i = 0; i < 150; i++)
        strcat(text, "what = 1\n");
    conf_write("t.conf", text, CONF_REST);
    ck_assert_ptr_null(conf_load("t.conf", &m));
    ck_assert_uint_eq(m.n, 101);
    ck_assert_str_eq(m.at[99], "t.conf:100: unknown option 'what'");
    ck_assert_str_eq(m.at[100], "50 more mistakes");
    conf_mistakes_free(&m);
}
END_TEST

/* Each includes the next one. */
START_TEST(includes_have_a_bottom)
{
    struct conf_mistakes m;
    char name[32], text[64];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "deep%d.conf", i);
        snprintf(text, sizeof(text), "include(deep%d.conf)\n", i + 1);
        conf_write(name, text, "");
    }
    conf_write("t.conf", "include(deep0.conf)\n", CONF_REST);
    ck_assert_ptr_null(conf_load("t.conf", &m));
    ck_assert_uint_eq(m.n, 1);
    ck_assert_str_eq(m.at[0], "deep9.conf:1: cannot include deep10.conf: includes go too deep");
    conf_mistakes_free(&m);
}
END_TEST

/* The files that the table's includes name. */
static void begin(void)
{
    conf_cases_begin();
    ck_assert_int_eq(mkdir("sub", 0700), 0);
    conf_write("sub/bad.conf", "# a comment\nworkers = 0\ninclude(\"more.conf\")\n", "");
    conf_write("sub/more.conf", "\n\nnothing = 1\n", "");
    conf_write("sub/open.conf", "log {\n", "");
    conf_write("sub/loop.conf", "include(\"../sub/loop.conf\")\n", "");
}

static Suite *conf_reader_suite(void)
{
    Suite *s = suite_create("conf_reader");
    TCase *t = tcase_create("conf_reader");
    tcase_add_unchecked_fixture(t, begin, conf_cases_end);
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, a_path_that_is_no_file_is_told);
    tcase_add_test(t, a_file_that_never_speaks_does_not_hang);
    tcase_add_test(t, a_hundred_mistakes_are_enough);
    tcase_add_test(t, includes_have_a_bottom);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_reader_suite)
