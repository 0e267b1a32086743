/*
 * openmetrics.c: see openmetrics.h.
 *
 * Line by line. HELP comes before TYPE on our pages, but only TYPE tells whether a family is a counter: so
 * HELP is kept until TYPE has come, and written after it, as OpenMetrics usually has it.
 */
#include "gateway/openmetrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/slice.h"

struct help {
    struct slice name, text;
};

static struct slice take_line(struct slice *rest)
{
    ptrdiff_t end = slice_find(*rest, '\n');
    struct slice line = {rest->p, end < 0 ? rest->len : (size_t)end};
    *rest = slice_skip(*rest, line.len + 1);
    return line;
}

/* The first word of S, and what follows its blank. */
static struct slice take_word(struct slice *s)
{
    ptrdiff_t end = slice_find(*s, ' ');
    struct slice word = {s->p, end < 0 ? s->len : (size_t)end};
    *s = slice_skip(*s, word.len + 1);
    return word;
}

static struct slice without(struct slice name, struct slice ending)
{
    if (slice_ends(name, ending) && name.len > ending.len)
        name.len -= ending.len;
    return name;
}

static void print_unit(FILE *out, struct slice family)
{
    static const char *const units[] = {"seconds", "bytes"};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct slice before = without(family, slice_of(units[i]));
        if (before.len < family.len && slice_ends(before, SLICE("_")))
            fprintf(out, "# UNIT %.*s %s\n", SLICE_ARG(family), units[i]);
    }
}

/* In HELP, OpenMetrics wants a quote escaped too. */
static void print_help(FILE *out, struct slice family, struct slice text)
{
    fprintf(out, "# HELP %.*s ", SLICE_ARG(family));
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '"')
            fputc('\\', out);
        fputc(text.p[i], out);
    }
    fputc('\n', out);
}

/* REST: the name and type of a family. */
static void print_type(FILE *out, struct slice rest, struct help *help)
{
    struct slice name = take_word(&rest), type = rest;
    struct slice family = slice_eq(type, SLICE("counter")) ? without(name, SLICE("_total")) : name;
    if (slice_eq(type, SLICE("untyped")))
        type = SLICE("unknown");
    fprintf(out, "# TYPE %.*s %.*s\n", SLICE_ARG(family), SLICE_ARG(type));
    print_unit(out, family);
    if (help->name.len > 0 && slice_eq(help->name, name))
        print_help(out, family, help->text);
    *help = (struct help){0};
}

static void print_line(FILE *out, struct slice line, struct help *help)
{
    static const char help_mark[] = "# HELP ", type_mark[] = "# TYPE ";
    if (slice_starts(line, slice_of(help_mark))) {
        struct slice rest = slice_skip(line, sizeof(help_mark) - 1);
        help->name = take_word(&rest);
        help->text = rest;
    } else if (slice_starts(line, slice_of(type_mark)))
        print_type(out, slice_skip(line, sizeof(type_mark) - 1), help);
    else if (line.len > 0 && line.p[0] != '#')
        fprintf(out, "%.*s\n", SLICE_ARG(line));
}

char *openmetrics_of(const char *text, size_t text_len, size_t *len)
{
    struct slice rest = {text, text_len};
    struct help help = {0};
    char *page = NULL;
    FILE *out = open_memstream(&page, len);
    if (!out)
        return NULL;
    while (rest.len > 0)
        print_line(out, take_line(&rest), &help);
    fputs("# EOF\n", out);
    bool ok = !ferror(out);
    if (fclose(out) == 0 && ok)
        return page;
    free(page);
    return NULL;
}
