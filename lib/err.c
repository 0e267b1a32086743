/*
 * err.c: an error with its causes; see err.h.
 *
 * link[0] is never lost: when a chain grows past ERR_DEPTH the link next to the root makes room, because the
 * system's own words and the outermost context are what a reader of a log wants first.
 */
#include "lib/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* System errors that another server, or the same one later, may not give. */
static bool is_retryable(int sys)
{
    switch (sys) {
    case EAGAIN:
    case EINTR:
    case EPIPE:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENOTCONN:
    case ETIMEDOUT:
    case EADDRNOTAVAIL:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return true;
    default:
        return false;
    }
}

/* A place for one more link. */
static char *next_link(struct err *e)
{
    if (e->depth == ERR_DEPTH) {
        memmove(e->link[1], e->link[2], sizeof(e->link[0]) * (ERR_DEPTH - 2));
        e->depth--;
    }
    return e->link[e->depth++];
}

PRINTF_LIKE(2, 0)
static void add_text(struct err *e, const char *fmt, va_list ap)
{
    char *link = next_link(e);
    if (vsnprintf(link, ERR_TEXT, fmt, ap) < 0)
        link[0] = '\0';
}

void err_clear(struct err *e)
{
    if (!e)
        return;
    e->origin = ERR_NONE;
    e->sys = 0;
    e->retryable = false;
    e->depth = 0; /* so no link counts */
}

void err_set(struct err *e, enum err_origin origin, const char *fmt, ...)
{
    if (!e)
        return;
    if (e->depth == 0) {
        e->origin = origin;
        e->sys = 0;
        e->retryable = false;
    }
    va_list ap;
    va_start(ap, fmt);
    add_text(e, fmt, ap);
    va_end(ap);
}

void err_sys(struct err *e, enum err_origin origin, int sys, const char *what)
{
    if (!e)
        return;
    bool is_root = e->depth == 0;
    char memory[ERR_TEXT];
    const char *words = strerror_r(sys, memory, sizeof(memory));
    char first = words[0];
    if (first >= 'A' && first <= 'Z' && words[1] >= 'a' && words[1] <= 'z')
        first = (char)(first | 0x20);
    err_set(e, origin, "%s: %c%s", what, first, first ? words + 1 : "");
    if (is_root) {
        e->sys = sys;
        e->retryable = is_retryable(sys);
    }
}

void err_add(struct err *e, const char *fmt, ...)
{
    if (!err_is_set(e))
        return;
    va_list ap;
    va_start(ap, fmt);
    add_text(e, fmt, ap);
    va_end(ap);
}

const char *err_origin_name(enum err_origin o)
{
    switch (o) {
    case ERR_NONE:
        return "none";
    case ERR_CLIENT:
        return "client";
    case ERR_UPSTREAM:
        return "upstream";
    case ERR_STORE:
        return "store";
    case ERR_SELF:
        return "self";
    }
    return "unknown";
}

void err_text(const struct err *e, struct buf *out)
{
    if (!err_is_set(e))
        return;
    for (unsigned i = e->depth; i > 0; i--) {
        buf_add(out, slice_of(e->link[i - 1]));
        if (i > 1)
            buf_add(out, SLICE(": "));
    }
}
