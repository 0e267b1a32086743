/*
 * top_view.h: how `tollgate top` looks: the lines of a screen, for a terminal and for plain output alike.
 *
 *     struct top_view v;
 *     top_view_init(&v, "http://127.0.0.1:9901");
 *     v.width = 80, v.height = 24;
 *     top_view_draw(&v, &model, put_line, ctx);      // put_line(ctx, "...", TOP_STYLE_BAD), line by line
 *     (void)top_view_key(&v, 'q');                   // false: the user wants to leave
 *
 * Lines are ASCII, never wider than the screen, and never more than its height. Columns that do not fit are
 * left out from the right. Without colours nothing is lost: what is bad is told in words or numbers as well.
 */
#ifndef GATEWAY_TOP_VIEW_H
#define GATEWAY_TOP_VIEW_H

#include "gateway/top_table.h"

#define TOP_WIDTH_MAX 500
#define TOP_NOTE      200

enum top_style {
    TOP_STYLE_PLAIN,
    TOP_STYLE_HEAD,  /* the gateway's own lines */
    TOP_STYLE_TITLE, /* above columns */
    TOP_STYLE_DIM,
    TOP_STYLE_WARNING,
    TOP_STYLE_BAD,
};

typedef void top_put(void *ctx, const char *line, enum top_style style);

/* Keys that have no character. */
enum top_key { TOP_KEY_NONE = 0, TOP_KEY_UP = 256, TOP_KEY_DOWN, TOP_KEY_PAGE_UP, TOP_KEY_PAGE_DOWN };

/* What the user has chosen. */
struct top_view {
    size_t width, height; /* height 0: as many lines as there are */
    enum top_panel panel;
    size_t sort[TOP_PANELS]; /* the column */
    bool rises[TOP_PANELS];  /* smallest first */
    size_t scroll;           /* rows that are above */
    bool is_paused, is_lost; /* the gateway does not answer */
    bool is_batch;           /* nobody presses keys */
    bool is_bare;            /* the panel only, under its name */
    char note[TOP_NOTE];     /* what there is to say, made safe */
    char where[TOP_NOTE];
};

void top_view_init(struct top_view *v, const char *where);

/* False: leave. Any other key is a wish for V, or means nothing. */
MUST_USE bool top_view_key(struct top_view *v, int key);

/* TEXT is made safe. */
void top_view_note(struct top_view *v, const char *text);

void top_view_draw(struct top_view *v, const struct top_model *m, top_put *put, void *ctx);

/* N as a cell shows it; TEXT has room for 16 bytes. */
void top_view_number(char text[16], enum top_kind kind, double n);

#endif
