/*
 * problem.c: see problem.h.
 *
 * The Accept field (RFC 9110, 12.5.1) is read range by range. For each form that we can make, the most exact
 * range that covers it gives its weight; the form of the highest weight is made, and the first in the table
 * of those that are equal. A field that excludes all of them is disregarded: an error told in the wrong form
 * is better than one not told.
 */
#include "gateway/problem.h"

#include <stdlib.h>

#include "lib/http.h"

#define QUALITY_FULL 1000 /* q=1, in thousandths */

typedef void add_body_fn(const struct problem *p, struct buf *out);
static add_body_fn add_json, add_html, add_plain;

/* What we can make, the most wanted first. */
static const struct form {
    const char *range; /* as a client asks for it */
    const char *group; /* the same, less exact */
    const char *alias; /* asked for under this name too; NULL: none */
    const char *content_type;
    add_body_fn *add;
} forms[] = {
    {"application/problem+json", "application/*", "application/json", "application/problem+json", add_json},
    {"text/html", "text/*", NULL, "text/html; charset=utf-8", add_html},
    {"text/plain", "text/*", NULL, "text/plain; charset=utf-8", add_plain},
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

/* ---- what the client prefers ---- */

struct preference {
    unsigned exactness; /* of the range that decided: 0 none, 1 any, 2 the group, 3 the form itself */
    unsigned quality;   /* in thousandths */
};

/* Take what comes before the next SEPARATOR that is outside of quotes off *REST, trimmed. False at the end.
 */
static bool next_part(struct slice *rest, char separator, struct slice *part)
{
    bool quoted = false;
    size_t n = 0;
    if (rest->len == 0)
        return false;
    for (; n < rest->len && (quoted || rest->p[n] != separator); n++) {
        if (rest->p[n] == '"')
            quoted = !quoted;
        else if (quoted && rest->p[n] == '\\' && n + 1 < rest->len)
            n++;
    }
    *part = slice_trim((struct slice){rest->p, n});
    *rest = slice_skip(*rest, n + 1);
    return true;
}

/* "1", "0.5", "0.125": thousandths; anything else counts as 0, so that what is not understood is not
 * preferred. */
static unsigned quality_of(struct slice text)
{
    unsigned quality = 0, place = QUALITY_FULL / 10;
    if (text.len == 0 || text.len > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.len > 1 && text.p[1] != '.'))
        return 0;
    for (size_t i = 2; i < text.len; i++, place /= 10) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return 0;
        quality += place * (unsigned)(text.p[i] - '0');
    }
    return text.p[0] == '1' ? QUALITY_FULL : quality;
}

/* Split "text/html;level=1;q=0.5": the range goes to *RANGE, and its weight is returned. */
static unsigned read_range(struct slice element, struct slice *range)
{
    struct slice parameter;
    unsigned quality = QUALITY_FULL;
    *range = (struct slice){"", 0};
    if (!next_part(&element, ';', range))
        return 0;
    while (next_part(&element, ';', &parameter))
        if (parameter.len >= 2 && slice_eq_nocase((struct slice){parameter.p, 2}, SLICE("q=")))
            quality = quality_of(slice_skip(parameter, 2));
    return quality;
}

static unsigned exactness_of(struct slice range, const struct form *f)
{
    if (slice_eq_nocase(range, slice_of(f->range)) ||
        (f->alias && slice_eq_nocase(range, slice_of(f->alias))))
        return 3;
    if (slice_eq_nocase(range, slice_of(f->group)))
        return 2;
    return slice_eq(range, SLICE("*/*"));
}

static void weigh(struct slice element, struct preference *preferences)
{
    struct slice range;
    unsigned quality = read_range(element, &range);
    for (size_t i = 0; i < FORMS; i++) {
        unsigned exactness = exactness_of(range, &forms[i]);
        struct preference *p = &preferences[i];
        if (exactness > p->exactness || (exactness > 0 && exactness == p->exactness && quality > p->quality))
            *p = (struct preference){exactness, quality};
    }
}

static const struct form *choose(struct slice accept)
{
    struct preference preferences[FORMS] = {0};
    struct slice element;
    size_t best = 0;
    while (next_part(&accept, ',', &element))
        weigh(element, preferences);
    for (size_t i = 1; i < FORMS; i++)
        if (preferences[i].quality > preferences[best].quality)
            best = i;
    return &forms[best];
}

/* ---- the forms ---- */

static void add_text(struct buf *out, const char *text)
{
    buf_add(out, slice_of(text));
}

/* "502 Bad Gateway" */
static void add_status(struct buf *out, const struct reason_info *info)
{
    const char *phrase = http_status_phrase(info->status);
    buf_add_u64(out, info->status);
    if (phrase[0] != '\0')
        add_text(out, " ");
    add_text(out, phrase);
}

static void add_json(const struct problem *p, struct buf *out)
{
    const struct reason_info *info = reason_info(p->reason);
    add_text(out, "{\"type\":\"about:blank\",\"title\":\"");
    buf_add_json(out, slice_of(http_status_phrase(info->status)));
    add_text(out, "\",\"status\":");
    buf_add_u64(out, info->status);
    add_text(out, ",\"detail\":\"");
    buf_add_json(out, slice_of(info->title));
    add_text(out, "\",\"reason\":\"");
    buf_add_json(out, slice_of(info->name));
    if (p->request_id.len > 0) {
        add_text(out, "\",\"request_id\":\"");
        buf_add_json(out, p->request_id);
    }
    add_text(out, "\"}\n");
}

/* As character data of HTML. Bytes that are not printable ASCII become '?': ids are expected to have none. */
static void add_escaped(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (c == '<')
            add_text(out, "&lt;");
        else if (c == '>')
            add_text(out, "&gt;");
        else if (c == '&')
            add_text(out, "&amp;");
        else if (c == '"')
            add_text(out, "&quot;");
        else if (c == '\'')
            add_text(out, "&#39;");
        else
            buf_add_char(out, c >= 0x20 && c < 0x7f ? c : '?');
    }
}

static void add_html(const struct problem *p, struct buf *out)
{
    const struct reason_info *info = reason_info(p->reason);
    add_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>");
    add_status(out, info);
    add_text(out, "</title></head>\n<body>\n<h1>");
    add_status(out, info);
    add_text(out, "</h1>\n<p>");
    add_escaped(out, slice_of(info->title));
    add_text(out, ".</p>\n<p>Reason: <code>");
    add_escaped(out, slice_of(info->name));
    add_text(out, "</code>");
    if (p->request_id.len > 0) {
        add_text(out, "<br>\nRequest: <code>");
        add_escaped(out, p->request_id);
        add_text(out, "</code>");
    }
    add_text(out, "</p>\n</body>\n</html>\n");
}

static void add_plain(const struct problem *p, struct buf *out)
{
    const struct reason_info *info = reason_info(p->reason);
    add_status(out, info);
    add_text(out, "\n");
    add_text(out, info->title);
    add_text(out, ".\nReason: ");
    add_text(out, info->name);
    if (p->request_id.len > 0) {
        add_text(out, "\nRequest: ");
        for (size_t i = 0; i < p->request_id.len; i++) {
            char c = p->request_id.p[i];
            buf_add_char(out, c >= 0x20 && c < 0x7f ? c : '?');
        }
    }
    add_text(out, "\n");
}

/* ---- public ---- */

struct slice problem_body(const struct problem *p, struct buf *out)
{
    const struct form *f = choose(p->accept);
    f->add(p, out);
    return slice_of(f->content_type);
}

char *problem_text(unsigned status, const char *detail)
{
    struct buf b;
    const struct slice words = slice_of(detail);
    size_t room = PROBLEM_BODY_MAX + 6 * words.len; /* \u0000 for each byte */
    char *text = malloc(room);
    if (!text)
        return NULL;
    buf_init(&b, text, room);
    add_text(&b, "{\"type\":\"about:blank\",\"title\":\"");
    buf_add_json(&b, slice_of(http_status_phrase(status)));
    add_text(&b, "\",\"status\":");
    buf_add_u64(&b, status);
    add_text(&b, ",\"detail\":\"");
    buf_add_json(&b, words);
    add_text(&b, "\"}\n");
    if (buf_cstr(&b))
        return text;
    free(text);
    return NULL;
}

/* As a string of a structured field (RFC 8941, 3.3.3): printable ASCII, quotes and backslashes escaped. */
static void add_sf_string(struct buf *out, struct slice s)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (c == '"' || c == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, c >= 0x20 && c < 0x7f ? c : '?');
    }
    buf_add_char(out, '"');
}

void problem_proxy_status(const struct problem *p, struct buf *out)
{
    const struct reason_info *info = reason_info(p->reason);
    if (!info->proxy_status)
        return;
    add_text(out, "tollgate; error=");
    add_text(out, info->proxy_status);
    add_text(out, "; details=");
    add_sf_string(out, slice_of(info->name));
}
