/* top.c: see top.h. The terminal is ncurses', and nobody else's: all it is given are the lines of a view. */
#include "gateway/top.h"

#include <curses.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/admin_client.h"
#include "gateway/command.h"
#include "gateway/top_view.h"
#include "lib/clock.h"

#define BATCH_WIDTH  160
#define WAIT_MS      100 /* a change of the terminal's size is seen this late at most */
#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 3600

struct top {
    struct admin_ask ask;
    double interval_s;
    bool is_batch;
    unsigned long screens;
    int panel; /* -1: all */
    struct admin_target target;
    struct admin_call *call;
    struct top_model model;
    struct top_view view;
    bool is_asking;
    uint64_t next_ns; /* the next look is due */
};

/* ---- options ---- */

static int find_panel(const char *name)
{
    for (int i = 0; i < TOP_PANELS; i++)
        if (strcmp(name, top_panel_name((enum top_panel)i)) == 0 || (name[0] == '1' + i && !name[1]))
            return i;
    return -1;
}

static bool parse_number(const char *text, double min, double max, double *n)
{
    char *end;
    *n = strtod(text, &end);
    return end != text && *end == '\0' && *n >= min && *n <= max; /* false of a NAN */
}

static bool parse(struct top *t, int argc, char **argv)
{
    int c;
    double n = 1;
    while ((c = getopt(argc, argv, "c:a:t:i:bn:p:")) != -1) {
        bool ok = c != '?';
        if (c == 'c')
            t->ask.conf = optarg;
        else if (c == 'a')
            t->ask.url = optarg;
        else if (c == 't')
            t->ask.token = optarg;
        else if (c == 'i')
            ok = parse_number(optarg, INTERVAL_MIN, INTERVAL_MAX, &t->interval_s);
        else if (c == 'b')
            t->is_batch = true;
        else if (c == 'n')
            ok = parse_number(optarg, 1, 1e9, &n);
        else if (c == 'p')
            ok = (t->panel = find_panel(optarg)) >= 0;
        if (!ok)
            return false;
    }
    t->screens = (unsigned long)n;
    return optind == argc;
}

/* ---- looking ---- */

static bool ask(struct top *t)
{
    return admin_call_start(t->call, "/status", NULL, NULL);
}

static void take(struct top *t, enum admin_state state)
{
    t->view.is_lost = state != ADMIN_DONE;
    if (state == ADMIN_FAILED)
        top_view_note(&t->view, admin_call_error(t->call));
    else if (top_model_take(&t->model, admin_call_body(t->call)))
        top_view_note(&t->view, "");
    else {
        t->view.is_lost = true;
        top_view_note(&t->view, "what it says is no status");
    }
}

/* ---- batch ---- */

static void print_line(void *ctx, const char *line, enum top_style style)
{
    (void)ctx, (void)style;
    size_t len = strlen(line);
    while (len > 0 && line[len - 1] == ' ')
        len--;
    printf("%.*s\n", (int)len, line);
}

static bool look_once(struct top *t)
{
    enum admin_state state = ADMIN_FAILED;
    if (ask(t))
        while ((state = admin_call_run(t->call, -1, WAIT_MS)) == ADMIN_BUSY)
            continue;
    take(t, state);
    if (t->view.is_lost)
        fprintf(stderr, "tollgate: no answer from %s: %s\n", t->view.where, t->view.note);
    return !t->view.is_lost;
}

static int run_batch(struct top *t)
{
    t->view.is_batch = true;
    t->view.width = BATCH_WIDTH;
    for (unsigned long i = 0; i < t->screens; i++) {
        if (i > 0)
            usleep((useconds_t)(t->interval_s * 1e6));
        if (!look_once(t))
            return EXIT_FAILURE;
        t->view.is_bare = false;
        for (int p = 0; p < TOP_PANELS; p++) {
            if (t->panel != -1 && t->panel != p)
                continue;
            t->view.panel = (enum top_panel)p;
            top_view_draw(&t->view, &t->model, print_line, NULL);
            printf("\n");
            t->view.is_bare = true;
        }
        if (fflush(stdout) != 0)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* ---- the screen ---- */

static void open_colors(void)
{
    const char *no = getenv("NO_COLOR"); /* no-color.org: when it is there and not empty */
    if ((no && *no) || !has_colors())
        return;
    start_color();
    use_default_colors();
    init_pair(TOP_STYLE_WARNING, COLOR_YELLOW, -1);
    init_pair(TOP_STYLE_BAD, COLOR_RED, -1);
    init_pair(TOP_STYLE_HEAD, COLOR_CYAN, -1);
}

static attr_t attributes(enum top_style style)
{
    static const attr_t plain[] = {
        [TOP_STYLE_PLAIN] = A_NORMAL, [TOP_STYLE_HEAD] = A_BOLD,    [TOP_STYLE_TITLE] = A_REVERSE,
        [TOP_STYLE_DIM] = A_DIM,      [TOP_STYLE_WARNING] = A_BOLD, [TOP_STYLE_BAD] = A_BOLD};
    bool is_coloured = style == TOP_STYLE_WARNING || style == TOP_STYLE_BAD || style == TOP_STYLE_HEAD;
    return plain[style] | (is_coloured && COLORS > 0 && COLOR_PAIRS > 0 ? (attr_t)COLOR_PAIR(style) : 0);
}

static void put_line(void *ctx, const char *line, enum top_style style)
{
    int *y = ctx;
    attrset((int)attributes(style));
    mvaddstr(*y, 0, line);
    int width = getmaxx(stdscr), len = (int)strlen(line);
    for (int x = len; style == TOP_STYLE_TITLE && x < width; x++)
        addch(' ');
    attrset(A_NORMAL);
    (*y)++;
}

static void draw(struct top *t)
{
    int y = 0;
    t->view.width = (size_t)getmaxx(stdscr);
    t->view.height = (size_t)getmaxy(stdscr);
    erase();
    top_view_draw(&t->view, &t->model, put_line, &y);
    refresh();
}

static int key_of(int c)
{
    switch (c) {
    case KEY_UP:
        return TOP_KEY_UP;
    case KEY_DOWN:
        return TOP_KEY_DOWN;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    default:
        return c < 256 ? c : TOP_KEY_NONE;
    }
}

/* All keys that were pressed. False: the user leaves. *SEEN: there were any, or the size has changed. */
static bool take_keys(struct top *t, bool *seen)
{
    for (int c = getch(); c != ERR; c = getch()) {
        *seen = true;
        if (!top_view_key(&t->view, key_of(c)))
            return false;
    }
    return true;
}

/* A turn: keys, the answer, the next look. False: the user leaves, or memory is short. */
static bool turn(struct top *t)
{
    bool changed = false;
    uint64_t now = clock_now_ns();
    if (!t->view.is_paused && !t->is_asking && now >= t->next_ns) {
        t->next_ns = now + (uint64_t)(t->interval_s * 1e9);
        if (!(t->is_asking = ask(t)))
            return false;
    }
    enum admin_state state = admin_call_run(t->call, STDIN_FILENO, WAIT_MS);
    if (state == ADMIN_DONE || state == ADMIN_FAILED) {
        take(t, state);
        t->is_asking = false;
        changed = true;
    }
    if (!take_keys(t, &changed))
        return false;
    if (changed)
        draw(t);
    return true;
}

static int run_screen(struct top *t)
{
    SCREEN *screen = isatty(STDIN_FILENO) ? newterm(NULL, stdout, stdin) : NULL;
    if (!screen) {
        fprintf(stderr, "tollgate: there is no terminal to draw on; -b prints plain text\n");
        return EXIT_FAILURE;
    }
    if (t->panel >= 0)
        t->view.panel = (enum top_panel)t->panel;
    open_colors();
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    draw(t);
    while (turn(t))
        continue;
    endwin();
    delscreen(screen);
    return EXIT_SUCCESS;
}

int top_run(int argc, char **argv)
{
    struct top t = {.interval_s = 1, .panel = -1, .ask.conf = COMMAND_CONF};
    if (!parse(&t, argc, argv)) {
        fprintf(stderr, "usage: tollgate top [-c FILE | -a URL] [-t TOKEN] [-i SECONDS] [-b] [-n SCREENS] "
                        "[-p routes|backends|limits|cache|redis|errors]\n");
        return 2;
    }
    if (!admin_target_set(&t.target, &t.ask))
        return EXIT_FAILURE;
    if (!(t.call = admin_call_new(&t.target))) {
        fprintf(stderr, "tollgate: out of memory\n");
        return EXIT_FAILURE;
    }
    top_view_init(&t.view, t.target.unix_path[0] ? t.target.unix_path : t.target.url);
    int status = t.is_batch ? run_batch(&t) : run_screen(&t);
    top_model_fini(&t.model);
    admin_call_free(t.call);
    return status;
}
