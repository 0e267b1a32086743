/*
 * conf_tree.c: see conf_tree.h.
 *
 * libConfuse's option tables are made from the schema. Every value is a string with its place (the line that
 * libConfuse is in), so that it can be checked later and still be reported with its line; typed options would
 * be refused by libConfuse one at a time. A node is a cfg_t.
 */
#include "gateway/conf_tree.h"

#include <confuse.h>
#include <stdlib.h>

#include "gateway/conf_reader.h"
#include "gateway/conf_schema.h"

struct conf_tree {
    cfg_t *root;
};

/* ---- tables ---- */

static int make_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    size_t size = strlen(text) + 1;
    struct conf_value *v = malloc(sizeof(*v) + size);
    (void)opt;
    if (!v)
        return -1;
    char *copy = (char *)(v + 1);
    memcpy(copy, text, size);
    *v = (struct conf_value){cfg->line, strcmp(text, CONF_BROKEN) == 0, copy};
    if (v->is_broken)
        copy[0] = '\0';
    *(struct conf_value **)result = v;
    return 0;
}

static void free_table(cfg_opt_t *table)
{
    for (cfg_opt_t *o = table; o && o->name; o++)
        if (o->subopts)
            free_table(o->subopts);
    free(table);
}

static cfg_opt_t *make_table(const struct conf_section *section)
{
    cfg_opt_t *table = calloc(section->noptions + 2, sizeof(*table));
    if (!table)
        return NULL;
    for (size_t i = 0; i < section->noptions; i++) {
        const struct conf_option *o = &section->options[i];
        cfg_opt_t value = CFG_PTR_CB(o->name, NULL, CFGF_NODEFAULT, make_value, free);
        cfg_opt_t list = CFG_PTR_LIST_CB(o->name, NULL, CFGF_NODEFAULT, make_value, free);
        cfg_opt_t inner = CFG_SEC(o->name, NULL, CFGF_MULTI | CFGF_TITLE);
        table[i] = o->type == CONF_SECTION ? inner : o->type == CONF_LIST ? list : value;
        if (o->type == CONF_SECTION && !(table[i].subopts = make_table(o->section))) {
            free_table(table);
            return NULL;
        }
    }
    table[section->noptions] = (cfg_opt_t)CFG_PTR_CB(CONF_GAPS, NULL, CFGF_NODEFAULT, make_value, free);
    return table;
}

/* ---- trees ---- */

/* What it could complain about has been kept from it; it must not write to stderr all the same. */
static void say_nothing(cfg_t *cfg, const char *fmt, va_list ap)
{
    (void)cfg;
    (void)fmt;
    (void)ap;
}

struct conf_tree *conf_tree_parse(const char *text)
{
    struct conf_tree *t = calloc(1, sizeof(*t));
    cfg_opt_t *table = make_table(&conf_schema);
    if (t && table)
        t->root = cfg_init(table, CFGF_NONE);
    free_table(table);
    if (!t || !t->root) {
        free(t);
        return NULL;
    }
    cfg_set_error_function(t->root, say_nothing);
    if (cfg_parse_buf(t->root, text) == CFG_SUCCESS)
        return t;
    /* Only a lack of memory leads here, and then libConfuse 3.3 leaves sections half made, which cfg_free
     * follows to nowhere. So the tree is given up. */
    free(t);
    return NULL;
}

void conf_tree_free(struct conf_tree *t)
{
    if (!t)
        return;
    cfg_free(t->root);
    free(t);
}

/* libConfuse wants its cfg_t not const even where it only looks. */
static cfg_t *cfg_of(const struct conf_node *n)
{
    union {
        const struct conf_node *node;
        cfg_t *cfg;
    } u = {.node = n};
    return u.cfg;
}

const struct conf_node *conf_tree_root(const struct conf_tree *t)
{
    return (const struct conf_node *)t->root;
}

size_t conf_node_count(const struct conf_node *n, const char *name)
{
    cfg_opt_t *opt = cfg_getopt(cfg_of(n), name);
    CHECK(opt);
    return cfg_opt_size(opt);
}

const struct conf_node *conf_node_section(const struct conf_node *n, const char *name, size_t i)
{
    if (i >= conf_node_count(n, name))
        return NULL;
    return (const struct conf_node *)cfg_opt_getnsec(cfg_getopt(cfg_of(n), name), (unsigned)i);
}

const struct conf_value *conf_node_value(const struct conf_node *n, const char *name, size_t i)
{
    if (i >= conf_node_count(n, name))
        return NULL;
    return cfg_opt_getnptr(cfg_getopt(cfg_of(n), name), (unsigned)i);
}

struct conf_value conf_node_title(const struct conf_node *n)
{
    struct conf_value title = {.place = 1, .text = ""};
    const char *text = cfg_title(cfg_of(n));
    const char *colon = text ? strchr(text, ':') : NULL;
    if (!colon)
        return title;
    title.place = (int)strtol(text, NULL, 10);
    title.is_broken = strcmp(colon + 1, CONF_BROKEN) == 0;
    title.text = title.is_broken ? "" : colon + 1;
    return title;
}

bool conf_node_has_gaps(const struct conf_node *n)
{
    return conf_node_count(n, CONF_GAPS) > 0;
}
