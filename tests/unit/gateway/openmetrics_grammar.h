/*
 * openmetrics_grammar.h: what is wrong with a page of OpenMetrics 1.0, by its own reading of the standard.
 *
 *     char fault[OPENMETRICS_FAULT];
 *     ck_assert_msg(openmetrics_is_good(page, fault), "%s", fault);
 *
 * Stricter than Prometheus: metadata stand before the samples and once, families come once, no sample twice,
 * endings fit the type, buckets rise in bound and count up to +Inf and the count, numbers of `le` have a
 * point, exemplars stand at buckets only, within their bounds.
 */
#ifndef TESTS_OPENMETRICS_GRAMMAR_H
#define TESTS_OPENMETRICS_GRAMMAR_H

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPENMETRICS_FAULT    512
#define OPENMETRICS_FAMILIES 256
#define OPENMETRICS_NAME     128

struct openmetrics_reader {
    const char *line; /* being read, NUL-terminated */
    const char *at;   /* in it */
    char family[OPENMETRICS_NAME], type[32];
    bool has_type, has_unit, has_help, has_samples; /* of the family */
    char families[OPENMETRICS_FAMILIES][OPENMETRICS_NAME];
    size_t nfamilies;
    size_t key_len;          /* of the sample: its name and labels */
    char le[64];             /* of the sample */
    char rest[1024];         /* its other labels */
    char series[1024];       /* whose buckets are being read */
    double bound, count;     /* of the bucket before */
    bool is_bucket, is_open; /* +Inf has not come */
    char *fault;
};

static inline bool openmetrics_wrong(struct openmetrics_reader *r, const char *why)
{
    snprintf(r->fault, OPENMETRICS_FAULT, "%s: %.400s", why, r->line);
    return false;
}

static inline bool openmetrics_name(struct openmetrics_reader *r, char *name, bool colon)
{
    size_t n = 0;
    while (isalnum((unsigned char)r->at[n]) || r->at[n] == '_' || (colon && r->at[n] == ':'))
        n++;
    if (n == 0 || n >= OPENMETRICS_NAME || isdigit((unsigned char)r->at[0]))
        return openmetrics_wrong(r, "a name is wanted");
    memcpy(name, r->at, n);
    name[n] = '\0';
    r->at += n;
    return true;
}

static inline bool openmetrics_take(struct openmetrics_reader *r, const char *text)
{
    if (strncmp(r->at, text, strlen(text)) != 0)
        return false;
    r->at += strlen(text);
    return true;
}

/* Up to END; backslash only before n, quote and backslash. */
static inline bool openmetrics_escaped(struct openmetrics_reader *r, char end)
{
    for (; *r->at != end; r->at++) {
        if (*r->at == '\0' || *r->at == '"')
            return openmetrics_wrong(r, "a text does not end, or has a bare quote");
        if (*r->at == '\\' && !strchr("n\"\\", *++r->at))
            return openmetrics_wrong(r, "an escape that is none");
    }
    return true;
}

static inline bool openmetrics_number(struct openmetrics_reader *r, double *number)
{
    size_t n = strspn(r->at, "+-0123456789.e");
    char *end;
    if (strncmp(r->at, "+Inf", 4) == 0)
        n = 4;
    *number = strtod(r->at, &end);
    if (n == 0 || end != r->at + n)
        return openmetrics_wrong(r, "a number is wanted");
    r->at = end;
    return true;
}

/* Labels with braces, or nothing; LEN: of their names and values. */
static inline bool openmetrics_labels(struct openmetrics_reader *r, size_t *len)
{
    char name[OPENMETRICS_NAME], seen[1024] = ",";
    *len = 0;
    if (!openmetrics_take(r, "{"))
        return true;
    while (!openmetrics_take(r, "}")) {
        if (*len > 0 && !openmetrics_take(r, ","))
            return openmetrics_wrong(r, "a comma is wanted");
        if (!openmetrics_name(r, name, false) || !openmetrics_take(r, "=\""))
            return openmetrics_wrong(r, "a label is wanted");
        const char *value = r->at;
        if (!openmetrics_escaped(r, '"'))
            return false;
        char key[OPENMETRICS_NAME + 2];
        snprintf(key, sizeof(key), ",%s,", name);
        if (strstr(seen, key))
            return openmetrics_wrong(r, "a label twice");
        snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s,", name);
        *len += strlen(name) + (size_t)(r->at - value);
        if (strcmp(name, "le") == 0)
            snprintf(r->le, sizeof(r->le), "%.*s", (int)(r->at - value), value);
        else
            snprintf(r->rest + strlen(r->rest), sizeof(r->rest) - strlen(r->rest), "%s=%.*s,", name,
                     (int)(r->at - value), value);
        r->at++;
    }
    return true;
}

static inline bool openmetrics_begin(struct openmetrics_reader *r, const char *name)
{
    if (strcmp(name, r->family) == 0)
        return !r->has_samples || openmetrics_wrong(r, "metadata behind samples");
    if (r->is_open)
        return openmetrics_wrong(r, "buckets without +Inf before");
    for (size_t i = 0; i < r->nfamilies; i++)
        if (strcmp(r->families[i], name) == 0)
            return openmetrics_wrong(r, "a family again");
    if (r->nfamilies == OPENMETRICS_FAMILIES)
        return openmetrics_wrong(r, "too many families");
    snprintf(r->families[r->nfamilies++], OPENMETRICS_NAME, "%s", name);
    snprintf(r->family, sizeof(r->family), "%s", name);
    snprintf(r->type, sizeof(r->type), "unknown");
    r->has_type = r->has_unit = r->has_help = r->has_samples = false;
    return true;
}

static inline bool openmetrics_once(struct openmetrics_reader *r, bool *has)
{
    if (*has)
        return openmetrics_wrong(r, "metadata twice");
    *has = true;
    return true;
}

static inline bool openmetrics_metadata(struct openmetrics_reader *r)
{
    char name[OPENMETRICS_NAME], kind = r->at[0];
    if (!openmetrics_take(r, "TYPE ") && !openmetrics_take(r, "UNIT ") && !openmetrics_take(r, "HELP "))
        return openmetrics_wrong(r, "a comment");
    if (!openmetrics_name(r, name, true) || !openmetrics_take(r, " ") || !openmetrics_begin(r, name))
        return r->fault[0] ? false : openmetrics_wrong(r, "a blank is wanted");
    if (kind == 'H')
        return openmetrics_once(r, &r->has_help) && openmetrics_escaped(r, '\0');
    if (kind == 'T') {
        static const char types[] = " counter gauge histogram gaugehistogram summary info stateset unknown ";
        char word[40];
        snprintf(word, sizeof(word), " %s ", r->at);
        snprintf(r->type, sizeof(r->type), "%s", r->at);
        return openmetrics_once(r, &r->has_type) &&
               (strstr(types, word) || openmetrics_wrong(r, "an unknown type"));
    }
    size_t len = strlen(name), unit = strlen(r->at);
    if (unit == 0 || len < unit + 2 || strcmp(name + len - unit, r->at) != 0 || name[len - unit - 1] != '_')
        return openmetrics_wrong(r, "the name does not end in the unit");
    return openmetrics_once(r, &r->has_unit);
}

static inline bool openmetrics_ending(struct openmetrics_reader *r, const char *name, const char **ending)
{
    static const char *const allowed[][5] = {
        {"counter", "_total", "_created", NULL, NULL},
        {"histogram", "_bucket", "_count", "_sum", "_created"},
        {"gauge", "", NULL, NULL, NULL},
        {"unknown", "", NULL, NULL, NULL},
    };
    size_t len = strlen(r->family);
    if (strncmp(name, r->family, len) != 0)
        return openmetrics_wrong(r, "a sample of another family");
    *ending = name + len;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        for (size_t j = 1; j < 5 && strcmp(r->type, allowed[i][0]) == 0; j++)
            if (allowed[i][j] && strcmp(*ending, allowed[i][j]) == 0)
                return true;
    return openmetrics_wrong(r, "an ending that the type does not have");
}

static inline bool openmetrics_bucket(struct openmetrics_reader *r, double count, double *from, double *to)
{
    bool is_first = !r->is_open || strcmp(r->series, r->rest) != 0;
    char *end;
    *to = strtod(r->le, &end);
    if (r->le[0] == '\0' || *end != '\0')
        return openmetrics_wrong(r, "a bucket without le");
    if (!isinf(*to) && !strpbrk(r->le, ".e"))
        return openmetrics_wrong(r, "le without a point");
    if (r->is_open && is_first)
        return openmetrics_wrong(r, "buckets without +Inf before");
    if (!is_first && (*to <= r->bound || count < r->count))
        return openmetrics_wrong(r, "buckets that do not rise");
    *from = is_first ? -INFINITY : r->bound;
    snprintf(r->series, sizeof(r->series), "%s", r->rest);
    r->bound = *to;
    r->count = count;
    r->is_open = !isinf(*to);
    return true;
}

static inline bool openmetrics_exemplar(struct openmetrics_reader *r, double from, double to)
{
    size_t len;
    double value, at;
    if (!r->is_bucket)
        return openmetrics_wrong(r, "an exemplar where none may be");
    if (*r->at != '{' || !openmetrics_labels(r, &len) || !openmetrics_take(r, " ") ||
        !openmetrics_number(r, &value))
        return r->fault[0] ? false : openmetrics_wrong(r, "an exemplar is wanted");
    if (len > 128 || value <= from || value > to)
        return openmetrics_wrong(r, "an exemplar too long, or of another bucket");
    return !openmetrics_take(r, " ") || openmetrics_number(r, &at);
}

static inline bool openmetrics_sample(struct openmetrics_reader *r)
{
    char name[OPENMETRICS_NAME];
    const char *ending;
    double value, from = 0, to = 0;
    size_t len;
    r->le[0] = r->rest[0] = '\0';
    r->has_samples = true;
    if (!openmetrics_name(r, name, true) || !openmetrics_ending(r, name, &ending) ||
        !openmetrics_labels(r, &len))
        return false;
    r->key_len = (size_t)(r->at - r->line);
    if (!openmetrics_take(r, " ") || !openmetrics_number(r, &value))
        return r->fault[0] ? false : openmetrics_wrong(r, "a value is wanted");
    r->is_bucket = strcmp(ending, "_bucket") == 0;
    if (ending[0] && (value < 0 || isinf(value)))
        return openmetrics_wrong(r, "a count that is none");
    if (r->is_bucket && !openmetrics_bucket(r, value, &from, &to))
        return false;
    if (strcmp(ending, "_count") == 0 && (r->is_open || value != r->count || strcmp(r->series, r->rest) != 0))
        return openmetrics_wrong(r, "a count that is not that of +Inf");
    if (openmetrics_take(r, " # ") && !openmetrics_exemplar(r, from, to))
        return false;
    return *r->at == '\0' || openmetrics_wrong(r, "something behind the sample");
}

/* No sample, less its value, stands in PAGE before LINE too. */
static inline bool openmetrics_is_new(struct openmetrics_reader *r, const char *page, const char *line)
{
    size_t len = r->key_len;
    for (const char *p = page; p < line; p = strchr(p, '\n') + 1)
        if (strncmp(p, r->line, len) == 0 && p[len] == ' ')
            return openmetrics_wrong(r, "a sample twice");
    return true;
}

static inline bool openmetrics_line(struct openmetrics_reader *r, const char *page, const char *line)
{
    r->at = r->line;
    if (strchr(r->line, '\r') || r->line[0] == '\0')
        return openmetrics_wrong(r, "an empty line, or a carriage return");
    if (openmetrics_take(r, "# "))
        return openmetrics_metadata(r);
    return openmetrics_sample(r) && openmetrics_is_new(r, page, line);
}

static inline bool openmetrics_is_good(const char *page, char fault[OPENMETRICS_FAULT])
{
    static struct openmetrics_reader reader;
    static char line[8192];
    reader = (struct openmetrics_reader){.line = line, .fault = fault};
    fault[0] = '\0';
    for (const char *p = page;;) {
        size_t len = strcspn(p, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)len, p);
        if (p[len] != '\n' || len >= sizeof(line))
            return openmetrics_wrong(&reader, "a line does not end, or is too long");
        if (strcmp(line, "# EOF") == 0)
            return (p[len + 1] == '\0' && !reader.is_open) || openmetrics_wrong(&reader, "not the end");
        if (!openmetrics_line(&reader, page, p))
            return false;
        p += len + 1;
    }
}

#endif
