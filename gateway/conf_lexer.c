/*
 * conf_lexer.c: see conf_lexer.h.
 *
 * Quoted text has its escapes resolved first and its variables second: so a default may hold an escaped
 * quote, and what a variable holds is never taken for an escape. "\$" is carried over as "$$" when a brace
 * follows, which the expansion turns into "${".
 */
#include "gateway/conf_lexer.h"

#include <stdlib.h>

#include "lib/expand.h"

/* Text that is being put together; it is never longer than what it is made from. */
struct draft {
    char *p;
    size_t len;
};

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && !is_in(c, "\t\n\r")) || c == 0x7f;
}

void conf_lexer_init(struct conf_lexer *l, struct conf_report *report, const char *file, struct slice text)
{
    *l = (struct conf_lexer){.report = report, .file = file, .line = 1};
    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        text = slice_skip(text, 3);
    l->at = text.p;
    l->end = text.p + text.len;
}

void conf_token_free(struct conf_token *t)
{
    free(t->text);
    t->text = NULL;
}

const char *conf_token_words(const struct conf_token *t, char out[80])
{
    static const char *const words[] = {
        [TOKEN_OPEN] = "'{'",
        [TOKEN_CLOSE] = "'}'",
        [TOKEN_EQUALS] = "'='",
        [TOKEN_COMMA] = "','",
        [TOKEN_PAREN_OPEN] = "'('",
        [TOKEN_PAREN_CLOSE] = "')'",
        [TOKEN_END] = "the end of the file",
    };
    if (t->kind == TOKEN_TEXT)
        snprintf(out, 80, "'%.60s'", t->text);
    else
        snprintf(out, 80, "%s", words[t->kind]);
    return out;
}

static bool is_at(const struct conf_lexer *l, const char *word)
{
    return slice_starts(slice_between(l->at, l->end), slice_of(word));
}

static int here(const struct conf_lexer *l)
{
    return conf_report_place(l->report, l->file, l->line);
}

/* ---- between the words ---- */

static void skip_to(struct conf_lexer *l, char c)
{
    const char *p = memchr(l->at, c, (size_t)(l->end - l->at));
    l->at = p ? p : l->end;
}

/* False when the comment has no end. */
static bool skip_long_comment(struct conf_lexer *l)
{
    int place = here(l);
    l->at += 2;
    while (l->at < l->end && !is_at(l, "*/"))
        l->line += *l->at++ == '\n';
    if (l->at == l->end) {
        conf_mistake(l->report, place, "a comment that begins here has no end: '*/' is missing");
        l->is_cut = true;
        return false;
    }
    l->at += 2;
    return true;
}

/* Pass over one piece of what is no token; false when a token is next. */
static bool skip_one(struct conf_lexer *l)
{
    char c = *l->at;
    if (c == '#' || is_at(l, "//"))
        return skip_to(l, '\n'), true;
    if (is_at(l, "/*"))
        return skip_long_comment(l), true;
    if (c == ';')
        conf_mistake(l->report, here(l), "unexpected ';': an option ends without one");
    else if (is_control(c))
        conf_mistake(l->report, here(l), "unexpected control byte 0x%02x", (unsigned char)c);
    else if (!is_in(c, " \t\n\r"))
        return false;
    l->line += c == '\n';
    l->at++;
    return true;
}

/* ---- text ---- */

static const char *environment(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static void report_expansion(const struct conf_lexer *l, const struct conf_token *t,
                             const struct expand_fault *f)
{
    struct conf_report *r = l->report;
    switch (f->kind) {
    case EXPAND_UNSET:
        conf_mistake(r, t->place, "the variable %s is not set and has no default: ${%s:-default}", f->name,
                     f->name);
        break;
    case EXPAND_OPEN:
        conf_mistake(r, t->place, "\"${\" without its '}'; a literal one is written \"$${\"");
        break;
    case EXPAND_BAD_NAME:
        conf_mistake(r, t->place, "\"${%s}\": expected ${NAME} or ${NAME:-default}", f->name);
        break;
    case EXPAND_NESTED:
        conf_mistake(r, t->place, "the default of %s holds another \"${\"", f->name);
        break;
    default:
        conf_mistake(r, t->place, "this text is too long, or memory is short");
        break;
    }
}

/* Whether a draft can become a text; reported when not. */
static bool check_bytes(const struct conf_lexer *l, int place, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_control(s.p[i])) {
            conf_mistake(l->report, place, "a text may hold no control byte but tab and newline");
            return false;
        }
    return true;
}

/* T's text is D, which is taken. */
static void finish(const struct conf_lexer *l, struct conf_token *t, struct draft d, bool has_variables)
{
    struct expand_fault fault;
    t->end_line = l->line;
    d.p[d.len] = '\0';
    t->text = d.p;
    t->is_broken |= !check_bytes(l, t->place, (struct slice){d.p, d.len});
    if (has_variables && !t->is_broken) {
        t->text = expand((struct slice){d.p, d.len}, environment, NULL, &fault);
        free(d.p);
        if (!t->text)
            report_expansion(l, t, &fault);
        t->is_broken = !t->text || !check_bytes(l, t->place, slice_of(t->text));
    }
    if (t->is_broken) {
        free(t->text);
        t->text = calloc(1, 1);
    }
}

static bool ends_word(const struct conf_lexer *l, const char *p)
{
    return is_in(*p, " \t\n\r={}(),;\"'#") || slice_starts(slice_between(p, l->end), SLICE("+="));
}

/* The end of a bare word; "${...}" belongs to it with all that is in its braces, but never goes over a line's
 * end. */
static const char *word_end(const struct conf_lexer *l)
{
    const char *p = l->at;
    while (p < l->end && !ends_word(l, p)) {
        if (!slice_starts(slice_between(p, l->end), SLICE("${"))) {
            p++;
            continue;
        }
        while (p < l->end && *p != '}' && *p != '\n')
            p++;
        p += p < l->end && *p == '}';
    }
    return p;
}

static void read_word(struct conf_lexer *l, struct conf_token *t)
{
    const char *end = word_end(l);
    struct draft d = {malloc((size_t)(end - l->at) + 1), (size_t)(end - l->at)};
    if (d.p) {
        memcpy(d.p, l->at, d.len);
        l->at = end;
        finish(l, t, d, true);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* At the character behind a backslash. */
static void read_escape(struct conf_lexer *l, struct conf_token *t, struct draft *d)
{
    static const char names[] = "\"\\nrt", values[] = "\"\\\n\r\t";
    char c = *l->at++;
    if (is_in(c, names)) {
        d->p[d->len++] = values[strchr(names, c) - names];
    } else if (c == '$') {
        d->p[d->len++] = '$';
        if (*l->at == '{')
            d->p[d->len++] = '$';
    } else if (c == '\n') {
        l->line++;
    } else if (c == 'x' && l->end - l->at >= 2 && hex_digit(l->at[0]) >= 0 && hex_digit(l->at[1]) >= 0) {
        d->p[d->len++] = (char)(hex_digit(l->at[0]) * 16 + hex_digit(l->at[1]));
        l->at += 2;
    } else {
        conf_mistake(l->report, here(l), "unknown escape \"\\%c\": a backslash is written \"\\\\\"", c);
        t->is_broken = true;
    }
}

/* The closing quote of the text whose inside begins at P, or NULL. */
static const char *closing_quote(const struct conf_lexer *l, const char *p, char quote)
{
    for (; p < l->end; p++) {
        if (*p == quote)
            return p;
        if (*p == '\\')
            p++;
    }
    return NULL;
}

/* A word right behind a closing quote: most likely that quote was meant to open a text, and an earlier one is
 * not closed. Over several lines there is no telling what is inside and what outside, so reading ends. */
static void check_behind(struct conf_lexer *l, struct conf_token *t)
{
    if (l->at == l->end || is_in(*l->at, " \t\n\r{}=,();#/+") || is_control(*l->at))
        return;
    t->is_broken = true;
    if (l->line == t->line) {
        conf_mistake(l->report, here(l),
                     "white space is missing behind a text: is a quote missing, or one too many?");
        l->at = word_end(l);
        return;
    }
    conf_mistake(l->report, here(l),
                 "the text that began in line %d ends here: is its closing quote missing?", t->line);
    l->is_cut = true;
    l->at = l->end;
}

static void read_quoted(struct conf_lexer *l, struct conf_token *t)
{
    char quote = *l->at++;
    const char *end = closing_quote(l, l->at, quote);
    if (!end) {
        conf_mistake(l->report, t->place, "a text that begins here has no end: %c is missing", quote);
        l->is_cut = true;
        l->at = l->end;
        return;
    }
    struct draft d = {malloc((size_t)(end - l->at) + 1), 0};
    while (d.p && l->at < end) {
        char c = *l->at++;
        if (c == '\\' && quote == '"') {
            read_escape(l, t, &d);
            continue;
        }
        if (c == '\\' && is_in(*l->at, "\\'"))
            c = *l->at++;
        l->line += c == '\n';
        d.p[d.len++] = c;
    }
    l->at = end + 1;
    check_behind(l, t);
    if (d.p)
        finish(l, t, d, quote == '"');
}

static struct conf_token read_text(struct conf_lexer *l, struct conf_token t)
{
    t.is_quoted = *l->at == '"' || *l->at == '\'';
    if (t.is_quoted)
        read_quoted(l, &t);
    else
        read_word(l, &t);
    if (t.text)
        t.kind = TOKEN_TEXT;
    else if (!l->is_cut)
        l->report->is_short = true;
    return t;
}

struct conf_token conf_lexer_next(struct conf_lexer *l)
{
    static const char marks[] = "{}=,()";
    static const enum conf_token_kind kinds[] = {TOKEN_OPEN,  TOKEN_CLOSE,      TOKEN_EQUALS,
                                                 TOKEN_COMMA, TOKEN_PAREN_OPEN, TOKEN_PAREN_CLOSE};
    while (l->at < l->end && skip_one(l))
        ;
    struct conf_token t = {.kind = TOKEN_END, .place = here(l), .line = l->line, .end_line = l->line};
    if (l->at == l->end)
        return t;
    if (is_at(l, "+=")) {
        conf_mistake(l->report, t.place, "'+=' is not known: give the whole list with '='");
        l->at++;
    }
    if (!is_in(*l->at, marks))
        return read_text(l, t);
    t.kind = kinds[strchr(marks, *l->at++) - marks];
    return t;
}
