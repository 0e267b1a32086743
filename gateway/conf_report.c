/*
 * conf_report.c: see conf_report.h.
 *
 * Texts are made when the remark is made, so that they do not depend on what the load frees. A file that is
 * no configuration at all could be wrong on every line: past a hundred mistakes they are only counted.
 */
#include "gateway/conf_report.h"

#include <stdarg.h>
#include <stdlib.h>

#define REMARKS_MAX 100
#define TEXT_MAX    1024

/* An array of SIZE-byte items with room for one more than N; the old one when memory is short. */
static void *room_for_one(struct conf_report *r, void *items, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return items;
    size_t more = *room ? 2 * *room : 64;
    void *p = realloc(items, more * size);
    if (!p) {
        r->is_short = true;
        return items;
    }
    *room = more;
    return p;
}

int conf_report_place(struct conf_report *r, const char *file, int line)
{
    if (r->nplaces > 0) {
        const struct conf_where *last = &r->places[r->nplaces - 1];
        if (last->file == file && last->line == line)
            return (int)r->nplaces;
    }
    r->places = room_for_one(r, r->places, r->nplaces, &r->places_room, sizeof(*r->places));
    if (r->nplaces < r->places_room)
        r->places[r->nplaces++] = (struct conf_where){file, line};
    return (int)r->nplaces;
}

struct conf_where conf_report_where(const struct conf_report *r, int place)
{
    if (place < 1 || (size_t)place > r->nplaces)
        return (struct conf_where){"", 0};
    return r->places[place - 1];
}

/* A value may hold any byte; a message is one line. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void PRINTF_LIKE(4, 0)
    add(struct conf_report *r, int place, bool is_warning, const char *fmt, va_list ap)
{
    char text[TEXT_MAX];
    struct conf_where w = conf_report_where(r, place);
    int used = snprintf(text, sizeof(text), "%s:%d: %s", w.file, w.line, is_warning ? "warning: " : "");
    if (used > 0 && (size_t)used < sizeof(text))
        vsnprintf(text + used, sizeof(text) - (size_t)used, fmt, ap);
    make_printable(text);
    r->remarks = room_for_one(r, r->remarks, r->nremarks, &r->remarks_room, sizeof(*r->remarks));
    if (r->nremarks == r->remarks_room)
        return;
    struct conf_remark one = {place, is_warning, strdup(text)};
    r->is_short |= !one.text;
    if (one.text)
        r->remarks[r->nremarks++] = one;
}

void conf_mistake(struct conf_report *r, int place, const char *fmt, ...)
{
    va_list ap;
    if (++r->nmistakes > REMARKS_MAX)
        return;
    va_start(ap, fmt);
    add(r, place, false, fmt, ap);
    va_end(ap);
}

void conf_warning(struct conf_report *r, int place, const char *fmt, ...)
{
    va_list ap;
    if (r->nremarks >= 2 * REMARKS_MAX)
        return;
    va_start(ap, fmt);
    add(r, place, true, fmt, ap);
    va_end(ap);
}

bool conf_refuse(struct conf_why *why, const char *fmt, ...)
{
    va_list ap;
    *why = (struct conf_why){""};
    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return false;
}

/* By place, and as they were made within one: qsort is not stable, insertion is, and a hundred are few. */
static void sort(struct conf_remark *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct conf_remark one = at[i];
        size_t j = i;
        for (; j > 0 && at[j - 1].place > one.place; j--)
            at[j] = at[j - 1];
        at[j] = one;
    }
}

/* What is told behind the remarks, when there is anything. */
static char *last_word(const struct conf_report *r)
{
    char text[80];
    if (r->is_short)
        return strdup("out of memory while reading the configuration");
    if (r->nmistakes <= REMARKS_MAX)
        return NULL;
    snprintf(text, sizeof(text), "%zu more mistakes", r->nmistakes - REMARKS_MAX);
    return strdup(text);
}

bool conf_report_finish(struct conf_report *r, struct conf_mistakes *out)
{
    bool is_good = r->nmistakes == 0 && !r->is_short;
    char *last = last_word(r);
    sort(r->remarks, r->nremarks);
    out->n = 0;
    out->at = calloc(r->nremarks + 1, sizeof(*out->at));
    for (size_t i = 0; i < r->nremarks; i++)
        if (out->at)
            out->at[out->n++] = r->remarks[i].text;
        else
            free(r->remarks[i].text);
    if (out->at && last)
        out->at[out->n++] = last;
    else
        free(last);
    free(r->remarks);
    free(r->places);
    *r = (struct conf_report){0};
    return is_good;
}
