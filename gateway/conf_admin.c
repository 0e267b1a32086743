/*
 * conf_admin.c: the tokens of the admin port; see conf_build.h.
 *
 * A token is given as it is or by a file that holds it, as secrets are handed to containers; white space
 * around it in the file, such as the last newline, is not a part of it. No message tells a token.
 */
#include "gateway/conf_build.h"

#include <ctype.h>
#include <stdlib.h>

#include "gateway/conf_files.h"

#define TOKEN_SHORT 16 /* characters: a shorter one can be guessed */

static const struct conf_section *admin_section(void)
{
    return conf_schema_get(&conf_schema, "admin")->section;
}

/* One of the two tokens. */
struct secret {
    const char *option, *file_option;
    const char *file; /* its path; NULL: none */
};

/* A bearer token as RFC 6750 has it: nothing that a header could not carry. */
static bool is_token_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return false;
    return true;
}

/* NULL when it is none; that is reported then, as what OPTION says. */
static const char *check_token(struct conf_load *load, const char *option, int place, struct slice text)
{
    const struct conf_option *row = conf_schema_get(admin_section(), "token");
    if (text.len < row->min || text.len > row->max)
        conf_mistake(load->report, place, "%s: a token has 1 to %u characters", option, (unsigned)row->max);
    else if (!is_token_text(text))
        conf_mistake(load->report, place, "%s: only visible ASCII characters can be sent as a token", option);
    else {
        if (text.len < TOKEN_SHORT)
            conf_warning(load->report, place,
                         "%s: a token of fewer than %d characters can be guessed; try `openssl rand -hex 32`",
                         option, TOKEN_SHORT);
        return conf_copy(load, text);
    }
    return NULL;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && isspace((unsigned char)s.p[s.len - 1]))
        s.len--;
    while (s.len > 0 && isspace((unsigned char)s.p[0]))
        s = slice_skip(s, 1);
    return s;
}

static const char *read_token(struct conf_load *load, const struct secret *secret, int place)
{
    struct conf_why why;
    struct conf_file file;
    if (!conf_file_read(secret->file, &file, &why)) {
        struct conf_why other; /* what cannot be opened was told when the path was */
        if (conf_file_check(secret->file, &other))
            conf_mistake(load->report, place, "%s: cannot use %.200s: %.80s", secret->file_option,
                         secret->file, why.text);
        return NULL;
    }
    const char *token =
        check_token(load, secret->file_option, place, trim((struct slice){file.text, file.len}));
    free(file.text);
    return token;
}

static const char *build_token(struct conf_load *load, const struct conf_node *node,
                               const struct secret *secret)
{
    int place;
    bool is_given;
    const char *text =
        conf_text(load, node, conf_schema_get(admin_section(), secret->option), &place, &is_given);
    const struct conf_value *file = conf_node_value(node, secret->file_option, 0);
    if (is_given && file) {
        conf_mistake(load->report, file->place, "%s and %s exclude each other", secret->option,
                     secret->file_option);
        return NULL;
    }
    if (text)
        return check_token(load, secret->option, place, slice_of(text));
    return file && secret->file ? read_token(load, secret, file->place) : NULL;
}

bool conf_build_admin_tokens(struct conf_load *load, const struct conf_node *node, struct conf_admin *admin)
{
    const struct secret all = {"token", "token_file", admin->token_file};
    const struct secret read = {"read_token", "read_token_file", admin->read_token_file};
    admin->token = build_token(load, node, &all);
    admin->read_token = build_token(load, node, &read);
    if (admin->token && admin->read_token && strcmp(admin->token, admin->read_token) == 0)
        conf_mistake(load->report, conf_node_title(node).place,
                     "the token and the read_token are the same: nobody could be held to reading");
    return conf_node_count(node, "token") + conf_node_count(node, "token_file") +
               conf_node_count(node, "read_token") + conf_node_count(node, "read_token_file") >
           0;
}

void conf_print_admin(const struct conf_admin *admin, FILE *out)
{
    if (!admin->listen.address)
        return;
    fputs("\nadmin ", out);
    conf_print_quoted(admin->listen.address, out);
    fputs(" {\n", out);
    if (admin->token && !admin->token_file)
        fputs("  token = \"" CONF_MASK "\"\n", out);
    if (admin->read_token && !admin->read_token_file)
        fputs("  read_token = \"" CONF_MASK "*\"\n", out); /* the two have to differ */
    conf_print(admin_section(), admin, out, 2);
    fputs("}\n", out);
}
