/*
 * admin_audit.h: what is written down of requests to the admin port.
 *
 * Every write that was let through makes one line of the error log, with who sent it, from where, and how it
 * ended:
 *     admin: token from 10.0.0.7: POST /servers?backend=users&server=users-1:9000&drain=yes -> 200
 * Refused requests are counted and told too, but at most one line a second, for somebody may be trying tokens
 * as fast as he can; the line tells how many there were beside it:
 *     admin: refused nobody from 10.0.0.7: GET /metrics -> 401 this token is not known (and 211 more)
 *
 *     admin_audit_done(&audit, &act, 200);              // what was let to a page has its answer
 *     admin_audit_refused(&audit, &act, "...", now_ns); // what was not
 *     admin_audit_tick(&audit, now_ns);                 // once a second or so
 *
 * Bytes that a client chose are escaped and cut. Owned by one thread.
 */
#ifndef GATEWAY_ADMIN_AUDIT_H
#define GATEWAY_ADMIN_AUDIT_H

#include <stdio.h>

#include "gateway/admin_access.h"
#include "gateway/log.h"
#include "lib/buf.h"

#define ADMIN_TARGET_SHOWN 400 /* bytes of a target in a line, escapes included */

struct admin_audit {
    struct log *log;                /* lent */
    uint64_t reads, writes, denied; /* requests; those refused for any reason are denied */
    uint64_t wrong_tokens;          /* of the denied */
    uint64_t quiet_until_ns;
    uint64_t untold; /* refused since the last line */
};

/* A request. */
struct admin_act {
    enum admin_who who;
    const char *peer; /* an address; "unix" with a user's number for a socket in the file system */
    const char *method;
    const char *target; /* raw */
    unsigned status;
    bool is_write;
};

void admin_audit_done(struct admin_audit *a, const struct admin_act *act);

/* WHY is NULL for what hurts nobody, such as a page that is not there: it is counted only. */
void admin_audit_refused(struct admin_audit *a, const struct admin_act *act, const char *why,
                         uint64_t now_ns);

/* Tells of refused requests that no line has told of. */
void admin_audit_tick(struct admin_audit *a, uint64_t now_ns);

/* Families of metrics. */
void admin_audit_metrics(const struct admin_audit *a, FILE *out);

/* TEXT with all but visible ASCII as %XX, cut after ADMIN_TARGET_SHOWN bytes with "..." behind. */
void admin_audit_escape(const char *text, struct buf *out);

#endif
