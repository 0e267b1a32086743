/* admin_query.c: see admin_query.h. Escapes are taken off in place: what comes out is never longer. */
#include "gateway/admin_query.h"

#include "lib/nearest.h"

#define SHOWN 64 /* bytes of a name that are told */

static bool refuse(struct buf *why, const char *before, const char *name, const char *after)
{
    buf_printf(why, "%s'%.*s'%s", before, SHOWN, name, after);
    return false;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte of an escape; 0 when it is none, or a NUL. */
static char escaped(const char *p)
{
    int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
    return low < 0 ? '\0' : (char)(high << 4 | low);
}

static bool decode(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        char c = *p == '+' ? ' ' : *p;
        if (*p == '%') {
            if ((c = escaped(p)) == '\0')
                return false;
            p += 2;
        }
        *out++ = c;
    }
    *out = '\0';
    return true;
}

static bool add(struct admin_query *q, char *pair, struct buf *why)
{
    char *value = strchr(pair, '=');
    if (value)
        *value++ = '\0';
    else
        value = pair + strlen(pair);
    if (!decode(pair) || (*value && !decode(value)))
        return refuse(why, "the parameter ", pair, " has an escape that is none, or of a NUL");
    if (admin_query_get(q, pair))
        return refuse(why, "the parameter ", pair, " is there twice");
    if (q->n == ADMIN_QUERY_MAX) {
        buf_printf(why, "there are more than %d parameters", ADMIN_QUERY_MAX);
        return false;
    }
    q->at[q->n].name = pair;
    q->at[q->n++].value = value;
    return true;
}

bool admin_query_parse(struct admin_query *q, char *text, struct buf *why)
{
    q->n = 0;
    for (char *pair; (pair = strsep(&text, "&"));)
        if (*pair && !add(q, pair, why))
            return false;
    return true;
}

const char *admin_query_get(const struct admin_query *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->at[i].name, name) == 0)
            return q->at[i].value;
    return NULL;
}

/* ---- what is known ---- */

static bool next_word(const char **rest, struct slice *word)
{
    const char *begin = *rest + strspn(*rest, " ");
    *word = (struct slice){begin, strcspn(begin, " ")};
    *rest = begin + word->len;
    return word->len > 0;
}

static bool is_known(const char *known, const char *name)
{
    for (struct slice word; next_word(&known, &word);)
        if (slice_eq(word, slice_of(name)))
            return true;
    return false;
}

/* The word of KNOWN that NAME was meant to be, or the empty slice. */
static struct slice meant(const char *known, const char *name)
{
    struct slice best = {0};
    size_t least = SIZE_MAX;
    for (struct slice word; next_word(&known, &word);) {
        size_t distance = nearest_distance(word, slice_of(name));
        if (distance < least) {
            least = distance;
            best = word;
        }
    }
    return least <= (best.len + 2) / 3 ? best : (struct slice){0};
}

static bool refuse_unknown(const char *known, const char *name, struct buf *why)
{
    struct slice best = meant(known, name);
    refuse(why, "there is no parameter ", name, "; there are: ");
    buf_add(why, slice_of(*known ? known : "none"));
    if (best.len > 0)
        buf_printf(why, "; did you mean '%.*s'?", SLICE_ARG(best));
    return false;
}

bool admin_query_check(const struct admin_query *q, const char *known, struct buf *why)
{
    for (size_t i = 0; i < q->n; i++)
        if (!is_known(known, q->at[i].name))
            return refuse_unknown(known, q->at[i].name, why);
    return true;
}

/* ---- path ---- */

bool admin_path_matches(const char *pattern, const char *path)
{
    const char *last = strstr(pattern, "/{");
    if (!last)
        return strcmp(pattern, path) == 0;
    size_t fixed = (size_t)(last - pattern) + 1;
    return strncmp(pattern, path, fixed) == 0 && path[fixed] != '\0' && !strchr(path + fixed, '/');
}
