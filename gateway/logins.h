/*
 * logins.h: checking passwords, which is slow on purpose, away from the workers.
 *
 * One thread (an actor) does nothing else. A worker that does not know a login yet posts it here and parks
 * the request; the answer comes back as a call on the worker, which remembers a right one for LOGIN_TTL_S.
 * At most LOGINS_WAITING wait, and a client's address gets LOGIN_BURST checks and one more each second, so
 * that guessing is slow and does not keep others out.
 */
#ifndef GATEWAY_LOGINS_H
#define GATEWAY_LOGINS_H

#include "gateway/worker.h"
#include "lib/password.h"

#define LOGIN_TTL_S    300
#define LOGINS_WAITING 64
#define LOGIN_BURST    20

struct logins;
struct login;

enum login_result {
    LOGIN_RIGHT,    /* known to be */
    LOGIN_WAIT,     /* X->access.login is set until the answer is there; then X is woken */
    LOGIN_TOO_MANY, /* of this address: x->retry_after_s is set */
    LOGIN_BUSY,     /* too many wait, or memory is short */
};

/* NULL with err. */
MUST_USE struct logins *logins_new(struct err *err);

/* End the thread; what waits is dropped. Before the workers end. */
void logins_stop(struct logins *l);

/* After logins_stop, when no worker runs. NULL is allowed. */
void logins_free(struct logins *l);

/* Worker's thread. Everything is copied. */
MUST_USE enum login_result logins_check(struct exchange *x, struct password_users *users,
                                        const struct password_login *login);

/* The request does not wait for it any more; NULL is allowed. Worker's thread. */
void login_forget(struct login *login);

#endif
