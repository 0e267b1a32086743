/* test_pprof.c: the file for pprof, read back by a decoder of its own (lib/pprof). */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "lib/pprof.h"
#include "tests/unit/unit.h"

#define MANY 5000

/* ---- a decoder of protocol buffers ---- */

struct field {
    unsigned number;
    uint64_t value;   /* of a number */
    const uint8_t *p; /* of bytes; NULL: it is a number */
    size_t len;
};

struct cursor {
    const uint8_t *p, *end;
};

static uint64_t varint(struct cursor *c)
{
    uint64_t v = 0;
    unsigned shift = 0;
    for (;; shift += 7) {
        if (c->p >= c->end || shift >= 70)
            ck_abort_msg("no number");
        v |= (uint64_t)(*c->p & 0x7f) << shift;
        if (!(*c->p++ & 0x80))
            return v;
    }
}

static bool next_field(struct cursor *c, struct field *f)
{
    if (c->p == c->end)
        return false;
    uint64_t key = varint(c);
    *f = (struct field){.number = (unsigned)(key >> 3)};
    if ((key & 7) == 0) {
        f->value = varint(c);
        return true;
    }
    f->len = varint(c);
    if ((key & 7) != 2 || f->len > (size_t)(c->end - c->p))
        ck_abort_msg("no bytes");
    f->p = c->p;
    c->p += f->len;
    return true;
}

struct file {
    uint8_t *bytes;
    size_t len;
};

static struct cursor cursor_of(const uint8_t *p, size_t len)
{
    return (struct cursor){p, p + len};
}

/* Field NUMBER of the message, the I-th of them; false: there are not so many. */
static bool get(struct cursor c, unsigned number, size_t i, struct field *f)
{
    while (next_field(&c, f))
        if (f->number == number && i-- == 0)
            return true;
    return false;
}

static uint64_t number_in(struct field message, unsigned number)
{
    struct field f;
    return get(cursor_of(message.p, message.len), number, 0, &f) ? f.value : 0;
}

static size_t count(const struct file *x, unsigned number)
{
    struct field f;
    struct cursor c = cursor_of(x->bytes, x->len);
    size_t n = 0;
    while (next_field(&c, &f))
        n += f.number == number;
    return n;
}

static struct field top(const struct file *x, unsigned number, size_t i)
{
    struct field f = {0};
    ck_assert(get(cursor_of(x->bytes, x->len), number, i, &f));
    return f;
}

static const char *string(const struct file *x, uint64_t i)
{
    static char text[4][256];
    static unsigned turn;
    char *out = text[turn++ % 4];
    struct field f = top(x, 6, i);
    ck_assert_uint_lt(f.len, 256);
    memcpy(out, f.p, f.len);
    out[f.len] = '\0';
    return out;
}

static struct file unzip(const void *p, size_t len)
{
    struct file x = {.bytes = malloc(1 << 20)};
    z_stream z = {
        .next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)len, .next_out = x.bytes, .avail_out = 1 << 20};
    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK); /* gzip and nothing else */
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    x.len = z.total_out;
    inflateEnd(&z);
    return x;
}

static struct file finish(struct pprof *p)
{
    size_t len;
    void *bytes = pprof_finish(p, 1700000000000000, 5000000000, &len);
    ck_assert_ptr_nonnull(bytes);
    struct file x = unzip(bytes, len);
    free(bytes);
    pprof_free(p);
    return x;
}

/* ---- tests ---- */

START_TEST(says_what_its_numbers_are)
{
    struct pprof *p = pprof_new(10000000);
    struct file x = finish(p);
    ck_assert_str_eq(string(&x, 0), "");
    ck_assert_uint_eq(count(&x, 1), 2);
    ck_assert_str_eq(string(&x, number_in(top(&x, 1, 0), 1)), "samples");
    ck_assert_str_eq(string(&x, number_in(top(&x, 1, 0), 2)), "count");
    ck_assert_str_eq(string(&x, number_in(top(&x, 1, 1), 1)), "cpu");
    ck_assert_str_eq(string(&x, number_in(top(&x, 1, 1), 2)), "nanoseconds");
    ck_assert_str_eq(string(&x, number_in(top(&x, 11, 0), 1)), "cpu");
    ck_assert_uint_eq(top(&x, 9, 0).value, UINT64_C(1700000000000000000));
    ck_assert_uint_eq(top(&x, 10, 0).value, 5000000000);
    ck_assert_uint_eq(top(&x, 12, 0).value, 10000000);
    free(x.bytes);
}
END_TEST

START_TEST(a_sample_leads_to_its_functions)
{
    static const uint8_t id[] = {0xab, 0x01};
    struct field f;
    struct pprof *p = pprof_new(1000);
    const struct pprof_mapping m = {0x1000, 0x9000, 0x40, "/bin/it", id, 2};
    uint64_t mapping = pprof_mapping(p, &m);
    uint64_t places[] = {pprof_location(p, 0x1234, mapping, "inner"),
                         pprof_location(p, 0x2345, mapping, "outer")};
    pprof_sample(p, &(struct pprof_sample){.locations = places, .n = 2, .count = 3, .thread = "worker-0"});
    struct file x = finish(p);
    struct field s = top(&x, 2, 0), mp = top(&x, 3, 0), location = top(&x, 4, 1), line;
    ck_assert(get(cursor_of(s.p, s.len), 1, 0, &f));
    struct cursor c = cursor_of(f.p, f.len);
    ck_assert_uint_eq(varint(&c), number_in(top(&x, 4, 0), 1));
    ck_assert_uint_eq(varint(&c), number_in(location, 1));
    ck_assert_ptr_eq(c.p, c.end);
    ck_assert(get(cursor_of(s.p, s.len), 2, 0, &f));
    c = cursor_of(f.p, f.len);
    ck_assert_uint_eq(varint(&c), 3);
    ck_assert_uint_eq(varint(&c), 3000);
    ck_assert(get(cursor_of(s.p, s.len), 3, 0, &f));
    ck_assert_str_eq(string(&x, number_in(f, 1)), "thread");
    ck_assert_str_eq(string(&x, number_in(f, 2)), "worker-0");
    ck_assert_uint_eq(number_in(location, 3), 0x2345);
    ck_assert_uint_eq(number_in(location, 2), number_in(mp, 1));
    ck_assert(get(cursor_of(location.p, location.len), 4, 0, &line));
    ck_assert_uint_eq(number_in(line, 1), number_in(top(&x, 5, 1), 1));
    ck_assert_str_eq(string(&x, number_in(top(&x, 5, 1), 2)), "outer");
    ck_assert_uint_eq(number_in(mp, 2), 0x1000);
    ck_assert_uint_eq(number_in(mp, 3), 0x9000);
    ck_assert_uint_eq(number_in(mp, 4), 0x40);
    ck_assert_str_eq(string(&x, number_in(mp, 5)), "/bin/it");
    ck_assert_str_eq(string(&x, number_in(mp, 6)), "ab01");
    free(x.bytes);
}
END_TEST

/* What comes again is not written again, however many there are. */
START_TEST(everything_is_there_once)
{
    char name[32];
    struct pprof *p = pprof_new(1000);
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(name, sizeof(name), "function_%u", i / 2);
            ck_assert_uint_ne(pprof_location(p, 0x400000 + i * 16, 0, name), 0);
        }
    pprof_comment(p, "a comment");
    struct file x = finish(p);
    ck_assert_uint_eq(count(&x, 4), MANY);
    ck_assert_uint_eq(count(&x, 5), MANY / 2);
    ck_assert_uint_eq(count(&x, 6), MANY / 2 + 6);
    ck_assert_str_eq(string(&x, top(&x, 13, 0).value), "a comment");
    ck_assert_uint_eq(number_in(top(&x, 4, 7), 2), 0);
    free(x.bytes);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("pprof");
    TCase *t = tcase_create("pprof");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, says_what_its_numbers_are);
    tcase_add_test(t, a_sample_leads_to_its_functions);
    tcase_add_test(t, everything_is_there_once);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
