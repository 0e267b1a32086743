/* cache_control.c: see cache_control.h. */
#include "lib/cache_control.h"

#include <stddef.h>

/* ---- what directives mean ---- */

enum kind {
    KIND_FLAG,     /* no value is wanted; one is passed over */
    KIND_NAMES,    /* may have names of fields */
    KIND_FRESH,    /* seconds; the shortest counts, a broken one is 0 */
    KIND_LONGEST,  /* seconds; the longest counts, a broken one does too: it restricts the more, the longer */
    KIND_OPTIONAL, /* seconds, or none for ever; the shortest counts */
};

static const struct directive {
    const char *name;
    enum cc_directive bit;
    enum kind kind;
    size_t offset; /* of its seconds */
    enum cc_directive with_names;
} directives[] = {
    {"max-age", CC_MAX_AGE, KIND_FRESH, offsetof(struct cache_control, max_age_s), 0},
    {"s-maxage", CC_S_MAXAGE, KIND_FRESH, offsetof(struct cache_control, s_maxage_s), 0},
    {"no-store", CC_NO_STORE, KIND_FLAG, 0, 0},
    {"no-cache", CC_NO_CACHE, KIND_NAMES, 0, CC_NO_CACHE_FIELDS},
    {"private", CC_PRIVATE, KIND_NAMES, 0, CC_PRIVATE_FIELDS},
    {"public", CC_PUBLIC, KIND_FLAG, 0, 0},
    {"must-revalidate", CC_MUST_REVALIDATE, KIND_FLAG, 0, 0},
    {"proxy-revalidate", CC_PROXY_REVALIDATE, KIND_FLAG, 0, 0},
    {"must-understand", CC_MUST_UNDERSTAND, KIND_FLAG, 0, 0},
    {"no-transform", CC_NO_TRANSFORM, KIND_FLAG, 0, 0},
    {"immutable", CC_IMMUTABLE, KIND_FLAG, 0, 0},
    {"stale-while-revalidate", CC_STALE_WHILE_REVALIDATE, KIND_FRESH,
     offsetof(struct cache_control, stale_while_revalidate_s), 0},
    {"stale-if-error", CC_STALE_IF_ERROR, KIND_FRESH, offsetof(struct cache_control, stale_if_error_s), 0},
    {"only-if-cached", CC_ONLY_IF_CACHED, KIND_FLAG, 0, 0},
    {"max-stale", CC_MAX_STALE, KIND_OPTIONAL, offsetof(struct cache_control, max_stale_s), 0},
    {"min-fresh", CC_MIN_FRESH, KIND_LONGEST, offsetof(struct cache_control, min_fresh_s), 0},
};

static const struct directive *find(struct slice name)
{
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++)
        if (slice_eq_nocase(name, slice_of(directives[i].name)))
            return &directives[i];
    return NULL;
}

bool cache_control_seconds(struct slice text, int64_t *seconds)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n > CC_FOREVER / 10 ? CC_FOREVER : n * 10 + (text.p[i] - '0');
    }
    *seconds = n < CC_FOREVER ? n : CC_FOREVER;
    return text.len > 0;
}

/* An element: its name, and its value when it has one that is well formed. */
struct element {
    struct slice name, value;
    bool has_value, is_broken;
};

static void set_seconds(struct cache_control *cc, const struct directive *d, const struct element *e)
{
    int64_t n, *at = (int64_t *)(void *)((char *)cc + d->offset);
    bool good = e->has_value && !e->is_broken && cache_control_seconds(e->value, &n);
    if (!good)
        n = d->kind == KIND_LONGEST || (d->kind == KIND_OPTIONAL && !e->has_value && !e->is_broken)
                ? CC_FOREVER
                : 0;
    bool is_first = !(cc->says & d->bit);
    bool is_stricter = d->kind == KIND_LONGEST ? n > *at : n < *at;
    if (is_first || is_stricter)
        *at = n;
    cc->says |= d->bit;
}

/* Names in a value; false when they do not fit or one is none: then the directive counts as a whole. */
static bool add_names(struct cache_control *cc, struct slice list)
{
    struct slice name;
    size_t before = cc->nnames;
    while (slice_next_token(&list, &name)) {
        if (cc->nnames == CC_NAMES_MAX || !http_is_token(name))
            return false;
        cc->names[cc->nnames++] = name;
    }
    return cc->nnames > before;
}

static void take(struct cache_control *cc, const struct element *e)
{
    const struct directive *d = find(e->name);
    if (!d)
        return;
    switch (d->kind) {
    case KIND_FLAG:
        /* What widens has to be well formed, what restricts only to be there. */
        if (!e->is_broken || !(d->bit & (CC_PUBLIC | CC_IMMUTABLE | CC_MUST_UNDERSTAND)))
            cc->says |= d->bit;
        break;
    case KIND_NAMES:
        if (e->has_value && !e->is_broken && add_names(cc, e->value))
            cc->says |= d->with_names;
        else
            cc->says |= d->bit;
        break;
    case KIND_FRESH:
    case KIND_LONGEST:
    case KIND_OPTIONAL:
        set_seconds(cc, d, e);
        break;
    }
}

static void finish(struct cache_control *cc)
{
    if (cc->says & CC_NO_CACHE)
        cc->says &= ~(uint32_t)CC_NO_CACHE_FIELDS;
    if (cc->says & CC_PRIVATE)
        cc->says &= ~(uint32_t)CC_PRIVATE_FIELDS;
}

/* ---- Cache-Control ---- */

static size_t token_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && http_is_tchar((unsigned char)s.p[n]))
        n++;
    return n;
}

/* Bytes of the quoted string at the beginning of S, its quotes included; 0: it has no end. */
static size_t quoted_length(struct slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_space(struct slice *s)
{
    while (s->len > 0 && is_space(s->p[0]))
        *s = slice_skip(*s, 1);
}

static void read_value(struct slice *rest, struct element *e)
{
    bool is_quoted = rest->len > 0 && rest->p[0] == '"';
    size_t n = is_quoted ? quoted_length(*rest) : token_length(*rest);
    e->has_value = true;
    if (n == 0) {
        e->is_broken = true;
        return;
    }
    e->value = is_quoted ? (struct slice){rest->p + 1, n - 2} : (struct slice){rest->p, n};
    /* An escape changes no number and no name that could be meant. */
    e->is_broken = is_quoted && memchr(e->value.p, '\\', e->value.len);
    *rest = slice_skip(*rest, n);
}

/* To the comma that ends the element, which is not one in quotes. */
static void skip_element(struct slice *rest, struct element *e)
{
    skip_space(rest);
    e->is_broken |= rest->len > 0 && rest->p[0] != ',';
    while (rest->len > 0 && rest->p[0] != ',') {
        size_t n = rest->p[0] == '"' ? quoted_length(*rest) : 1;
        *rest = slice_skip(*rest, n ? n : 1);
    }
    *rest = slice_skip(*rest, 1);
}

static void read_list(struct slice rest, struct cache_control *cc)
{
    while (rest.len > 0) {
        struct element e = {.value = {"", 0}};
        skip_space(&rest);
        size_t n = token_length(rest);
        e.name = (struct slice){rest.p, n};
        rest = slice_skip(rest, n);
        if (rest.len > 0 && rest.p[0] == '=') {
            rest = slice_skip(rest, 1);
            read_value(&rest, &e);
        }
        skip_element(&rest, &e);
        if (e.name.len > 0)
            take(cc, &e);
    }
}

void cache_control_read(struct http_fields fields, struct slice name, struct cache_control *out)
{
    *out = (struct cache_control){0};
    for (size_t i = 0; i < fields.n; i++)
        if (slice_eq_nocase(fields.at[i].name, name)) {
            out->is_there = true;
            read_list(fields.at[i].value, out);
        }
    finish(out);
}

/* ---- targeted fields ---- */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

/* key = ( lcalpha / "*" ) *( lcalpha / DIGIT / "_" / "-" / "." / "*" ) */
static bool sf_key(struct slice *rest, struct slice *key)
{
    size_t n = 0;
    while (n < rest->len && (is_lower(rest->p[n]) || rest->p[n] == '*' ||
                             (n > 0 && (is_digit(rest->p[n]) || is_one_of(rest->p[n], "_-.")))))
        n++;
    *key = (struct slice){rest->p, n};
    *rest = slice_skip(*rest, n);
    return n > 0;
}

enum sf_type { SF_INTEGER, SF_DECIMAL, SF_STRING, SF_TOKEN, SF_BYTES, SF_TRUE, SF_FALSE };

struct sf_item {
    enum sf_type type;
    struct slice text; /* SF_INTEGER: with its sign; SF_STRING: without quotes, escapes as they are */
};

static bool sf_number(struct slice *rest, struct sf_item *item)
{
    size_t begin = rest->p[0] == '-', n = begin, dot = 0;
    while (n < rest->len && (is_digit(rest->p[n]) || (rest->p[n] == '.' && !dot))) {
        if (rest->p[n] == '.')
            dot = n;
        n++;
    }
    size_t whole = (dot ? dot : n) - begin, fraction = dot ? n - dot - 1 : 0;
    if (whole == 0 || whole > (dot ? 12 : 15) || (dot && (fraction == 0 || fraction > 3)))
        return false;
    *item = (struct sf_item){dot ? SF_DECIMAL : SF_INTEGER, {rest->p, n}};
    *rest = slice_skip(*rest, n);
    return true;
}

static bool sf_string(struct slice *rest, struct sf_item *item)
{
    for (size_t i = 1; i < rest->len; i++) {
        char c = rest->p[i];
        if (c == '"') {
            *item = (struct sf_item){SF_STRING, {rest->p + 1, i - 1}};
            *rest = slice_skip(*rest, i + 1);
            return true;
        }
        if (c == '\\' && (++i == rest->len || (rest->p[i] != '"' && rest->p[i] != '\\')))
            return false;
        if (c < 0x20 || c > 0x7e)
            return false;
    }
    return false;
}

static bool sf_bytes(struct slice *rest, struct sf_item *item)
{
    size_t n = 1;
    while (n < rest->len &&
           (is_digit(rest->p[n]) || is_lower(rest->p[n] | 0x20) || is_one_of(rest->p[n], "+/=")))
        n++;
    if (n == rest->len || rest->p[n] != ':')
        return false;
    *item = (struct sf_item){SF_BYTES, {rest->p + 1, n - 1}};
    *rest = slice_skip(*rest, n + 1);
    return true;
}

static bool sf_token(struct slice *rest, struct sf_item *item)
{
    size_t n = 0;
    while (n < rest->len &&
           (http_is_tchar((unsigned char)rest->p[n]) || rest->p[n] == ':' || rest->p[n] == '/'))
        n++;
    *item = (struct sf_item){SF_TOKEN, {rest->p, n}};
    *rest = slice_skip(*rest, n);
    return true;
}

static bool sf_bare_item(struct slice *rest, struct sf_item *item)
{
    char c = rest->len > 0 ? rest->p[0] : '\0';
    if (is_digit(c) || c == '-')
        return sf_number(rest, item);
    if (c == '"')
        return sf_string(rest, item);
    if (c == ':')
        return sf_bytes(rest, item);
    if (c == '*' || is_lower(c | 0x20))
        return sf_token(rest, item);
    if (c != '?' || rest->len < 2 || (rest->p[1] != '0' && rest->p[1] != '1'))
        return false;
    *item = (struct sf_item){rest->p[1] == '1' ? SF_TRUE : SF_FALSE, {rest->p, 2}};
    *rest = slice_skip(*rest, 2);
    return true;
}

/* *( ";" *SP key [ "=" bare-item ] ), which mean nothing here. */
static bool sf_parameters(struct slice *rest)
{
    struct slice key;
    struct sf_item item;
    while (rest->len > 0 && rest->p[0] == ';') {
        *rest = slice_skip(*rest, 1);
        while (rest->len > 0 && rest->p[0] == ' ')
            *rest = slice_skip(*rest, 1);
        if (!sf_key(rest, &key))
            return false;
        if (rest->len > 0 && rest->p[0] == '=') {
            *rest = slice_skip(*rest, 1);
            if (!sf_bare_item(rest, &item))
                return false;
        }
    }
    return true;
}

/* A list in parentheses: no directive has one, but it is well formed. */
static bool sf_inner_list(struct slice *rest)
{
    struct sf_item item;
    *rest = slice_skip(*rest, 1);
    for (;;) {
        while (rest->len > 0 && rest->p[0] == ' ')
            *rest = slice_skip(*rest, 1);
        if (rest->len == 0)
            return false;
        if (rest->p[0] == ')') {
            *rest = slice_skip(*rest, 1);
            return true;
        }
        if (!sf_bare_item(rest, &item) || !sf_parameters(rest) ||
            (rest->len > 0 && rest->p[0] != ' ' && rest->p[0] != ')'))
            return false;
    }
}

/* The seconds of a directive are an integer; a flag is true; names of fields are a string, or true for none.
 */
static void take_targeted(struct cache_control *cc, struct slice key, const struct sf_item *item)
{
    const struct directive *d = find(key);
    struct element e = {.name = key, .value = item->text};
    if (!d || item->type == SF_FALSE)
        return;
    e.has_value = item->type != SF_TRUE;
    bool wants_seconds = d->kind == KIND_FRESH || d->kind == KIND_LONGEST || d->kind == KIND_OPTIONAL;
    bool fits = wants_seconds           ? item->type == SF_INTEGER && item->text.p[0] != '-'
                : d->kind == KIND_NAMES ? item->type == SF_TRUE || item->type == SF_STRING
                                        : item->type == SF_TRUE;
    if (fits)
        take(cc, &e);
}

/* One field line. Of a key that is there twice the last one counts (RFC 9651, 4.2.2), which is passed over
 * here: the stricter of the two does. */
static bool sf_dictionary(struct slice rest, struct cache_control *cc)
{
    struct slice key;
    while (rest.len > 0) {
        struct sf_item item = {SF_TRUE, {"", 0}};
        bool is_list = false;
        if (!sf_key(&rest, &key))
            return false;
        if (rest.len > 0 && rest.p[0] == '=') {
            rest = slice_skip(rest, 1);
            is_list = rest.len > 0 && rest.p[0] == '(';
            if (is_list ? !sf_inner_list(&rest) : !sf_bare_item(&rest, &item))
                return false;
        }
        if (!sf_parameters(&rest))
            return false;
        if (!is_list)
            take_targeted(cc, key, &item);
        skip_space(&rest);
        if (rest.len == 0)
            return true;
        if (rest.p[0] != ',')
            return false;
        rest = slice_skip(rest, 1);
        skip_space(&rest);
        if (rest.len == 0)
            return false;
    }
    return true;
}

bool cache_control_read_targeted(struct http_fields fields, struct slice name, struct cache_control *out)
{
    *out = (struct cache_control){0};
    for (size_t i = 0; i < fields.n; i++) {
        if (!slice_eq_nocase(fields.at[i].name, name) || fields.at[i].value.len == 0)
            continue;
        if (!sf_dictionary(fields.at[i].value, out)) {
            *out = (struct cache_control){0};
            return false;
        }
        out->is_there = true;
    }
    finish(out);
    return out->is_there;
}

bool cache_control_names(const struct cache_control *cc, struct slice field)
{
    for (size_t i = 0; i < cc->nnames; i++)
        if (slice_eq_nocase(cc->names[i], field))
            return true;
    return false;
}
