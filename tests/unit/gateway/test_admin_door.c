/* test_admin_door.c: connections come in, also after a time without descriptors. Real sockets. */
#include "gateway/admin_door.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (10 * CLOCK_SECOND_NS)

struct house {
    uv_loop_t loop;
    struct admin_door door;
    struct sockaddr_in addr;
    unsigned entered;
};

static void on_entered(void *ctx, const struct admin_guest *g)
{
    struct house *h = ctx;
    ck_assert_int_eq(g->addr->sa_family, AF_INET);
    ck_assert_uint_eq(g->addr_len, sizeof(struct sockaddr_in));
    h->entered++;
    close(g->fd);
}

static void build(struct house *h)
{
    *h = (struct house){.addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(h->addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&h->addr, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&h->addr, &len), 0);
    ck_assert_int_eq(uv_loop_init(&h->loop), 0);
    ck_assert(admin_door_open(&h->door, &(struct admin_door_setup){&h->loop, fd, on_entered, h}));
}

static void pull_down(struct house *h)
{
    admin_door_close(&h->door);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&h->loop), 0);
}

/* A client that has connected. */
static int knock(const struct house *h)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&h->addr, sizeof(h->addr)), 0);
    return fd;
}

static void turn_until_entered(struct house *h, unsigned n)
{
    for (uint64_t end = clock_now_ns() + PATIENCE_NS; h->entered < n && clock_now_ns() < end;)
        uv_run(&h->loop, UV_RUN_ONCE);
    ck_assert_uint_eq(h->entered, n);
}

static bool is_open(const struct house *h)
{
    return uv_is_active((const uv_handle_t *)&h->door.poll);
}

START_TEST(everybody_comes_in)
{
    struct house h;
    int guests[3];
    build(&h);
    for (int i = 0; i < 3; i++)
        guests[i] = knock(&h);
    turn_until_entered(&h, 3);
    ck_assert(is_open(&h));
    for (int i = 0; i < 3; i++)
        close(guests[i]);
    pull_down(&h);
}
END_TEST

/* Whether it is open behind it. */
static bool turn_without_descriptors(struct house *h)
{
    struct rlimit usual;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = usual.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    uv_run(&h->loop, UV_RUN_ONCE);
    bool was_open = is_open(h);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    return was_open;
}

/* The socket is readable all the time, and nobody looks at it. */
START_TEST(without_descriptors_it_is_shut_for_a_while)
{
    struct house h;
    build(&h);
    int guest = knock(&h);
    bool was_open = turn_without_descriptors(&h);
    ck_assert_uint_eq(h.entered, 0);
    ck_assert(!was_open);
    turn_until_entered(&h, 1);
    ck_assert(is_open(&h));
    close(guest);
    pull_down(&h);
}
END_TEST

START_TEST(it_is_closed_while_it_is_shut)
{
    struct house h;
    build(&h);
    int guest = knock(&h);
    turn_without_descriptors(&h);
    pull_down(&h);
    ck_assert_uint_eq(h.entered, 0);
    close(guest);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("admin_door");
    TCase *t = tcase_create("door");
    tcase_add_test(t, everybody_comes_in);
    tcase_add_test(t, without_descriptors_it_is_shut_for_a_while);
    tcase_add_test(t, it_is_closed_while_it_is_shut);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
