/* test_cached.c: what is kept of an answer comes back as it went in; what a 304 does to it. */
#include "gateway/cached.h"

#include "tests/unit/unit.h"

#define NOW_MS INT64_C(1700000000000)

static struct object_store *new_store(void)
{
    struct err err = {0};
    struct object_store *s =
        object_store_new(&(struct object_store_setup){.size = 1 << 20, .secret = 3}, &err);
    ck_assert_ptr_nonnull(s);
    return s;
}

static struct http_field field(const char *name, const char *value)
{
    return (struct http_field){slice_of(name), slice_of(value)};
}

static bool has(struct http_fields f, const char *name, const char *value)
{
    const struct http_field *found = http_find(f, slice_of(name));
    return value
               ? found && slice_eq(found->value, slice_of(value)) && found->value.p[found->value.len] == '\0'
               : !found;
}

static struct object *pack(struct object_store *s, const char *key, struct http_field *at, size_t n)
{
    const struct cached_parts parts = {.kind = CACHED_ANSWER,
                                       .key = {slice_of(key), strlen(key)},
                                       .status = 203,
                                       .life = {.born_ms = NOW_MS, .lifetime_ms = 5},
                                       .answered_ms = NOW_MS,
                                       .fields = {at, n},
                                       .vary = SLICE("a,b"),
                                       .variant = SLICE("\na:1\nb")};
    struct object *o = cached_new(s, &parts);
    ck_assert_ptr_nonnull(o);
    return o;
}

START_TEST(what_went_in_comes_out)
{
    struct object_store *s = new_store();
    struct http_field at[] = {field("ETag", "\"x\""), field("X-Empty", ""), field("X-A", "1"),
                              field("Last-Modified", "Tue, 14 Nov 2023 22:00:00 GMT")};
    struct object *o = pack(s, "k", at, 4);
    const struct cached *c = cached_of(o);
    ck_assert(c->kind == CACHED_ANSWER && c->status == 203 && c->life.lifetime_ms == 5 && c->total == 0);
    ck_assert_uint_eq(c->fields.n, 5);
    ck_assert(has(c->fields, "etag", "\"x\"") && has(c->fields, "x-empty", "") && has(c->fields, "x-a", "1"));
    ck_assert(has(c->fields, "date", "Tue, 14 Nov 2023 22:13:20 GMT"));
    ck_assert(slice_eq(c->validators.etag, SLICE("\"x\"")) && c->validators.date_s == NOW_MS / 1000);
    ck_assert(slice_eq(c->vary, SLICE("a,b")) && slice_eq(c->variant, SLICE("\na:1\nb")));
    ck_assert_ptr_ne(c->fields.at[0].value.p, at[0].value.p);
    object_put(o);
    object_store_free(s);
}
END_TEST

START_TEST(a_date_of_the_origin_stays)
{
    struct object_store *s = new_store();
    struct http_field at[] = {field("Date", "Tue, 14 Nov 2023 22:00:00 GMT")};
    struct object *o = pack(s, "k", at, 1);
    ck_assert_uint_eq(cached_of(o)->fields.n, 1);
    ck_assert_int_eq(cached_of(o)->validators.date_s, NOW_MS / 1000 - 800);
    object_put(o);
    object_store_free(s);
}
END_TEST

START_TEST(tags_are_found_in_both_fields)
{
    struct object_store *s = new_store();
    struct http_field at[] = {field("Surrogate-Key", " a  b a "), field("cache-tag", "c d, e,,"),
                              field("Surrogate-Key", "f")};
    struct object *o = pack(s, "k", at, 3);
    ck_assert(object_store_put(s, o));
    static const char *const tags[] = {"a", "b", "c d", "e", "f"}, *const none[] = {"", "c", "d", "a b", " "};
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, slice_of(none[i]), true), 0);
        ck_assert_msg(object_store_purge(s, OBJECT_TAG, slice_of(tags[i]), true) == 1, "%s", tags[i]);
    }
    object_put(o);
    object_store_free(s);
}
END_TEST

START_TEST(too_many_fields_are_refused)
{
    struct object_store *s = new_store();
    struct http_field at[CACHED_FIELDS_MAX + 1];
    for (size_t i = 0; i <= CACHED_FIELDS_MAX; i++)
        at[i] = field("X-A", "1");
    struct cached_parts parts = {.key = {SLICE("k"), 1}, .fields = {at, CACHED_FIELDS_MAX + 1}};
    ck_assert_ptr_null(cached_new(s, &parts));
    parts.fields.n = CACHED_FIELDS_MAX;
    struct object *o = cached_new(s, &parts);
    ck_assert_ptr_nonnull(o);
    object_put(o);
    object_store_free(s);
}
END_TEST

START_TEST(a_304_takes_the_place_of_fields)
{
    struct http_field old[] = {field("A", "1"), field("A", "2"), field("B", "1"),
                               field("Content-Length", "5"), field("Content-Encoding", "gzip")};
    struct http_field new[] = {field("a", "3"), field("C", "1"), field("Content-Length", "0"),
                               field("Content-Encoding", "br")};
    struct http_field out[CACHED_FIELDS_MAX];
    struct http_fields f = cached_merge((struct http_fields){old, 5}, (struct http_fields){new, 4}, out);
    ck_assert_uint_eq(f.n, 5);
    ck_assert(has(f, "A", "3") && has(f, "B", "1") && has(f, "C", "1"));
    ck_assert(has(f, "Content-Length", "5") && has(f, "Content-Encoding", "gzip"));
    ck_assert_uint_eq(http_count(f, SLICE("A")), 1);
}
END_TEST

START_TEST(a_merge_has_a_bound)
{
    struct http_field many[CACHED_FIELDS_MAX], out[CACHED_FIELDS_MAX], new[] = {field("B", "1")};
    for (size_t i = 0; i < CACHED_FIELDS_MAX; i++)
        many[i] = field("A", "1");
    struct http_fields f =
        cached_merge((struct http_fields){many, CACHED_FIELDS_MAX}, (struct http_fields){new, 1}, out);
    ck_assert_uint_eq(f.n, CACHED_FIELDS_MAX);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cached");
    TCase *t = tcase_create("cached");
    tcase_add_test(t, what_went_in_comes_out);
    tcase_add_test(t, a_date_of_the_origin_stays);
    tcase_add_test(t, tags_are_found_in_both_fields);
    tcase_add_test(t, too_many_fields_are_refused);
    tcase_add_test(t, a_304_takes_the_place_of_fields);
    tcase_add_test(t, a_merge_has_a_bound);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
