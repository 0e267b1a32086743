/* test_base64.c: base64 and base64url are read in one form only. */
#include "lib/base64.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct {
    const char *text;
    const char *bytes; /* NULL: refused */
} url[] =
    {
        {"", ""},        {"Zg", "f"},        {"Zm8", "fo"},
        {"Zm9v", "foo"}, {"Zm9vYg", "foob"}, {"-_-_", "\xfb\xff\xbf"},
        {"Zg==", NULL},  {"Zh", NULL},       {"Zm9", NULL},
        {"Z", NULL},     {"Zm9vY", NULL},    {"+/+/", NULL},
        {"Zm 9v", NULL}, {"Zm9v\n", NULL},   {"Zm\x80v", NULL},
        {"Zm9v.", NULL}, {"=", NULL},        {"Zm=v", NULL},
},
  padded[] = {
      {"", ""},       {"Zg==", "f"},  {"Zm8=", "fo"},     {"Zm9v", "foo"},    {"+/+/", "\xfb\xff\xbf"},
      {"Zg", NULL},   {"Zg=", NULL},  {"Zh==", NULL},     {"Zm9=", NULL},     {"Z===", NULL},
      {"====", NULL}, {"-_-_", NULL}, {"Zm8=Zm8=", NULL}, {"Zm9v\r\n", NULL}, {"Zm9v====", NULL},
};

START_TEST(base64url_has_one_form)
{
    char out[16];
    size_t len;
    bool ok = base64url_decode(slice_of(url[_i].text), out, &len);
    ck_assert_msg(ok == (url[_i].bytes != NULL), "%s", url[_i].text);
    if (ok)
        ck_assert(slice_eq((struct slice){out, len}, slice_of(url[_i].bytes)));
}
END_TEST

START_TEST(base64_has_one_form)
{
    char out[16];
    size_t len;
    bool ok = base64_decode(slice_of(padded[_i].text), out, &len);
    ck_assert_msg(ok == (padded[_i].bytes != NULL), "%s", padded[_i].text);
    if (ok)
        ck_assert(slice_eq((struct slice){out, len}, slice_of(padded[_i].bytes)));
}
END_TEST

START_TEST(what_is_encoded_is_decoded_and_any_other_character_changes_it)
{
    struct random r;
    random_seed_with(&r, 7);
    for (int i = 0; i < 20000; i++) {
        char bytes[40], text[BASE64_ENCODED_MAX(40)], out[BASE64_DECODED_MAX(sizeof(text))];
        size_t n = random_below(random_next(&r), sizeof(bytes) + 1), len;
        for (size_t k = 0; k < n; k++)
            bytes[k] = (char)(uint8_t)random_next(&r);
        struct slice s = {text, base64url_encode((struct slice){bytes, n}, text)};
        ck_assert_uint_eq(s.len, (n * 4 + 2) / 3);
        ck_assert(base64url_decode(s, out, &len));
        ck_assert(slice_eq((struct slice){out, len}, (struct slice){bytes, n}));
        if (n == 0)
            continue;
        size_t at = random_below(random_next(&r), s.len);
        char before = text[at];
        text[at] = (char)(uint8_t)random_next(&r);
        if (text[at] != before && base64url_decode(s, out, &len))
            ck_assert(!slice_eq((struct slice){out, len}, (struct slice){bytes, n}));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base64");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, base64url_has_one_form, 0, sizeof(url) / sizeof(url[0]));
    tcase_add_loop_test(t, base64_has_one_form, 0, sizeof(padded) / sizeof(padded[0]));
    tcase_add_test(t, what_is_encoded_is_decoded_and_any_other_character_changes_it);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
