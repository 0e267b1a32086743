/*
 * router_pattern.c: the path of a route as it is written: checked, and read into a rule.
 *
 * A path is compared with paths in normal form, so one that is not in normal form could never match and is
 * refused, with the form it should have. A regular expression cannot be checked that way.
 */
#include "gateway/router_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/uri.h"

#define PATTERN_MAX 2048 /* bytes of a path */

/* Where a check writes its reason. */
struct reasons {
    char *text;
    size_t size;
};

static bool PRINTF_LIKE(2, 3) refuse(const struct reasons *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why->text, why->size, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- names ---- */

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i], low = (char)(c | 0x20);
        bool letter = (low >= 'a' && low <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0;
}

static bool is_taken(struct slice name)
{
    return slice_eq(name, SLICE("path")) || slice_eq(name, SLICE("query")) || slice_eq(name, SLICE("host"));
}

static bool check_name(const struct slice *names, size_t n, struct slice name, const struct reasons *why)
{
    if (!is_name(name))
        return refuse(why, "\"{%.*s}\": a name is made of letters, digits and '_'", SLICE_ARG(name));
    if (is_taken(name))
        return refuse(why, "\"{%.*s}\" has a meaning of its own; take another name", SLICE_ARG(name));
    for (size_t i = 0; i < n; i++)
        if (slice_eq(names[i], name))
            return refuse(why, "\"{%.*s}\" stands there twice", SLICE_ARG(name));
    return true;
}

/* ---- plain paths ---- */

bool router_pattern_next(struct slice *rest, struct slice *segment)
{
    if (rest->len == 0)
        return false;
    struct slice after = slice_skip(*rest, 1);
    ptrdiff_t end = slice_find(after, '/');
    segment->p = after.p;
    segment->len = end < 0 ? after.len : (size_t)end;
    *rest = slice_skip(after, segment->len);
    return true;
}

bool router_pattern_is_param(struct slice segment)
{
    return segment.len >= 2 && segment.p[0] == '{' && segment.p[segment.len - 1] == '}';
}

/* Collect the names of PATH's parameters; NAMES has ROUTER_PARAMS_MAX places. */
static bool check_segments(struct slice path, struct slice *names, size_t *n, const struct reasons *why)
{
    struct slice segment;
    size_t nsegments = 0;
    for (*n = 0; router_pattern_next(&path, &segment);) {
        if (++nsegments > ROUTER_SEGMENTS_MAX)
            return refuse(why, "more than %d segments", ROUTER_SEGMENTS_MAX);
        if (!router_pattern_is_param(segment)) {
            if (slice_find(segment, '{') >= 0 || slice_find(segment, '}') >= 0)
                return refuse(why, "\"%.*s\": a {name} stands for a whole segment", SLICE_ARG(segment));
            continue;
        }
        struct slice name = {segment.p + 1, segment.len - 2};
        if (*n == ROUTER_PARAMS_MAX)
            return refuse(why, "more than %d parameters", ROUTER_PARAMS_MAX);
        if (!check_name(names, *n, name, why))
            return false;
        names[(*n)++] = name;
    }
    return true;
}

static bool check_normal(struct slice path, const struct reasons *why)
{
    char space[PATTERN_MAX];
    struct uri_path normal;
    if (path.len > sizeof(space))
        return refuse(why, "longer than %d bytes", PATTERN_MAX);
    enum uri_fault fault = uri_normalise(path, space, &normal);
    if (fault != URI_OK)
        return refuse(why, "%s", uri_fault_text(fault));
    if (!slice_eq(path, normal.path))
        return refuse(why, "never matches; the normal form is \"%.*s\"", SLICE_ARG(normal.path));
    return true;
}

/* ---- regular expressions ---- */

static const struct slice numbers[ROUTER_PARAMS_MAX] = {
    {"1", 1}, {"2", 1},  {"3", 1},  {"4", 1},  {"5", 1},  {"6", 1},  {"7", 1},  {"8", 1},
    {"9", 1}, {"10", 2}, {"11", 2}, {"12", 2}, {"13", 2}, {"14", 2}, {"15", 2}, {"16", 2},
};

static bool is_regex(const char *path)
{
    return path[0] == '~';
}

static pcre2_code *compile(const char *path, const struct reasons *why)
{
    int error;
    PCRE2_SIZE offset;
    PCRE2_UCHAR words[128];
    struct slice text = slice_trim(slice_of(path + 1));
    if (text.len == 0) {
        refuse(why, "an empty regular expression");
        return NULL;
    }
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text.p, text.len, PCRE2_ANCHORED | PCRE2_NEVER_UTF, &error, &offset, NULL);
    if (!code) {
        pcre2_get_error_message(error, words, sizeof(words));
        refuse(why, "regular expression, at byte %zu: %s", offset, (char *)words);
    }
    return code;
}

/* Collect the names of CODE's groups: their numbers, but for those that have a name. */
static bool read_groups(pcre2_code *code, struct slice *names, size_t *n, const struct reasons *why)
{
    uint32_t ngroups, nnamed, step;
    PCRE2_SPTR entry;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &ngroups);
    pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &nnamed);
    pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &step);
    pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &entry);
    if (ngroups > ROUTER_PARAMS_MAX)
        return refuse(why, "more than %d groups; (?:...) does not count", ROUTER_PARAMS_MAX);
    for (uint32_t i = 0; i < ngroups; i++)
        names[i] = numbers[i];
    for (uint32_t i = 0; i < nnamed; i++, entry += step) {
        struct slice name = slice_of((const char *)entry + 2);
        if (!check_name(names, ngroups, name, why))
            return false;
        names[(entry[0] << 8 | entry[1]) - 1] = name;
    }
    *n = ngroups;
    return true;
}

/* ---- whole patterns ---- */

/* Names and, for a regular expression, its code, which is given. */
static bool read_path(const char *path, struct router_rule *rule, struct slice *names,
                      const struct reasons *why)
{
    if (!is_regex(path))
        return check_normal(slice_of(path), why) && check_segments(slice_of(path), names, &rule->nnames, why);
    rule->regex = compile(path, why);
    return rule->regex && read_groups(rule->regex, names, &rule->nnames, why);
}

bool router_pattern_read(struct router_rule *rule)
{
    char text[1] = "";
    struct slice names[ROUTER_PARAMS_MAX];
    if (!read_path(rule->route->path, rule, names, &(struct reasons){text, sizeof(text)}))
        return false;
    rule->names = calloc(rule->nnames + 1, sizeof(*rule->names));
    if (!rule->names)
        return false;
    if (rule->nnames > 0)
        memcpy(rule->names, names, rule->nnames * sizeof(names[0]));
    /* Where it cannot be had (a hardened kernel, a rare processor) the interpreter does the same, slower. */
    if (rule->regex)
        (void)pcre2_jit_compile(rule->regex, PCRE2_JIT_COMPLETE);
    return true;
}

static enum conf_path_kind kind_of(const char *path, size_t nparams)
{
    if (is_regex(path))
        return PATH_REGEX;
    bool is_prefix = path[strlen(path) - 1] == '/';
    if (nparams > 0)
        return is_prefix ? PATH_PARAM_PREFIX : PATH_PARAM;
    return is_prefix ? PATH_PREFIX : PATH_EXACT;
}

bool router_check_path(const char *path, enum conf_path_kind *kind, char *text, size_t size)
{
    const struct reasons why = {text, size};
    struct router_rule rule = {0};
    struct slice names[ROUTER_PARAMS_MAX];
    if (path[0] != '/' && path[0] != '~')
        return refuse(&why, "a path begins with '/', a regular expression with '~'");
    bool ok = read_path(path, &rule, names, &why);
    pcre2_code_free(rule.regex);
    if (ok)
        *kind = kind_of(path, rule.nnames);
    return ok;
}
