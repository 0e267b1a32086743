/*
 * api_keys.c: see api_keys.h.
 *
 * A hash table with open places, twice as large as there are keys. Its place is told by the first bytes of
 * the SHA-256 of a key, which is as good as random and which no client can choose for somebody else's key.
 * The set has a copy of the file's text, and all slices point into it.
 */
#include "lib/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "lib/base64.h"

#define HASH_PREFIX SLICE("sha256:")

struct entry {
    struct api_key key;
    size_t first_attr;
    unsigned line;
    unsigned char hash[SHA256_DIGEST_LENGTH];
};

struct api_keys {
    _Atomic uint32_t refs;
    char *text;
    struct entry *entries;
    size_t n, room;
    struct api_key_attr *attrs;
    size_t attr_count, attr_room;
    uint32_t *places; /* index of an entry + 1; 0: free */
    size_t mask;      /* places less 1 */
};

struct parser {
    struct api_keys *set;
    struct buf *faults;
    unsigned line;
    bool failed;
};

static void fault(struct parser *p, const char *what)
{
    p->failed = true;
    buf_printf(p->faults, "line %u: %s\n", p->line, what);
}

/* ---- the table ---- */

static size_t place_of(const struct api_keys *k, const unsigned char *hash)
{
    uint64_t first;
    memcpy(&first, hash, sizeof(first));
    return (size_t)first & k->mask;
}

static const struct entry *find_hash(const struct api_keys *k, const unsigned char *hash)
{
    for (size_t i = place_of(k, hash); k->places[i] != 0; i = (i + 1) & k->mask) {
        const struct entry *e = &k->entries[k->places[i] - 1];
        if (CRYPTO_memcmp(e->hash, hash, sizeof(e->hash)) == 0)
            return e;
    }
    return NULL;
}

static bool build_table(struct parser *p)
{
    struct api_keys *k = p->set;
    size_t size = 2;
    while (size < k->n * 2)
        size *= 2;
    k->places = calloc(size, sizeof(*k->places));
    if (!k->places)
        return false;
    k->mask = size - 1;
    for (size_t i = 0; i < k->n; i++) {
        struct entry *e = &k->entries[i];
        e->key.attrs = e->key.attr_count > 0 ? k->attrs + e->first_attr : NULL;
        p->line = e->line;
        if (find_hash(k, e->hash)) {
            fault(p, "this key is there already");
            continue;
        }
        size_t place = place_of(k, e->hash);
        while (k->places[place] != 0)
            place = (place + 1) & k->mask;
        k->places[place] = (uint32_t)i + 1;
    }
    return true;
}

/* ---- lines ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of *REST; empty at the end. */
static struct slice next_word(struct slice *rest)
{
    size_t begin = 0, end;
    while (begin < rest->len && is_space(rest->p[begin]))
        begin++;
    for (end = begin; end < rest->len && !is_space(rest->p[end]); end++)
        ;
    struct slice word = {rest->p + begin, end - begin};
    *rest = slice_skip(*rest, end);
    return word;
}

static bool is_made_of(struct slice s, const char *more, bool upper)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper && c >= 'A' && c <= 'Z') ||
                  (c != '\0' && strchr(more, c));
        if (!ok)
            return false;
    }
    return s.len > 0;
}

static bool is_id(struct slice s)
{
    return s.len <= API_KEY_ID_MAX && is_made_of(s, "._@:-", true);
}

static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool read_hash(struct slice word, unsigned char *hash)
{
    static const char digits[] = "0123456789abcdef";
    struct slice hex = slice_skip(word, HASH_PREFIX.len);
    if (!slice_starts(word, HASH_PREFIX) || hex.len != 2 * SHA256_DIGEST_LENGTH || !is_made_of(hex, "", true))
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        const char *at = strchr(digits, hex.p[i] | 0x20);
        if (!at)
            return false;
        hash[i / 2] = (unsigned char)(hash[i / 2] << 4 | (at - digits));
    }
    return true;
}

/* Room for one more in an array; doubles it. */
static bool make_room(void **array, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return true;
    size_t more = *room > 0 ? *room * 2 : 64;
    void *p = realloc(*array, more * size);
    if (!p)
        return false;
    *array = p;
    *room = more;
    return true;
}

static void add_attr(struct parser *p, struct entry *e, struct slice word)
{
    struct api_keys *k = p->set;
    ptrdiff_t equals = slice_find(word, '=');
    struct api_key_attr a = {{word.p, equals > 0 ? (size_t)equals : 0}, slice_skip(word, (size_t)equals + 1)};
    if (equals <= 0 || !is_made_of(a.name, "_-", false) || !is_value(a.value)) {
        fault(p, "an attribute is not name=value");
        return;
    }
    for (size_t i = e->first_attr; i < k->attr_count; i++)
        if (slice_eq(k->attrs[i].name, a.name)) {
            fault(p, "an attribute is there twice");
            return;
        }
    if (e->key.attr_count == API_KEY_ATTR_MAX) {
        fault(p, "has too many attributes");
        return;
    }
    void *attrs = k->attrs;
    if (!make_room(&attrs, k->attr_count, &k->attr_room, sizeof(*k->attrs))) {
        fault(p, "found no memory");
        return;
    }
    k->attrs = attrs;
    k->attrs[k->attr_count++] = a;
    e->key.attr_count++;
}

static void read_line(struct parser *p, struct slice line)
{
    struct api_keys *k = p->set;
    struct entry e = {.line = p->line, .first_attr = k->attr_count, .key.id = next_word(&line)};
    if (e.key.id.len == 0 || e.key.id.p[0] == '#')
        return;
    if (!is_id(e.key.id)) {
        fault(p, "the id has other characters than letters, digits and ._@:-, or too many");
        return;
    }
    if (!read_hash(next_word(&line), e.hash)) {
        fault(p, "has no hash: sha256: and 64 hex digits");
        return;
    }
    for (struct slice word = next_word(&line); word.len > 0; word = next_word(&line))
        add_attr(p, &e, word);
    void *entries = k->entries;
    if (k->n == API_KEYS_MAX || !make_room(&entries, k->n, &k->room, sizeof(*k->entries))) {
        fault(p, "there are too many keys");
        return;
    }
    k->entries = entries;
    k->entries[k->n++] = e;
}

static void read_text(struct parser *p, struct slice text)
{
    while (text.len > 0) {
        ptrdiff_t end = slice_find(text, '\n');
        struct slice line = {text.p, end >= 0 ? (size_t)end : text.len};
        p->line++;
        read_line(p, line);
        text = slice_skip(text, line.len + 1);
    }
}

struct api_keys *api_keys_parse(struct slice text, struct buf *faults)
{
    struct api_keys *k = calloc(1, sizeof(*k));
    struct parser p = {.set = k, .faults = faults};
    if (k) {
        atomic_init(&k->refs, 1);
        k->text = malloc(text.len + 1);
    }
    if (!k || !k->text)
        goto no_memory;
    if (text.len > 0)
        memcpy(k->text, text.p, text.len);
    read_text(&p, (struct slice){k->text, text.len});
    if (!build_table(&p))
        goto no_memory;
    if (!p.failed)
        return k;
    api_keys_put(k);
    return NULL;
no_memory:
    buf_printf(faults, "no memory for API keys\n");
    api_keys_put(k);
    return NULL;
}

struct api_keys *api_keys_get(struct api_keys *k)
{
    /* Relaxed: who has a reference to give away keeps the set alive. */
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void api_keys_put(struct api_keys *k)
{
    /* Release: what was read is read before the count falls; acquire: whoever frees comes after all others.
     */
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(k->text);
    free(k->entries);
    free(k->attrs);
    free(k->places);
    free(k);
}

size_t api_keys_count(const struct api_keys *k)
{
    return k->n;
}

const struct api_key *api_keys_find(const struct api_keys *k, struct slice presented)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (presented.len == 0 || presented.len > API_KEY_MAX)
        return NULL;
    SHA256((const unsigned char *)presented.p, presented.len, hash);
    const struct entry *e = find_hash(k, hash);
    return e ? &e->key : NULL;
}

struct slice api_key_attr(const struct api_key *key, struct slice name)
{
    for (unsigned i = 0; i < key->attr_count; i++)
        if (slice_eq(key->attrs[i].name, name))
            return key->attrs[i].value;
    return SLICE("");
}

/* ---- a new key ---- */

static bool is_taken(struct slice line)
{
    char ignored[256];
    struct buf faults;
    buf_init(&faults, ignored, sizeof(ignored));
    struct api_keys *k = api_keys_parse(line, &faults);
    bool ok = k && k->n == 1;
    api_keys_put(k);
    return ok;
}

bool api_keys_generate(struct slice id, struct slice attrs, char key[API_KEY_TEXT], struct buf *line)
{
    char secret[32];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        return false;
    memcpy(key, "tg_", 3);
    size_t len = 3 + base64url_encode((struct slice){secret, sizeof(secret)}, key + 3);
    key[len] = '\0';
    OPENSSL_cleanse(secret, sizeof(secret));
    SHA256((const unsigned char *)key, len, hash);
    size_t begin = line->len;
    buf_add(line, id);
    buf_add_char(line, ' ');
    buf_add(line, HASH_PREFIX);
    for (size_t i = 0; i < sizeof(hash); i++)
        buf_add_hex(line, hash[i], 2);
    if (attrs.len > 0)
        buf_add_char(line, ' ');
    buf_add(line, attrs);
    struct slice made = {line->p + begin, line->len - begin};
    return !line->failed && slice_find(made, '\n') < 0 && is_taken(made);
}
