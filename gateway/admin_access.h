/*
 * admin_access.h: who may do what on the admin port.
 *
 *     struct admin_access access;
 *     admin_access_init(&access, &conf->admin);
 *     const struct admin_caller caller = {.authorization = ..., .host = ..., .origin = ...};
 *     enum admin_who who;
 *     enum admin_denial d = admin_access_check(&access, ADMIN_WRITE, &caller, &who);
 *     if (d) ... admin_denial_info(d)->status
 *
 * A page is open, for reading or for writing. Open ones are for everybody. Where tokens are configured, the
 * others want one of them; the one for reading does not do for writing. Where none is, whoever can connect
 * has all rights, which only a loopback address or a unix socket allows; there a page of another site must
 * not reach in through the browser of somebody on this machine:
 *   - a name of its own that it points to 127.0.0.1 (DNS rebinding) is seen in Host: on a loopback address
 *     only names of this machine are answered;
 *   - a form or script that sends something here from there is seen in Origin, with tokens too.
 *
 * Tokens are copied and compared in constant time. Owned by one thread. Sources: RFC 6750; RFC 6454, 7.
 */
#ifndef GATEWAY_ADMIN_ACCESS_H
#define GATEWAY_ADMIN_ACCESS_H

#include "gateway/conf.h"
#include "lib/slice.h"

enum admin_right { ADMIN_OPEN, ADMIN_READ, ADMIN_WRITE };

enum admin_who { ADMIN_UNKNOWN, ADMIN_NO_TOKEN, ADMIN_READER, ADMIN_WRITER };

enum admin_denial {
    ADMIN_ALLOWED,
    ADMIN_DENIED_TOKEN_MISSING,
    ADMIN_DENIED_TOKEN_WRONG,
    ADMIN_DENIED_RIGHT,
    ADMIN_DENIED_HOST,
    ADMIN_DENIED_ORIGIN,
};

struct admin_denial_info {
    unsigned status;
    const char *detail;
    const char *challenge; /* value of WWW-Authenticate; NULL: none */
};

#define ADMIN_TOKEN_ROOM 512 /* bytes that are compared, whatever the length; more than CONF_TOKEN_MAX */

struct admin_access {
    char token[ADMIN_TOKEN_ROOM];      /* filled up with NULs; empty: none */
    char read_token[ADMIN_TOKEN_ROOM]; /* the same */
    bool is_loopback;                  /* an IP address that only this machine reaches */
    char host[64];                     /* that address */
};

/* What a request says of its sender; empty: nothing. */
struct admin_caller {
    struct slice authorization, host, origin;
};

void admin_access_init(struct admin_access *a, const struct conf_admin *conf);

/* Only the tokens. True when they are others than before. */
bool admin_access_renew(struct admin_access *a, const struct conf_admin *conf);

MUST_USE enum admin_denial admin_access_check(const struct admin_access *a, enum admin_right wanted,
                                              const struct admin_caller *caller, enum admin_who *who);

const struct admin_denial_info *admin_denial_info(enum admin_denial d);

/* "token", "read token", "no token" */
const char *admin_who_name(enum admin_who who);

#endif
