/*
 * conf_tree.h: a configuration as libConfuse has parsed it. Used by the conf_*.c files only; the only place
 * where libConfuse is used.
 *
 *     struct conf_tree *tree = conf_tree_parse(text);
 *     const struct conf_node *root = conf_tree_root(tree);
 *     for (size_t i = 0; i < conf_node_count(root, "backend"); i++)
 *         build(conf_node_section(root, "backend", i));
 *
 * Names given here must be in the schema. Sections and values are lent by the tree. One tree is parsed at a
 * time in the whole process: libConfuse's scanner is one.
 */
#ifndef GATEWAY_CONF_TREE_H
#define GATEWAY_CONF_TREE_H

#include "lib/check.h"

#include <stdbool.h>
#include <stddef.h>

struct conf_tree;
struct conf_node; /* a section */

struct conf_value {
    int place;
    bool is_broken; /* reported when it was read; text is "" */
    const char *text;
};

/* TEXT as conf_read gives it. NULL when memory is short. */
MUST_USE struct conf_tree *conf_tree_parse(const char *text);
void conf_tree_free(struct conf_tree *t);
const struct conf_node *conf_tree_root(const struct conf_tree *t);

/* How many values, or sections, of that name there are. */
size_t conf_node_count(const struct conf_node *n, const char *name);

/* NULL past the last one. */
const struct conf_node *conf_node_section(const struct conf_node *n, const char *name, size_t i);
const struct conf_value *conf_node_value(const struct conf_node *n, const char *name, size_t i);

/* The title and where the section begins; the top level has "" and place 1. */
struct conf_value conf_node_title(const struct conf_node *n);

/* Whether something in the section was not understood, so that what is missing may only seem so. */
bool conf_node_has_gaps(const struct conf_node *n);

#endif
