/* test_password.c: which hashes are taken, who may log in, and what the cache remembers. */
#include "lib/password.h"
#include "tests/unit/unit.h"

#include <crypt.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define TTL UINT64_C(1000)
/* "secret", hashed by openssl passwd -6 and -5. */
#define SHA512                                                                                               \
    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG."
#define SHA256 "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM."
#define BCRYPT "$2y$05$abcdefghijklmnopqrstuuBcdefghijklmnopqrstuvwxyz012345" /* of nothing known */

static char told[4096];

static struct password_users *parse(const char *text)
{
    struct buf faults;
    buf_init(&faults, told, sizeof(told) - 1);
    struct password_users *u = password_parse(slice_of(text), &faults);
    told[faults.len] = '\0';
    return u;
}

static struct password_login login(const char *user, const char *password)
{
    return (struct password_login){slice_of(user), slice_of(password)};
}

static bool check(const struct password_users *u, const char *user, const char *password)
{
    struct password_login l = login(user, password);
    return password_check(u, &l);
}

/* A fresh hash as cheap as the method allows. */
static const char *hash_of(const char *prefix, unsigned long cost, const char *password)
{
    static struct crypt_data data;
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    ck_assert(crypt_gensalt_rn(prefix, cost, NULL, 0, salt, sizeof(salt)));
    return crypt_r(password, salt, &data);
}

static const struct {
    const char *prefix;
    unsigned long cost;
} methods[] = {{"$2y$", 4},   {"$2b$", 4}, {"$2a$", 4},   {"$6$", 1000},
               {"$5$", 1000}, {"$y$", 1},  {"$6$", 5000}, {"$y$", 5}};

START_TEST(a_password_is_checked_by_every_method)
{
    char text[512];
    snprintf(text, sizeof(text), "jane:%s\n", hash_of(methods[_i].prefix, methods[_i].cost, "pass word"));
    struct password_users *u = parse(text);
    ck_assert_msg(u != NULL, "%s: %s", text, told);
    ck_assert(check(u, "jane", "pass word"));
    ck_assert(!check(u, "jane", "pass wore") && !check(u, "jane", "pass") &&
              !check(u, "jane", "pass word ") && !check(u, "jane", ""));
    ck_assert(!check(u, "Jane", "pass word") && !check(u, "jan", "pass word") && !check(u, "", "pass word"));
    password_put(u);
}
END_TEST

START_TEST(hashes_of_other_programs_are_known)
{
    struct password_users *u = parse("# users\r\n\r\n zoe:" SHA512 "\r\n  \nadam:" SHA256 "  ");
    ck_assert_msg(u != NULL, "%s", told);
    ck_assert_uint_eq(password_count(u), 2);
    ck_assert(check(u, "zoe", "secret") && check(u, "adam", "secret") && !check(u, "eve", "secret") &&
              !check(u, "zoe", "Secret"));
    password_put(u);
}
END_TEST

START_TEST(a_nul_does_not_end_a_password)
{
    struct password_users *u = parse("zoe:" SHA512);
    struct password_login l = {SLICE("zoe"), SLICE("secret\0x")};
    ck_assert(!password_check(u, &l));
    static char longest[PASSWORD_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    l.password = (struct slice){longest, sizeof(longest)};
    ck_assert(!password_check(u, &l));
    l = (struct password_login){SLICE("zoe\0"), SLICE("secret")};
    ck_assert(!password_check(u, &l));
    password_put(u);
}
END_TEST

static const struct {
    const char *line, *why;
} mistakes[] = {
    {"jane:secret", "plain text"},
    {"jane:", "plain text"},
    {"jane", "user:hash"},
    {":" BCRYPT, "user:hash"},
    {"ja\x01ne:" BCRYPT, "user:hash"},
    {"jane:rqXexS6ZhobKA", "DES"},
    {"jane:$apr1$abcdefgh$p/iL2nPNmgNCXLJLGnvv81", "MD5"},
    {"jane:$1$abcdefgh$p/iL2nPNmgNCXLJLGnvv81", "MD5"},
    {"jane:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA-1"},
    {"jane:$2y$05$short", "malformed"},
    {"jane:" BCRYPT "x", "malformed"},
    {"jane:$2y$05$abcdefghijklmnopqrstuuBcdefghijklmnopqrstuvwxyz0123!5", "malformed"},
    {"jane:$2y$99$abcdefghijklmnopqrstuuBcdefghijklmnopqrstuvwxyz012345", "costs"},
    {"jane:$2y$15$abcdefghijklmnopqrstuuBcdefghijklmnopqrstuvwxyz012345", "costs"},
    {"jane:$2x$05$abcdefghijklmnopqrstuuBcdefghijklmnopqrstuvwxyz012345", "not known"},
    {"jane:$6$abcdefgh$x", "malformed"},
    {"jane:$6$rounds=999999999$abcdefgh$"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
     "malformed"},
    {"jane:$6$rounds=999999999$abcdefgh$"
     "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345",
     "costs"},
    {"jane:$y$jFT$abcdefgh$0123456789012345678901234567890123456789012", "costs"},
    {"jane:$y$j9T$abcdefgh$012345678901234567890123456789012345678901", "malformed"},
    {"zoe:" BCRYPT, "already"},
};

START_TEST(a_mistake_is_told_with_its_line)
{
    char text[1024];
    snprintf(text, sizeof(text), "zoe:" SHA512 "\n\n%s\nok:" SHA256 "\n", mistakes[_i].line);
    ck_assert_msg(!parse(text), "%s", mistakes[_i].line);
    ck_assert_msg(strncmp(told, "line 3: ", 8) == 0 && strstr(told, mistakes[_i].why) &&
                      strchr(told, '\n') == told + strlen(told) - 1,
                  "%s: %s", mistakes[_i].line, told);
    ck_assert(!strstr(told, "abcdefgh") && !strstr(told, "secret")); /* no hash is shown */
}
END_TEST

START_TEST(all_mistakes_are_told_at_once)
{
    ck_assert(!parse("a:x\nb:" SHA256 "\nc\n"));
    ck_assert(strstr(told, "line 1: ") && strstr(told, "line 3: ") && !strstr(told, "line 2: "));
}
END_TEST

START_TEST(a_file_may_be_empty)
{
    struct password_users *u = parse("");
    ck_assert(u && password_count(u) == 0 && !check(u, "jane", "secret"));
    password_put(u);
    password_put(NULL);
}
END_TEST

static double cpu_ms(const struct password_users *u, const char *user)
{
    struct timespec a, b;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    ck_assert(!check(u, user, "wrong"));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

START_TEST(an_unknown_user_takes_as_long)
{
    char text[512];
    snprintf(text, sizeof(text), "jane:%s\n", hash_of("$2y$", 8, "secret"));
    struct password_users *u = parse(text);
    double known = cpu_ms(u, "jane"), unknown = cpu_ms(u, "john");
    ck_assert_msg(unknown > known / 3 && unknown < known * 3 && known > 1, "%f and %f ms", known, unknown);
    ck_assert(!check(u, "john", "secret")); /* though it is right for the one it is checked against */
    password_put(u);
}
END_TEST

/* A name that is not there is always checked against the same hash, and not all of them against one. */
START_TEST(unknown_users_take_the_time_of_various_users)
{
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof(text), "cheap:%s\n", hash_of("$2y$", 4, "secret"));
    snprintf(text + n, sizeof(text) - n, "dear:%s\n", hash_of("$2y$", 8, "secret"));
    struct password_users *u = parse(text);
    double cheap = cpu_ms(u, "cheap"), dear = cpu_ms(u, "dear");
    int dear_names = 0;
    ck_assert(dear > 3 * cheap);
    for (int i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof(name), "no%d", i);
        bool first = cpu_ms(u, name) > (cheap + dear) / 2, second = cpu_ms(u, name) > (cheap + dear) / 2;
        ck_assert(first == second);
        dear_names += first;
    }
    ck_assert(dear_names > 0 && dear_names < 20);
    password_put(u);
}
END_TEST

START_TEST(a_right_login_is_remembered_for_its_time)
{
    struct password_users *u = parse("zoe:" SHA512 "\nadam:" SHA512 "\nzo:" SHA512);
    struct password_cache *c = password_cache_new(100, TTL);
    struct password_login l = login("zoe", "secret");
    ck_assert(!password_cached(c, u, &l, 5));
    password_remember(c, u, &l, 5);
    ck_assert(password_cached(c, u, &l, 5) && password_cached(c, u, &l, 4 + TTL) &&
              !password_cached(c, u, &l, 5 + TTL));
    password_remember(c, u, &l, 100);
    ck_assert(password_cached(c, u, &l, 99 + TTL));
    static const struct {
        const char *user, *password;
    } others[] = {{"zoe", "secre"},  {"zoe", "secrets"}, {"adam", "secret"}, {"zoes", "ecret"},
                  {"zo", "esecret"}, {"zoe", ""},        {"none", "secret"}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        l = login(others[i].user, others[i].password);
        ck_assert(!password_cached(c, u, &l, 100));
    }
    password_cache_free(c);
    password_put(u);
}
END_TEST

START_TEST(a_changed_or_removed_user_is_forgotten)
{
    struct password_users *u = parse("zoe:" SHA512), *changed = parse("zoe:" SHA256),
                          *removed = parse("adam:" SHA512);
    struct password_cache *c = password_cache_new(100, TTL);
    struct password_login l = login("zoe", "secret");
    password_remember(c, u, &l, 1);
    ck_assert(password_cached(c, u, &l, 2) && !password_cached(c, changed, &l, 2) &&
              !password_cached(c, removed, &l, 2));
    struct password_users *again = parse("#\nzoe:" SHA512);
    ck_assert(password_cached(c, again, &l, 2)); /* a reload that changes nothing for her */
    l = login("none", "secret");
    password_remember(c, u, &l, 1);
    ck_assert(!password_cached(c, u, &l, 2));
    password_put(u);
    password_put(again);
    password_put(changed);
    password_put(removed);
    password_cache_free(c);
}
END_TEST

/* More logins than there are places: the newest is always there, never more than there is room for. */
START_TEST(a_cache_is_bounded)
{
    enum { ROOM = 64, LOGINS = 1000 };
    struct password_users *u = parse("zoe:" SHA512);
    struct password_cache *c = password_cache_new(ROOM, 1000000);
    char passwords[LOGINS][8];
    unsigned held = 0, held_new = 0;
    for (unsigned i = 0; i < LOGINS; i++) {
        snprintf(passwords[i], sizeof(passwords[i]), "p%u", i);
        struct password_login l = login("zoe", passwords[i]);
        password_remember(c, u, &l, i + 1);
        password_remember(c, u, &l, i + 1); /* again: takes no second place */
        ck_assert(password_cached(c, u, &l, i + 1));
    }
    for (unsigned i = 0; i < LOGINS; i++) {
        struct password_login l = login("zoe", passwords[i]);
        bool is_held = password_cached(c, u, &l, LOGINS);
        held += is_held;
        held_new += is_held && i >= LOGINS - 2 * ROOM;
    }
    ck_assert_uint_eq(held, ROOM);
    ck_assert_msg(held_new > ROOM / 2, "%u", held_new); /* it is the old that went */
    password_cache_free(c);
    password_put(u);
}
END_TEST

static void *use(void *arg)
{
    struct password_users *u = arg;
    uintptr_t good = 0;
    for (int i = 0; i < 10; i++) {
        struct password_users *mine = password_get(u);
        good += check(mine, "jane", "secret") && !check(mine, "john", "secret");
        password_put(mine);
    }
    password_put(u);
    return (void *)good;
}

START_TEST(threads_share_users)
{
    char text[512];
    snprintf(text, sizeof(text), "jane:%s\n", hash_of("$2y$", 4, "secret"));
    struct password_users *u = parse(text);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use, password_get(u)), 0);
    password_put(u);
    for (int i = 0; i < 4; i++) {
        void *good;
        pthread_join(threads[i], &good);
        ck_assert_uint_eq((uintptr_t)good, 10);
    }
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *suite(void)
{
    Suite *s = suite_create("password");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_password_is_checked_by_every_method, 0, COUNT(methods));
    tcase_add_test(t, hashes_of_other_programs_are_known);
    tcase_add_test(t, a_nul_does_not_end_a_password);
    tcase_add_loop_test(t, a_mistake_is_told_with_its_line, 0, COUNT(mistakes));
    tcase_add_test(t, all_mistakes_are_told_at_once);
    tcase_add_test(t, a_file_may_be_empty);
    tcase_add_test(t, an_unknown_user_takes_as_long);
    tcase_add_test(t, unknown_users_take_the_time_of_various_users);
    tcase_add_test(t, a_right_login_is_remembered_for_its_time);
    tcase_add_test(t, a_changed_or_removed_user_is_forgotten);
    tcase_add_test(t, a_cache_is_bounded);
    tcase_add_test(t, threads_share_users);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
