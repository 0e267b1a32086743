/*
 * json.h: a strict reader of JSON into an arena.
 *
 * For text that decides who may do what (tokens, key sets), where a forgiving reader is a hole: it takes RFC
 * 8259 and nothing else, and refuses besides what two readers could understand differently: an object that
 * has a name twice, the character U+0000, text that is not UTF-8, an unpaired surrogate.
 *
 *     const struct json *root;
 *     if (json_parse(text, &arena, &root) != JSON_OK) ...
 *     const struct json *alg = json_get(root, SLICE("alg"));
 *     if (alg && alg->type == JSON_STRING) use(alg->text);
 *
 * The tree lives in the arena; strings without an escape point into the text, which has to live as long.
 * Nesting is bounded by JSON_DEPTH_MAX and an object by JSON_MEMBERS_MAX (names are compared pairwise).
 * Owned by one thread. Source: RFC 8259, RFC 7493 (I-JSON).
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include "lib/arena.h"

#define JSON_DEPTH_MAX   16
#define JSON_MEMBERS_MAX 128

enum json_fault { JSON_OK, JSON_MALFORMED, JSON_NO_MEMORY };

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_type type;
    struct slice name;        /* within an object; decoded */
    struct slice text;        /* a string, decoded; a number, null, true or false as it was written */
    const struct json *child; /* first element or member */
    const struct json *next;  /* the one after this in the same array or object */
};

MUST_USE enum json_fault json_parse(struct slice text, struct arena *a, const struct json **root);

/* The member NAME, or NULL: none, or J is no object (or NULL). */
const struct json *json_get(const struct json *j, struct slice name);

/* Its text, or the empty slice when there is none or it is no string. */
struct slice json_get_string(const struct json *j, struct slice name);

/* A number as a whole one, cut towards zero; false for other types and beyond +-2^53. */
MUST_USE bool json_to_i64(const struct json *j, int64_t *value);

#endif
