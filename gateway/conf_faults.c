/* conf_faults.c: see conf_faults.h. */
#include "gateway/conf_faults.h"

#include "lib/nearest.h"

#define STATUS_MIN 100
#define STATUS_MAX 599

static const char *const ways[] = {"connect", "reset", "timeout",
                                   "malformed"}; /* the bits, from the lowest */
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void add_statuses(struct conf_faults *f, unsigned first, unsigned last)
{
    for (unsigned s = first; s <= last; s++)
        f->statuses[s / 64] |= UINT64_C(1) << (s % 64);
}

/* "503", "5xx" or "500-504". */
static bool parse_statuses(struct slice s, unsigned *first, unsigned *last)
{
    uint64_t a, b;
    if (s.len == 3 && s.p[0] >= '1' && s.p[0] <= '5' && memcmp(s.p + 1, "xx", 2) == 0) {
        *first = (unsigned)(s.p[0] - '0') * 100;
        *last = *first + 99;
        return true;
    }
    if (s.len != 3 && !(s.len == 7 && s.p[3] == '-'))
        return false;
    if (!slice_to_u64((struct slice){s.p, 3}, STATUS_MAX, &a) ||
        !slice_to_u64((struct slice){s.p + s.len - 3, 3}, STATUS_MAX, &b))
        return false;
    *first = (unsigned)a;
    *last = (unsigned)b;
    return a >= STATUS_MIN && a <= b;
}

static bool add_word(struct conf_faults *f, struct slice word, bool only_statuses, struct conf_why *why)
{
    unsigned first, last;
    if (parse_statuses(word, &first, &last))
        return add_statuses(f, first, last), true;
    for (size_t i = 0; i < WAYS && !only_statuses; i++)
        if (slice_eq(word, slice_of(ways[i])))
            return f->ways |= 1u << i, true;
    const char *meant = only_statuses ? NULL : nearest(word, ways, WAYS);
    return conf_refuse(why, "'%.*s' is no status such as 503, 5xx or 500-504%s%s%s%s", SLICE_ARG(word),
                       only_statuses ? "" : ", nor one of connect, reset, timeout, malformed",
                       meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

static void add_fallback(struct conf_faults *f, const char *words)
{
    struct conf_why why;
    struct slice left = slice_of(words);
    while (left.len > 0) {
        ptrdiff_t end = slice_find(left, ' ');
        struct slice word = {left.p, end < 0 ? left.len : (size_t)end};
        CHECK(add_word(f, word, false, &why));
        left = slice_skip(left, end < 0 ? left.len : word.len + 1);
    }
}

void conf_build_faults(struct conf_load *load, const struct conf_node *node,
                       const struct conf_section *section, const struct conf_faults_want *want,
                       struct conf_faults *out)
{
    size_t n;
    int *places;
    struct conf_why why;
    *out = (struct conf_faults){0};
    if (!node || conf_node_count(node, want->name) == 0) {
        add_fallback(out, want->fallback);
        return;
    }
    const char **texts = conf_texts(load, node, conf_schema_get(section, want->name), &n, &places);
    for (size_t i = 0; i < n; i++)
        if (!add_word(out, slice_of(texts[i]), want->only_statuses, &why))
            conf_mistake(load->report, places[i], "%s: %s", want->name, why.text);
}

void conf_print_faults(const char *name, const struct conf_faults *f, int indent, FILE *out)
{
    const char *comma = "";
    fprintf(out, "%*s%s = {", indent, "", name);
    for (size_t i = 0; i < WAYS; i++)
        if (f->ways & 1u << i) {
            fprintf(out, "%s\"%s\"", comma, ways[i]);
            comma = ", ";
        }
    for (unsigned s = STATUS_MIN, last; s <= STATUS_MAX; s = last + 1) {
        for (last = s; last < STATUS_MAX && conf_faults_have_status(f, last + 1); last++)
            ;
        if (!conf_faults_have_status(f, s)) {
            last = s;
            continue;
        }
        fprintf(out, last > s ? "%s\"%u-%u\"" : "%s\"%u\"", comma, s, last);
        comma = ", ";
    }
    fputs("}\n", out);
}
