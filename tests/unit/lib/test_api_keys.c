/* test_api_keys.c: keys are found by their hash, mistakes are told by line, new keys are good ones. */
#include "lib/api_keys.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>

/* SHA-256 of "abc", of "" and of "secret", from other programs. */
#define ABC    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SECRET "sha256:2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B"

static char told[4096];

static struct api_keys *parse(const char *text)
{
    struct buf faults;
    buf_init(&faults, told, sizeof(told) - 1);
    struct api_keys *k = api_keys_parse(slice_of(text), &faults);
    told[faults.len] = '\0';
    return k;
}

START_TEST(a_key_is_known_by_its_hash)
{
    struct api_keys *k =
        parse("# keys\n\n  \t\r\n  jane@ops  " ABC "\tplan=gold  note=a=b,c quota=\r\n  # more\n"
              "batch " SECRET);
    ck_assert_msg(k != NULL, "%s", told);
    ck_assert_uint_eq(api_keys_count(k), 2);
    const struct api_key *key = api_keys_find(k, SLICE("abc"));
    ck_assert(key && slice_eq(key->id, SLICE("jane@ops")) && key->attr_count == 3);
    ck_assert(slice_eq(api_key_attr(key, SLICE("plan")), SLICE("gold")));
    ck_assert(slice_eq(api_key_attr(key, SLICE("note")), SLICE("a=b,c")));
    ck_assert(slice_eq(key->attrs[2].name, SLICE("quota")) && key->attrs[2].value.len == 0);
    ck_assert_uint_eq(api_key_attr(key, SLICE("pla")).len, 0);
    key = api_keys_find(k, SLICE("secret"));
    ck_assert(key && slice_eq(key->id, SLICE("batch")) && key->attr_count == 0);
    ck_assert(!api_keys_find(k, SLICE("")) && !api_keys_find(k, SLICE("ab")) &&
              !api_keys_find(k, SLICE("abcd")));
    ck_assert(!api_keys_find(k, SLICE("Abc")) && !api_keys_find(k, SLICE("abc\0")) &&
              !api_keys_find(k, SLICE("batch")));
    api_keys_put(k);
}
END_TEST

START_TEST(an_empty_key_is_never_known_nor_one_too_long)
{
    static char longest[API_KEY_MAX + 1];
    struct api_keys *k = parse("x " EMPTY);
    ck_assert(k && !api_keys_find(k, SLICE("")) && !api_keys_find(k, (struct slice){NULL, 0}));
    ck_assert(!api_keys_find(k, (struct slice){longest, sizeof(longest)}));
    api_keys_put(k);
    k = parse("");
    ck_assert(k && api_keys_count(k) == 0 && !api_keys_find(k, SLICE("abc")));
    api_keys_put(k);
}
END_TEST

START_TEST(one_id_may_have_several_keys)
{
    struct api_keys *k = parse("a " ABC " plan=old\na " SECRET " plan=new\n");
    ck_assert(k != NULL);
    ck_assert(slice_eq(api_key_attr(api_keys_find(k, SLICE("abc")), SLICE("plan")), SLICE("old")));
    ck_assert(slice_eq(api_key_attr(api_keys_find(k, SLICE("secret")), SLICE("plan")), SLICE("new")));
    api_keys_put(k);
}
END_TEST

static const char *const mistakes[] = {
    "jane",
    "jane abc",
    "jane sha256:",
    "jane sha256:ba7816bf",
    "jane sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "jane sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "jane sha256:\x11"
    "a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "jane " ABC "0",
    "ja/ne " ABC,
    "\xc3\xa9 " ABC,
    "jane " ABC " gold",
    "jane " ABC " =gold",
    "jane " ABC " Plan=gold",
    "jane " ABC " plan=gold plan=gold",
    "jane " ABC " plan=go\x01ld",
    "jane " ABC " a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaa " ABC,
    ABC,
};

START_TEST(a_mistake_is_told_with_its_line)
{
    char text[1024];
    snprintf(text, sizeof(text), "ok " SECRET "\n#\n%s\n", mistakes[_i]);
    ck_assert_msg(!parse(text), "%s", mistakes[_i]);
    ck_assert_msg(strncmp(told, "line 3: ", 8) == 0 && strchr(told, '\n') == told + strlen(told) - 1, "%s",
                  told);
}
END_TEST

START_TEST(all_mistakes_are_told_at_once)
{
    ck_assert(!parse("a\nb " ABC "\nc " ABC "\nd " SECRET " x\n"));
    ck_assert_str_eq(
        told, "line 1: has no hash: sha256: and 64 hex digits\nline 4: an attribute is not name=value\n"
              "line 3: this key is there already\n");
}
END_TEST

START_TEST(mistakes_without_room_are_mistakes_still)
{
    struct buf faults;
    char tiny[4];
    buf_init(&faults, tiny, sizeof(tiny));
    ck_assert(!api_keys_parse(SLICE("jane"), &faults));
    ck_assert(!api_keys_parse(SLICE("jane\0x " ABC), &faults));
}
END_TEST

START_TEST(a_new_key_is_found_by_its_line)
{
    char key[API_KEY_TEXT], other[API_KEY_TEXT], text[1024];
    struct buf line;
    buf_init(&line, text, sizeof(text));
    ck_assert(api_keys_generate(SLICE("jane"), SLICE("plan=gold"), key, &line));
    buf_add_char(&line, '\n');
    ck_assert(api_keys_generate(SLICE("john"), SLICE(""), other, &line));
    ck_assert(strlen(key) == API_KEY_TEXT - 1 && strncmp(key, "tg_", 3) == 0 && strcmp(key, other) != 0);
    ck_assert(!strstr(buf_cstr(&line), key) && !strstr(buf_cstr(&line), key + 3));
    struct api_keys *k = parse(buf_cstr(&line));
    ck_assert_msg(k != NULL, "%s", told);
    ck_assert(slice_eq(api_key_attr(api_keys_find(k, slice_of(key)), SLICE("plan")), SLICE("gold")));
    ck_assert(slice_eq(api_keys_find(k, slice_of(other))->id, SLICE("john")));
    api_keys_put(k);
}
END_TEST

START_TEST(a_line_that_would_be_a_mistake_is_not_made)
{
    static const struct {
        const char *id, *attrs;
    } cases[] = {{"", ""},         {"#x", ""},   {"a b", ""},   {"a", "x"},
                 {"a", "x=1 x=2"}, {"a\nb", ""}, {"a", "x=1\n"}};
    char key[API_KEY_TEXT], text[1024];
    struct buf line;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_init(&line, text, sizeof(text));
        ck_assert_msg(!api_keys_generate(slice_of(cases[i].id), slice_of(cases[i].attrs), key, &line), "%zu",
                      i);
    }
    buf_init(&line, text, 40);
    ck_assert(!api_keys_generate(SLICE("a"), SLICE(""), key, &line));
}
END_TEST

enum { MANY = 3000 };

/* Every one of many keys is found, and as many others are not. */
START_TEST(many_keys_are_told_apart)
{
    static char keys[MANY][API_KEY_TEXT], text[MANY * 100];
    struct buf lines;
    buf_init(&lines, text, sizeof(text) - 1);
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof(id), "id%d", i);
        ck_assert(api_keys_generate(slice_of(id), SLICE(""), keys[i], &lines));
        buf_add_char(&lines, '\n');
    }
    struct api_keys *k = parse(buf_cstr(&lines));
    ck_assert(k && api_keys_count(k) == MANY);
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof(id), "id%d", i);
        const struct api_key *key = api_keys_find(k, slice_of(keys[i]));
        ck_assert(key && slice_eq(key->id, slice_of(id)));
        keys[i][i % (API_KEY_TEXT - 1)] ^= 1;
        ck_assert(!api_keys_find(k, slice_of(keys[i])));
    }
    api_keys_put(k);
}
END_TEST

static void *use(void *arg)
{
    struct api_keys *k = arg;
    uintptr_t good = 0;
    for (int i = 0; i < 1000; i++) {
        struct api_keys *mine = api_keys_get(k);
        good += api_keys_find(mine, SLICE("abc")) != NULL;
        api_keys_put(mine);
    }
    api_keys_put(k);
    return (void *)good;
}

START_TEST(threads_share_a_set)
{
    struct api_keys *k = parse("a " ABC);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use, api_keys_get(k)), 0);
    api_keys_put(k);
    for (int i = 0; i < 4; i++) {
        void *good;
        pthread_join(threads[i], &good);
        ck_assert_uint_eq((uintptr_t)good, 1000);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("api_keys");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_key_is_known_by_its_hash);
    tcase_add_test(t, an_empty_key_is_never_known_nor_one_too_long);
    tcase_add_test(t, one_id_may_have_several_keys);
    tcase_add_loop_test(t, a_mistake_is_told_with_its_line, 0, sizeof(mistakes) / sizeof(mistakes[0]));
    tcase_add_test(t, all_mistakes_are_told_at_once);
    tcase_add_test(t, mistakes_without_room_are_mistakes_still);
    tcase_add_test(t, a_new_key_is_found_by_its_line);
    tcase_add_test(t, a_line_that_would_be_a_mistake_is_not_made);
    tcase_add_test(t, many_keys_are_told_apart);
    tcase_add_test(t, threads_share_a_set);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
