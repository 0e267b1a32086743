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

#include "lib/accept.h"
#include "lib/http.h"

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

static unsigned exactness_of(struct slice range, const struct form *f)
{
    if (slice_eq_nocase(range, slice_of(f->range)) ||
        (f->alias && slice_eq_nocase(range, slice_of(f->alias))))
        return 3;
    if (slice_eq_nocase(range, slice_of(f->group)))
        return 2;
    return slice_eq(range, SLICE("*/*"));
}

static void weigh(const struct accept_part *part, struct preference *preferences)
{
    for (size_t i = 0; i < FORMS; i++) {
        unsigned exactness = exactness_of(part->name, &forms[i]);
        struct preference *p = &preferences[i];
        if (exactness > p->exactness ||
            (exactness > 0 && exactness == p->exactness && part->quality > p->quality))
            *p = (struct preference){exactness, part->quality};
    }
}

static const struct form *choose(struct slice accept)
{
    struct preference preferences[FORMS] = {0};
    struct accept_part part;
    size_t best = 0;
    while (accept_next(&accept, &part))
        weigh(&part, preferences);
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
