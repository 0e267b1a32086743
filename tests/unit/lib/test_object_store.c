/*
 * test_object_store.c: objects are found, replaced, purged and pushed out; memory stays within its bound;
 * what is asked for often stays; threads do not hurt each other.
 */
#include "lib/object_store.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/random.h"
#include "tests/trace.h"
#include "tests/unit/unit.h"

static struct object_store *new_store(size_t size)
{
    struct err err = {0};
    struct object_store *s = object_store_new(&(struct object_store_setup){.size = size, .secret = 7}, &err);
    ck_assert_ptr_nonnull(s);
    return s;
}

static struct object_key key_of(const char *text)
{
    const char *end = strchr(text, '|');
    return (struct object_key){slice_of(text), end ? (size_t)(end - text) : strlen(text)};
}

/* Put KEY with a body of LEN bytes of FILL and the TAGS; whether it went in. */
static bool put_since(struct object_store *s, const char *key, size_t len, char fill, uint64_t since,
                      const struct slice *tags, size_t ntags)
{
    struct object_key k = key_of(key);
    struct object_body *body = object_body_new(s, &k, len);
    if (!body)
        return false;
    memset(body->bytes, fill, len);
    struct object *o = object_new(
        s,
        &(struct object_init){
            .key = k, .meta_len = sizeof(len), .body = body, .tags = tags, .ntags = ntags, .since = since});
    object_body_put(body);
    if (!o)
        return false;
    memcpy(o->meta, &len, sizeof(len));
    bool ok = object_store_put(s, o);
    object_put(o);
    return ok;
}

static bool put(struct object_store *s, const char *key, size_t len, char fill)
{
    struct object_key k = key_of(key);
    return put_since(s, key, len, fill, object_store_now(s, &k), NULL, 0);
}

static bool put_tagged(struct object_store *s, const char *key, const char *tag)
{
    struct object_key k = key_of(key);
    struct slice tags[] = {slice_of(tag), SLICE("all-of-them")};
    return put_since(s, key, 10, 'x', object_store_now(s, &k), tags, 2);
}

static bool has(struct object_store *s, const char *key)
{
    struct object_key k = key_of(key);
    struct object *o = object_store_find(s, &k);
    bool found = o != NULL;
    if (o) {
        size_t len;
        memcpy(&len, o->meta, sizeof(len));
        ck_assert_uint_le(len, o->body->cap);
        size_t wrong = 0;
        for (size_t i = 1; i < len; i++)
            wrong += o->body->bytes[i] != o->body->bytes[0];
        ck_assert_uint_eq(wrong, 0);
    }
    object_put(o);
    return found;
}

static bool is_stale(struct object_store *s, const char *key)
{
    struct object_key k = key_of(key);
    struct object *o = object_store_find(s, &k);
    ck_assert_ptr_nonnull(o);
    bool stale = object_is_stale(o);
    object_put(o);
    return stale;
}

static size_t count(struct object_store *s)
{
    struct object_store_stats stats;
    object_store_stats(s, &stats);
    ck_assert_uint_le(stats.used, stats.size);
    return stats.objects;
}

START_TEST(what_was_put_is_found)
{
    struct object_store *s = new_store(1 << 20);
    ck_assert(!has(s, "a|1"));
    ck_assert(put(s, "a|1", 100, 'a') && put(s, "a|2", 0, 'b') && put(s, "b|1", 5000, 'c'));
    ck_assert(has(s, "a|1") && has(s, "a|2") && has(s, "b|1"));
    ck_assert(!has(s, "a") && !has(s, "a|3") && !has(s, "|a1"));
    ck_assert_uint_eq(count(s), 3);
    object_store_free(s);
}
END_TEST

START_TEST(the_last_one_counts_and_the_first_lives_on)
{
    struct object_store *s = new_store(1 << 20);
    struct object_key k = key_of("a|1");
    ck_assert(put(s, "a|1", 100, 'a'));
    struct object *first = object_store_find(s, &k);
    ck_assert(put(s, "a|1", 100, 'b'));
    struct object *second = object_store_find(s, &k);
    ck_assert_ptr_ne(first, second);
    ck_assert_int_eq(first->body->bytes[50], 'a');
    ck_assert_int_eq(second->body->bytes[50], 'b');
    ck_assert_uint_eq(count(s), 1);
    object_store_drop(s, first); /* not in any more: nothing happens */
    ck_assert(has(s, "a|1"));
    object_store_drop(s, second);
    ck_assert(!has(s, "a|1"));
    ck_assert_int_eq(second->body->bytes[50], 'b');
    object_put(first);
    object_put(second);
    object_store_free(s);
}
END_TEST

START_TEST(a_body_is_shared_and_shrinks)
{
    struct object_store *s = new_store(1 << 20);
    struct object_key k = key_of("a|1");
    struct object_body *body = object_body_new(s, &k, 200000);
    object_body_shrink(body, 10);
    ck_assert_uint_eq(body->cap, 10);
    struct object_init init = {.key = k, .body = body};
    struct object *a = object_new(s, &init), *b = object_new(s, &init);
    object_body_put(body);
    ck_assert_ptr_eq(a->body, b->body);
    object_put(a);
    memset(b->body->bytes, 'z', 10);
    object_put(b);
    struct object_store_stats before, after;
    object_store_stats(s, &before);
    ck_assert(put(s, "a|1", 10, 'a'));
    object_store_purge(s, OBJECT_GROUP, SLICE("a"), false);
    object_store_stats(s, &after);
    ck_assert_uint_eq(before.used, after.used);
    object_store_free(s);
}
END_TEST

START_TEST(groups_are_purged)
{
    struct object_store *s = new_store(1 << 20);
    put(s, "a|1", 1, 'x'), put(s, "a|2", 1, 'x'), put(s, "ab|1", 1, 'x');
    ck_assert_uint_eq(object_store_purge(s, OBJECT_GROUP, SLICE("a"), true), 2);
    ck_assert(is_stale(s, "a|1") && is_stale(s, "a|2") && !is_stale(s, "ab|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_GROUP, SLICE("a"), false), 2);
    ck_assert(!has(s, "a|1") && !has(s, "a|2") && has(s, "ab|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_GROUP, SLICE("a"), false), 0);
    ck_assert(put(s, "a|1", 1, 'x') && !is_stale(s, "a|1"));
    object_store_free(s);
}
END_TEST

START_TEST(tags_are_purged)
{
    struct object_store *s = new_store(1 << 20);
    put_tagged(s, "a|1", "red"), put_tagged(s, "b|1", "red"), put_tagged(s, "c|1", "blue"),
        put(s, "d|1", 1, 'x');
    ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, SLICE("red"), true), 2);
    ck_assert(is_stale(s, "a|1") && is_stale(s, "b|1") && !is_stale(s, "c|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, SLICE("red"), false), 2);
    ck_assert(!has(s, "a|1") && !has(s, "b|1") && has(s, "c|1") && has(s, "d|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, SLICE("red"), false), 0);
    ck_assert(put_tagged(s, "a|1", "red") && has(s, "a|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, SLICE("red"), false), 1);
    ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, SLICE("none"), false), 0);
    ck_assert_uint_eq(object_store_purge(s, OBJECT_TAG, SLICE(""), false), 0);
    ck_assert(has(s, "d|1"));
    object_store_free(s);
}
END_TEST

START_TEST(prefixes_and_all_are_purged)
{
    struct object_store *s = new_store(64 << 20); /* several shards */
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "/%s/%d|1", i % 4 ? "a" : "b", i);
        ck_assert(put(s, key, 10, 'x'));
    }
    ck_assert_uint_eq(object_store_purge(s, OBJECT_PREFIX, SLICE("/a"), true), 750);
    ck_assert(is_stale(s, "/a/1|1") && !is_stale(s, "/b/4|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_PREFIX, SLICE("/a"), false), 750);
    ck_assert(!has(s, "/a/1|1") && has(s, "/b/4|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_ALL, SLICE(""), true), 250);
    ck_assert(is_stale(s, "/b/4|1"));
    ck_assert_uint_eq(object_store_purge(s, OBJECT_ALL, SLICE(""), false), 250);
    ck_assert(!has(s, "/b/4|1"));
    ck_assert(put(s, "/b/4|1", 10, 'x') && has(s, "/b/4|1") && !is_stale(s, "/b/4|1"));
    object_store_free(s);
}
END_TEST

START_TEST(what_was_begun_before_a_purge_stays_out)
{
    struct object_store *s = new_store(1 << 20);
    struct slice tags[] = {SLICE("red")};
    struct object_key a = key_of("a|1"), b = key_of("b|1");
    uint64_t begun_a = object_store_now(s, &a), begun_b = object_store_now(s, &b);
    object_store_purge(s, OBJECT_GROUP, SLICE("a"), false);
    ck_assert(!put_since(s, "a|1", 1, 'x', begun_a, NULL, 0) && !has(s, "a|1"));
    ck_assert(put_since(s, "b|1", 1, 'x', begun_b, tags, 1) && has(s, "b|1"));
    begun_b = object_store_now(s, &b);
    object_store_purge(s, OBJECT_TAG, SLICE("red"), false);
    ck_assert(!put_since(s, "b|1", 1, 'x', begun_b, tags, 1));
    ck_assert(put_since(s, "b|1", 1, 'x', begun_b, NULL, 0));
    begun_a = object_store_now(s, &a);
    object_store_purge(s, OBJECT_PREFIX, SLICE("zzz"), false);
    ck_assert(!put_since(s, "a|1", 1, 'x', begun_a, NULL, 0));
    begun_a = object_store_now(s, &a);
    object_store_purge(s, OBJECT_ALL, SLICE(""), false);
    ck_assert(!put_since(s, "a|1", 1, 'x', begun_a, NULL, 0));
    begun_a = object_store_now(s, &a);
    object_store_purge(s, OBJECT_GROUP, SLICE("a"), true);
    ck_assert(put_since(s, "a|1", 1, 'x', begun_a, NULL, 0) && is_stale(s, "a|1"));
    begun_a = object_store_now(s, &a);
    for (int i = 0; i < 5000; i++)
        object_store_purge(s, OBJECT_GROUP, SLICE("other"), false);
    ck_assert(!put_since(s, "a|1", 1, 'x', begun_a, NULL, 0)); /* too long ago to tell */
    object_store_free(s);
}
END_TEST

START_TEST(memory_has_a_bound)
{
    struct object_store *s = new_store(4 << 20);
    struct random r;
    char key[40];
    random_seed_with(&r, 3);
    for (int i = 0; i < 200000; i++) {
        size_t len = random_below(random_next(&r), 1 << (4 + random_below(random_next(&r), 14)));
        snprintf(key, sizeof(key), "/%d|1", i);
        if (i % 5 == 0)
            put_tagged(s, key, key);
        else
            ck_assert(put(s, key, len, 'x'));
    }
    struct object_store_stats stats;
    object_store_stats(s, &stats);
    ck_assert_uint_le(stats.used, 4 << 20);
    ck_assert_uint_gt(stats.used, 3 << 20);
    ck_assert_uint_eq(stats.stored - stats.evicted, stats.objects);
    struct object_key k = key_of("big|1");
    ck_assert_ptr_null(object_body_new(s, &k, object_store_max_body(s) + 1));
    struct object_body *b = object_body_new(s, &k, object_store_max_body(s));
    ck_assert_ptr_nonnull(b);
    object_body_put(b);
    object_store_free(s);
}
END_TEST

/* ---- a trace: Zipf, with scans ---- */

#define UNIVERSE 40000
#define REQUESTS 400000
#define PERIOD   40000
#define ROOM     4000 /* objects that both may hold, about */

START_TEST(it_hits_more_than_lru)
{
    struct object_store *s = new_store(ROOM * 1024);
    struct trace *t = trace_new(UNIVERSE, PERIOD, 0.9);
    char key[32];
    int hits = 0;
    size_t most = 0;
    for (int n = 0; n < REQUESTS; n++) {
        snprintf(key, sizeof(key), "/%d|1", trace_next(t));
        if (has(s, key))
            hits++;
        else
            ck_assert(put(s, key, 700, 'x'));
        if (n % 1000 == 0 && count(s) > most)
            most = count(s);
    }
    int lru = trace_lru_hits(trace_new(UNIVERSE, PERIOD, 0.9), REQUESTS, most);
    ck_assert_msg(hits > lru + REQUESTS / 25, "%d hits, LRU %d, of %d", hits, lru, REQUESTS);
    free(t);
    object_store_free(s);
}
END_TEST

/* ---- threads ---- */

#define THREADS 4
#define TURNS   20000

static void *user(void *ctx)
{
    struct object_store *s = ctx;
    static _Atomic uint64_t seeds = 1;
    struct random r;
    char key[32];
    random_seed_with(&r, atomic_fetch_add(&seeds, 1));
    for (int i = 0; i < TURNS; i++) {
        int n = (int)random_below(random_next(&r), 500);
        snprintf(key, sizeof(key), "/%d|%d", n / 2, n % 2);
        unsigned what = (unsigned)random_below(random_next(&r), 100);
        if (what == 0)
            object_store_purge(s, OBJECT_TAG, SLICE("all-of-them"), n & 1);
        else if (what == 1)
            object_store_purge(s, OBJECT_PREFIX, SLICE("/1"), n & 1);
        else if (what < 5)
            object_store_purge(s, OBJECT_GROUP, (struct slice){key, strcspn(key, "|")}, n & 1);
        else if (what < 10)
            put_tagged(s, key, "red");
        else if (!has(s, key))
            put(s, key, (size_t)n * 10, (char)('a' + n % 26));
    }
    return NULL;
}

START_TEST(threads_share_it)
{
    struct object_store *s = new_store(512 << 10);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, user, s);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    object_store_purge(s, OBJECT_PREFIX, SLICE(""), false);
    ck_assert_uint_eq(count(s), 0);
    struct object_store_stats stats;
    object_store_stats(s, &stats);
    struct object_store *fresh = new_store(512 << 10);
    struct object_store_stats none;
    object_store_stats(fresh, &none);
    ck_assert_uint_eq(stats.used, none.used); /* nothing is left behind */
    object_store_free(fresh);
    object_store_free(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("object_store");
    TCase *t = tcase_create("object_store");
    tcase_add_test(t, what_was_put_is_found);
    tcase_add_test(t, the_last_one_counts_and_the_first_lives_on);
    tcase_add_test(t, a_body_is_shared_and_shrinks);
    tcase_add_test(t, groups_are_purged);
    tcase_add_test(t, tags_are_purged);
    tcase_add_test(t, prefixes_and_all_are_purged);
    tcase_add_test(t, what_was_begun_before_a_purge_stays_out);
    tcase_add_test(t, memory_has_a_bound);
    tcase_add_test(t, it_hits_more_than_lru);
    tcase_add_test(t, threads_share_it);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
