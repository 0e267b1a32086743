/* conf_clean.c: see conf_clean.h. */
#include "gateway/conf_clean.h"

#include <stdlib.h>
#include <string.h>

static void put_bytes(struct conf_clean *c, const char *p, size_t n)
{
    if (c->len + n + 1 > c->room) {
        size_t room = 2 * (c->len + n + 1);
        char *more = realloc(c->p, room);
        if (!more) {
            c->is_short = true;
            return;
        }
        c->p = more;
        c->room = room;
    }
    memcpy(c->p + c->len, p, n);
    c->len += n;
    c->p[c->len] = '\0';
}

void conf_clean_put(struct conf_clean *c, const char *word)
{
    put_bytes(c, word, strlen(word));
}

void conf_clean_place(struct conf_clean *c, int place)
{
    for (; c->line < place; c->line++)
        put_bytes(c, "\n", 1);
}

/* '$' is escaped too: variables have been replaced, and libConfuse would do it again. */
void conf_clean_quoted(struct conf_clean *c, const char *prefix, const char *text)
{
    put_bytes(c, " \"", 2);
    conf_clean_put(c, prefix);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '$')
            put_bytes(c, "\\", 1);
        if (*text == '\n')
            put_bytes(c, "\\n", 2);
        else
            put_bytes(c, text, 1);
    }
    put_bytes(c, "\"", 1);
}

char *conf_clean_take(struct conf_clean *c)
{
    char *text = c->p;
    if (c->is_short) {
        free(text);
        text = NULL;
    }
    *c = (struct conf_clean){0};
    return text;
}
