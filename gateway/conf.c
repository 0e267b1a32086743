/*
 * conf.c: loading a configuration; see conf.h.
 *
 * Three steps, each of which goes on after a mistake:
 *   conf_reader   files, includes, variables, structure -> a clean text, and the place of each of its lines
 *   conf_tree     libConfuse makes sections and values of it
 *   conf_build    values are checked and put into struct conf, by the rows of conf_schema where they are
 * plain and conf_dump goes the way back.
 */
#include "gateway/conf.h"

#include <stdlib.h>

#include "gateway/conf_build.h"
#include "gateway/conf_reader.h"

#define MEMORY_MAX ((size_t)256 << 20) /* bytes */

/* What conf_load gives: the configuration with its memory. */
struct owned {
    struct conf conf;
    struct arena arena;
};

static struct owned *owned_new(void)
{
    struct owned *o = calloc(1, sizeof(*o));
    if (o)
        arena_init(&o->arena, NULL, 0, MEMORY_MAX);
    return o;
}

static void owned_free(struct owned *o)
{
    if (!o)
        return;
    conf_free_auths(&o->conf);
    ip_set_free(o->conf.networks.set);
    for (size_t i = 0; i < o->conf.nroutes; i++)
        ip_set_free(o->conf.routes[i].networks.set);
    arena_fini(&o->arena);
    free(o);
}

/* Read and check everything; what is wrong is in the report. */
static void load(struct owned *o, const char *path, struct conf_report *report)
{
    struct conf_load l = {.conf = &o->conf, .arena = &o->arena, .report = report};
    char *text = conf_read(path, &o->arena, report);
    struct conf_tree *tree = text ? conf_tree_parse(text) : NULL;
    free(text);
    o->conf.file = conf_copy(&l, slice_of(path));
    if (tree)
        conf_build(&l, conf_tree_root(tree));
    else
        report->is_short = true;
    conf_tree_free(tree);
}

struct conf *conf_load(const char *path, struct conf_mistakes *mistakes)
{
    struct conf_report report = {0};
    struct owned *o = owned_new();
    if (o)
        load(o, path, &report);
    else
        report.is_short = true;
    if (conf_report_finish(&report, mistakes) && o)
        return &o->conf;
    owned_free(o);
    return NULL;
}

void conf_free(struct conf *c)
{
    owned_free((struct owned *)c); /* its first member */
}

void conf_mistakes_free(struct conf_mistakes *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->at[i]);
    free(m->at);
    *m = (struct conf_mistakes){0};
}
