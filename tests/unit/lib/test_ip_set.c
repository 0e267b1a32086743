/* test_ip_set.c: the longest network is found, as by looking at every one. */
#include "lib/clock.h"
#include "lib/ip_set.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct ip_net net(const char *block, uint32_t value)
{
    struct ip_net n = {.value = value};
    ck_assert_msg(cidr_parse(slice_of(block), &n.block), "%s", block);
    return n;
}

/* The value for ADDRESS, or 0. */
static uint32_t find(const struct ip_set *s, const char *address)
{
    struct ip ip;
    uint32_t value = 0;
    ck_assert(ip_parse(slice_of(address), &ip));
    return ip_set_find(s, &ip, &value) ? value : 0;
}

static uint32_t find_linear(const struct ip_net *nets, size_t n, const struct ip *ip)
{
    const struct ip_net *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (cidr_has(&nets[i].block, ip) && (!best || nets[i].block.prefix > best->block.prefix))
            best = &nets[i];
    return best ? best->value : 0;
}

START_TEST(the_longest_network_wins)
{
    struct ip_net nets[] = {net("10.0.0.0/8", 1),   net("10.1.0.0/16", 2),   net("10.1.2.3", 3),
                            net("192.0.2.0/24", 4), net("2001:db8::/32", 5), net("2001:db8:1::/48", 6),
                            net("::1", 7),          net("10.1.0.0/17", 8),   net("2001:db8::/128", 9)};
    struct ip_set *s = ip_set_new(nets, 9, NULL);
    static const struct {
        const char *address;
        uint32_t want;
    } cases[] = {{"10.9.9.9", 1},
                 {"10.1.200.1", 2},
                 {"10.1.2.3", 3},
                 {"10.1.2.4", 8},
                 {"::ffff:10.1.2.3", 3},
                 {"11.0.0.0", 0},
                 {"9.255.255.255", 0},
                 {"192.0.2.255", 4},
                 {"192.0.3.0", 0},
                 {"2001:db8:2::1", 5},
                 {"2001:db8:1::1", 6},
                 {"2001:db8::", 9},
                 {"2001:db9::", 0},
                 {"::1", 7},
                 {"::2", 0},
                 {"::", 0},
                 {"0.0.0.0", 0},
                 {"255.255.255.255", 0},
                 {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(find(s, cases[i].address) == cases[i].want, "%s", cases[i].address);
    ck_assert_uint_eq(ip_set_count(s), 9);
    ip_set_free(s);
}
END_TEST

START_TEST(everything_is_a_network_too)
{
    struct ip_net nets[] = {net("::/0", 1), net("0.0.0.0/0", 2), net("127.0.0.0/8", 3)};
    struct ip_set *s = ip_set_new(nets, 3, NULL);
    ck_assert(find(s, "2001::") == 1 && find(s, "8.8.8.8") == 2 && find(s, "127.1.1.1") == 3);
    ip_set_free(s);
    s = ip_set_new(nets, 1, NULL);
    ck_assert(find(s, "2001::") == 1 && find(s, "8.8.8.8") == 1 && find(s, "::") == 1);
    ip_set_free(s);
    s = ip_set_new(nets + 1, 1, NULL);
    ck_assert(find(s, "2001::") == 0 && find(s, "8.8.8.8") == 2 && find(s, "255.255.255.255") == 2);
    ip_set_free(s);
}
END_TEST

START_TEST(an_empty_set_has_nothing)
{
    struct ip_set *s = ip_set_new(NULL, 0, NULL);
    ck_assert(s && ip_set_count(s) == 0 && find(s, "::") == 0 && find(s, "10.0.0.1") == 0);
    ip_set_free(s);
    ip_set_free(NULL);
}
END_TEST

START_TEST(a_network_twice_has_one_value)
{
    struct ip_net nets[] = {net("10.0.0.0/8", 1), net("192.0.2.0/24", 4), net("10.0.0.0/8", 1)};
    struct err e = {0};
    struct ip_set *s = ip_set_new(nets, 3, &e);
    ck_assert(s && !err_is_set(&e) && ip_set_count(s) == 2 && find(s, "10.0.0.1") == 1);
    ip_set_free(s);
    nets[2].value = 2;
    ck_assert(!ip_set_new(nets, 3, &e));
    ck_assert(strstr(e.link[0], "10.0.0.0/8"));
    struct ip_net v6[] = {net("2001:db8::/32", 1), net("2001:db8::/32", 2)};
    err_clear(&e);
    ck_assert(!ip_set_new(v6, 2, &e) && strstr(e.link[0], "2001:db8::/32"));
}
END_TEST

/* Few bits that differ, so that networks are within and beside one another. */
static struct ip random_ip(struct random *r, unsigned spread)
{
    struct ip ip = {.b = {[10] = 0xff, [11] = 0xff}};
    unsigned first = random_next(r) % 2 ? 12 : 0;
    if (first == 0)
        memset(&ip, 0, sizeof(ip));
    for (unsigned i = first; i < 16; i++)
        if (random_below(random_next(r), 4) < spread)
            ip.b[i] = (uint8_t)(random_next(r) & random_next(r));
    return ip;
}

static struct ip_net random_net(struct random *r, unsigned spread, uint32_t value)
{
    struct ip_net n = {.value = value, .block.base = random_ip(r, spread)};
    unsigned least = ip_is_v4(&n.block.base) ? 96 : 0;
    n.block.prefix = least + (unsigned)random_below(random_next(r), 129 - least);
    for (unsigned bit = n.block.prefix; bit < 128; bit++)
        n.block.base.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    return n;
}

static bool is_new(const struct ip_net *nets, size_t n, const struct ip_net *one)
{
    for (size_t i = 0; i < n; i++)
        if (nets[i].block.prefix == one->block.prefix &&
            memcmp(&nets[i].block.base, &one->block.base, 16) == 0)
            return false;
    return true;
}

/* The address itself, or with a bit turned: just inside and just outside. */
static struct ip near(struct random *r, struct ip ip)
{
    if (random_next(r) % 4 > 0) {
        unsigned bit = (unsigned)random_below(random_next(r), 128);
        ip.b[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
    }
    return ip;
}

START_TEST(it_finds_what_a_look_at_every_network_finds)
{
    static struct ip_net nets[400];
    struct random r;
    random_seed(&r);
    uint64_t seed = random_next(&r);
    random_seed_with(&r, seed);
    for (int round = 0; round < 150; round++) {
        size_t n = 0, want = random_below(random_next(&r), round % 10 == 0 ? 400 : 40);
        for (size_t i = 0; i < want; i++) {
            nets[n] = random_net(&r, 1 + round % 4, (uint32_t)i + 1);
            n += is_new(nets, n, &nets[n]);
        }
        struct ip_set *s = ip_set_new(nets, n, NULL);
        ck_assert(s);
        for (int i = 0; i < 500; i++) {
            bool is_near = n > 0 && i % 5 > 0;
            struct ip ip =
                is_near ? near(&r, nets[random_below(random_next(&r), n)].block.base) : random_ip(&r, 4);
            uint32_t value = 0;
            bool found = ip_set_find(s, &ip, &value);
            uint32_t linear = find_linear(nets, n, &ip);
            ck_assert_msg(value == linear && found == (linear != 0), "seed %llu, round %d: %u instead of %u",
                          (unsigned long long)seed, round, value, linear);
        }
        ip_set_free(s);
    }
}
END_TEST

/* Small enough and deep enough: 100,000 networks of any length. */
START_TEST(a_hundred_thousand_networks_fit_into_a_few_megabytes)
{
    enum { COUNT = 100000 };
    struct ip_net *nets = malloc(COUNT * sizeof(*nets));
    struct random r;
    random_seed_with(&r, 3);
    for (uint32_t i = 0; i < COUNT; i++) {
        nets[i] = random_net(&r, 4, 7);
        if (nets[i].block.prefix < 104)
            nets[i].block.prefix = 128;
    }
    struct ip_set *s = ip_set_new(nets, COUNT, NULL);
    ck_assert(s && ip_set_size(s) < 16u << 20);
    uint32_t value = 0, found = 0;
    uint64_t begin_ns = clock_now_ns();
    for (uint32_t i = 0; i < COUNT; i++)
        found += ip_set_find(s, &nets[i].block.base, &value);
    if (getenv("VERBOSE"))
        printf("%zu networks, %zu bytes, %.1f ns\n", ip_set_count(s), ip_set_size(s),
               (double)(clock_now_ns() - begin_ns) / COUNT);
    ck_assert_uint_eq(found, COUNT);
    ck_assert_uint_eq(value, 7);
    ip_set_free(s);
    free(nets);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ip_set");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_longest_network_wins);
    tcase_add_test(t, everything_is_a_network_too);
    tcase_add_test(t, an_empty_set_has_nothing);
    tcase_add_test(t, a_network_twice_has_one_value);
    tcase_add_test(t, it_finds_what_a_look_at_every_network_finds);
    tcase_add_test(t, a_hundred_thousand_networks_fit_into_a_few_megabytes);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
