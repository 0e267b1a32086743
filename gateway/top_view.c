/* top_view.c: see top_view.h. */
#include "gateway/top_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/printable.h"

#define NUMBER 16

/* Where lines go to. */
struct page {
    struct top_view *view;
    top_put *put;
    void *ctx;
    size_t lines;
};

/* ---- numbers ---- */

/* Three digits and a unit. */
static void scaled(char text[NUMBER], double n, int decimals)
{
    static const char units[] = " kMGTPE";
    unsigned unit = 0;
    for (; n >= 999.5 && unit + 2 < sizeof(units); unit++)
        n /= 1000;
    if (unit == 0)
        snprintf(text, NUMBER, "%.*f", decimals, n);
    else
        snprintf(text, NUMBER, n < 10 ? "%.2f%c" : n < 100 ? "%.1f%c" : "%.0f%c", n, units[unit]);
}

static void seconds(char text[NUMBER], double n)
{
    if (n < 0.0009995)
        snprintf(text, NUMBER, "%.0fus", n * 1e6);
    else if (n < 0.9995)
        snprintf(text, NUMBER, n < 0.09995 ? "%.1fms" : "%.0fms", n * 1e3);
    else if (n < 1e6)
        snprintf(text, NUMBER, n < 99.5 ? "%.1fs" : "%.0fs", n);
    else
        snprintf(text, NUMBER, "long");
}

void top_view_number(char text[NUMBER], enum top_kind kind, double n)
{
    if (!isfinite(n) || n < 0 || n > 1e20)
        snprintf(text, NUMBER, "-");
    else if (kind == TOP_SECONDS)
        seconds(text, n);
    else if (kind == TOP_SHARE)
        snprintf(text, NUMBER, n < 0.9995 ? "%.1f" : "%.0f", n * 100);
    else if (kind == TOP_COUNT && n < 1e6)
        snprintf(text, NUMBER, "%.0f", n);
    else
        scaled(text, n, kind == TOP_RATE && n < 99.95);
}

/* ---- lines ---- */

PRINTF_LIKE(3, 4)
static void put(struct page *p, enum top_style style, const char *fmt, ...)
{
    char line[TOP_WIDTH_MAX + 1];
    va_list ap;
    size_t width = p->view->width < TOP_WIDTH_MAX ? p->view->width : TOP_WIDTH_MAX;
    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (len < 0 || (p->view->height > 0 && p->lines >= p->view->height))
        return;
    line[width] = '\0';
    p->put(p->ctx, line, style);
    p->lines++;
}

static void uptime(char *text, size_t size, double s)
{
    unsigned long n = s >= 0 && s < 1e11 ? (unsigned long)s : 0;
    if (n >= 86400)
        snprintf(text, size, "%lu d %02lu:%02lu:%02lu", n / 86400, n / 3600 % 24, n / 60 % 60, n % 60);
    else
        snprintf(text, size, "%02lu:%02lu:%02lu", n / 3600, n / 60 % 60, n % 60);
}

static void put_gateway(struct page *p, const struct top_model *m, const struct top_summary *s)
{
    const char *names[] = {cJSON_GetStringValue(top_at(m->now, "version")),
                           cJSON_GetStringValue(top_at(m->now, "gateway"))};
    char version[32], name[64], up[48];
    printable_copy(version, sizeof(version), slice_of(names[0]));
    printable_copy(name, sizeof(name), slice_of(names[1]));
    uptime(up, sizeof(up), s->uptime_s);
    put(p, TOP_STYLE_HEAD, "tollgate %s%s%s  up %s  %s%s%s  %s", version, *name ? "  " : "", name, up,
        s->is_ready ? "ready" : "DRAINING", s->is_config_good ? "" : "  LAST RELOAD FAILED",
        p->view->is_paused ? "  PAUSED" : "", p->view->where);
}

static void put_summary(struct page *p, const struct top_summary *s)
{
    char rate[NUMBER], errors[NUMBER], p50[NUMBER], p95[NUMBER], p99[NUMBER], flying[NUMBER], open[NUMBER];
    char memory[NUMBER], stalled[48] = "";
    top_view_number(rate, TOP_RATE, s->requests);
    top_view_number(errors, TOP_SHARE, s->errors);
    top_view_number(p50, TOP_SECONDS, s->p50_s);
    top_view_number(p95, TOP_SECONDS, s->p95_s);
    top_view_number(p99, TOP_SECONDS, s->p99_s);
    top_view_number(flying, TOP_COUNT, s->in_flight);
    top_view_number(open, TOP_COUNT, s->connections);
    top_view_number(memory, TOP_BYTES, s->resident);
    put(p, TOP_STYLE_HEAD, "%s req/s  5xx %s%%  p50 %s  p95 %s  p99 %s  in flight %s  connections %s", rate,
        errors, p50, p95, p99, flying, open);
    if (s->stalled > 0)
        snprintf(stalled, sizeof(stalled), ", %u STAND STILL", s->stalled);
    put(p, s->stalled > 0 ? TOP_STYLE_BAD : TOP_STYLE_HEAD,
        "cpu %.0f%%  memory %sB  loop lag %.1f ms  %u workers%s", isnan(s->cpu) ? 0 : s->cpu * 100, memory,
        isnan(s->lag_ms) ? 0 : s->lag_ms, s->workers, stalled);
}

static void put_note(struct page *p, const struct top_model *m)
{
    const struct top_view *v = p->view;
    if (v->is_lost)
        put(p, TOP_STYLE_BAD, "NO ANSWER: %s; trying again", v->note);
    else if (m->has_restarted)
        put(p, TOP_STYLE_WARNING, "the gateway was started anew; rates are means since then");
    else if (m->now && !m->before)
        put(p, TOP_STYLE_DIM, "rates are means since the start of the gateway");
    else
        put(p, TOP_STYLE_DIM, "%s", v->note);
}

static void put_tabs(struct page *p)
{
    char tabs[128];
    size_t len = 0;
    for (unsigned i = 0; i < TOP_PANELS && len < sizeof(tabs); i++) {
        bool is_open = i == p->view->panel;
        len += (size_t)snprintf(tabs + len, sizeof(tabs) - len, is_open ? "[%u %s] " : " %u %s  ", i + 1,
                                top_panel_name((enum top_panel)i));
    }
    put(p, TOP_STYLE_PLAIN, "%s", tabs);
}

/* ---- the table ---- */

/* How many columns fit, and how wide the first one may be. */
static size_t columns_that_fit(const struct top_table *t, size_t width, size_t *first)
{
    size_t n = 1, used = t->columns[0].width;
    while (n < t->ncolumns && used + 1 + t->columns[n].width <= width)
        used += 1 + t->columns[n++].width;
    *first = t->columns[0].width + (width > used ? width - used : 0);
    if (*first >= TOP_TEXT)
        *first = TOP_TEXT - 1;
    return n;
}

static void put_titles(struct page *p, const struct top_table *t, size_t n, size_t first)
{
    char line[TOP_WIDTH_MAX + 1];
    struct buf b;
    const struct top_view *v = p->view;
    buf_init(&b, line, sizeof(line));
    for (size_t i = 0; i < n; i++) {
        char title[32];
        const char *mark = i != v->sort[v->panel] ? "" : v->rises[v->panel] ? "<" : ">";
        snprintf(title, sizeof(title), "%s%s", mark, t->columns[i].title);
        int width = (int)(i > 0 ? t->columns[i].width : first);
        if (t->columns[i].kind == TOP_TEXT_CELL)
            buf_printf(&b, i > 0 ? " %-*s" : "%-*s", width, title);
        else
            buf_printf(&b, " %*s", width, title);
    }
    put(p, TOP_STYLE_TITLE, "%.*s", SLICE_ARG(buf_slice(&b)));
}

static void put_row(struct page *p, const struct top_table *t, const struct top_row *r, size_t n)
{
    static const enum top_style styles[] = {
        [TOP_USUAL] = TOP_STYLE_PLAIN, [TOP_WARNING] = TOP_STYLE_WARNING, [TOP_BAD] = TOP_STYLE_BAD};
    char line[TOP_WIDTH_MAX + 1], number[NUMBER];
    struct buf b;
    size_t first;
    (void)columns_that_fit(t, p->view->width, &first);
    buf_init(&b, line, sizeof(line));
    for (size_t i = 0; i < n; i++) {
        int width = (int)(i > 0 ? t->columns[i].width : first);
        const char *space = i > 0 ? " " : "";
        if (t->columns[i].kind == TOP_TEXT_CELL) {
            buf_printf(&b, "%s%-*.*s", space, width, width, r->cells[i].text);
            continue;
        }
        top_view_number(number, t->columns[i].kind, r->cells[i].number);
        bool is_empty = isnan(r->cells[i].number) && r->place > 0; /* a server has no such number */
        buf_printf(&b, "%s%*.*s", space, width, width, is_empty ? "" : number);
    }
    put(p, styles[r->mood], "%.*s", SLICE_ARG(buf_slice(&b)));
}

/* Rows that fit between the titles and the last line. */
static size_t room(const struct page *p)
{
    size_t height = p->view->height;
    return height == 0 ? SIZE_MAX : height > p->lines + 1 ? height - p->lines - 1 : 0;
}

static void put_rows(struct page *p, const struct top_table *t, size_t n)
{
    size_t fits = room(p), most = t->nrows > fits ? t->nrows - fits : 0;
    if (p->view->scroll > most)
        p->view->scroll = most;
    for (size_t i = p->view->scroll; i < t->nrows && i - p->view->scroll < fits; i++)
        put_row(p, t, &t->rows[i], n);
    if (t->nrows == 0 && fits > 0)
        put(p, TOP_STYLE_DIM, "(nothing yet)");
}

static void put_panel(struct page *p, const struct top_model *m)
{
    struct top_table t;
    struct top_view *v = p->view;
    size_t first;
    if (!top_table_make(&t, m, v->panel)) {
        put(p, TOP_STYLE_BAD, "memory is short, or there is too much to show");
        top_table_free(&t);
        return;
    }
    size_t n = columns_that_fit(&t, v->width, &first);
    if (v->sort[v->panel] == SIZE_MAX)
        v->sort[v->panel] = t.sort_by;
    if (v->sort[v->panel] >= n)
        v->sort[v->panel] = n - 1;
    top_table_sort(&t, v->sort[v->panel], !v->rises[v->panel]);
    if (t.caption[0] != '\0')
        put(p, TOP_STYLE_PLAIN, "%s", t.caption);
    put_titles(p, &t, n, first);
    put_rows(p, &t, n);
    top_table_free(&t);
}

/* ---- the whole ---- */

static void put_head(struct page *p, const struct top_model *m)
{
    struct top_summary s;
    if (m->now) {
        top_model_sum_up(m, &s);
        put_gateway(p, m, &s);
        put_summary(p, &s);
    } else {
        put(p, TOP_STYLE_HEAD, "tollgate top  %s", p->view->where);
    }
    put_note(p, m);
}

void top_view_init(struct top_view *v, const char *where)
{
    memset(v, 0, sizeof(*v));
    for (size_t i = 0; i < TOP_PANELS; i++)
        v->sort[i] = SIZE_MAX;
    printable_copy(v->where, sizeof(v->where), slice_of(where));
}

void top_view_note(struct top_view *v, const char *text)
{
    printable_copy(v->note, sizeof(v->note), slice_of(text));
}

void top_view_draw(struct top_view *v, const struct top_model *m, top_put *put_line, void *ctx)
{
    struct page p = {v, put_line, ctx, 0};
    if (!v->is_bare)
        put_head(&p, m);
    put_tabs(&p);
    if (m->now)
        put_panel(&p, m);
    if (v->is_batch)
        return;
    while (p.lines + 1 < v->height)
        put(&p, TOP_STYLE_PLAIN, "%s", "");
    put(&p, TOP_STYLE_DIM,
        "1-6 Tab: panel  < >: sort by  r: reverse  up down: scroll  space: pause  q: quit");
}

static void choose(struct top_view *v, unsigned panel)
{
    v->panel = (enum top_panel)(panel % TOP_PANELS);
    v->scroll = 0;
}

bool top_view_key(struct top_view *v, int key)
{
    size_t *sort = &v->sort[v->panel];
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case '\t':
        choose(v, v->panel + 1);
        break;
    case ' ':
        v->is_paused = !v->is_paused;
        break;
    case '<':
        *sort -= *sort != SIZE_MAX && *sort > 0;
        break;
    case '>':
        *sort += *sort != SIZE_MAX; /* past the last one that is shown, drawing goes back to it */
        break;
    case 'r':
        v->rises[v->panel] = !v->rises[v->panel];
        break;
    case TOP_KEY_UP:
        v->scroll -= v->scroll > 0;
        break;
    case TOP_KEY_DOWN:
        v->scroll++;
        break;
    case TOP_KEY_PAGE_UP:
        v->scroll -= v->scroll < v->height / 2 ? v->scroll : v->height / 2;
        break;
    case TOP_KEY_PAGE_DOWN:
        v->scroll += v->height / 2;
        break;
    default:
        if (key >= '1' && key < '1' + TOP_PANELS)
            choose(v, (unsigned)(key - '1'));
    }
    return true;
}
