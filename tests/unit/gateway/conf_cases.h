/*
 * conf_cases.h: tables of configurations and the exact messages that they give.
 *
 * A test program includes this once, calls conf_cases_begin (which goes to a new empty directory, so that the
 * file has a short name in messages) and conf_cases_end.
 */
#ifndef TESTS_UNIT_GATEWAY_CONF_CASES_H
#define TESTS_UNIT_GATEWAY_CONF_CASES_H

#include <check.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/conf.h"

/* What makes any of the tables' texts a whole configuration. */
#define CONF_REST                                                                                            \
    "listen \"127.0.0.1:1\" { }\nbackend \"b\" { server \"http://b\" { } }\nroute \"/\" { backend = b }\n"

struct conf_case {
    const char *text;
    const char *want;  /* every message on a line of its own, without the "t.conf:" of the file itself */
    bool is_continued; /* CONF_REST follows */
};

static char conf_directory[64];

static void conf_write(const char *name, const char *text, const char *rest)
{
    FILE *f = fopen(name, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fprintf(f, "%s%s", text, rest), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void conf_cases_begin(void)
{
    strcpy(conf_directory, "/tmp/tollgate-conf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(conf_directory));
    ck_assert_int_eq(chdir(conf_directory), 0);
    ck_assert_int_eq(unsetenv("NOPE"), 0);
}

static int conf_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void conf_cases_end(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(nftw(conf_directory, conf_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* All messages, as a struct conf_case has them; from malloc. */
static char *conf_messages(const struct conf_mistakes *m)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(f);
    for (size_t i = 0; i < m->n; i++)
        fprintf(f, "%s\n", m->at[i] + (strncmp(m->at[i], "t.conf:", 7) == 0 ? 7 : 0));
    fclose(f);
    return text;
}

/* Whether any of the messages is more than a warning. */
static bool conf_has_mistake(const struct conf_mistakes *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strstr(m->at[i], ": warning: "))
            return true;
    return false;
}

static void conf_check_case(const struct conf_case *c)
{
    struct conf_mistakes m;
    conf_write("t.conf", c->text, c->is_continued ? "\n" CONF_REST : "");
    struct conf *conf = conf_load("t.conf", &m);
    char *got = conf_messages(&m);
    ck_assert_msg(strcmp(got, c->want) == 0, "for\n%s\ngot\n%swanted\n%s", c->text, got, c->want);
    ck_assert(conf_has_mistake(&m) == (conf == NULL));
    free(got);
    conf_free(conf);
    conf_mistakes_free(&m);
}

#endif
