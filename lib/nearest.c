/*
 * nearest.c: see nearest.h.
 *
 * The usual table of distances between all beginnings of both names, of which three rows are kept: a swap of
 * neighbours looks back two rows.
 */
#include "lib/nearest.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

size_t nearest_distance(struct slice a, struct slice b)
{
    size_t rows[3][NEAREST_MAX + 1];
    if (a.len > NEAREST_MAX || b.len > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.p[i - 1]), y = lower(b.p[j - 1]);
            row[j] = least(least(before[j], row[j - 1]) + 1, before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.p[j - 2]) && y == lower(a.p[i - 2]))
                row[j] = least(row[j], two_before[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

static bool is_near(size_t distance, struct slice a, struct slice b)
{
    size_t longer = a.len > b.len ? a.len : b.len;
    size_t allowed = longer / 3 > 0 ? longer / 3 : longer >= 2;
    struct slice beginning = {b.p, least(a.len, b.len)};
    return distance <= allowed ||
           (beginning.len >= 3 && slice_eq_nocase((struct slice){a.p, beginning.len}, beginning));
}

const char *nearest(struct slice name, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (!names[i])
            continue;
        struct slice one = slice_of(names[i]);
        size_t distance = nearest_distance(name, one);
        if (distance < best_distance && is_near(distance, name, one)) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}
