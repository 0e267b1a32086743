/*
 * api_keys.h: who a presented API key belongs to.
 *
 * The keys themselves are kept nowhere: a file has their SHA-256, one key a line,
 *
 *     # who, the hash of the key, and what else is known
 *     billing-batch sha256:6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090 plan=gold
 *
 * An id is letters, digits and "._@:-"; it may stand on several lines, one for each of its keys, while keys
 * are changed. Attributes are name=value without white space, names in lower case, letters, digits, "_" and
 * "-". Lines that are empty or begin with "#" are passed over. All mistakes are told at once, with their
 * lines.
 *
 *     struct api_keys *keys = api_keys_parse(text, &faults);     // NULL: see faults
 *     const struct api_key *key = api_keys_find(keys, presented);
 *     if (key) limit_by(api_key_attr(key, SLICE("plan")));
 *     api_keys_put(keys);
 *
 * A fast hash is right here and would be wrong for passwords: a key has 256 random bits, so that nobody tries
 * keys against a stolen file, however fast; a slow hash would only cost every request 50 ms. Therefore keys
 * are made by api_keys_generate and not by people.
 *
 * A set never changes, is counted, and may be used by any thread; what is found lives as long as the set.
 */
#ifndef LIB_API_KEYS_H
#define LIB_API_KEYS_H

#include "lib/buf.h"
#include "lib/err.h"

#define API_KEY_MAX      512     /* bytes of a presented key; longer ones are not known */
#define API_KEY_ID_MAX   128     /* bytes */
#define API_KEYS_MAX     1000000 /* keys of a set */
#define API_KEY_ATTR_MAX 16      /* attributes of a key */

/* A made key and its NUL: "tg_" tells scanners for leaked secrets what it is, then 32 random bytes. */
#define API_KEY_TEXT (3 + 43 + 1)

struct api_key_attr {
    struct slice name, value;
};

struct api_key {
    struct slice id;
    const struct api_key_attr *attrs;
    unsigned attr_count;
};

struct api_keys;

/* TEXT is a file's; NULL when it has a fault ("line 3: has no hash", one on each line of FAULTS, as far as
 * there is room) or memory ran out. A file without keys is allowed. */
MUST_USE struct api_keys *api_keys_parse(struct slice text, struct buf *faults);
struct api_keys *api_keys_get(struct api_keys *k);

/* NULL is allowed. */
void api_keys_put(struct api_keys *k);
size_t api_keys_count(const struct api_keys *k);

/* NULL: not known. Takes the same time wherever a wrong key differs. */
const struct api_key *api_keys_find(const struct api_keys *k, struct slice presented);

/* The empty slice when there is none. */
struct slice api_key_attr(const struct api_key *key, struct slice name);

/* A new key for ID, to be shown once, and its line for the file, with ATTRS ("plan=gold", may be empty) at
 * its end. False when the line would not be taken by api_keys_parse or the kernel has no random bytes. */
MUST_USE bool api_keys_generate(struct slice id, struct slice attrs, char key[API_KEY_TEXT],
                                struct buf *line);

#endif
