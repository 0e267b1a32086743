/*
 * err.h: an error with its causes, from the system call up.
 *
 * The lowest level sets the error, each level above adds what it was doing; nothing is ever replaced. The
 * chain reads from the outside in: "send request to 10.0.0.3:9000: write: connection reset by peer".
 *
 *     if (write(fd, p, n) < 0)
 *         return err_sys(e, ERR_UPSTREAM, errno, "write"), false;
 *     ...
 *     err_add(e, "send request to %s", endpoint->text);
 *
 * A struct err is embedded, needs no memory and no clean-up; {0} is "no error". Text that does not fit is
 * cut. Owned by one thread. A NULL struct err is allowed everywhere: the caller does not want to know.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "lib/buf.h"

/* Whose fault it is. */
enum err_origin { ERR_NONE, ERR_CLIENT, ERR_UPSTREAM, ERR_STORE, ERR_SELF };

#define ERR_DEPTH 6  /* links of a chain; the root and the outermost are kept when there are more */
#define ERR_TEXT  96 /* bytes of one link, with its NUL */

struct err {
    enum err_origin origin;
    int sys;                        /* errno at the root, or 0 */
    bool retryable;                 /* the same may succeed elsewhere or later */
    unsigned depth;                 /* links in use; 0: no error */
    char link[ERR_DEPTH][ERR_TEXT]; /* link[0] is the root cause */
};

static inline bool err_is_set(const struct err *e)
{
    return e && e->depth > 0;
}

void err_clear(struct err *e);

/* Begin a chain. On one that is set already it adds, as err_add does: the root and its origin stay. */
void err_set(struct err *e, enum err_origin origin, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set: the root is a failed system call, WHAT and the words of SYS; retryable is told by SYS. */
void err_sys(struct err *e, enum err_origin origin, int sys, const char *what);

/* Put what was being done around the chain. Without an error it does nothing. */
void err_add(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *err_origin_name(enum err_origin o);

/* The chain from the outside in, joined by ": ". */
void err_text(const struct err *e, struct buf *out);

#endif
