/*
 * test_redis_socket.c: links to a redis-server by TLS: who is trusted, what for, and who is let in. The
 * certificates are made here.
 */
#include "gateway/redis_socket.h"

#include "tests/unit/gateway/redis_fixture.h"

/* CA `name`.ca and a certificate `name`.pem/.key of it for SUBJECT_ALT. */
static void make_certificates(const char *name, const char *subject_alt)
{
    char command[1024];
    snprintf(command, sizeof(command),
             "cd %s && exec 2>/dev/null && ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && "
             "openssl req -x509 $ec -keyout %s.cakey -out %s.ca -days 2 -subj /CN=%s-ca && "
             "openssl req $ec -keyout %s.key -out %s.csr -subj /CN=%s && "
             "echo 'subjectAltName=%s' >%s.ext && "
             "openssl x509 -req -in %s.csr -CA %s.ca -CAkey %s.cakey -days 2 -extfile %s.ext -out %s.pem",
             directory, name, name, name, name, name, name, subject_alt, name, name, name, name, name, name);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_directory(char text[96], const char *name)
{
    snprintf(text, 96, "%s/%s", directory, name);
    return text;
}

struct tls_world {
    struct world world;
    struct redis_link *link;
    struct redis_tls *tls;
    uint16_t port;
    char ca[96], certificate[96], key[96];
    struct conf_redis_tls conf;
    struct redis_node node;
};

static struct tls_world t;

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    (void)ctx;
    wheel_set(&t.world.wheel, e, due_ns);
}

/* A server that speaks TLS on a free port, with AUTH_CLIENTS yes or no. */
static void start_tls_server(const char *auth_clients)
{
    char port[8], ca[96], certificate[96], key[96];
    t.port = 0;
    close(open_door(&t.port));
    snprintf(port, sizeof(port), "%u", t.port);
    START(0, "--tls-port", port, "--bind", "127.0.0.1", "--tls-ca-cert-file", in_directory(ca, "good.ca"),
          "--tls-cert-file", in_directory(certificate, "good.pem"), "--tls-key-file",
          in_directory(key, "good.key"), "--tls-auth-clients", auth_clients);
}

static void set_up(void)
{
    make_directory();
    make_certificates("good", "DNS:redis.test,IP:127.0.0.1");
    memset(&t, 0, sizeof(t));
    t.conf =
        (struct conf_redis_tls){.enabled = true, .verify = true, .ca_file = in_directory(t.ca, "good.ca")};
    world_begin(&t.world);
}

static void tear_down(void)
{
    redis_link_free(t.link);
    redis_tls_free(t.tls);
    world_end(&t.world);
    remove_directory();
}

static void begin(const char *host)
{
    struct err err = {0};
    redis_link_free(t.link);
    redis_tls_free(t.tls); /* before what uses it has gone */
    t.tls = redis_tls_new(&t.conf, &err);
    ck_assert_ptr_nonnull(t.tls);
    t.node = (struct redis_node){.name = "n",
                                 .address = "127.0.0.1",
                                 .host = host,
                                 .port = t.port,
                                 .connect_ms = 2000,
                                 .command_ms = 2000};
    t.link = redis_link_new(&(struct redis_link_setup){
        .loop = &t.world.loop, .set_timer = set_timer, .node = &t.node, .tls = t.tls});
    ck_assert_ptr_nonnull(t.link);
}

static bool is_up(void)
{
    return redis_link_state(t.link) == REDIS_UP;
}

static void check_works(void)
{
    struct ask a;
    TURN(&t.world, is_up());
    ck_assert(send_words(t.link, &a, (const char *const[]){"ECHO", "hello", NULL}));
    TURN(&t.world, a.done);
    ck_assert_str_eq(a.text, "hello");
}

static void check_refused(const char *why)
{
    TURN(&t.world, strstr(redis_link_why(t.link), why) || is_up());
    ck_assert_msg(!is_up(), "it is up, where it should not be for: %s", why);
}

START_TEST(who_is_trusted)
{
    start_tls_server("no");
    begin("redis.test");
    check_works();
    begin(NULL); /* the address, as a number */
    check_works();
    begin("127.0.0.1");
    check_works();
    begin("other.test");
    check_refused("ostname mismatch");
    begin("127.0.0.2");
    check_refused("IP address mismatch");
    t.conf.server_name = "redis.test";
    begin("other.test");
    check_works();
    t.conf.server_name = "edis.test";
    begin("redis.test");
    check_refused("ostname mismatch");
    t.conf.verify = false;
    begin("other.test");
    check_works();
}
END_TEST

START_TEST(whose_authority_is_trusted)
{
    start_tls_server("no");
    make_certificates("bad", "DNS:redis.test");
    begin("redis.test");
    check_works();
    in_directory(t.ca, "bad.ca");
    begin("redis.test");
    check_refused("certificate");
    t.conf.ca_file = NULL; /* the system's */
    begin("redis.test");
    check_refused("certificate");
    t.conf.verify = false;
    begin("redis.test");
    check_works();
}
END_TEST

START_TEST(who_is_let_in)
{
    make_certificates("bad", "DNS:client.test");
    start_tls_server("yes");
    t.conf.cert_file = in_directory(t.certificate, "good.pem");
    t.conf.key_file = in_directory(t.key, "good.key");
    begin("redis.test");
    check_works();
    in_directory(t.certificate, "bad.pem");
    in_directory(t.key, "bad.key");
    begin("redis.test");
    check_refused("TLS: ");
    t.conf.cert_file = t.conf.key_file = NULL;
    begin("redis.test");
    check_refused("TLS: ");
}
END_TEST

START_TEST(files_that_cannot_be_used)
{
    struct err err = {0};
    char text[256];
    struct buf b;
    t.conf.cert_file = in_directory(t.certificate, "good.pem");
    t.conf.key_file = in_directory(t.key, "good.cakey"); /* another's */
    ck_assert_ptr_null(redis_tls_new(&t.conf, &err));
    err_clear(&err);
    t.conf.key_file = "/nonexistent.key";
    ck_assert_ptr_null(redis_tls_new(&t.conf, &err));
    buf_init(&b, text, sizeof(text));
    err_text(&err, &b);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "/nonexistent.key"));
    t.conf.cert_file = "/nonexistent.pem";
    ck_assert_ptr_null(redis_tls_new(&t.conf, NULL));
    t.conf.cert_file = NULL;
    t.conf.ca_file = "/nonexistent.ca";
    ck_assert_ptr_null(redis_tls_new(&t.conf, NULL));
    t.tls = NULL;
}
END_TEST

START_TEST(much_goes_both_ways)
{
    const size_t len = (size_t)8 << 20;
    char *text = malloc(len);
    memset(text, 'x', len);
    const struct slice set[] = {SLICE("SET"), SLICE("k"), {text, len}};
    struct ask a = {.call.done = on_done}, b;
    start_tls_server("no");
    begin("redis.test");
    check_works();
    for (int i = 0; i < 3; i++) {
        a = (struct ask){.call.done = on_done};
        ck_assert(redis_link_send(t.link, &a.call, &(struct redis_command){set, 3}));
        ck_assert(send_words(t.link, &b, (const char *const[]){"GET", "k", NULL}));
        TURN(&t.world, b.done);
        ck_assert(a.done == 1 && a.has_reply && b.len == len);
    }
    free(text);
}
END_TEST

/* Nobody answers the handshake, and what answers does not speak TLS. */
START_TEST(who_does_not_speak_tls)
{
    int door = open_door(&t.port);
    begin(NULL);
    t.node.connect_ms = 100;
    redis_link_free(t.link);
    t.link = NULL;
    int unheard = accept(door, NULL, NULL);
    t.link = redis_link_new(&(struct redis_link_setup){
        .loop = &t.world.loop, .set_timer = set_timer, .node = &t.node, .tls = t.tls});
    check_refused("not connected in time");
    close(unheard);
    TURN(&t.world, redis_link_state(t.link) == REDIS_CONNECTING);
    close(accept(door, NULL, NULL)); /* the one that was given up */
    int conn = accept(door, NULL, NULL);
    ck_assert_int_eq(write(conn, "-ERR who are you\r\n", 18), 18);
    check_refused("TLS: ");
    close(conn);
    close(door);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("redis_socket");
    TCase *c = tcase_create("redis_socket");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, who_is_trusted);
    tcase_add_test(c, whose_authority_is_trusted);
    tcase_add_test(c, who_is_let_in);
    tcase_add_test(c, files_that_cannot_be_used);
    tcase_add_test(c, much_goes_both_ways);
    tcase_add_test(c, who_does_not_speak_tls);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
