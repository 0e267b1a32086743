/*
 * logins.c: see logins.h.
 *
 * A login goes as a message to the actor and the same memory comes back as a call on the worker. Two hold it:
 * the message, wherever it is, and the request, which may end first. Only the worker touches `exchange`.
 */
#include "gateway/logins.h"

#include <stdlib.h>
#include <sys/random.h>

#include "lib/bucket_table.h"
#include "lib/clock.h"
#include "lib/hash.h"

#define SECOND       UINT64_C(1000000000)
#define CACHE_LOGINS 4096  /* remembered by each worker */
#define ADDRESSES    65536 /* whose checks are counted */
#define SECRET       192
#define V6_CLIENT    8 /* bytes of an IPv6 address that tell clients apart: a /64 */

struct logins {
    struct actor *actor;
    struct bucket_table *asked; /* by address */
    struct token_rate rate;
    unsigned char secret[SECRET];
};

struct login {
    struct worker_call call; /* first */
    struct worker *worker;
    _Atomic unsigned refs;
    struct exchange *exchange; /* NULL: it has ended */
    struct password_users *users;
    struct password_login what; /* points into text */
    bool is_right;
    char text[PASSWORD_USER_MAX + PASSWORD_MAX];
};

/* No password stays in memory that is free. */
static void login_put(struct login *l)
{
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) > 1)
        return;
    password_put(l->users);
    explicit_bzero(l->text, sizeof(l->text));
    free(l);
}

static void drop(struct message *m)
{
    login_put((struct login *)m);
}

/* ---- on the worker ---- */

static void remember(struct worker *w, const struct login *l)
{
    if (!w->logins)
        w->logins = password_cache_new(CACHE_LOGINS, LOGIN_TTL_S * SECOND);
    if (w->logins)
        password_remember(w->logins, l->users, &l->what, clock_now_ns());
}

static void on_answer(struct worker *w, struct worker_call *call)
{
    struct login *l = (struct login *)call;
    if (l->is_right)
        remember(w, l);
    if (l->exchange) {
        struct exchange *x = l->exchange;
        x->access.login_is_right = l->is_right;
        x->access.login = NULL;
        login_forget(l);
        exchange_wake(x);
    }
    login_put(l);
}

void login_forget(struct login *login)
{
    if (!login)
        return;
    login->exchange = NULL;
    login_put(login);
}

static struct login *login_new(struct exchange *x, struct password_users *users,
                               const struct password_login *what)
{
    size_t user = what->user.len, password = what->password.len;
    if (user > PASSWORD_USER_MAX || password > PASSWORD_MAX)
        return NULL;
    struct login *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    memcpy(l->text, what->user.p, user);
    memcpy(l->text + user, what->password.p, password);
    l->what = (struct password_login){{l->text, user}, {l->text + user, password}};
    l->call.base.free = drop;
    l->call.run = on_answer;
    l->worker = x->worker;
    l->exchange = x;
    l->users = password_get(users);
    atomic_init(&l->refs, 2);
    return l;
}

/* Whether the client's address may have another one checked. */
static bool may_ask(struct exchange *x, struct logins *l, uint64_t now)
{
    const struct ip *ip = &x->record.client_ip;
    size_t len = ip_is_v4(ip) ? sizeof(ip->b) : V6_CLIENT;
    XXH128_hash_t h = XXH3_128bits_withSecret(ip->b, len, l->secret, SECRET);
    const struct bucket_key key = {h.high64, h.low64};
    const struct token_ask ask = {&l->rate, now, 1, 0};
    struct token_result r = bucket_table_take(l->asked, x->worker->setup.index, key, &ask);
    if (!r.admitted)
        x->retry_after_s = r.retry_ns / SECOND + 1;
    return r.admitted;
}

enum login_result logins_check(struct exchange *x, struct password_users *users,
                               const struct password_login *what)
{
    struct worker *w = x->worker;
    uint64_t now = clock_now_ns();
    if (w->logins && password_cached(w->logins, users, what, now))
        return LOGIN_RIGHT;
    if (!may_ask(x, w->setup.passwords, now))
        return LOGIN_TOO_MANY;
    struct login *l = login_new(x, users, what);
    if (!l)
        return LOGIN_BUSY;
    if (!actor_send(w->setup.passwords->actor, &l->call.base)) {
        login_forget(l);
        login_put(l);
        return LOGIN_BUSY;
    }
    x->access.login = l;
    return LOGIN_WAIT;
}

/* ---- on the actor ---- */

static void on_login(void *self, struct message *m)
{
    struct login *l = (struct login *)m;
    (void)self;
    l->is_right = password_check(l->users, &l->what);
    if (!worker_post_call(l->worker, &l->call))
        drop(m);
}

/* ---- life ---- */

struct logins *logins_new(struct err *err)
{
    struct logins *l = calloc(1, sizeof(*l));
    const struct actor_setup setup = {.name = "logins", .self = l, .handle = on_login, .max = LOGINS_WAITING};
    if (l && getrandom(l->secret, SECRET, 0) == SECRET && token_rate_init(&l->rate, 1, SECOND, LOGIN_BURST) &&
        (l->asked = bucket_table_new(ADDRESSES, 256)) && (l->actor = actor_new(&setup, err)))
        return l;
    if (!err_is_set(err))
        err_set(err, ERR_SELF, "out of memory");
    logins_free(l);
    return NULL;
}

void logins_stop(struct logins *l)
{
    bool is_over = actor_stop(l->actor, clock_now_ns());
    while (!is_over)
        is_over = actor_stop(l->actor, clock_now_ns() + SECOND);
}

void logins_free(struct logins *l)
{
    if (!l)
        return;
    if (l->actor)
        actor_free(l->actor);
    bucket_table_free(l->asked);
    free(l);
}
