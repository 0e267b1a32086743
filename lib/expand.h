/*
 * expand.h: ${VAR} and ${VAR:-default} in a text.
 *
 * As in a shell: ${VAR} is the variable's value, ${VAR:-default} its value unless it is unset or empty, and
 * then the default; "$${" is a literal "${", and any other '$' stands for itself. A name has letters, digits
 * and '_', and does not begin with a digit. Values are inserted as they are and not looked at again. A
 * default reaches to the next '}' and may not hold "${".
 *
 *     struct expand_fault fault;
 *     char *text = expand(SLICE("http://${HOST:-localhost}:80"), lookup, NULL, &fault);
 *     if (!text) complain(fault.kind, fault.name);
 *     free(text);
 *
 * Pure but for the lookup function; callable from any thread.
 */
#ifndef LIB_EXPAND_H
#define LIB_EXPAND_H

#include "lib/check.h"
#include "lib/slice.h"

/* The value of NAME, or NULL when it is not set; lent until the next call. */
typedef const char *expand_lookup(void *ctx, const char *name);

enum expand_kind {
    EXPAND_OK,
    EXPAND_UNSET,    /* not set, and there is no default */
    EXPAND_OPEN,     /* "${" without its '}' */
    EXPAND_BAD_NAME, /* what stands in the braces is no name */
    EXPAND_NESTED,   /* a "${" inside a default */
    EXPAND_MEMORY,   /* out of memory, or the result is longer than EXPAND_MAX */
};

#define EXPAND_NAME_MAX 128       /* bytes of a name, with a NUL */
#define EXPAND_MAX      (1 << 20) /* bytes of a result */

struct expand_fault {
    enum expand_kind kind;
    char name[EXPAND_NAME_MAX]; /* the variable it is about, cut when long; "" when there is none */
};

/* Gives the expanded text, NUL-terminated, to be freed with free(); NULL with *FAULT filled. TEXT holds no
 * NUL. */
MUST_USE char *expand(struct slice text, expand_lookup *lookup, void *ctx, struct expand_fault *fault);

#endif
