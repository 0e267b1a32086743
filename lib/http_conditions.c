/* http_conditions.c: see http_conditions.h. */
#include "lib/http_conditions.h"

#include "lib/http_date.h"

static bool is_weak(struct slice tag)
{
    return slice_starts(tag, SLICE("W/"));
}

bool http_etag_matches(struct slice a, struct slice b, bool strong)
{
    if (strong && (is_weak(a) || is_weak(b)))
        return false;
    return a.len > 0 && slice_eq(is_weak(a) ? slice_skip(a, 2) : a, is_weak(b) ? slice_skip(b, 2) : b);
}

/* The next entity tag of a list: a comma within quotes ends none. */
static bool next_tag(struct slice *rest, struct slice *tag)
{
    bool quoted = false;
    size_t n = 0;
    *rest = slice_trim(*rest);
    while (rest->len > 0 && rest->p[0] == ',')
        *rest = slice_trim(slice_skip(*rest, 1));
    for (; n < rest->len && (quoted || rest->p[n] != ','); n++)
        quoted ^= rest->p[n] == '"';
    *tag = slice_trim((struct slice){rest->p, n});
    *rest = slice_skip(*rest, n);
    return n > 0;
}

struct http_validators http_validators_of(struct http_fields answer, int64_t answered_s)
{
    const struct http_field *etag = http_find(answer, SLICE("ETag"));
    const struct http_field *modified = http_find(answer, SLICE("Last-Modified"));
    const struct http_field *date = http_find(answer, SLICE("Date"));
    struct http_validators v = {{"", 0}, {"", 0}, answered_s};
    if (etag)
        v.etag = slice_trim(etag->value);
    if (modified)
        v.last_modified = slice_trim(modified->value);
    if (!date || !http_date_parse(slice_trim(date->value), answered_s, &v.date_s))
        v.date_s = answered_s;
    return v;
}

/* Over all fields of that name; *THERE: there is one. */
static bool none_match_names(struct http_fields request, const struct http_validators *v, bool *there)
{
    *there = false;
    for (size_t i = 0; i < request.n; i++) {
        struct slice rest = request.at[i].value, tag;
        if (!slice_eq_nocase(request.at[i].name, SLICE("If-None-Match")))
            continue;
        *there = true;
        while (next_tag(&rest, &tag))
            if (slice_eq(tag, SLICE("*")) || http_etag_matches(tag, v->etag, false))
                return true;
    }
    return false;
}

bool http_not_modified(struct http_fields request, const struct http_validators *v, int64_t now_s)
{
    bool has_none_match;
    int64_t since_s, modified_s = v->date_s;
    if (none_match_names(request, v, &has_none_match))
        return true;
    const struct http_field *since = http_find(request, SLICE("If-Modified-Since"));
    if (has_none_match || !since || !http_date_parse(slice_trim(since->value), now_s, &since_s))
        return false;
    if (v->last_modified.len > 0 && !http_date_parse(v->last_modified, now_s, &modified_s))
        return false;
    return modified_s <= since_s;
}

/* A date is a strong validator only when the representation did not change in its second: when the answer
 * was made at least that much later (RFC 9110, 8.8.2.2). */
static bool is_strong_date(struct slice date, const struct http_validators *v, int64_t now_s)
{
    int64_t asked_s, modified_s;
    return http_date_parse(date, now_s, &asked_s) && http_date_parse(v->last_modified, now_s, &modified_s) &&
           asked_s == modified_s && v->date_s > modified_s;
}

bool http_range_holds(struct http_fields request, const struct http_validators *v, int64_t now_s)
{
    const struct http_field *f = http_find(request, SLICE("If-Range"));
    if (!f)
        return true;
    struct slice value = slice_trim(f->value);
    if (slice_find(value, '"') >= 0)
        return http_etag_matches(value, v->etag, true);
    return is_strong_date(value, v, now_s);
}
