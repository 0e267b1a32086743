/*
 * password.h: users and the hashes of their passwords, as htpasswd writes them.
 *
 *     # htpasswd -B -c users jane          (bcrypt; also: mkpasswd -m yescrypt, mkpasswd -m sha512crypt)
 *     jane:$2y$10$ZqjKp3oAaLmQkz0rYyqXnO1f7K1s1uYV8m2nJb0v5mF2Qk3y8nW5u
 *
 * Taken are the hashes that are slow on purpose: bcrypt ($2a$, $2b$, $2y$), SHA-crypt ($5$, $6$) and yescrypt
 * ($y$). Plain text, DES, MD5 and SHA-1 are refused when the file is read, and so are costs that would let
 * one login hold a thread for seconds. All mistakes are told at once, with their lines.
 *
 * Checking a password takes 50 to 100 ms of processor and must not be done on an event loop. So there are two
 * ways:
 *
 *     worker:   if (password_cached(cache, users, &login, now_ns)) go on;            // some 2 us
 *               else post the login to a helper thread and park;
 *     helper:   ok = password_check(users, &login);                                  // slow
 *     worker:   if (ok) password_remember(cache, users, &login, now_ns);
 *
 * The set of users never changes, is counted, and may be used by any thread. A cache belongs to one thread.
 * It holds no password: only HMACs of user, password and hash under a key that is made anew for every cache,
 * so that a changed hash is felt at once and a dump of memory is worth little. Only right passwords are
 * remembered; how often wrong ones are tried is for a limiter.
 *
 * A user who is not there takes the time of one who is: the password is checked against another's hash.
 */
#ifndef LIB_PASSWORD_H
#define LIB_PASSWORD_H

#include "lib/buf.h"

#define PASSWORD_USER_MAX 128    /* bytes of a user's name */
#define PASSWORD_MAX      256    /* bytes of a password; bcrypt looks at the first 72 */
#define PASSWORD_USERS    100000 /* users of a file */

struct password_users;
struct password_cache;

struct password_login {
    struct slice user, password;
};

/* TEXT is a file's; NULL when it has a fault ("line 3: SHA-1 is too fast ...", one on each line of FAULTS, as
 * far as there is room) or memory ran out. */
MUST_USE struct password_users *password_parse(struct slice text, struct buf *faults);
struct password_users *password_get(struct password_users *u);

/* NULL is allowed. */
void password_put(struct password_users *u);
size_t password_count(const struct password_users *u);

/* Slow. False also when memory ran out. */
MUST_USE bool password_check(const struct password_users *u, const struct password_login *login);

/* At most ENTRIES logins (at least 8, rounded up to a power of two), each for TTL_NS. NULL: no memory. */
MUST_USE struct password_cache *password_cache_new(size_t entries, uint64_t ttl_ns);
void password_cache_free(struct password_cache *c);

/* Whether this login was right less than the cache's time ago; time does not start anew by asking. */
MUST_USE bool password_cached(const struct password_cache *c, const struct password_users *u,
                              const struct password_login *login, uint64_t now_ns);

/* Only after password_check has said yes, and with the same users: others may have another hash for the name.
 */
void password_remember(struct password_cache *c, const struct password_users *u,
                       const struct password_login *login, uint64_t now_ns);

#endif
