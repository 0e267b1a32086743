/*
 * test_cache_script_random.c: the cache's scripts (gateway/redis_script) in a real redis-server, against a
 * model in C that remembers all fetches and purges: whatever keys are lost, what was purged does not come
 * back.
 */
#include "lib/random.h"
#include "tests/unit/gateway/cache_script_fixture.h"

#define OPERATIONS 5000 /* of each kind */
#define THINGS     12
#define OPEN       6
#define PURGES     65536
#define FETCHES    32768

/* What was fetched, by the number that is its version; and the purges. */
static struct fetch {
    int thing, begun;
    struct thing as;
    struct answer grant;
    char token[16];
} fetches[FETCHES];

static struct note {
    struct purge p;
    char what[SHORT];
} notes[PURGES];

static int nfetches, nnotes, nhits, nfresh, open_fetches[OPEN], stored[THINGS];
static struct random dice;

static int throw(int sides)
{
    return (int)random_below(random_next(&dice), (uint64_t)sides);
}

static const char *group_of(int thing)
{
    static const char *const groups[] = {"/a/1", "/a/2", "/b/1", "/b/22", "/"};
    return groups[thing % 5];
}

static const char *const tag_names[] = {"t", "u", "/a/1"};

static struct thing thing_of(int i)
{
    static char names[THINGS][16];
    snprintf(names[i], sizeof(names[i]), "%s %d", group_of(i), i);
    return (struct thing){.name = names[i], .group = group_of(i)};
}

static bool concerns(const struct purge *p, const struct thing *t)
{
    bool by_tag = false;
    for (int i = 0; t->tags[i]; i++)
        by_tag |= strcmp(t->tags[i], p->what) == 0;
    return strcmp(p->kind, "all") == 0 ||
           (strcmp(p->kind, "tag") == 0     ? by_tag
            : strcmp(p->kind, "group") == 0 ? strcmp(t->group, p->what) == 0
                                            : strncmp(t->group, p->what, strlen(p->what)) == 0);
}

/* Whether what F fetched was purged since it began. */
static bool was_purged(const struct fetch *f, bool softly)
{
    for (int i = f->begun; i < nnotes; i++)
        if (notes[i].p.softly == softly && concerns(&notes[i].p, &f->as))
            return true;
    return false;
}

static void begin_one(void)
{
    int slot = throw(OPEN);
    struct fetch *f = &fetches[nfetches];
    *f = (struct fetch){.thing = throw(THINGS), .begun = nnotes};
    f->as = thing_of(f->thing);
    for (int i = 0, n = 0; i < 3; i++)
        if (throw(3) == 0)
            f->as.tags[n++] = tag_names[i];
    snprintf(f->token, sizeof(f->token), "token%d", nfetches);
    f->grant = begin(&f->as, f->token);
    open_fetches[slot] = nfetches++;
}

static void store_one(void)
{
    int *slot = &open_fetches[throw(OPEN)];
    char version[16];
    if (*slot < 0)
        return;
    struct fetch *f = &fetches[*slot];
    snprintf(version, sizeof(version), "%08d", *slot);
    if (PUT(&f->as, f->token, f->grant.seq, f->grant.fence, .version = version, .body = f->token) == 1) {
        ck_assert_msg(!was_purged(f, false), "%s was purged and is stored", f->as.name);
        stored[f->thing] = *slot;
    }
    *slot = throw(4) == 0 ? *slot : -1;
}

static void read_one(void)
{
    int i = throw(THINGS);
    struct thing t = thing_of(i);
    struct answer x = LOOK(&t, NULL);
    if (!x.found)
        return;
    int version = atoi(x.version);
    const struct fetch *f = &fetches[version];
    nhits++;
    nfresh += !x.softened;
    ck_assert(version == stored[i] && f->thing == i && strcmp(x.body, f->token) == 0);
    ck_assert_msg(!was_purged(f, false), "%s comes back", t.name);
    ck_assert_msg(x.softened || !was_purged(f, true), "%s is fresh again", t.name);
}

static void purge_it(const char *kind, const char *what, bool softly)
{
    ck_assert_int_lt(nnotes, PURGES);
    struct note *n = &notes[nnotes++];
    snprintf(n->what, sizeof(n->what), "%s", what);
    n->p = (struct purge){kind, n->what, softly};
    ck_assert_int_eq(try_purge(n->p), 0);
}

static void purge_one(void)
{
    static const char *const prefixes[] = {"/a", "/b", "/a/1", "/b/2", "", "/c"};
    char name[SHORT];
    bool softly = throw(2);
    int kind = throw(40);
    if (kind < 12)
        purge_it("group", group_of(throw(5)), softly);
    else if (kind < 24)
        purge_it("tag", tag_names[throw(3)], softly);
    else if (kind < 32)
        purge_it("prefix", prefixes[throw(6)], softly);
    else if (kind < 33)
        purge_it("all", "", softly);
    snprintf(name, sizeof(name), "/other/%d", throw(1500));
    if (kind >= 33)
        purge_it(kind < 36 ? "prefix" : kind < 38 ? "tag" : "group", name, softly);
}

static void lose_one(void)
{
    static const char *const singles[] = {"p:meta", "p:recent", "p:prefixes", "p:fence"};
    int kind = throw(100);
    struct thing t = thing_of(throw(THINGS));
    if (kind < 2)
        DO("FLUSHALL");
    else if (kind < 30)
        DO("DEL %s", singles[throw(4)]);
    else if (kind < 50)
        DO("DEL p:g:%s", t.group);
    else if (kind < 70)
        DO("DEL p:t:%s", tag_names[throw(3)]);
    else if (kind < 80)
        DO("DEL p:o:%s", t.name);
    else
        DO("DEL p:lock:%s", t.name);
}

static void many_purges(void)
{
    char name[SHORT];
    for (int i = 0; i < 1001; i++) {
        snprintf(name, sizeof(name), "/many/%d", i);
        purge_it("group", name, false);
    }
}

/* How often something is lost in a thousand operations. */
static const int losing[] = {0, 3, 20, 100};

START_TEST(at_random)
{
    random_seed_with(&dice, (uint64_t)_i + 1);
    nfetches = nnotes = nhits = nfresh = 0;
    memset(open_fetches, 0xff, sizeof(open_fetches));
    memset(stored, 0, sizeof(stored));
    for (int i = 0; i < OPERATIONS; i++) {
        int what = throw(1000);
        if (what < losing[_i])
            lose_one();
        else if (what < 150)
            purge_one();
        else if (what < 151 && i % 4 == 0)
            many_purges();
        else if (what < 400)
            begin_one();
        else if (what < 700)
            store_one();
        else
            read_one();
    }
    ck_assert_int_gt(nhits, OPERATIONS / 100); /* it was about something */
    ck_assert_int_gt(nfresh, OPERATIONS / 200);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cache_script_random");
    TCase *t = tcase_create("cache_script_random");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, at_random, 0, (int)(sizeof(losing) / sizeof(losing[0])));
    tcase_set_timeout(t, 300);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
