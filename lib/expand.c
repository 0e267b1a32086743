/*
 * expand.c: see expand.h.
 *
 * One pass over the text, appending to a string that grows by doubling. The first fault ends the pass.
 */
#include "lib/expand.h"

#include <stdlib.h>

struct out {
    char *p;
    size_t len, cap;
};

static bool add(struct out *out, struct slice s)
{
    if (s.len > EXPAND_MAX || out->len + s.len > EXPAND_MAX)
        return false;
    if (out->len + s.len + 1 > out->cap) {
        size_t cap = 2 * (out->len + s.len + 1);
        char *p = realloc(out->p, cap);
        if (!p)
            return false;
        out->p = p;
        out->cap = cap;
    }
    if (s.len > 0)
        memcpy(out->p + out->len, s.p, s.len);
    out->len += s.len;
    out->p[out->len] = '\0';
    return true;
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0 && s.len < EXPAND_NAME_MAX;
}

static enum expand_kind fail(struct expand_fault *fault, enum expand_kind kind, struct slice name)
{
    size_t len = name.len < sizeof(fault->name) ? name.len : sizeof(fault->name) - 1;
    fault->kind = kind;
    if (len > 0)
        memcpy(fault->name, name.p, len);
    fault->name[len] = '\0';
    return kind;
}

/* Offset of ":-" in S, or -1. */
static ptrdiff_t find_default(struct slice s)
{
    ptrdiff_t colon = slice_find(s, ':');
    return colon >= 0 && (size_t)colon + 1 < s.len && s.p[colon + 1] == '-' ? colon : -1;
}

static bool has_reference(struct slice s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.p[i] == '$' && s.p[i + 1] == '{')
            return true;
    return false;
}

/* INSIDE is what stands between the braces; its value goes to *VALUE. */
static enum expand_kind look_up(struct slice inside, expand_lookup *lookup, void *ctx, struct slice *value,
                                struct expand_fault *fault)
{
    ptrdiff_t colon = find_default(inside);
    struct slice name = colon < 0 ? inside : (struct slice){inside.p, (size_t)colon};
    struct slice otherwise = colon < 0 ? (struct slice){"", 0} : slice_skip(inside, (size_t)colon + 2);
    if (!is_name(name))
        return fail(fault, EXPAND_BAD_NAME, inside);
    (void)fail(fault, EXPAND_OK, name);
    if (has_reference(otherwise))
        return fail(fault, EXPAND_NESTED, name);
    const char *set = lookup(ctx, fault->name);
    if (!set && colon < 0)
        return fail(fault, EXPAND_UNSET, name);
    *value = set && (*set || colon < 0) ? slice_of(set) : otherwise;
    return EXPAND_OK;
}

/* The piece of REST that is next, as what it becomes, and how many bytes of REST it took. */
static enum expand_kind next_piece(struct slice rest, expand_lookup *lookup, void *ctx, struct slice *piece,
                                   size_t *taken, struct expand_fault *fault)
{
    if (slice_starts(rest, SLICE("$${"))) {
        *piece = SLICE("${");
        *taken = 3;
        return EXPAND_OK;
    }
    if (slice_starts(rest, SLICE("${"))) {
        struct slice inside = slice_skip(rest, 2);
        ptrdiff_t close = slice_find(inside, '}');
        if (close < 0)
            return fail(fault, EXPAND_OPEN, (struct slice){"", 0});
        inside.len = (size_t)close;
        *taken = inside.len + 3;
        return look_up(inside, lookup, ctx, piece, fault);
    }
    ptrdiff_t dollar = slice_find(slice_skip(rest, 1), '$');
    *taken = dollar < 0 ? rest.len : (size_t)dollar + 1;
    *piece = (struct slice){rest.p, *taken};
    return EXPAND_OK;
}

char *expand(struct slice text, expand_lookup *lookup, void *ctx, struct expand_fault *fault)
{
    struct out out = {0};
    struct slice piece, rest = text;
    size_t taken = 0;
    fail(fault, EXPAND_OK, (struct slice){"", 0});
    if (!add(&out, (struct slice){"", 0}))
        goto no_memory;
    for (; rest.len > 0; rest = slice_skip(rest, taken)) {
        if (next_piece(rest, lookup, ctx, &piece, &taken, fault))
            goto failed;
        if (!add(&out, piece))
            goto no_memory;
    }
    return out.p;

no_memory:
    fail(fault, EXPAND_MEMORY, (struct slice){"", 0});
failed:
    free(out.p);
    return NULL;
}
