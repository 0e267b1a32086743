/*
 * test_cache_script.c: the scripts of the cache and of the fleet (gateway/redis_script) in a real
 * redis-server: what they answer, locks, announcements, what they leave behind, and a server without memory.
 * What is valid after a purge is in test_cache_script_purge.c.
 */
#include "tests/unit/gateway/cache_script_fixture.h"

static const struct thing a = {"http://h/a GET", "http://h/a", {"red", "blue"}};
static const struct thing b = {"http://h/b GET", "http://h/b", {"green"}};
static const struct thing bare = {"http://h/c GET", "http://h/c", {NULL}};

#define UNTIL(cond)                                                                                          \
    for (uint64_t until_ns = clock_now_ns() + PATIENCE_NS; !(cond); usleep(1000))                            \
    ck_assert_msg(clock_now_ns() < until_ns, "it did not come to: %s", #cond)

/* ---- store and read ---- */

START_TEST(what_was_stored_is_read)
{
    struct answer none = LOOK(&a, .token = "t");
    ck_assert(none.found == 0 && none.lock == 1 && none.fence > 1000000000000000);
    ck_assert(none.seq > 1000000000000000 && none.elapsed_ms == 0 && none.softened == 0);
    ck_assert(none.version_len == 0 && none.body_len == 0);
    ck_assert_int_eq(PUT(&a, "t", none.seq, none.fence, .version = "\0\1\2\377\n567", .body = "the body"), 1);
    struct answer there = LOOK(&a, .token = "u");
    ck_assert(there.found == 1 && there.lock == 0 && there.seq == none.seq && there.fence == 0);
    ck_assert(there.elapsed_ms >= 0 && there.elapsed_ms < 10000 && there.softened == 0);
    ck_assert(there.version_len == VERSION && memcmp(there.version, "\0\1\2\377\n567", VERSION) == 0);
    ck_assert_str_eq(there.body, "the body");
    UNTIL(LOOK(&a, NULL).elapsed_ms >= 5);
    ck_assert_int_eq(LOOK(&b, NULL).found, 0);
}
END_TEST

START_TEST(nobody_asks_for_a_lock)
{
    struct answer none = LOOK(&a, NULL);
    ck_assert(none.found == 0 && none.lock == 0 && none.fence == 0 && none.seq > 0);
    ck_assert_int_eq(NUMBER("EXISTS p:lock:%s p:fence", a.name), 0);
}
END_TEST

START_TEST(the_version_is_known)
{
    make(&a);
    struct answer same = LOOK(&a, .known = "version1"), other = LOOK(&a, .known = "version2");
    ck_assert(same.found == 2 && same.body_len == 0 && memcmp(same.version, "version1", VERSION) == 0);
    ck_assert(other.found == 1 && strcmp(other.body, "body") == 0);
}
END_TEST

/* What is empty, and what is all of one byte. */
START_TEST(bodies)
{
    struct answer f = begin(&bare, "t");
    ck_assert_int_eq(PUT(&bare, "t", f.seq, f.fence, .body = ""), 1);
    struct answer got = LOOK(&bare, NULL);
    ck_assert(got.found == 1 && got.body_len == 0);
}
END_TEST

START_TEST(what_is_stale_comes_with_the_lock)
{
    struct answer f = begin(&a, "t");
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .is_stale = true), 1);
    struct answer first = LOOK(&a, .token = "u"), second = LOOK(&a, .token = "v");
    ck_assert(first.found == 1 && first.lock == 1 && first.fence > f.fence);
    ck_assert(second.found == 1 && second.lock == 2 && second.fence == 0 && second.body_len == 4);
    struct answer same = LOOK(&a, .token = "v", .known = "version1");
    ck_assert(same.found == 2 && same.lock == 2);
}
END_TEST

START_TEST(it_becomes_stale)
{
    struct answer f = begin(&a, "t"), got;
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .fresh_us = 30000), 1);
    UNTIL((got = LOOK(&a, .token = "u")).lock == 1);
    ck_assert(got.found == 1 && got.elapsed_ms >= 30);
}
END_TEST

START_TEST(it_is_kept_for_so_long)
{
    struct answer f = begin(&a, "t");
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .keep_ms = 30), 1);
    UNTIL(!is_there(&a));
    ck_assert_int_eq(NUMBER("EXISTS p:o:%s", a.name), 0);
}
END_TEST

START_TEST(a_fresh_one_does_not_do)
{
    make(&a);
    struct answer first = LOOK(&a, .token = "u", .forced = true), second = LOOK(&a, .token = "v");
    ck_assert(first.found == 1 && first.lock == 1 && first.fence > 0);
    ck_assert(second.found == 1 && second.lock == 0);
    ck_assert_int_eq(LOOK(&a, .token = "v", .forced = true).lock, 2);
}
END_TEST

START_TEST(all_bytes_of_names)
{
    const struct thing t = {"k\xff%s$1\r\n*{}:o:", "k\xff%s$1\r\n", {"t:%d", "\x01", "(.-)^$"}};
    make(&t);
    ck_assert(is_there(&t));
    PURGE("tag", "(.-)^$");
    ck_assert(!is_there(&t));
    make(&t);
    PURGE("prefix", "k\xff%s$");
    ck_assert(!is_there(&t));
}
END_TEST

/* Of groups and tags that have the same name. */
START_TEST(names_of_two_kinds)
{
    const struct thing t = {"x", "x", {"x"}}, u = {"y", "y", {"x"}}, v = {"meta", "meta", {"meta"}};
    make(&t);
    make(&u);
    make(&v);
    PURGE("group", "x");
    ck_assert(!is_there(&t) && is_there(&u) && is_there(&v));
    make(&t);
    PURGE("tag", "x");
    ck_assert(!is_there(&t) && !is_there(&u) && is_there(&v));
}
END_TEST

/* ---- locks ---- */

START_TEST(a_store_releases)
{
    struct answer f = LOOK(&a, .token = "t");
    ck_assert_int_eq(LOOK(&a, .token = "u").lock, 2);
    ck_assert_int_eq(PUT(&a, "other", f.seq, f.fence), 1);
    ck_assert_int_eq(NUMBER("EXISTS p:lock:%s", a.name), 1);
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 1);
    ck_assert_int_eq(NUMBER("EXISTS p:lock:%s", a.name), 0);
}
END_TEST

START_TEST(a_refused_store_releases_too)
{
    struct answer f = LOOK(&a, .token = "t");
    PURGE("all", "");
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 0);
    ck_assert_int_eq(NUMBER("EXISTS p:lock:%s", a.name), 0);
}
END_TEST

START_TEST(a_release)
{
    ck_assert_int_eq(LOOK(&a, .token = "t").lock, 1);
    ck_assert_int_eq(release(&a, "u", "x"), 0);
    ck_assert_int_eq(LOOK(&a, .token = "u").lock, 2);
    ck_assert_int_eq(release(&a, "t", "x"), 1);
    ck_assert_int_eq(LOOK(&a, .token = "u").lock, 1);
}
END_TEST

START_TEST(a_lock_expires)
{
    ck_assert_int_eq(LOOK(&a, .token = "t", .ttl_ms = 30).lock, 1);
    UNTIL(LOOK(&a, .token = "u").lock == 1);
    ck_assert_int_eq(release(&a, "t", "x"), 0);
    ck_assert_int_eq(extend(&a, "t", LONG_MS), 0);
}
END_TEST

START_TEST(a_lock_is_extended)
{
    ck_assert_int_eq(LOOK(&a, .token = "t").lock, 1);
    ck_assert_int_eq(extend(&a, "u", 1), 0);
    ck_assert_int_eq(extend(&a, "t", 2LL * LONG_MS), 1);
    ck_assert_int_gt(NUMBER("PTTL p:lock:%s", a.name), LONG_MS);
}
END_TEST

START_TEST(an_older_fetch_does_not_overwrite)
{
    struct answer first = begin(&a, "t"), second = begin(&a, "u");
    ck_assert_int_gt(second.fence, first.fence);
    ck_assert_int_eq(PUT(&a, "u", second.seq, second.fence, .body = "second"), 1);
    ck_assert_int_eq(PUT(&a, "t", first.seq, first.fence, .body = "first"), 0);
    ck_assert_str_eq(LOOK(&a, NULL).body, "second");
    ck_assert_int_eq(PUT(&a, "u", second.seq, second.fence, .body = "again"), 1);
    ck_assert_str_eq(LOOK(&a, NULL).body, "again");
}
END_TEST

/* Its counter is lost: the next numbers are larger all the same. */
START_TEST(fences_grow)
{
    long long last = 0;
    for (int i = 0; i < 50; i++) {
        if (i % 3 == 0)
            DO("DEL p:fence");
        struct answer f = begin(i % 2 ? &a : &b, "t");
        ck_assert_int_gt(f.fence, last);
        last = f.fence;
    }
}
END_TEST

/* ---- what stays behind ---- */

static bool may_stay(const char *key)
{
    static const char *const names[] = {"p:meta", "p:recent", "p:prefixes", "p:fence"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}

static void check_expiries(void)
{
    redisReply *keys = ask("KEYS *");
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *k = keys->element[i];
        long long left = NUMBER("PTTL %s", k->str);
        ck_assert_msg(left > 0 || may_stay(k->str), "%s stays", k->str);
    }
    freeReplyObject(keys);
}

START_TEST(all_expires)
{
    static const char *const kinds[] = {"group", "tag", "prefix", "all"};
    for (int i = 0; i < 40; i++) {
        make(&a);
        make(&b);
        ck_assert_int_eq(LOOK(i % 2 ? &a : &bare, .token = "t", .forced = true).lock,
                         i > 0 && !(i % 2) ? 2 : 1);
        ck_assert_int_eq(try_purge((struct purge){kinds[i % 4], i % 3 ? "http://h/a" : "red", i / 4 % 2}), 0);
        check_expiries();
    }
}
END_TEST

/* A mark lasts for longer than all that has to be younger than it. */
START_TEST(marks_last_longer)
{
    static const long long keeps[] = {1000, 500000, 2000, 2592000000};
    long long longest = 0;
    for (size_t i = 0; i < 4; i++) {
        struct answer f = begin(&a, "t");
        longest = keeps[i] > longest ? keeps[i] : longest;
        ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .keep_ms = keeps[i]), 1);
        ck_assert_int_gt(NUMBER("PTTL p:g:%s", a.group), longest + 50000);
        ck_assert_int_gt(NUMBER("PTTL p:t:red"), longest + 50000);
        ck_assert_int_gt(NUMBER("PTTL p:t:blue"), longest + 50000);
        PURGE("tag", "blue", true);
        ck_assert_int_gt(NUMBER("PTTL p:t:blue"), longest + 50000);
    }
}
END_TEST

START_TEST(what_stays_is_bounded)
{
    char name[SHORT];
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "name%d", i);
        PURGE("group", name);
        PURGE("tag", name, true);
        PURGE("prefix", name, i % 2 == 0);
    }
    ck_assert_int_le(NUMBER("ZCARD p:recent"), 1000);
    ck_assert_int_le(NUMBER("HLEN p:prefixes"), 32);
    ck_assert_int_le(NUMBER("HLEN p:meta"), 8);
    ck_assert_int_le(NUMBER("DBSIZE"), 3);
}
END_TEST

/* ---- announcements ---- */

static void hear(redisContext *c, const char *payload, size_t len)
{
    redisReply *r = NULL;
    ck_assert_int_eq(redisGetReply(c, (void **)&r), REDIS_OK);
    ck_assert(r->type == REDIS_REPLY_ARRAY && r->elements == 3);
    ck_assert_str_eq(r->element[0]->str, "message");
    ck_assert_str_eq(r->element[1]->str, "channel");
    ck_assert_uint_eq(r->element[2]->len, len);
    ck_assert(memcmp(r->element[2]->str, payload, len) == 0);
    freeReplyObject(r);
}

static redisContext *listen_there(void)
{
    redisContext *c = connect_once();
    redisSetTimeout(c, (struct timeval){.tv_sec = 10});
    freeReplyObject(redisCommand(c, "SUBSCRIBE channel"));
    return c;
}

START_TEST(others_hear_of_it)
{
    redisContext *one = listen_there(), *two = listen_there();
    struct answer f = begin(&a, "t");
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .announcement = "S\xff\r\n 1"), 1);
    hear(one, "S\xff\r\n 1", 6);
    hear(two, "S\xff\r\n 1", 6);
    ck_assert_int_eq(release(&a, "t", "R"), 0);
    hear(one, "R", 1);
    ck_assert_int_eq(purge_telling((struct purge){"tag", "red", false}, "channel", "P\x01"), 2);
    hear(one, "P\x01", 2);
    ck_assert_int_eq(purge_telling((struct purge){"all", "", true}, "", "nobody"), 0);
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence, .announcement = ""), 0);
    hear(one, "", 0); /* and "nobody" was not to be heard before it */
    redisFree(two);
    UNTIL(purge_telling((struct purge){"all", "", true}, "channel", "x") == 1);
    redisFree(one);
}
END_TEST

/* ---- no memory ---- */

/* Refuses whatever needs more. */
static void fill_up(void)
{
    DO("CONFIG SET maxmemory-policy noeviction");
    DO("CONFIG SET maxmemory 1");
}

static void make_room(void)
{
    DO("CONFIG SET maxmemory 0");
}

START_TEST(reading_without_memory)
{
    make(&a);
    struct answer f = begin(&b, "t");
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence, .is_stale = true), 1);
    fill_up();
    ck_assert_int_eq(LOOK(&a, NULL).found, 1);
    ck_assert_int_eq(LOOK(&a, .token = "t").found, 1);
    struct answer stale = LOOK(&b, .token = "t"), none = LOOK(&bare, .token = "t");
    ck_assert(!stale.failed && stale.found == 1 && stale.lock == 0); /* whoever wants it fetches it alone */
    ck_assert(!none.failed && none.found == 0 && none.lock == 0 && none.seq > 0);
}
END_TEST

START_TEST(storing_without_memory)
{
    make(&a);
    struct answer f = begin(&b, "t"), g = begin(&a, "u");
    DO("PEXPIRE p:g:%s 1000", a.group); /* which it would prolong */
    fill_up();
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence), -1);
    ck_assert_ptr_nonnull(strstr(last_error, "OOM"));
    ck_assert_int_eq(PUT(&a, "u", g.seq, g.fence, .body = "new"), -1);
    ck_assert_ptr_nonnull(strstr(last_error, "OOM"));
    ck_assert_int_eq(NUMBER("EXISTS p:o:%s", b.name), 0);
    ck_assert_str_eq(LOOK(&a, NULL).body, "body");
    ck_assert_int_eq(extend(&b, "t", LONG_MS), 1);
    ck_assert_int_eq(release(&b, "t", "x"), 1);
    make_room();
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence), 1);
    ck_assert(is_there(&b));
}
END_TEST

/* Each kind, hard and soft, also of what was begun before. */
static void purge_full(struct purge p)
{
    DO("FLUSHALL");
    make(&a);
    make(&b);
    struct answer f = begin(&a, "t");
    fill_up();
    ck_assert_int_eq(try_purge(p), 0);
    ck_assert(p.softly ? !is_fresh(&a) : !is_there(&a));
    ck_assert_int_eq(LOOK(&b, NULL).found, strcmp(p.kind, "all") != 0 || p.softly);
    make_room();
    ck_assert(p.softly ? !is_fresh(&a) : !is_there(&a));
    (void)PUT(&a, "t", f.seq, f.fence);
    ck_assert(p.softly ? !is_fresh(&a) : !is_there(&a));
    make(&a);
    ck_assert(is_fresh(&a));
}

START_TEST(purging_without_memory)
{
    for (int softly = 0; softly < 2; softly++) {
        purge_full((struct purge){"group", "http://h/a", softly});
        purge_full((struct purge){"tag", "red", softly});
        purge_full((struct purge){"prefix", "http://h/a", softly});
        purge_full((struct purge){"all", "", softly});
    }
}
END_TEST

/* Nothing is known, and nothing can be noted. */
START_TEST(purging_an_empty_one_without_memory)
{
    fill_up();
    PURGE("group", "x");
    DO("DEL p:meta");
    PURGE("prefix", "x");
    DO("FLUSHALL");
    ck_assert_int_eq(LOOK(&a, .token = "t").found, 0);
}
END_TEST

/* What cannot be carried out makes all invalid. */
START_TEST(a_purge_that_goes_wrong)
{
    static const char *const spoilt[] = {"p:prefixes", "p:recent", "p:g:http://h/a"};
    for (int i = 0; i < 3; i++) {
        make(&a);
        make(&b);
        DO("DEL %s", spoilt[i]);
        DO("LPUSH %s what", spoilt[i]);
        PURGE(i == 0 ? "prefix" : "group", "http://h/a", i == 2);
        DO("DEL %s", spoilt[i]);
        ck_assert(!is_there(&a));
        DO("FLUSHALL");
    }
}
END_TEST

/* ---- gateways ---- */

struct count {
    long long gateways, others;
};

static struct count beat(const char *id, const char *ring, long long life_ms, bool goes)
{
    struct words w = {.n = 0};
    add(&w, "p:alive");
    add(&w, "p:rings");
    add(&w, id);
    add(&w, ring);
    add(&w, text_of(life_ms));
    add(&w, goes ? "1" : "0");
    redisReply *r = run(REDIS_FLEET_BEAT, &w, 2);
    ck_assert_msg(r->type == REDIS_REPLY_ARRAY && r->elements == 2, "%s", r->str);
    struct count c = {r->element[0]->integer, r->element[1]->integer};
    freeReplyObject(r);
    return c;
}

static bool counts(struct count c, long long gateways, long long others)
{
    return c.gateways == gateways && c.others == others;
}

START_TEST(gateways_are_counted)
{
    ck_assert(counts(beat("one", "r", LONG_MS, false), 1, 0));
    ck_assert(counts(beat("two", "r", LONG_MS, false), 2, 0));
    ck_assert(counts(beat("one", "r", LONG_MS, false), 2, 0));
    ck_assert(counts(beat("three", "s", LONG_MS, false), 3, 2));
    ck_assert(counts(beat("one", "r", LONG_MS, false), 3, 1));
    ck_assert(counts(beat("three", "s", LONG_MS, true), 2, 2));
    ck_assert(counts(beat("one", "r", LONG_MS, false), 2, 0));
    ck_assert(counts(beat("two", "s", LONG_MS, false), 2, 1)); /* it has read its configuration anew */
}
END_TEST

START_TEST(who_is_silent_is_gone)
{
    beat("one", "r", LONG_MS, false);
    beat("two", "s", LONG_MS, false);
    UNTIL(counts(beat("one", "r", 20, false), 1, 0));
    ck_assert_int_eq(NUMBER("HLEN p:rings"), 1);
    check_expiries();
    UNTIL(NUMBER("EXISTS p:alive p:rings") == 0);
}
END_TEST

/* Of a clock that was set back. */
START_TEST(beats_of_the_future)
{
    beat("one", "r", LONG_MS, false);
    DO("ZADD p:alive 9000000000000 two");
    DO("HSET p:rings two s");
    ck_assert(counts(beat("one", "r", LONG_MS, false), 1, 0));
}
END_TEST

/* Either key may be lost; what is left does not stay for ever. */
START_TEST(beats_after_a_loss)
{
    beat("one", "r", LONG_MS, false);
    beat("two", "s", LONG_MS, false);
    DO("DEL p:alive");
    ck_assert(counts(beat("one", "r", LONG_MS, false), 1, 0));
    ck_assert_int_eq(NUMBER("HLEN p:rings"), 1);
    ck_assert(counts(beat("two", "s", LONG_MS, false), 2, 1));
    DO("DEL p:rings");
    ck_assert(counts(beat("two", "s", LONG_MS, false), 2, 0));
    ck_assert(counts(beat("one", "r", LONG_MS, false), 2, 1));
}
END_TEST

START_TEST(beats_without_memory)
{
    beat("one", "r", LONG_MS, false);
    fill_up();
    ck_assert(counts(beat("two", "s", LONG_MS, false), 2, 1));
    UNTIL(counts(beat("two", "s", 20, false), 1, 0));
    ck_assert(counts(beat("one", "r", LONG_MS, false), 2, 1));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cache_script");
    TCase *t = tcase_create("cache_script");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, what_was_stored_is_read);
    tcase_add_test(t, nobody_asks_for_a_lock);
    tcase_add_test(t, the_version_is_known);
    tcase_add_test(t, bodies);
    tcase_add_test(t, what_is_stale_comes_with_the_lock);
    tcase_add_test(t, it_becomes_stale);
    tcase_add_test(t, it_is_kept_for_so_long);
    tcase_add_test(t, a_fresh_one_does_not_do);
    tcase_add_test(t, all_bytes_of_names);
    tcase_add_test(t, names_of_two_kinds);
    tcase_add_test(t, a_store_releases);
    tcase_add_test(t, a_refused_store_releases_too);
    tcase_add_test(t, a_release);
    tcase_add_test(t, a_lock_expires);
    tcase_add_test(t, a_lock_is_extended);
    tcase_add_test(t, an_older_fetch_does_not_overwrite);
    tcase_add_test(t, fences_grow);
    tcase_add_test(t, all_expires);
    tcase_add_test(t, marks_last_longer);
    tcase_add_test(t, what_stays_is_bounded);
    tcase_add_test(t, others_hear_of_it);
    tcase_add_test(t, reading_without_memory);
    tcase_add_test(t, storing_without_memory);
    tcase_add_test(t, purging_without_memory);
    tcase_add_test(t, purging_an_empty_one_without_memory);
    tcase_add_test(t, a_purge_that_goes_wrong);
    tcase_add_test(t, gateways_are_counted);
    tcase_add_test(t, who_is_silent_is_gone);
    tcase_add_test(t, beats_of_the_future);
    tcase_add_test(t, beats_after_a_loss);
    tcase_add_test(t, beats_without_memory);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
