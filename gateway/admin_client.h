/*
 * admin_client.h: asking the admin port of a running gateway, for commands that look on.
 *
 *     struct admin_target target;
 *     if (!admin_target_set(&target, &(struct admin_ask){.conf = "/etc/tollgate/tollgate.conf"})) return 1;
 *     struct admin_call *c = admin_call_new(&target);
 *     if (!admin_call_start(c, "/status", NULL, NULL)) ...
 *     while ((state = admin_call_run(c, STDIN_FILENO, 200)) == ADMIN_BUSY)
 *         ...                                          // keys, a clock: it does not block longer than said
 *     if (state == ADMIN_DONE) use(admin_call_body(c));
 *     else complain(admin_call_error(c));
 *
 * One request at a time; the connection is kept. An answer is waited for 5 s, and a stream ends when it has
 * been silent for 60 s. Bodies are at most ADMIN_BODY_MAX bytes. Redirections are not followed: the token is
 * for that gateway only. No proxy is used.
 *
 * One thread. Everything that comes is hostile: nothing of it is checked here.
 */
#ifndef GATEWAY_ADMIN_CLIENT_H
#define GATEWAY_ADMIN_CLIENT_H

#include "lib/check.h"
#include "lib/slice.h"

#define ADMIN_BODY_MAX (32U << 20)
#define ADMIN_TEXT     512

/* How the user names a gateway. */
struct admin_ask {
    const char *url;   /* "http://127.0.0.1:9901", "unix:/run/x.sock"; NULL: as the configuration says */
    const char *token; /* NULL: that of the environment, TOLLGATE_ADMIN_TOKEN, or of the configuration */
    const char *conf;  /* its file */
};

struct admin_target {
    char url[ADMIN_TEXT]; /* without a slash at its end */
    char unix_path[ADMIN_TEXT];
    char token[ADMIN_TEXT]; /* empty: none */
};

/* False: what is wrong is on stderr. The configuration's token is never sent to a URL of the user's. */
MUST_USE bool admin_target_set(struct admin_target *t, const struct admin_ask *ask);

struct admin_call;

/* NULL: out of memory. T is copied. */
MUST_USE struct admin_call *admin_call_new(const struct admin_target *t);
void admin_call_free(struct admin_call *c);

typedef void admin_sink(void *ctx, struct slice bytes);

/* GET PATH (with its query). With a SINK it is a stream, whose bytes SINK is given; otherwise they are the
 * body. What was under way is given up. False: out of memory. */
MUST_USE bool admin_call_start(struct admin_call *c, const char *path, admin_sink *sink, void *ctx);

enum admin_state {
    ADMIN_IDLE,   /* nothing was asked */
    ADMIN_BUSY,   /* not there yet */
    ADMIN_DONE,   /* 200, and all of it is there; a stream has ended */
    ADMIN_FAILED, /* see admin_call_error */
};

/* Go on, for WAIT_MS at most; shorter when FD (-1: none) can be read, or something has come. */
MUST_USE enum admin_state admin_call_run(struct admin_call *c, int fd, unsigned wait_ms);

/* Lent until the next start. */
struct slice admin_call_body(const struct admin_call *c);
const char *admin_call_error(const struct admin_call *c);

/* Its status; 0: there was no answer. */
long admin_call_status(const struct admin_call *c);

/* Text of a user's as the value of a query parameter, behind NAME and "=". False when it does not fit. */
struct buf;
MUST_USE bool admin_add_parameter(struct buf *b, struct slice name, struct slice value);

#endif
