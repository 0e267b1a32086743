/*
 * conf_lexer.h: the words of a configuration file. Used by the conf_*.c files only.
 *
 *     # comment, // comment, or one between slash-star and star-slash
 *     word             up to white space or one of  = { } ( ) , ; " ' #
 *     "text"           may go over several lines; \" \\ \$ \n \r \t \xHH and nothing else behind a backslash
 *     'text'           as it is; only \' and \\ mean something
 *
 * ${VAR} and ${VAR:-default} are replaced in words and in "text" (see lib/expand.h), never in 'text'. What a
 * variable holds is not looked at again: it can hold any character and does not end the word.
 *
 * A word that is wrong is reported and given all the same, with is_broken set, so that reading goes on behind
 * it. Owned by one thread.
 */
#ifndef GATEWAY_CONF_LEXER_H
#define GATEWAY_CONF_LEXER_H

#include "gateway/conf_report.h"
#include "lib/slice.h"

enum conf_token_kind {
    TOKEN_TEXT,
    TOKEN_OPEN,        /* { */
    TOKEN_CLOSE,       /* } */
    TOKEN_EQUALS,      /* = */
    TOKEN_COMMA,       /* , */
    TOKEN_PAREN_OPEN,  /* ( */
    TOKEN_PAREN_CLOSE, /* ) */
    TOKEN_END,         /* of the file; also behind what cannot be read on from */
};

struct conf_token {
    enum conf_token_kind kind;
    int place;
    int line;       /* of its beginning */
    int end_line;   /* of its end: another one for text over several lines */
    bool is_quoted; /* TOKEN_TEXT */
    bool is_broken; /* TOKEN_TEXT: reported already; text is "" */
    char *text;     /* TOKEN_TEXT; owned by the token */
};

struct conf_lexer {
    struct conf_report *report;
    const char *file; /* outlives the report */
    const char *at;
    const char *end;
    int line;
    bool is_cut; /* a text or comment has no end: what follows was not read */
};

/* TEXT and FILE are lent. */
void conf_lexer_init(struct conf_lexer *l, struct conf_report *report, const char *file, struct slice text);

/* The next token, to be given back with conf_token_free. */
struct conf_token conf_lexer_next(struct conf_lexer *l);
void conf_token_free(struct conf_token *t);

/* "'{'", "'users'", "the end of the file": for messages. OUT of 80 bytes is returned. */
const char *conf_token_words(const struct conf_token *t, char out[80]);

#endif
