/*
 * test_cache_script_purge.c: what is valid, and what never again (gateway/redis_script), in a real
 * redis-server: purges of all kinds, what is begun before them and stored after, and keys that are lost at
 * any moment. At random: test_cache_script_random.c.
 */
#include "tests/unit/gateway/cache_script_fixture.h"

static const struct thing a = {"http://h/a GET", "http://h/a", {"red", "blue"}};
static const struct thing a2 = {"http://h/a GET 2", "http://h/a", {"red", "blue"}};
static const struct thing b = {"http://h/b GET", "http://h/b", {"green"}};
static const struct thing far = {"http://i/b GET", "http://i/b", {NULL}};

#define KINDS 4

/* All of them concern a, and none far. */
static const struct purge of_a[] = {{"group", "http://h/a", false},
                                    {"tag", "red", false},
                                    {"prefix", "http://h/", false},
                                    {"all", "", false}};

static struct purge purge_of(int kind, bool softly)
{
    struct purge p = of_a[kind];
    p.softly = softly;
    return p;
}

/* ---- one purge ---- */

static void check_one(struct purge p)
{
    bool all = strcmp(p.kind, "all") == 0;
    DO("FLUSHALL");
    make(&a);
    make(&far);
    ck_assert(is_fresh(&a) && is_fresh(&far));
    struct answer before = begin(&a2, "before");
    ck_assert_int_eq(try_purge(p), 0);
    struct answer left = LOOK(&a, .token = "left");
    ck_assert(p.softly ? left.found == 1 && left.softened && left.lock == 1 : left.found == 0);
    ck_assert_int_eq(NUMBER("EXISTS p:o:%s", a.name), p.softly); /* what is not valid goes */
    ck_assert_int_eq(is_fresh(&far), !all);
    ck_assert_int_eq(PUT(&a2, "before", before.seq, before.fence), p.softly);
    ck_assert(!is_fresh(&a2) && is_there(&a2) == p.softly);
    struct answer after = begin(&a2, "after");
    ck_assert_int_gt(after.seq, before.seq);
    ck_assert_int_eq(PUT(&a2, "after", after.seq, after.fence), 1);
    ck_assert(is_fresh(&a2) && !is_fresh(&a) && is_there(&a) == p.softly);
    make(&a);
    ck_assert(is_fresh(&a) && is_fresh(&a2));
}

START_TEST(each_kind)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (int softly = 0; softly < 2; softly++)
            check_one(purge_of(kind, softly));
}
END_TEST

START_TEST(what_a_purge_does_not_concern)
{
    static const struct purge others[] = {{"group", "http://h/", false},  {"group", "http://h/ab", false},
                                          {"tag", "re", false},           {"tag", "reds", false},
                                          {"prefix", "http://i/", false}, {"prefix", "http://h/a ", false},
                                          {"prefix", "p:g:", false},      {"tag", "http://h/a", false}};
    make(&a);
    for (size_t i = 0; i < 2 * sizeof(others) / sizeof(others[0]); i++) {
        struct purge p = others[i / 2];
        p.softly = i % 2;
        struct answer f = begin(&a2, "t");
        ck_assert_int_eq(try_purge(p), 0);
        ck_assert(is_fresh(&a));
        ck_assert_int_eq(PUT(&a2, "t", f.seq, f.fence), 1);
        ck_assert(is_fresh(&a2));
    }
}
END_TEST

START_TEST(one_of_several_tags)
{
    static const char *const tags[] = {"one", "two", "three"};
    const struct thing t = {"t", "t", {"one", "two", "three"}}, u = {"u", "u", {"two"}};
    for (int i = 0; i < 6; i++) {
        make(&t);
        make(&u);
        ck_assert_int_eq(try_purge((struct purge){"tag", tags[i / 2], i % 2}), 0);
        ck_assert(!is_fresh(&t) && is_there(&t) == i % 2);
        ck_assert_int_eq(is_fresh(&u), i / 2 != 1);
    }
}
END_TEST

/* Nothing was known of it: no object has ever been stored. */
START_TEST(of_what_is_not_known)
{
    for (int kind = 0; kind < KINDS; kind++) {
        DO("FLUSHALL");
        struct answer f = begin(&a, "t");
        ck_assert_int_eq(try_purge(purge_of(kind, false)), 0);
        ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 0);
        ck_assert(!is_there(&a));
        struct answer g = begin(&a, "t");
        ck_assert_int_eq(try_purge(purge_of(kind, true)), 0);
        (void)PUT(&a, "t", g.seq, g.fence);
        ck_assert(!is_fresh(&a));
        make(&a);
        ck_assert(is_fresh(&a));
    }
}
END_TEST

/* The group was not known, but its tag was, and the other way round. */
START_TEST(of_what_is_known_in_part)
{
    const struct thing t = {"t", "t", {"red"}}, u = {"u", "u", {"red"}}, v = {"v", "t", {"new"}};
    for (int i = 0; i < 2; i++) {
        DO("FLUSHALL");
        make(&t);
        struct answer f = begin(&u, "t"), g = begin(&v, "t");
        ck_assert_int_eq(try_purge((struct purge){i ? "group" : "tag", i ? "t" : "red", false}), 0);
        ck_assert_int_eq(PUT(&u, "t", f.seq, f.fence), i);
        ck_assert_int_eq(PUT(&v, "t", g.seq, g.fence), !i);
        ck_assert(is_there(&u) == i && is_there(&v) == !i && !is_there(&t));
    }
}
END_TEST

/* No purge would be of it. */
START_TEST(what_is_of_the_future)
{
    struct answer f = begin(&a, "t");
    ck_assert_int_eq(PUT(&a, "t", f.seq + 1, f.fence), 0);
    ck_assert_int_eq(PUT(&a, "t", (INT64_C(1) << 53) - 1, f.fence), 0);
    ck_assert(!is_there(&a));
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 1);
}
END_TEST

START_TEST(a_hard_one_after_a_soft_one)
{
    make(&a);
    PURGE("group", a.group, true);
    PURGE("tag", "red", true);
    ck_assert_int_eq(LOOK(&a, NULL).softened, 1);
    PURGE("group", a.group);
    ck_assert(!is_there(&a));
    PURGE("group", a.group, true);
    ck_assert(!is_there(&a));
}
END_TEST

/* ---- many ---- */

static void purge_others(const char *kind, int n, bool softly)
{
    char name[SHORT];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "other%d", i);
        ck_assert_int_eq(try_purge((struct purge){kind, name, softly}), 0);
    }
}

/* A fetch may be overtaken by as many as are remembered; what has a mark is not concerned by more either. */
START_TEST(more_than_are_remembered)
{
    make(&b);
    struct answer f = begin(&a, "t"), g = begin(&b, "t");
    purge_others("group", 600, false);
    purge_others("tag", 400, false);
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 1);
    DO("DEL p:g:%s p:t:red", a.group);
    purge_others("group", 601, false);
    purge_others("tag", 400, false);
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 0);
    ck_assert(!is_there(&a));
    ck_assert_int_eq(PUT(&b, "t", g.seq, g.fence), 1);
    make(&a);
    ck_assert(is_fresh(&a));
}
END_TEST

/* The first of a thousand and one. */
START_TEST(one_that_was_forgotten)
{
    struct answer f = begin(&a, "t");
    PURGE("tag", "red");
    purge_others("group", 1000, false);
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 0);
    ck_assert(!is_there(&a));
}
END_TEST

START_TEST(more_prefixes_than_are_remembered)
{
    make(&a);
    struct answer f = begin(&b, "t");
    purge_others("prefix", 32, false);
    ck_assert(is_fresh(&a));
    purge_others("prefix", 32, false); /* the same ones take no more room */
    ck_assert(is_fresh(&a));
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence), 1);
    PURGE("prefix", "one more");
    ck_assert(!is_there(&a) && !is_there(&b));
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence), 0);
    make(&a);
    PURGE("prefix", "yet another"); /* there is room again */
    purge_others("prefix", 31, false);
    ck_assert(is_fresh(&a));
}
END_TEST

START_TEST(more_soft_prefixes_than_are_remembered)
{
    make(&a);
    purge_others("prefix", 32, true);
    ck_assert(is_fresh(&a));
    PURGE("prefix", "one more", true);
    ck_assert(!is_fresh(&a) && is_there(&a));
    make(&a);
    PURGE("prefix", "yet another", true);
    purge_others("prefix", 31, true);
    ck_assert(is_fresh(&a));
}
END_TEST

/* Hard ones are not forgotten over a soft one that softens all. */
START_TEST(both_kinds_of_prefixes)
{
    make(&a);
    make(&b);
    struct answer f = begin(&a, "t");
    PURGE("prefix", "http://h/a");
    purge_others("prefix", 31, true);
    PURGE("prefix", "one more", true);
    ck_assert(!is_there(&a) && is_there(&b) && !is_fresh(&b));
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 0);
}
END_TEST

/* A prefix is forgotten when nothing from before can be there any more; but a slow fetch may still come. */
START_TEST(prefixes_are_forgotten)
{
    make(&b);
    struct answer f = begin(&a, "t");
    PURGE("prefix", "http://h/a");
    long long long_ago = field_of("p:prefixes", "hhttp://h/a"), begun = field_of("p:meta", "floor");
    ck_assert(long_ago > 0 && begun > 0);
    long_ago -= 3600000000LL;
    DO("HSET p:prefixes hhttp://h/a %s", text_of(long_ago));
    DO("HSET p:meta floor %s", text_of(begun - 7200000000LL));
    PURGE("prefix", "x");
    ck_assert_int_eq(NUMBER("HLEN p:prefixes"), 1);
    ck_assert_int_eq(PUT(&a, "t", long_ago - 1, f.fence), 0);
    ck_assert(!is_there(&a));
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 1);
    ck_assert(is_there(&b));
}
END_TEST

/* But not as long as one could be there. */
START_TEST(prefixes_are_remembered)
{
    struct answer f = begin(&b, "t");
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence, .keep_ms = 7200000), 1);
    PURGE("prefix", "http://h/a");
    DO("HSET p:prefixes hhttp://h/a %s", text_of(field_of("p:prefixes", "hhttp://h/a") - 3600000000LL));
    PURGE("prefix", "x");
    ck_assert_int_eq(NUMBER("HLEN p:prefixes"), 2);
}
END_TEST

/* ---- loss ---- */

/* What may be lost, all of a's; NULL: everything. */
static const char *const losses[] = {"p:meta",
                                     "p:g:http://h/a",
                                     "p:t:red",
                                     "p:t:blue",
                                     "p:recent",
                                     "p:prefixes",
                                     "p:fence",
                                     "p:lock:http://h/a GET",
                                     "p:lock:http://h/a GET 2",
                                     "p:o:http://h/a GET",
                                     NULL};

#define LOSSES ((int)(sizeof(losses) / sizeof(losses[0])))

struct loss {
    int key, point; /* point < 0: none */
};

struct story {
    struct purge first, then;
    struct loss losses[2];
    int point;
};

/* A moment of the story, at which something may be lost. */
static void moment(struct story *s)
{
    for (int i = 0; i < 2; i++) {
        const char *key = losses[s->losses[i].key];
        if (s->losses[i].point != s->point)
            continue;
        if (key)
            DO("DEL %s", key);
        else
            DO("FLUSHALL");
    }
    s->point++;
}

#define POINTS 7

static void check_gone(const struct story *s, const struct thing *t)
{
    const struct answer x = LOOK(t, NULL);
    ck_assert_msg(!x.found || (s->first.softly && x.softened),
                  "purge %s %d, then %s: %s comes back; lost: %s at %d, %s at %d", s->first.kind,
                  s->first.softly, s->then.kind, t->name, losses[s->losses[0].key], s->losses[0].point,
                  losses[s->losses[1].key], s->losses[1].point);
}

/* a is stored and a2 begun before the purge; another purge follows it, and other fetches that are stored. */
static void tell(struct story s)
{
    const struct thing other = {"http://h/a GET 3", "http://h/a", {"red", "blue"}};
    DO("FLUSHALL");
    make(&a);
    moment(&s);
    struct answer before = begin(&a2, "before");
    moment(&s);
    ck_assert_int_eq(try_purge(s.first), 0);
    moment(&s);
    ck_assert_int_eq(try_purge(s.then), 0);
    moment(&s);
    struct answer after = begin(&other, "after");
    moment(&s);
    (void)PUT(&a2, "before", before.seq, before.fence);
    moment(&s);
    (void)PUT(&other, "after", after.seq, after.fence);
    moment(&s);
    check_gone(&s, &a);
    check_gone(&s, &a2);
    struct answer last = LOOK(&other, NULL);
    ck_assert(last.found == 0 || strcmp(last.body, "body") == 0);
    if (s.losses[0].point < 0 && s.losses[1].point < 0)
        ck_assert(last.found && !last.softened);
    make(&a2); /* whatever was lost: what is new is kept */
    ck_assert(is_fresh(&a2));
    check_gone(&s, &a);
}

static const struct purge then[] = {
    {"group", "http://i/", false}, {"tag", "white", true}, {"prefix", "http://i/", false}, {"all", "", true}};

static void tell_all(int kind, int softly, bool in_pairs)
{
    struct story s = {.first = purge_of(kind, softly)};
    for (int i = -1; i < LOSSES * POINTS; i++) {
        s.losses[0] = (struct loss){i < 0 ? 0 : i / POINTS, i < 0 ? -1 : i % POINTS};
        s.losses[1] = (struct loss){0, -1};
        for (int k = 0; k < KINDS && !in_pairs; k++) {
            s.then = then[k];
            tell(s);
        }
        s.then = then[(i + 1) % KINDS];
        for (int j = i + 1; j < LOSSES * POINTS && in_pairs; j++) {
            s.losses[1] = (struct loss){j / POINTS, j % POINTS};
            if (s.losses[0].key != s.losses[1].key && j % 11 == 0)
                tell(s);
        }
    }
}

START_TEST(each_key_is_lost_at_each_moment)
{
    tell_all(_i / 2, _i % 2, false);
}
END_TEST

START_TEST(two_keys_are_lost)
{
    tell_all(_i / 2, _i % 2, true);
}
END_TEST

/* What is known of purges is lost before anything else happens. */
START_TEST(purges_are_lost_before_another_purge)
{
    struct answer f = begin(&a, "t");
    PURGE("group", a.group);
    DO("DEL p:recent");
    PURGE("group", "another");
    ck_assert_int_eq(PUT(&a, "t", f.seq, f.fence), 0);
    make(&b);
    PURGE("prefix", "http://h/");
    DO("DEL p:prefixes");
    PURGE("prefix", "another");
    ck_assert(!is_there(&b));
    make(&b);
    ck_assert(is_fresh(&b));
}
END_TEST

/* That prefixes were lost costs what is there, not what comes. */
START_TEST(prefixes_are_lost)
{
    make(&a);
    PURGE("prefix", "http://i/");
    ck_assert(is_fresh(&a));
    struct answer f = begin(&b, "t");
    DO("DEL p:prefixes");
    ck_assert(!is_there(&a));
    ck_assert_int_eq(PUT(&b, "t", f.seq, f.fence), 0);
    make(&a);
    ck_assert(is_fresh(&a));
}
END_TEST

/* A mark that is made anew does not forget that it was purged softly. */
START_TEST(a_soft_mark_is_lost)
{
    make(&a);
    struct answer f = begin(&a2, "t");
    PURGE("tag", "red", true);
    DO("DEL p:t:red");
    (void)PUT(&a2, "t", f.seq, f.fence);
    ck_assert(!is_fresh(&a) && !is_fresh(&a2));
    make(&a2);
    ck_assert(!is_fresh(&a) && is_fresh(&a2));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cache_script_purge");
    TCase *t = tcase_create("cache_script_purge");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, each_kind);
    tcase_add_test(t, what_a_purge_does_not_concern);
    tcase_add_test(t, one_of_several_tags);
    tcase_add_test(t, of_what_is_not_known);
    tcase_add_test(t, of_what_is_known_in_part);
    tcase_add_test(t, what_is_of_the_future);
    tcase_add_test(t, a_hard_one_after_a_soft_one);
    tcase_add_test(t, more_than_are_remembered);
    tcase_add_test(t, one_that_was_forgotten);
    tcase_add_test(t, more_prefixes_than_are_remembered);
    tcase_add_test(t, more_soft_prefixes_than_are_remembered);
    tcase_add_test(t, both_kinds_of_prefixes);
    tcase_add_test(t, prefixes_are_forgotten);
    tcase_add_test(t, prefixes_are_remembered);
    tcase_add_loop_test(t, each_key_is_lost_at_each_moment, 0, 2 * KINDS);
    tcase_add_loop_test(t, two_keys_are_lost, 0, 2 * KINDS);
    tcase_add_test(t, purges_are_lost_before_another_purge);
    tcase_add_test(t, prefixes_are_lost);
    tcase_add_test(t, a_soft_mark_is_lost);
    tcase_set_timeout(t, 300);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
