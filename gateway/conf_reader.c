/*
 * conf_reader.c: see conf_reader.h.
 *
 * Reading goes statement by statement along the schema: a name, then "= value", "= { values }" or
 * "title { ... }". What is wrong is reported and passed over as far as it reaches, so that the next statement
 * is read as it is meant. One guess keeps one slip from becoming many messages: a section that can stand
 * outside but not where it is means that a '}' is missing before it.
 *
 * The result is written as it is read; a token's place is given when it is scanned, so places only grow.
 */
#include "gateway/conf_reader.h"

#include <glob.h>
#include <stdlib.h>

#include "gateway/conf_clean.h"
#include "gateway/conf_files.h"
#include "gateway/conf_lexer.h"
#include "gateway/conf_schema.h"
#include "gateway/conf_titles.h"

#define DEPTH_MAX 10 /* files that include each other */
#define FILES_MAX 500
#define TITLE_MAX 1000 /* bytes */

struct reader {
    struct conf_report *report;
    struct arena *arena;
    struct conf_clean clean;
    unsigned nsections;
    unsigned nfiles;
};

struct section {
    struct section *outer; /* NULL: the top level */
    const struct conf_section *schema;
    const char *title;          /* NULL: none */
    int place;                  /* where it began */
    bool has_gaps;              /* something in it was not understood */
    int seen[CONF_OPTIONS_MAX]; /* place of each option's value; 0: none yet */
    struct conf_titles titles;  /* of sections that may be given several times */
};

struct file {
    struct reader *reader;
    struct file *outer; /* the one that includes this one */
    int depth;
    dev_t device;
    ino_t inode;
    struct conf_lexer lexer;
    struct conf_token token; /* the one looked at */

    /* The beginning of a statement for which inner sections have to be left first. */
    struct section *base;         /* what the file's statements belong to */
    struct section *pending_home; /* NULL: there is none */
    struct conf_token pending;
};

static const char *text_of(const struct conf_token *t)
{
    return t->is_broken ? CONF_BROKEN : t->text;
}

/* ---- tokens ---- */

static void advance(struct file *f)
{
    conf_token_free(&f->token);
    f->token = conf_lexer_next(&f->lexer);
}

/* The token looked at, which the caller then owns; the next one is looked at. */
static struct conf_token take(struct file *f)
{
    struct conf_token t = f->token;
    f->token.text = NULL;
    f->token = conf_lexer_next(&f->lexer);
    return t;
}

static bool is_next(const struct file *f, enum conf_token_kind kind)
{
    return f->token.kind == kind;
}

/* A text that stands in the same line as T. */
static bool is_text_beside(const struct file *f, const struct conf_token *t)
{
    return is_next(f, TOKEN_TEXT) && f->token.line == t->end_line;
}

/* The next token is not what it should be in S. */
static void report_unexpected(struct file *f, struct section *s, const char *expected)
{
    char words[80];
    s->has_gaps = true;
    if (!f->lexer.is_cut || !is_next(f, TOKEN_END)) /* or it was told where the text that has no end begins */
        conf_mistake(f->reader->report, f->token.place, "expected %s, not %s", expected,
                     conf_token_words(&f->token, words));
}

/* What stands behind the token looked at: to tell a title from a value. */
static char character_behind(const struct file *f)
{
    const char *p = f->lexer.at;
    while (p < f->lexer.end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p < f->lexer.end ? *p : '\0';
}

/* Behind a '{': pass over everything up to its '}'. */
static void skip_braces(struct file *f)
{
    for (int depth = 1; depth > 0 && !is_next(f, TOKEN_END); advance(f))
        depth += is_next(f, TOKEN_OPEN) ? 1 : is_next(f, TOKEN_CLOSE) ? -1 : 0;
}

/* ---- names ---- */

/* " in backend "users"", or nothing at the top level. OUT is returned. */
static const char *inside(const struct section *s, char out[160])
{
    out[0] = '\0';
    if (s->outer && s->title)
        snprintf(out, 160, " in %s \"%.100s\"", s->schema->name, s->title);
    else if (s->outer)
        snprintf(out, 160, " in %s", s->schema->name);
    return out;
}

static void report_unknown(struct file *f, const struct section *s, const struct conf_token *name)
{
    char where[160];
    const struct conf_section *home = conf_schema_home(s->schema, name->text);
    const char *meant = conf_schema_nearest(s->schema, name->text);
    struct conf_report *r = f->reader->report;
    inside(s, where);
    if (home && home->name[0])
        conf_mistake(r, name->place, "unknown option '%s'%s; it belongs in '%s'", name->text, where,
                     home->name);
    else if (home)
        conf_mistake(r, name->place, "unknown option '%s'%s; it belongs at the top level", name->text, where);
    else if (meant)
        conf_mistake(r, name->place, "unknown option '%s'%s; did you mean '%s'?", name->text, where, meant);
    else
        conf_mistake(r, name->place, "unknown option '%s'%s", name->text, where);
}

/* Behind an unknown NAME: pass over what it was given. */
static void skip_statement(struct file *f, const struct conf_token *name)
{
    if (is_next(f, TOKEN_EQUALS)) {
        advance(f);
        if (is_next(f, TOKEN_TEXT)) {
            advance(f);
            return;
        }
    } else if (is_next(f, TOKEN_PAREN_OPEN)) {
        while (!is_next(f, TOKEN_PAREN_CLOSE) && !is_next(f, TOKEN_END) && !is_next(f, TOKEN_OPEN))
            advance(f);
        if (is_next(f, TOKEN_PAREN_CLOSE))
            advance(f);
    } else if (is_text_beside(f, name)) {
        advance(f);
    }
    if (is_next(f, TOKEN_OPEN)) {
        advance(f);
        skip_braces(f);
    }
}

/* The section around S that the statement beginning with NAME must belong to, when it cannot stand in S,
 * where the name is OPTION or unknown: then a '}' is missing. NULL when it is not so. */
static struct section *home_outside(const struct file *f, struct section *s, const struct conf_option *option,
                                    const struct conf_token *name)
{
    bool is_section = is_next(f, TOKEN_OPEN) || (is_text_beside(f, name) && character_behind(f) == '{');
    if (!is_section || (option && option->type == CONF_SECTION))
        return NULL;
    while (s != f->base) {
        s = s->outer;
        const struct conf_option *o = conf_schema_find(s->schema, name->text);
        if (o && o->type == CONF_SECTION)
            return s;
    }
    return NULL;
}

/* ---- options ---- */

/* Whether the option was given before in this section; reported. */
static bool is_repeated(struct file *f, struct section *s, const struct conf_option *o,
                        const struct conf_token *name)
{
    char where[160];
    int *seen = &s->seen[o - s->schema->options];
    if (*seen == 0) {
        *seen = name->place;
        return false;
    }
    struct conf_where first = conf_report_where(f->reader->report, *seen);
    conf_mistake(f->reader->report, name->place, "'%s' is given twice%s; the first is at %s:%d", o->name,
                 inside(s, where), first.file, first.line);
    return true;
}

static void put_value(struct reader *r, const struct conf_token *t)
{
    conf_clean_place(&r->clean, t->place);
    conf_clean_quoted(&r->clean, "", text_of(t));
}

/* Whether the text looked at begins the next statement: then the list has no end. */
static bool is_past_list(const struct file *f)
{
    char behind = character_behind(f);
    return !f->token.is_quoted && (behind == '=' || behind == '{');
}

/* The values of a list, behind its '{'; it began in LINE. */
static void read_list(struct file *f, struct section *s, bool is_dropped, int line)
{
    struct reader *r = f->reader;
    while (is_next(f, TOKEN_TEXT) && !is_past_list(f)) {
        if (!is_dropped)
            put_value(r, &f->token);
        advance(f);
        if (is_next(f, TOKEN_COMMA)) {
            advance(f);
        } else if (is_next(f, TOKEN_TEXT) && !is_past_list(f)) {
            report_unexpected(f, s, "',' between the values of a list");
        }
        if (!is_dropped)
            conf_clean_put(&r->clean, ",");
    }
    if (is_next(f, TOKEN_CLOSE)) {
        advance(f);
    } else if (is_next(f, TOKEN_TEXT)) {
        s->has_gaps = true;
        conf_mistake(r->report, f->token.place, "the list that begins in line %d has no '}'", line);
    } else {
        report_unexpected(f, s, "a value or '}' in a list");
        skip_braces(f);
    }
}

static void read_values(struct file *f, struct section *s, const struct conf_option *o, bool is_dropped)
{
    struct reader *r = f->reader;
    bool is_list = is_next(f, TOKEN_OPEN);
    int line = f->token.line;
    if (is_list && o->type != CONF_LIST) {
        conf_mistake(r->report, f->token.place, "'%s' takes one value, not a list", o->name);
        advance(f);
        skip_braces(f);
        return;
    }
    if (!is_dropped) {
        conf_clean_place(&r->clean, f->token.place);
        conf_clean_put(&r->clean, " ");
        conf_clean_put(&r->clean, o->name);
        conf_clean_put(&r->clean, is_list ? " = {" : " =");
    }
    if (!is_list && !is_dropped)
        put_value(r, &f->token);
    advance(f);
    if (!is_list)
        return;
    read_list(f, s, is_dropped, line);
    conf_clean_put(&r->clean, is_dropped ? "" : "}");
}

/* Behind the NAME of an option that is no section. */
static void read_option(struct file *f, struct section *s, const struct conf_option *o,
                        const struct conf_token *name)
{
    struct conf_report *r = f->reader->report;
    bool is_dropped = is_repeated(f, s, o, name);
    int line = name->end_line;
    if (is_next(f, TOKEN_EQUALS)) {
        line = f->token.line;
        advance(f);
    } else {
        conf_mistake(r, name->place, "expected '=' behind '%s'", o->name);
        if (!is_next(f, TOKEN_OPEN) && !is_text_beside(f, name))
            return;
    }
    /* A bare word in the next line begins the next statement. */
    if (is_next(f, TOKEN_OPEN) || (is_next(f, TOKEN_TEXT) && (f->token.is_quoted || f->token.line == line))) {
        read_values(f, s, o, is_dropped);
    } else {
        s->has_gaps = true;
        if (!f->lexer.is_cut)
            conf_mistake(r, name->place, "'%s' has no value", o->name);
    }
}

/* ---- sections ---- */

static void read_statements(struct file *f, struct section *s, bool is_braced);

/* Whether S has a section O with that title already; reported. */
static bool is_title_taken(struct file *f, struct section *s, const struct conf_option *o,
                           const struct conf_token *title)
{
    struct conf_report *r = f->reader->report;
    int place = conf_titles_add(&s->titles, o, title->text, title->place);
    struct conf_where w = conf_report_where(r, place);
    if (place > 0)
        conf_mistake(r, title->place, "%s \"%s\" is there twice; the first is at %s:%d", o->name, title->text,
                     w.file, w.line);
    r->is_short |= place < 0;
    return place != 0;
}

/* Whether this section cannot be kept; reported. TITLE has no text when there is none. */
static bool is_refused(struct file *f, struct section *s, const struct conf_option *o,
                       const struct conf_token *name, const struct conf_token *title)
{
    const struct conf_section *schema = o->section;
    struct conf_report *r = f->reader->report;
    if (schema->title && !title->text) {
        conf_mistake(r, name->place, "%s needs a title, %s: %s \"...\" { }", o->name, schema->title, o->name);
        s->has_gaps = true;
        return true;
    }
    if (title->text && strlen(title->text) > TITLE_MAX) {
        conf_mistake(r, title->place, "the title of %s is longer than %d bytes", o->name, TITLE_MAX);
        s->has_gaps = true;
        return true;
    }
    if (!schema->title && title->text)
        conf_mistake(r, title->place, "%s has no title: write %s { }", o->name, o->name);
    if (!schema->is_many)
        return is_repeated(f, s, o, name);
    if (title->is_broken || !schema->title)
        return false;
    return is_title_taken(f, s, o, title);
}

/* What is in the braces of a section, its '{' being looked at. */
static void read_inside(struct file *f, struct section *s, const struct conf_option *o,
                        const struct conf_token *title, int place)
{
    struct reader *r = f->reader;
    struct section inner = {.outer = s, .schema = o->section, .place = place};
    char prefix[32]; /* libConfuse takes two sections of one title for the same */
    inner.title = title->text;
    snprintf(prefix, sizeof(prefix), "%d.%u:", place, ++r->nsections);
    conf_clean_place(&r->clean, place);
    conf_clean_put(&r->clean, " ");
    conf_clean_put(&r->clean, o->name);
    conf_clean_quoted(&r->clean, prefix, title->text ? text_of(title) : "");
    conf_clean_put(&r->clean, " {");
    if (is_next(f, TOKEN_OPEN)) {
        advance(f);
        read_statements(f, &inner, true);
    } else {
        report_unexpected(f, &inner, "'{' to begin the section");
    }
    conf_clean_put(&r->clean, inner.has_gaps ? " " CONF_GAPS " = 1 }" : " }");
    conf_titles_free(&inner.titles);
}

/* Behind the NAME of a section. */
static void read_section(struct file *f, struct section *s, const struct conf_option *o,
                         const struct conf_token *name)
{
    struct conf_token title = {.kind = TOKEN_END};
    if (is_next(f, TOKEN_EQUALS)) {
        conf_mistake(f->reader->report, name->place, "'%s' is a section: write it without '='", o->name);
        advance(f);
    }
    if (is_next(f, TOKEN_TEXT) && (f->token.is_quoted || is_text_beside(f, name)))
        title = take(f);
    if (title.text && !o->section->title && is_next(f, TOKEN_EQUALS)) {
        conf_mistake(f->reader->report, name->place, "'%s' is a section: write %s { %.60s = ... }", o->name,
                     o->name, title.text);
        skip_statement(f, &title);
    } else if (!is_refused(f, s, o, name, &title)) {
        read_inside(f, s, o, &title, name->place);
    } else if (is_next(f, TOKEN_OPEN)) {
        advance(f);
        skip_braces(f);
    }
    conf_token_free(&title);
}

/* ---- files ---- */

static void read_file(struct reader *r, struct section *s, struct file *outer, const char *path, int place);

static void include_pattern(struct file *f, struct section *s, const char *pattern, int place)
{
    struct conf_report *report = f->reader->report;
    bool is_pattern = strpbrk(pattern, "*?[") != NULL;
    glob_t found = {0};
    if (!is_pattern) {
        read_file(f->reader, s, f, pattern, place);
        return;
    }
    int result = glob(pattern, 0, NULL, &found);
    if (result == GLOB_NOMATCH)
        conf_warning(report, place, "include: no file matches %s", pattern);
    else if (result != 0)
        conf_mistake(report, place, "include: cannot look for %s", pattern);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
        char *path = arena_dup(f->reader->arena, slice_of(found.gl_pathv[i]));
        report->is_short |= !path;
        if (path)
            read_file(f->reader, s, f, path, place);
    }
    globfree(&found);
}

/* Behind the word "include". */
static void read_include(struct file *f, struct section *s, const struct conf_token *name)
{
    if (!is_next(f, TOKEN_PAREN_OPEN)) {
        conf_mistake(f->reader->report, name->place, "include is written include(\"FILE\")");
        s->has_gaps = true;
        skip_statement(f, name);
        return;
    }
    advance(f);
    if (!is_next(f, TOKEN_TEXT)) {
        report_unexpected(f, s, "the name of a file");
        return;
    }
    struct conf_token path = take(f);
    bool is_closed = is_next(f, TOKEN_PAREN_CLOSE);
    if (!is_closed)
        report_unexpected(f, s, "')' behind the name of a file");
    s->has_gaps |= path.is_broken;
    char *beside = conf_file_beside(f->reader->arena, f->lexer.file, path.text);
    f->reader->report->is_short |= !beside;
    if (beside && !path.is_broken)
        include_pattern(f, s, beside, path.place);
    conf_token_free(&path);
    if (is_closed)
        advance(f);
}

static bool is_open_already(const struct file *f, const struct conf_file *one)
{
    for (; f; f = f->outer)
        if (f->device == one->device && f->inode == one->inode)
            return true;
    return false;
}

static void report_file(struct reader *r, struct section *s, const struct file *outer, int place,
                        const char *path, const char *reason)
{
    s->has_gaps = true;
    if (outer)
        conf_mistake(r->report, place, "cannot include %s: %s", path, reason);
    else
        conf_mistake(r->report, place, "cannot be read: %s", reason);
}

/* Everything in the file PATH, as statements of S. */
static void read_file(struct reader *r, struct section *s, struct file *outer, const char *path, int place)
{
    struct conf_why why;
    struct conf_file one;
    struct file f = {.reader = r, .outer = outer, .base = s, .depth = outer ? outer->depth + 1 : 0};
    if (f.depth > DEPTH_MAX || ++r->nfiles > FILES_MAX) {
        report_file(r, s, outer, place, path,
                    f.depth > DEPTH_MAX ? "includes go too deep" : "too many files");
        return;
    }
    if (!conf_file_read(path, &one, &why)) {
        report_file(r, s, outer, place, path, why.text);
        return;
    }
    if (is_open_already(outer, &one)) {
        report_file(r, s, outer, place, path, "it includes itself");
        free(one.text);
        return;
    }
    f.device = one.device;
    f.inode = one.inode;
    conf_lexer_init(&f.lexer, r->report, path, (struct slice){one.text, one.len});
    f.token = conf_lexer_next(&f.lexer);
    read_statements(&f, s, false);
    s->has_gaps |= f.lexer.is_cut;
    conf_token_free(&f.token);
    free(one.text);
}

/* ---- statements ---- */

/* Behind NAME, which begins a statement of S. */
static void read_statement(struct file *f, struct section *s, const struct conf_token *name)
{
    const struct conf_option *o = conf_schema_find(s->schema, name->text);
    if (!o && strcmp(name->text, "include") == 0) {
        read_include(f, s, name);
    } else if (!o) {
        if (!name->is_broken)
            report_unknown(f, s, name);
        s->has_gaps |= s->outer || !is_next(f, TOKEN_EQUALS);
        skip_statement(f, name);
    } else if (o->type == CONF_SECTION) {
        read_section(f, s, o, name);
    } else {
        read_option(f, s, o, name);
    }
}

/* Where a name should stand there is something else. */
static void skip_unexpected(struct file *f, struct section *s)
{
    bool is_open = is_next(f, TOKEN_OPEN);
    if (is_next(f, TOKEN_CLOSE)) {
        conf_mistake(f->reader->report, f->token.place, "unexpected '}': there is nothing for it to end");
        s->has_gaps = true;
    } else {
        report_unexpected(f, s, "the name of an option");
    }
    advance(f);
    if (is_open)
        skip_braces(f);
}

/* The statement that begins with NAME (taken) is to be read in HOME, outside S. */
static void leave(struct file *f, struct section *s, struct section *home, struct conf_token name)
{
    char where[160];
    conf_mistake(f->reader->report, name.place,
                 "'%s' cannot stand%s, which began in line %d: is a '}' missing?", name.text,
                 inside(s, where), conf_report_where(f->reader->report, s->place).line);
    for (; s != home; s = s->outer)
        s->has_gaps = true;
    f->pending = name;
    f->pending_home = home;
}

/* One statement of S, or what stands in its place. */
static void read_next(struct file *f, struct section *s)
{
    struct conf_token name = f->pending;
    if (f->pending_home) {
        f->pending_home = NULL;
    } else if (is_next(f, TOKEN_TEXT)) {
        name = take(f);
        struct section *home = home_outside(f, s, conf_schema_find(s->schema, name.text), &name);
        if (home) {
            leave(f, s, home, name);
            return;
        }
    } else {
        skip_unexpected(f, s);
        return;
    }
    read_statement(f, s, &name);
    conf_token_free(&name);
}

/* The statements of S up to its '}' when IS_BRACED, else up to the end of the file. */
static void read_statements(struct file *f, struct section *s, bool is_braced)
{
    char where[160];
    while (f->pending_home || !is_next(f, TOKEN_END)) {
        if (f->pending_home && f->pending_home != s)
            return;
        if (!f->pending_home && is_braced && is_next(f, TOKEN_CLOSE)) {
            advance(f);
            return;
        }
        read_next(f, s);
    }
    if (!is_braced)
        return;
    s->has_gaps = true;
    if (!f->lexer.is_cut)
        conf_mistake(f->reader->report, f->token.place,
                     "the file ends%s, which began in line %d: '}' is missing", inside(s, where),
                     conf_report_where(f->reader->report, s->place).line);
}

char *conf_read(const char *path, struct arena *arena, struct conf_report *report)
{
    struct reader r = {.report = report, .arena = arena, .clean.line = 1};
    struct section root = {.schema = &conf_schema};
    char *name = arena_dup(arena, slice_of(path));
    if (!name) {
        report->is_short = true;
        return NULL;
    }
    int place = conf_report_place(report, name, 1);
    read_file(&r, &root, NULL, name, place);
    conf_clean_put(&r.clean, root.has_gaps ? " " CONF_GAPS " = 1\n" : "\n");
    conf_titles_free(&root.titles);
    report->is_short |= r.clean.is_short;
    return conf_clean_take(&r.clean);
}
