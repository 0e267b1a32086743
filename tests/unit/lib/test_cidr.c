/* test_cidr.c: addresses and blocks of them. */
#include "lib/cidr.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const struct {
    const char *text;
    const char *canonical; /* NULL: refused */
} addresses[] = {
    {"192.0.2.1", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"::1", "::1"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
    {"::ffff:192.0.2.1", "192.0.2.1"},
    {"::", "::"},
    {"", NULL},
    {"192.0.2", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.1 ", NULL},
    {"192.0.2.1:80", NULL},
    {"[::1]", NULL},
    {"fe80::1%eth0", NULL},
    {"example.com", NULL},
    {"0x7f.1", NULL},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222", NULL},
};

START_TEST(an_address_is_read_and_printed)
{
    struct ip ip;
    char out[IP_TEXT_MAX];
    const char *want = addresses[_i].canonical;
    bool ok = ip_parse(slice_of(addresses[_i].text), &ip);
    ck_assert_msg(ok == (want != NULL), "%s", addresses[_i].text);
    if (!ok)
        return;
    ck_assert_uint_eq(ip_text(&ip, out), strlen(want));
    ck_assert_str_eq(out, want);
}
END_TEST

START_TEST(every_octet_is_printed)
{
    char out[IP_TEXT_MAX], want[IP_TEXT_MAX];
    for (unsigned n = 0; n < 256; n++) {
        struct ip ip;
        int len = snprintf(want, sizeof(want), "%u.%u.%u.%u", n, 255 - n, n ^ 0x55, (n * 7) & 255);
        ck_assert(ip_parse(slice_of(want), &ip));
        ck_assert_uint_eq(ip_text(&ip, out), (unsigned)len);
        ck_assert_str_eq(out, want);
    }
}
END_TEST

START_TEST(a_nul_inside_is_refused)
{
    struct ip ip;
    ck_assert(!ip_parse(SLICE("10.0.0.1\0.evil"), &ip));
}
END_TEST

static const struct {
    const char *block;
    const char *address;
    bool is_in;
} members[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.128/25", "192.0.2.200", true},
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "203.0.113.9", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"::1/128", "::1", true},
    {"::ffff:10.0.0.0/104", "10.9.9.9", true},
};

START_TEST(a_block_has_its_members)
{
    struct cidr c;
    struct ip ip;
    ck_assert(cidr_parse(slice_of(members[_i].block), &c));
    ck_assert(ip_parse(slice_of(members[_i].address), &ip));
    ck_assert_msg(cidr_has(&c, &ip) == members[_i].is_in, "%s in %s", members[_i].address, members[_i].block);
}
END_TEST

static const char *const bad_blocks[] = {
    "10.0.0.0/33",  "::/129",     "10.0.0.0/",      "/8", "10.0.0.0/-1",
    "10.0.0.0/08x", "10.0.0.1/8", "2001:db8::1/32", "",   "10/8",
};

START_TEST(a_bad_block_is_refused)
{
    struct cidr c;
    ck_assert_msg(!cidr_parse(slice_of(bad_blocks[_i]), &c), "%s", bad_blocks[_i]);
}
END_TEST

START_TEST(a_socket_address_is_read)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr un = {.sa_family = AF_UNIX};
    struct ip ip;
    char out[IP_TEXT_MAX];

    ck_assert(ip_of_sockaddr((struct sockaddr *)&in, &ip));
    ip_text(&ip, out);
    ck_assert_str_eq(out, "10.0.0.1");
    ck_assert(ip_is_v4(&ip));
    ck_assert(ip_of_sockaddr((struct sockaddr *)&in6, &ip));
    ip_text(&ip, out);
    ck_assert_str_eq(out, "::1");
    ck_assert(!ip_is_v4(&ip));
    ck_assert(!ip_of_sockaddr(&un, &ip));
}
END_TEST

START_TEST(any_of_several_blocks)
{
    struct cidr blocks[2];
    struct ip ip;
    ck_assert(cidr_parse(SLICE("10.0.0.0/8"), &blocks[0]) && cidr_parse(SLICE("::1"), &blocks[1]));
    ck_assert(ip_parse(SLICE("::1"), &ip));
    ck_assert(cidr_any_has(blocks, 2, &ip));
    ck_assert(!cidr_any_has(blocks, 1, &ip));
    ck_assert(!cidr_any_has(NULL, 0, &ip));
}
END_TEST

/* The comparison by bytes and bits agrees with one that looks at every bit. */
START_TEST(random_blocks_agree_with_a_slow_comparison)
{
    unsigned seed = 20240601;
    for (int round = 0; round < 20000; round++) {
        struct cidr c = {.prefix = (unsigned)rand_r(&seed) % 129};
        struct ip ip;
        bool is_in = true;
        for (unsigned i = 0; i < 16; i++)
            c.base.b[i] = ip.b[i] = (uint8_t)rand_r(&seed);
        unsigned flipped = (unsigned)rand_r(&seed) % 128;
        ip.b[flipped / 8] ^= (uint8_t)(0x80u >> flipped % 8);
        for (unsigned bit = 0; bit < c.prefix; bit++)
            is_in &= ((c.base.b[bit / 8] ^ ip.b[bit / 8]) & (0x80u >> bit % 8)) == 0;
        ck_assert_msg(cidr_has(&c, &ip) == is_in, "seed 20240601, round %d", round);
    }
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *cidr_suite(void)
{
    Suite *s = suite_create("cidr");
    TCase *t = tcase_create("cidr");
    tcase_add_loop_test(t, an_address_is_read_and_printed, 0, COUNT(addresses));
    tcase_add_test(t, every_octet_is_printed);
    tcase_add_test(t, a_nul_inside_is_refused);
    tcase_add_loop_test(t, a_block_has_its_members, 0, COUNT(members));
    tcase_add_loop_test(t, a_bad_block_is_refused, 0, COUNT(bad_blocks));
    tcase_add_test(t, a_socket_address_is_read);
    tcase_add_test(t, any_of_several_blocks);
    tcase_add_test(t, random_blocks_agree_with_a_slow_comparison);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(cidr_suite)
