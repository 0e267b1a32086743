/* What was packed comes out again, and is smaller. */
#include "lib/gzip.h"

#include <string.h>
#include <zlib.h>

#include "tests/unit/unit.h"

static void unpack_and_compare(const char *packed, size_t packed_len, const char *text, size_t len)
{
    char *back = malloc(len + 1);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed,
                  .avail_in = (uInt)packed_len,
                  .next_out = (Bytef *)back,
                  .avail_out = (uInt)len + 1};
    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK); /* gzip and nothing else */
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert_uint_eq(z.total_out, len);
    ck_assert_uint_eq(z.avail_in, 0);
    if (len > 0)
        ck_assert_mem_eq(back, text, len);
    inflateEnd(&z);
    free(back);
}

START_TEST(there_and_back)
{
    enum { LEN = 1 << 20 };
    char *text = malloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        text[i] = "tollgate_requests_total{route=\"/a\"} 1\n"[i % 39];
    for (size_t len = 0; len <= LEN; len = len * 7 + 1) {
        size_t packed_len;
        char *packed = gzip_pack(text, len, &packed_len);
        ck_assert_ptr_nonnull(packed);
        unpack_and_compare(packed, packed_len, text, len);
        if (len > 1000)
            ck_assert_uint_lt(packed_len, len / 10);
        free(packed);
    }
    free(text);
}
END_TEST

START_TEST(what_does_not_shrink_fits_too)
{
    char noise[5000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    size_t len;
    char *packed = gzip_pack(noise, sizeof(noise), &len);
    ck_assert_ptr_nonnull(packed);
    unpack_and_compare(packed, len, noise, sizeof(noise));
    free(packed);
}
END_TEST

START_TEST(too_much_is_refused)
{
    size_t len;
    ck_assert_ptr_null(gzip_pack("", ((size_t)1 << 30) + 1, &len));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("gzip");
    TCase *c = tcase_create("pack");
    tcase_add_test(c, there_and_back);
    tcase_add_test(c, what_does_not_shrink_fits_too);
    tcase_add_test(c, too_much_is_refused);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
