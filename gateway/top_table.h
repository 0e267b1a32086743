/*
 * top_table.h: the panels of `tollgate top`, each a table: its columns, and a row for each thing it shows.
 *
 *     struct top_table t;
 *     if (top_table_make(&t, &model, TOP_ROUTES)) {
 *         top_table_sort(&t, 1, true);                    // by the second column, largest first
 *         for (size_t i = 0; i < t.nrows; i++) ... t.rows[i].cells[1].number ...
 *     }
 *     top_table_free(&t);
 *
 * Rows of a group (a backend and its servers) stay together: the first leads, and is what is sorted by.
 * Texts are safe for a terminal (lib/printable.h), and so is the caption.
 */
#ifndef GATEWAY_TOP_TABLE_H
#define GATEWAY_TOP_TABLE_H

#include "gateway/top_model.h"

enum top_panel {
    TOP_ROUTES,
    TOP_BACKENDS,
    TOP_LIMITS,
    TOP_CACHE,
    TOP_REDIS,
    TOP_ERRORS,
    TOP_PANELS,
};

#define TOP_COLUMNS 11 /* at most */
#define TOP_TEXT    96

enum top_kind {
    TOP_TEXT_CELL,
    TOP_COUNT,   /* 1234 */
    TOP_RATE,    /* per second */
    TOP_SHARE,   /* 0 to 1, shown in % */
    TOP_SECONDS, /* a duration */
    TOP_BYTES,
};

struct top_column {
    const char *title;
    enum top_kind kind;
    unsigned width; /* characters; of the first column, at least */
};

/* Number or text, by the column's kind; without either (NAN, ""), there is nothing to show. */
struct top_cell {
    double number;
    char text[TOP_TEXT];
};

enum top_mood { TOP_USUAL, TOP_WARNING, TOP_BAD };

struct top_row {
    struct top_cell cells[TOP_COLUMNS];
    enum top_mood mood;
    unsigned group; /* number of the row that leads it, as it was made */
    unsigned place; /* in the group; 0 leads */
};

struct top_table {
    const struct top_column *columns;
    size_t ncolumns;
    unsigned sort_by; /* the column that it is best sorted by */
    struct top_row *rows;
    size_t nrows, cap;
    bool failed; /* memory is short: rows are missing */
    char caption[160];
};

/* "routes" */
const char *top_panel_name(enum top_panel p);

/* False: memory is short. Free it either way. */
MUST_USE bool top_table_make(struct top_table *t, const struct top_model *m, enum top_panel panel);
void top_table_free(struct top_table *t);

/* Numbers largest first, or texts from a to z; the other way round when not FALLS. What has nothing to show
 * comes last. */
void top_table_sort(struct top_table *t, size_t column, bool falls);

#endif
