/*
 * refusals.c: see refusals.h.
 *
 * What a worker notes is a struct note, the bytes of a heavy key: as much as may be shown, and a hash of each
 * secret part. It is made only when a client is not among those that are remembered already, which one that
 * hammers is. A client is known again by what its bucket is known by, and the rule, hashed. Hashes have a
 * secret, the same for all workers, so that equal keys meet when they are summed.
 *
 * These hashes are fast ones. What is shown of a part's hash goes through HMAC-SHA-256 first: whoever sees
 * the digits of keys that he knows learns nothing about the secret, nor about keys that he does not know.
 */
#include "gateway/refusals.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>

#include "gateway/client_key.h"
#include "gateway/worker.h"
#include "lib/hash.h"
#include "lib/heavy_hitters.h"

#define VALUES 3 /* secret parts of a key that are shown; more are only counted */
#define SHOWN  4 /* characters */
#define PRINT  5 /* bytes */

struct refusals {
    unsigned nworkers;
    unsigned char secret[CLIENT_KEY_SECRET], print_secret[32];
    struct heavy_hitters *workers[];
};

struct note {
    uint64_t rule;
    struct ip ip;     /* if one of the parts is KEY_IP */
    uint8_t ip_keeps; /* bits of it */
    uint8_t nparts;
    uint8_t kinds[CLIENT_KEY_PARTS];
    struct {
        char shown[SHOWN]; /* NUL behind when it is shorter */
        uint8_t print[PRINT];
    } values[VALUES];
};

_Static_assert(sizeof(struct note) <= HEAVY_KEY_MAX, "a note is kept whole");

struct refusals *refusals_new(unsigned nworkers)
{
    struct refusals *r = calloc(1, sizeof(*r) + nworkers * sizeof(*r->workers));
    if (!r)
        return NULL;
    r->nworkers = nworkers;
    bool ok = getrandom(r->secret, sizeof(r->secret), 0) == sizeof(r->secret) &&
              getrandom(r->print_secret, sizeof(r->print_secret), 0) == sizeof(r->print_secret);
    for (unsigned i = 0; ok && i < nworkers; i++)
        ok = (r->workers[i] = heavy_hitters_new(REFUSALS_KEPT, REFUSALS_HALVE_NS)) != NULL;
    if (ok)
        return r;
    refusals_free(r);
    return NULL;
}

void refusals_free(struct refusals *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->nworkers; i++)
        heavy_hitters_free(r->workers[i]);
    free(r);
}

uint64_t refusals_rule_id(const struct conf_route *route, size_t i)
{
    return hash_bytes(route->name, strlen(route->name), i);
}

/* ---- noting ---- */

static uint64_t hash_of(const struct refusals *r, const void *p, size_t len)
{
    return XXH3_64bits_withSecret(p, len, r->secret, sizeof(r->secret));
}

/* Bytes that no JSON and no terminal stumbles over. */
static char harmless(char c)
{
    return c > ' ' && c < 0x7f ? c : '?';
}

static void note_value(struct note *note, size_t i, struct slice value, uint64_t hash)
{
    size_t n = value.len / 2 < SHOWN ? value.len / 2 : SHOWN;
    for (size_t at = 0; at < n; at++)
        note->values[i].shown[at] = harmless(value.p[at]);
    memcpy(note->values[i].print, &hash, PRINT);
}

/* *NVALUES counts the parts that are neither address nor route. */
static void note_part(const struct refusals *r, struct note *note, const struct client_part *part,
                      size_t *nvalues)
{
    note->kinds[note->nparts++] = (uint8_t)part->kind;
    if (part->kind == KEY_IP)
        note->ip = part->ip;
    else if (part->kind != KEY_ROUTE && (*nvalues)++ < VALUES)
        note_value(note, *nvalues - 1, part->value, hash_of(r, part->value.p, part->value.len));
}

static struct note note_of(const struct refusals *r, struct exchange *x, const struct refused_by *by)
{
    const struct conf_keys *keys = by->keys;
    struct note note = {.rule = by->rule};
    size_t nvalues = 0;
    for (size_t i = 0; i < keys->n && i < CLIENT_KEY_PARTS; i++) {
        struct client_part part = client_key_part(x, keys, i);
        note_part(r, &note, &part, &nvalues);
    }
    note.ip_keeps = (uint8_t)(ip_is_v4(&note.ip) ? 96 + keys->v4_prefix : keys->v6_prefix);
    return note;
}

void refusals_note(struct refusals *r, struct exchange *x, const struct refused_by *by)
{
    struct heavy_hitters *hitters = r->workers[x->worker->setup.index];
    /* The last tick is near enough for what is halved once in a minute. */
    uint64_t now = x->worker->ticked_ns;
    const uint64_t parts[] = {by->rule, by->client.place, by->client.tag};
    uint64_t hash = hash_of(r, parts, sizeof(parts));
    if (heavy_hitters_raise(hitters, hash, now))
        return;
    struct note note = note_of(r, x, by);
    struct heavy_key key = {hash, {(const char *)&note, sizeof(note)}};
    heavy_hitters_add(hitters, &key, now);
}

/* ---- showing ---- */

static void show_ip(const struct note *note, struct buf *out)
{
    const uint8_t *b = note->ip.b;
    bool is_v4 = ip_is_v4(&note->ip);
    if (is_v4)
        buf_printf(out, "%u.%u.%u.x", b[12], b[13], b[14]);
    else
        buf_printf(out, "%x:%x:%x::x", b[0] << 8 | b[1], b[2] << 8 | b[3], b[4] << 8 | b[5]);
    if (note->ip_keeps < 128)
        buf_printf(out, "/%d", note->ip_keeps - (is_v4 ? 96 : 0));
}

static void show_value(const struct refusals *r, const struct note *note, size_t i, struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (i >= VALUES) {
        buf_add(out, SLICE("***"));
        return;
    }
    buf_add(out, (struct slice){note->values[i].shown, strnlen(note->values[i].shown, SHOWN)});
    buf_add(out, SLICE("***"));
    if (HMAC(EVP_sha256(), r->print_secret, sizeof(r->print_secret), note->values[i].print, PRINT, digest,
             NULL))
        buf_add_hex(out, (unsigned)digest[0] << 16 | (unsigned)digest[1] << 8 | digest[2], 6);
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {
        [KEY_IP] = "ip",       [KEY_HEADER] = "header", [KEY_COOKIE] = "cookie", [KEY_CONSUMER] = "consumer",
        [KEY_CLAIM] = "claim", [KEY_ROUTE] = "route",
    };
    return names[kind];
}

/* The parts in their order; an address that stands in for several is shown once. */
static void show(const struct refusals *r, const struct note *note, struct refusal *out)
{
    struct buf kind, key;
    size_t nvalues = 0;
    bool has_ip = false;
    buf_init(&kind, out->kind, sizeof(out->kind) - 1);
    buf_init(&key, out->key, sizeof(out->key) - 1);
    for (size_t i = 0; i < note->nparts; i++) {
        if (note->kinds[i] == KEY_IP && has_ip)
            continue;
        buf_add(&kind, i > 0 ? SLICE("+") : SLICE(""));
        buf_add(&kind, slice_of(kind_name(note->kinds[i])));
        if (note->kinds[i] == KEY_ROUTE)
            continue;
        buf_add(&key, key.len > 0 ? SLICE(" + ") : SLICE(""));
        if (note->kinds[i] != KEY_IP)
            show_value(r, note, nvalues++, &key);
        else
            show_ip(note, &key);
        has_ip = has_ip || note->kinds[i] == KEY_IP;
    }
    out->kind[kind.len] = '\0';
    out->key[key.len] = '\0';
}

static int by_hash(const void *va, const void *vb)
{
    const struct heavy_hitter *a = va, *b = vb;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* The highest first; those of equal counts always in the same order. */
static int by_count(const void *va, const void *vb)
{
    const struct heavy_hitter *a = va, *b = vb;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : by_hash(va, vb);
}

/* The same key of several workers becomes one. How many are left. */
static size_t sum_up(struct heavy_hitter *hits, size_t n)
{
    size_t kept = 0;
    qsort(hits, n, sizeof(*hits), by_hash);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && hits[kept - 1].hash == hits[i].hash) {
            hits[kept - 1].count += hits[i].count;
            hits[kept - 1].over += hits[i].over;
        } else {
            hits[kept++] = hits[i];
        }
    }
    qsort(hits, kept, sizeof(*hits), by_count);
    return kept;
}

bool refusals_top(const struct refusals *r, uint64_t now_ns, struct refusal out[REFUSALS_SHOWN], size_t *n)
{
    size_t all = 0, max = (size_t)r->nworkers * REFUSALS_KEPT;
    struct heavy_hitter *hits = calloc(max + 1, sizeof(*hits));
    *n = 0;
    if (!hits)
        return false;
    for (unsigned i = 0; i < r->nworkers; i++)
        all += heavy_hitters_read(r->workers[i], now_ns, hits + all, REFUSALS_KEPT);
    all = sum_up(hits, all);
    for (; *n < all && *n < REFUSALS_SHOWN; ++*n) {
        struct note note;
        memcpy(&note, hits[*n].bytes, sizeof(note));
        out[*n] = (struct refusal){.rule = note.rule, .count = hits[*n].count, .over = hits[*n].over};
        show(r, &note, &out[*n]);
    }
    free(hits);
    return true;
}
