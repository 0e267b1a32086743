/* test_trace.c: contexts of W3C and B3, good and hostile, and the share of traces that is sampled. */
#include "lib/trace.h"
#include "tests/unit/unit.h"

#include <ctype.h>
#include <stdio.h>

#include "lib/random.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN   "00f067aa0ba902b7"
#define PARENT "00-" TRACE "-" SPAN "-01"

static const struct trace_context untouched = {.id = {1, 2}, .parent = 3, .is_debug = true};

static bool is_untouched(const struct trace_context *c)
{
    return c->id.high == 1 && c->id.low == 2 && c->parent == 3 && c->is_debug && !c->is_sampled &&
           !c->has_decision && !c->is_random;
}

/* From memory of exactly this size, so that a sanitizer sees a byte too many; a refusal leaves OUT alone. */
static bool parse_with(bool (*parse)(struct slice, struct trace_context *), struct slice s,
                       struct trace_context *out)
{
    char *copy = malloc(s.len ? s.len : 1);
    memcpy(copy, s.p, s.len);
    *out = untouched;
    bool ok = parse((struct slice){copy, s.len}, out);
    free(copy);
    ck_assert(ok || is_untouched(out));
    return ok;
}

static bool parses(const char *text, struct trace_context *out)
{
    return parse_with(trace_parse, slice_of(text), out);
}

/* ---- W3C ---- */

START_TEST(reads_a_parent)
{
    struct trace_context c;
    ck_assert(parses(PARENT, &c));
    ck_assert_uint_eq(c.id.high, 0x4bf92f3577b34da6);
    ck_assert_uint_eq(c.id.low, 0xa3ce929d0e0e4736);
    ck_assert_uint_eq(c.parent, 0x00f067aa0ba902b7);
    ck_assert(c.is_sampled && c.has_decision && !c.is_debug && !c.is_random);
    ck_assert(parses("00-" TRACE "-" SPAN "-00", &c));
    ck_assert(!c.is_sampled && c.has_decision);
    ck_assert(parses("00-" TRACE "-" SPAN "-03", &c));
    ck_assert(c.is_sampled && c.is_random);
    ck_assert(parses("00-" TRACE "-" SPAN "-fe", &c));
    ck_assert(!c.is_sampled && c.is_random);
}
END_TEST

struct parent_case {
    const char *text;
    bool ok;
};

/* The first ones are those of the specification's own suite. */
static const struct parent_case parents[] = {
    {"cc-12345678901234567890123456789012-1234567890123456-01", true},
    {"cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like", true},
    {"cc-12345678901234567890123456789012-1234567890123456-01-", true},
    {"cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-not-be-like", false},
    {"ff-12345678901234567890123456789012-1234567890123456-01", false},
    {"ff-12345678901234567890123456789012-1234567890123456-01-x", false},
    {"00-12345678901234567890123456789012-1234567890123456-01-", false},
    {"00-12345678901234567890123456789012-1234567890123456-01-x", false},
    {"00-12345678901234567890123456789012-1234567890123456-011", false},
    {"00-00000000000000000000000000000000-1234567890123456-01", false},
    {"00-12345678901234567890123456789012-0000000000000000-01", false},
    {"00-00000000000000000000000000000001-0000000000000001-01", true},
    {"00-10000000000000000000000000000000-1000000000000000-01", true},
    {".0-12345678901234567890123456789012-1234567890123456-01", false},
    {"0.-12345678901234567890123456789012-1234567890123456-01", false},
    {"00-.2345678901234567890123456789012-1234567890123456-01", false},
    {"00-1234567890123456789012345678901.-1234567890123456-01", false},
    {"00-12345678901234567890123456789012-.234567890123456-01", false},
    {"00-12345678901234567890123456789012-123456789012345.-01", false},
    {"00-12345678901234567890123456789012-1234567890123456-.0", false},
    {"00-12345678901234567890123456789012-1234567890123456-0.", false},
    {"00-12345678901234567890123456789012-1234567890123456-1", false},
    {"00-1234567890123456789012345678901-1234567890123456-01", false},
    {"00-123456789012345678901234567890123-1234567890123456-0", false},
    {"00-12345678901234567890123456789012-123456789012345-01", false},
    {"000-12345678901234567890123456789012-1234567890123456-01", false},
    {"0-12345678901234567890123456789012-1234567890123456-01", false},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01", false},
    {"00-" TRACE "-" SPAN "-0A", false},
    {" " PARENT, false},
    {PARENT " ", false},
    {PARENT "," PARENT, false},
    {"", false},
    {"00", false},
    {"00-", false},
};

START_TEST(reads_parents_as_specified)
{
    struct trace_context c;
    ck_assert_msg(parses(parents[_i].text, &c) == parents[_i].ok, "%s", parents[_i].text);
}
END_TEST

START_TEST(a_later_version_says_only_whether_it_is_sampled)
{
    struct trace_context c;
    ck_assert(parses("01-" TRACE "-" SPAN "-ff-more", &c));
    ck_assert(c.is_sampled && c.has_decision && !c.is_random);
    ck_assert(parses("fe-" TRACE "-" SPAN "-02", &c));
    ck_assert(!c.is_sampled && !c.is_random);
}
END_TEST

static bool is_lower_hex(unsigned c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Every byte at every place: only a digit for a digit is good. */
START_TEST(refuses_every_wrong_byte)
{
    char text[] = PARENT;
    struct trace_context c;
    for (size_t at = 0; at < TRACE_PARENT_LEN; at++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, PARENT, sizeof(text));
            text[at] = (char)byte;
            bool good = PARENT[at] == '-' ? byte == '-' : is_lower_hex(byte);
            ck_assert_msg(parse_with(trace_parse, (struct slice){text, TRACE_PARENT_LEN}, &c) == good,
                          "byte %u at %zu", byte, at);
        }
}
END_TEST

START_TEST(refuses_every_wrong_length)
{
    char text[400];
    struct trace_context c;
    memset(text, '-', sizeof(text));
    memcpy(text, PARENT, TRACE_PARENT_LEN);
    for (size_t len = 0; len < sizeof(text); len++)
        ck_assert(parse_with(trace_parse, (struct slice){text, len}, &c) == (len == TRACE_PARENT_LEN));
    text[1] = '1';
    for (size_t len = 0; len < sizeof(text); len++)
        ck_assert(parse_with(trace_parse, (struct slice){text, len}, &c) == (len >= TRACE_PARENT_LEN));
    ck_assert(!trace_parse((struct slice){0}, &c));
}
END_TEST

START_TEST(writes_a_parent)
{
    struct trace_context c, again;
    char text[TRACE_PARENT_LEN + 1];
    ck_assert(parses("00-" TRACE "-1111111111111111-ff", &c));
    trace_format(&c, 0xf067aa0ba902b7, text);
    ck_assert_str_eq(text, "00-" TRACE "-" SPAN "-03");
    c = trace_begin(7, 8);
    trace_format(&c, 9, text);
    ck_assert_str_eq(text, "00-00000000000000070000000000000008-0000000000000009-02");
    ck_assert(parses(text, &again) && again.is_random && !again.is_sampled && again.parent == 9);
    c.is_sampled = true;
    c.is_random = false;
    trace_format(&c, UINT64_MAX, text);
    ck_assert_str_eq(text, "00-00000000000000070000000000000008-ffffffffffffffff-01");
}
END_TEST

START_TEST(begins_a_trace)
{
    struct trace_context c = trace_begin(5, 6);
    ck_assert(c.id.high == 5 && c.id.low == 6 && c.parent == 0 && c.is_random);
    ck_assert(!c.is_sampled && !c.has_decision && !c.is_debug);
    c = trace_begin(0, 0);
    ck_assert(c.id.high != 0 || c.id.low != 0);
}
END_TEST

START_TEST(reads_and_writes_ids)
{
    struct trace_id id, other = {3, 4};
    char text[33], span[17];
    ck_assert(trace_id_parse(SLICE(TRACE), &id));
    trace_id_format(&id, text);
    ck_assert_str_eq(text, TRACE);
    ck_assert(trace_id_equals(id, id) && !trace_id_equals(id, other));
    other = (struct trace_id){id.high, 4};
    ck_assert(!trace_id_equals(id, other));
    ck_assert(!trace_id_parse(SLICE("00000000000000000000000000000000"), &other));
    ck_assert(!trace_id_parse(SLICE("4BF92F3577B34DA6A3CE929D0E0E4736"), &other));
    ck_assert(!trace_id_parse(SLICE(TRACE "0"), &other));
    ck_assert(!trace_id_parse(SLICE("4bf92f3577b34da6a3ce929d0e0e473"), &other));
    ck_assert_uint_eq(other.low, 4);
    span_id_format(0xabc, span);
    ck_assert_str_eq(span, "0000000000000abc");
}
END_TEST

/* ---- B3 ---- */

struct b3_case {
    const char *text;
    bool ok;
    const char *as; /* decision: "-" none, "0", "1", "d"; with a "t" behind it: and there is a trace */
};

static const struct b3_case singles[] = {
    {TRACE "-" SPAN "-1", true, "1t"},
    {TRACE "-" SPAN "-0", true, "0t"},
    {TRACE "-" SPAN "-d", true, "dt"},
    {TRACE "-" SPAN, true, "-t"},
    {TRACE "-" SPAN "-1-05e3ac9a4f6e3b90", true, "1t"},
    {"a3ce929d0e0e4736-" SPAN "-1", true, "1t"},
    {"0", true, "0"},
    {"1", true, "1"},
    {"d", true, "d"},
    {"", false, NULL},
    {"2", false, NULL},
    {"D", false, NULL},
    {"1-", false, NULL},
    {"01", false, NULL},
    {TRACE, false, NULL},
    {TRACE "-", false, NULL},
    {TRACE "-" SPAN "-", false, NULL},
    {TRACE "-" SPAN "-2", false, NULL},
    {TRACE "-" SPAN "-01", false, NULL},
    {TRACE "-" SPAN "-true", false, NULL},
    {TRACE "-" SPAN "-1-", false, NULL},
    {TRACE "-" SPAN "-1-5e3ac9a4f6e3b90", false, NULL},
    {TRACE "-" SPAN "-1-0000000000000000", false, NULL},
    {TRACE "-" SPAN "-1-05e3ac9a4f6e3b90-", false, NULL},
    {TRACE "-" SPAN "-1-05e3ac9a4f6e3b90-1", false, NULL},
    {TRACE "-0000000000000000-1", false, NULL},
    {"00000000000000000000000000000000-" SPAN "-1", false, NULL},
    {"0000000000000000-" SPAN "-1", false, NULL},
    {"0" TRACE "-" SPAN "-1", false, NULL},
    {"A3CE929D0E0E4736-" SPAN "-1", false, NULL},
    {"-" SPAN "-1", false, NULL},
    {"--1", false, NULL},
    {"-", false, NULL},
    {" 1", false, NULL},
};

static void check_is(const struct trace_context *c, const char *as)
{
    ck_assert_int_eq(c->has_decision, as[0] != '-');
    ck_assert_int_eq(c->is_sampled, as[0] == '1' || as[0] == 'd');
    ck_assert_int_eq(c->is_debug, as[0] == 'd');
    ck_assert_int_eq(c->parent != 0, as[1] == 't');
    ck_assert_int_eq(c->id.low == 0xa3ce929d0e0e4736, as[1] == 't');
    ck_assert(!c->is_random);
}

START_TEST(reads_b3)
{
    struct trace_context c;
    const struct b3_case *t = &singles[_i];
    ck_assert_msg(parse_with(trace_parse_b3, slice_of(t->text), &c) == t->ok, "%s", t->text);
    if (t->ok)
        check_is(&c, t->as);
}
END_TEST

START_TEST(b3_refuses_every_wrong_byte_and_length)
{
    static const char good[] = TRACE "-" SPAN "-1-05e3ac9a4f6e3b90";
    char text[sizeof(good)];
    struct trace_context c;
    for (size_t at = 0; at < sizeof(good) - 1; at++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, good, sizeof(text));
            text[at] = (char)byte;
            bool ok = good[at] == '-' ? byte == '-' : is_lower_hex(byte);
            if (at == TRACE_B3_LEN - 1)
                ok = byte == '0' || byte == '1' || byte == 'd';
            ck_assert_msg(parse_with(trace_parse_b3, (struct slice){text, sizeof(good) - 1}, &c) == ok,
                          "byte %u at %zu", byte, at);
        }
    for (size_t len = 0; len < sizeof(good) - 1; len++)
        ck_assert(parse_with(trace_parse_b3, (struct slice){good, len}, &c) ==
                  (len == TRACE_B3_LEN - 2 || len == TRACE_B3_LEN));
    ck_assert(!trace_parse_b3((struct slice){0}, &c));
}
END_TEST

struct b3_fields_case {
    const char *trace, *span, *sampled, *flags, *as; /* as: NULL: refused */
};

static const struct b3_fields_case fields[] = {
    {TRACE, SPAN, "1", "", "1t"},
    {TRACE, SPAN, "0", "", "0t"},
    {TRACE, SPAN, "", "", "-t"},
    {TRACE, SPAN, "", "1", "dt"},
    {TRACE, SPAN, "0", "1", "dt"},
    {TRACE, SPAN, "1", "0", "1t"},
    {TRACE, SPAN, "true", "", "1t"},
    {TRACE, SPAN, "false", "", "0t"},
    {TRACE + 16, SPAN, "1", "", "1t"},
    {"", "", "1", "", "1"},
    {"", "", "0", "", "0"},
    {"", "", "", "1", "d"},
    {"", "", "", "", NULL},
    {"", "", "", "0", NULL},
    {TRACE, "", "1", "", NULL},
    {"", SPAN, "1", "", NULL},
    {TRACE, SPAN, "2", "", NULL},
    {TRACE, SPAN, "d", "", NULL},
    {TRACE, SPAN, "True", "", NULL},
    {TRACE, SPAN, "1", "2", NULL},
    {TRACE, SPAN, "1", "11", NULL},
    {TRACE, "0000000000000000", "1", "", NULL},
    {TRACE "0", SPAN, "1", "", NULL},
    {TRACE, SPAN "0", "1", "", NULL},
    {TRACE + 1, SPAN, "1", "", NULL},
    {"00000000000000000000000000000000", SPAN, "1", "", NULL},
    {"0000000000000000", SPAN, "1", "", NULL},
};

START_TEST(reads_fields_of_b3)
{
    const struct b3_fields_case *f = &fields[_i];
    struct trace_context c = untouched;
    bool ok = trace_parse_b3_fields(slice_of(f->trace), slice_of(f->span), slice_of(f->sampled),
                                    slice_of(f->flags), &c);
    ck_assert_int_eq(ok, f->as != NULL);
    if (ok)
        check_is(&c, f->as);
    else
        ck_assert(is_untouched(&c));
}
END_TEST

START_TEST(writes_b3)
{
    struct trace_context c, again;
    char text[TRACE_B3_LEN + 1];
    ck_assert(parses(PARENT, &c));
    trace_format_b3(&c, 0xf067aa0ba902b7, text);
    ck_assert_str_eq(text, TRACE "-" SPAN "-1");
    c.is_sampled = false;
    trace_format_b3(&c, 1, text);
    ck_assert_str_eq(text, TRACE "-0000000000000001-0");
    c.is_debug = c.is_sampled = true;
    trace_format_b3(&c, 1, text);
    ck_assert_str_eq(text, TRACE "-0000000000000001-d");
    ck_assert(trace_parse_b3(slice_of(text), &again));
    ck_assert(again.is_debug && trace_id_equals(again.id, c.id));
}
END_TEST

/* ---- tracestate ---- */

static const struct parent_case states[] = {
    {"", true},
    {"foo=1", true},
    {"foo=1,bar=2", true},
    {"foo=1 , \tbar=2\t", true},
    {"foo=1,", true},
    {",foo=1,,bar=2", true},
    {"foo=  1", true},
    {"foo=1  ,bar=2", true},
    {"foo=  ,bar=2", false},
    {"a-b*c/d_9=1", true},
    {"0tenant@sys=1", true},
    {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true},
    {"foo=1,foo=1", false},
    {"foo=1,bar=2,foo=3", false},
    {"foo", false},
    {"foo=", false},
    {"=1", false},
    {"foo =1", false},
    {"FOO=1", false},
    {"foo.bar=1", false},
    {"9foo=1", false},
    {"_foo=1", false},
    {"foo@=1", false},
    {"@foo=1", false},
    {"foo@@bar=1", false},
    {"foo@bar@baz=1", false},
    {"foo@9bar=1", false},
    {"foo=bar=baz", false},
    {"foo=1\x01", false},
    {"foo=\xc3\xa9", false},
    {"foo=\x7f", false},
    {"foo=1\tx", false},
    {"foo=1;bar", true},
};

START_TEST(knows_a_state)
{
    ck_assert_msg(trace_state_is_valid(slice_of(states[_i].text)) == states[_i].ok, "%s", states[_i].text);
}
END_TEST

/* KEYLEN and VALUELEN characters, one member. */
static bool member_is_valid(const char *before, size_t keylen, const char *behind, size_t valuelen)
{
    char text[2048];
    int n = snprintf(text, sizeof(text), "%s", before);
    memset(text + n, 'z', keylen);
    n += (int)keylen;
    n += snprintf(text + n, sizeof(text) - (size_t)n, "%s=", behind);
    memset(text + n, 't', valuelen);
    return trace_state_is_valid((struct slice){text, (size_t)n + valuelen});
}

START_TEST(bounds_a_member)
{
    ck_assert(member_is_valid("", 256, "", 1));
    ck_assert(!member_is_valid("", 257, "", 1));
    ck_assert(member_is_valid("", 1, "", 256));
    ck_assert(!member_is_valid("", 1, "", 257));
    ck_assert(member_is_valid("", 241, "@v", 1));
    ck_assert(!member_is_valid("", 242, "@v", 1));
    ck_assert(member_is_valid("t@", 14, "", 1));
    ck_assert(!member_is_valid("t@", 15, "", 1));
    ck_assert(!member_is_valid("", 256, "", 256)); /* longer than is passed on */
    ck_assert(member_is_valid("", 255, "", 256));  /* just as long */
}
END_TEST

static bool members_are_valid(unsigned n, bool with_keys)
{
    char text[TRACE_STATE_MAX];
    int len = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *comma = i ? "," : "";
        len += with_keys ? snprintf(text + len, sizeof(text) - (size_t)len, "%sk%u=1", comma, i)
                         : snprintf(text + len, sizeof(text) - (size_t)len, "%s", comma);
    }
    return trace_state_is_valid((struct slice){text, (size_t)len});
}

START_TEST(bounds_the_members)
{
    ck_assert(members_are_valid(32, true));
    ck_assert(!members_are_valid(33, true));
    ck_assert(members_are_valid(32, false));
    ck_assert(!members_are_valid(33, false));
    ck_assert(trace_state_is_valid((struct slice){0}));
}
END_TEST

/* Every byte in a key, in a value, and behind it; a NUL is one of them. */
START_TEST(knows_every_byte_of_a_state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char key[] = "aXb=1", value[] = "ab=1X2";
        key[1] = value[4] = (char)byte;
        bool in_key = byte && (islower((int)byte) || isdigit((int)byte) || strchr("_-*/@", (int)byte));
        bool in_value = byte >= ' ' && byte <= '~' && byte != ',' && byte != '=';
        ck_assert_msg(trace_state_is_valid((struct slice){key, 5}) == (in_key && byte < 128), "%u", byte);
        ck_assert_msg(trace_state_is_valid((struct slice){value, 6}) == in_value, "%u", byte);
    }
}
END_TEST

/* ---- sampling ---- */

START_TEST(samples_by_the_last_bits)
{
    const struct trace_id lowest = {UINT64_MAX, UINT64_C(0xff) << 56}, highest = {0, (UINT64_C(1) << 56) - 1},
                          half = {0, UINT64_C(1) << 55}, below_half = {0, (UINT64_C(1) << 55) - 1};
    ck_assert(!trace_ratio_samples(&highest, trace_ratio(0)));
    ck_assert(!trace_ratio_samples(&highest, trace_ratio(-1)));
    ck_assert(!trace_ratio_samples(&highest, trace_ratio(__builtin_nan(""))));
    ck_assert(trace_ratio_samples(&lowest, trace_ratio(1)));
    ck_assert(trace_ratio_samples(&lowest, trace_ratio(1e300)));
    ck_assert(trace_ratio_samples(&highest, trace_ratio(1e-9)));
    ck_assert(!trace_ratio_samples(&lowest, trace_ratio(0.9999)));
    ck_assert(trace_ratio_samples(&half, trace_ratio(0.5)));
    ck_assert(!trace_ratio_samples(&below_half, trace_ratio(0.5)));
}
END_TEST

/* The count of a binomial draw, within six deviations; who is sampled by a share is so by every larger one.
 */
START_TEST(samples_as_many_as_told)
{
    static const double shares[] = {0.001, 0.01, 0.1, 0.5, 0.9};
    enum { DRAWS = 200000 };
    unsigned counts[N(shares)] = {0};
    struct random r;
    random_seed_with(&r, 42);
    for (int i = 0; i < DRAWS; i++) {
        struct trace_context c = trace_begin(random_next(&r), random_next(&r));
        bool before = false;
        for (size_t k = 0; k < N(shares); k++) {
            bool now = trace_ratio_samples(&c.id, trace_ratio(shares[k]));
            ck_assert(now || !before);
            counts[k] += now;
            before = now;
        }
    }
    for (size_t k = 0; k < N(shares); k++) {
        double off = counts[k] - DRAWS * shares[k];
        ck_assert_msg(off * off < 36 * DRAWS * shares[k] * (1 - shares[k]), "%u of %d for %g", counts[k],
                      DRAWS, shares[k]);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("trace");
    TCase *w3c = tcase_create("w3c"), *b3 = tcase_create("b3"), *state = tcase_create("tracestate"),
          *sampling = tcase_create("sampling");
    tcase_set_timeout(w3c, 60);
    tcase_add_test(w3c, reads_a_parent);
    tcase_add_loop_test(w3c, reads_parents_as_specified, 0, N(parents));
    tcase_add_test(w3c, a_later_version_says_only_whether_it_is_sampled);
    tcase_add_test(w3c, refuses_every_wrong_byte);
    tcase_add_test(w3c, refuses_every_wrong_length);
    tcase_add_test(w3c, writes_a_parent);
    tcase_add_test(w3c, begins_a_trace);
    tcase_add_test(w3c, reads_and_writes_ids);
    tcase_add_loop_test(b3, reads_b3, 0, N(singles));
    tcase_add_test(b3, b3_refuses_every_wrong_byte_and_length);
    tcase_add_loop_test(b3, reads_fields_of_b3, 0, N(fields));
    tcase_add_test(b3, writes_b3);
    tcase_add_loop_test(state, knows_a_state, 0, N(states));
    tcase_add_test(state, bounds_a_member);
    tcase_add_test(state, bounds_the_members);
    tcase_add_test(state, knows_every_byte_of_a_state);
    tcase_add_test(sampling, samples_by_the_last_bits);
    tcase_add_test(sampling, samples_as_many_as_told);
    suite_add_tcase(s, w3c);
    suite_add_tcase(s, b3);
    suite_add_tcase(s, state);
    suite_add_tcase(s, sampling);
    return s;
}

UNIT_MAIN(suite)
