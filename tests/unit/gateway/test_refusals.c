/* test_refusals.c: who is refused most, and how that is masked (gateway/refusals). */
#include "gateway/refusals.h"

#include <stdlib.h>

#include "gateway/client_key.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "tests/unit/unit.h"

#define RULE   UINT64_C(5)
#define FIELDS 4

static struct refusals *refusals;
static struct worker *workers[2];
static struct exchange *x;
static struct http_field fields[FIELDS];
static struct refusal top[REFUSALS_SHOWN];

static void set_up(void)
{
    refusals = refusals_new(2);
    x = calloc(1, sizeof(*x));
    ck_assert(refusals && x);
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = calloc(1, sizeof(*workers[i]));
        ck_assert_ptr_nonnull(workers[i]);
        workers[i]->setup.index = i;
    }
    x->worker = workers[0];
    x->fields.at = fields;
}

static void tear_down(void)
{
    free(workers[0]);
    free(workers[1]);
    free(x);
    refusals_free(refusals);
}

static struct conf_keys keys_of(struct conf_key *at, size_t n)
{
    return (struct conf_keys){at, n, 32, 64};
}

static void come_from(const char *address)
{
    ck_assert(ip_parse(slice_of(address), &x->record.client_ip));
}

static void come_with(size_t i, const char *name, struct slice value)
{
    fields[i] = (struct http_field){.name = slice_of(name), .value = value};
    x->fields.n = i + 1;
}

/* As a limit of this gateway does, whose buckets have a secret that is all zero. */
static void note(uint64_t rule, const struct conf_keys *keys)
{
    static const unsigned char secret[CLIENT_KEY_SECRET];
    struct client_key key = client_key_of(x, keys, 1, secret);
    struct refused_by by = {.rule = rule, .client = {key.high, key.low}, .keys = keys};
    refusals_note(refusals, x, &by);
}

static size_t look(void)
{
    size_t n;
    ck_assert(refusals_top(refusals, 0, top, &n));
    return n;
}

/* KEY is what is shown before the digits. */
static void check_key(const struct refusal *r, const char *key)
{
    size_t len = strlen(key);
    ck_assert_uint_eq(strlen(r->key), len + 6);
    ck_assert_mem_eq(r->key, key, len);
    ck_assert_uint_eq(strspn(r->key + len, "0123456789abcdef"), 6);
}

START_TEST(addresses_are_masked)
{
    static const struct {
        const char *address, *shown;
        uint32_t v4, v6;
    } cases[] = {
        {"192.0.2.77", "192.0.2.x", 32, 64},
        {"192.0.2.77", "192.0.2.x/24", 24, 64},
        {"192.0.2.77", "192.0.0.x/18", 18, 64},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1::x/64", 32, 64},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1::x", 32, 128},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:0::x/33", 32, 33},
        {"::ffff:10.1.2.3", "10.1.2.x", 32, 64},
    };
    struct conf_key ip = {.kind = KEY_IP};
    struct conf_keys keys = keys_of(&ip, 1);
    keys.v4_prefix = cases[_i].v4;
    keys.v6_prefix = cases[_i].v6;
    come_from(cases[_i].address);
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 1);
    ck_assert_str_eq(top[0].key, cases[_i].shown);
    ck_assert_str_eq(top[0].kind, "ip");
    ck_assert_uint_eq(top[0].rule, RULE);
    ck_assert_uint_eq(top[0].count, 1);
    ck_assert_uint_eq(top[0].over, 0);
}
END_TEST

START_TEST(values_are_masked)
{
    static const struct {
        struct slice value;
        const char *shown;
    } cases[] = {
        {{"anna-secret", 11}, "anna***"},
        {{"abcdefgh", 8}, "abcd***"},
        {{"abcde", 5}, "ab***"},
        {{"a", 1}, "***"},
        {{"", 0}, "***"},
        {{"\"\x01\xc3\xa4 and more", 13}, "\"???***"},
        {{"a\0c\0efgh", 8}, "a?c?***"},
    };
    struct conf_key header = {.kind = KEY_HEADER, .name = "x-key"};
    struct conf_keys keys = keys_of(&header, 1);
    come_with(0, "X-Key", cases[_i].value);
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 1);
    check_key(&top[0], cases[_i].shown);
    ck_assert_str_eq(top[0].kind, "header");
}
END_TEST

START_TEST(keys_that_begin_alike_are_told_apart_and_found_again)
{
    char text[300], first[REFUSAL_KEY_MAX];
    struct conf_key header = {.kind = KEY_HEADER, .name = "x-key"};
    struct conf_keys keys = keys_of(&header, 1);
    memset(text, 'k', sizeof(text));
    come_with(0, "X-Key", (struct slice){text, sizeof(text)});
    note(RULE, &keys);
    note(RULE, &keys);
    text[sizeof(text) - 1] = 'j';
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 2);
    ck_assert_uint_eq(top[0].count, 2);
    ck_assert_uint_eq(top[1].count, 1);
    check_key(&top[0], "kkkk***");
    ck_assert_str_ne(top[0].key, top[1].key);

    /* The same digits with another limit; others in another process. */
    memcpy(first, top[1].key, sizeof(first));
    note(RULE + 1, &keys);
    ck_assert_uint_eq(look(), 3);
    ck_assert_str_eq(top[1].key, first);
    ck_assert_str_eq(top[2].key, first);
    ck_assert_uint_ne(top[1].rule, top[2].rule);
    refusals_free(refusals);
    refusals = refusals_new(2);
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 1);
    ck_assert_str_ne(top[0].key, first);
}
END_TEST

START_TEST(keys_of_several_parts)
{
    struct conf_key at[] = {{.kind = KEY_ROUTE},
                            {.kind = KEY_COOKIE, .name = "sid"},
                            {.kind = KEY_CONSUMER},
                            {.kind = KEY_HEADER, .name = "x-key"},
                            {.kind = KEY_IP}};
    struct conf_keys keys = keys_of(at, 5);
    come_from("10.0.0.1");
    come_with(0, "Cookie", SLICE("sid=cookie-value"));
    come_with(1, "X-Key", SLICE("header-value"));
    x->access.consumer = SLICE("consumer-name");
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 1);
    ck_assert_str_eq(top[0].kind, "route+cookie+consumer+header+ip");
    ck_assert_mem_eq(top[0].key, "cook***", 7);
    ck_assert_mem_eq(top[0].key + 13, " + cons***", 10);
    ck_assert_mem_eq(top[0].key + 29, " + head***", 10);
    ck_assert_str_eq(top[0].key + 45, " + 10.0.0.x");

    /* What is missing is the address, told once; it is another client than the one before. */
    x->fields.n = 0;
    note(RULE, &keys);
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 2);
    ck_assert_str_eq(top[0].kind, "route+ip+consumer");
    ck_assert_mem_eq(top[0].key, "10.0.0.x + cons***", 18);
}
END_TEST

/* As many parts as count, all of them secret: what does not fit is not shown, but tells clients apart. */
START_TEST(more_parts_than_are_shown)
{
    struct conf_key at[CLIENT_KEY_PARTS];
    for (size_t i = 0; i < CLIENT_KEY_PARTS; i++)
        at[i] = (struct conf_key){.kind = KEY_HEADER, .name = i < CLIENT_KEY_PARTS - 1 ? "x-key" : "x-last"};
    struct conf_keys keys = keys_of(at, CLIENT_KEY_PARTS);
    come_with(0, "X-Key", SLICE("header-value"));
    come_with(1, "X-Last", SLICE("one"));
    note(RULE, &keys);
    come_with(1, "X-Last", SLICE("two"));
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 2);
    ck_assert_str_eq(top[0].kind, "header+header+header+header+header+header+header+header");
    ck_assert_str_eq(top[0].key + 3 * 16, "*** + *** + *** + *** + ***");
}
END_TEST

START_TEST(a_whole_route_has_no_key)
{
    struct conf_key route = {.kind = KEY_ROUTE};
    struct conf_keys keys = keys_of(&route, 1);
    note(RULE, &keys);
    ck_assert_uint_eq(look(), 1);
    ck_assert_str_eq(top[0].kind, "route");
    ck_assert_str_eq(top[0].key, "");
}
END_TEST

START_TEST(workers_are_summed_and_the_highest_come_first)
{
    char address[32];
    struct conf_key ip = {.kind = KEY_IP};
    struct conf_keys keys = keys_of(&ip, 1);
    ck_assert_uint_eq(look(), 0);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(address, sizeof(address), "10.0.%u.1", i);
        come_from(address);
        for (unsigned n = 0; n <= i; n++) {
            x->worker = workers[n % 2];
            note(RULE, &keys);
        }
    }
    ck_assert_uint_eq(look(), REFUSALS_SHOWN);
    for (unsigned i = 0; i < REFUSALS_SHOWN; i++) {
        snprintf(address, sizeof(address), "10.0.%u.x", 99 - i);
        ck_assert_str_eq(top[i].key, address);
        ck_assert_uint_eq(top[i].count, 100 - i);
    }
    size_t n;
    ck_assert(refusals_top(refusals, REFUSALS_HALVE_NS, top, &n));
    ck_assert_uint_eq(top[0].count, 50);
    ck_assert(refusals_top(refusals, 8 * REFUSALS_HALVE_NS, top, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("refusals");
    TCase *tc = tcase_create("refusals");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, addresses_are_masked, 0, 7);
    tcase_add_loop_test(tc, values_are_masked, 0, 7);
    tcase_add_test(tc, keys_that_begin_alike_are_told_apart_and_found_again);
    tcase_add_test(tc, keys_of_several_parts);
    tcase_add_test(tc, more_parts_than_are_shown);
    tcase_add_test(tc, a_whole_route_has_no_key);
    tcase_add_test(tc, workers_are_summed_and_the_highest_come_first);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(make_suite)
