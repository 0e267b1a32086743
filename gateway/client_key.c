/* client_key.c: see client_key.h. */
#include "gateway/client_key.h"

#include <openssl/evp.h>

#include "gateway/exchange.h"
#include "lib/hash.h"

static struct ip masked(struct ip ip, const struct conf_keys *keys)
{
    unsigned keep = ip_is_v4(&ip) ? 96 + keys->v4_prefix : keys->v6_prefix;
    unsigned whole = keep / 8;
    if (keep % 8 != 0)
        ip.b[whole++] &= (uint8_t)(0xff00u >> keep % 8);
    memset(ip.b + whole, 0, sizeof(ip.b) - whole);
    return ip;
}

/* The value that the request has for a part of the key; false when it has none. */
static bool part_value(struct exchange *x, const struct conf_key *key, struct slice *value)
{
    const struct http_field *field;
    switch (key->kind) {
    case KEY_ROUTE:
        *value = (struct slice){"", 0};
        return true;
    case KEY_HEADER:
        field = http_find(x->fields, slice_of(key->name));
        *value = field ? field->value : (struct slice){"", 0};
        return field != NULL;
    case KEY_COOKIE:
        return http_cookie(x->fields, slice_of(key->name), value);
    case KEY_CONSUMER:
        *value = x->access.consumer;
        return value->len > 0;
    case KEY_CLAIM:
        return access_claim(x, slice_of(key->name), value);
    case KEY_IP:
        break;
    }
    return false;
}

struct client_part client_key_part(struct exchange *x, const struct conf_keys *keys, size_t i)
{
    struct client_part part = {.kind = keys->at[i].kind};
    if (part_value(x, &keys->at[i], &part.value))
        return part;
    return (struct client_part){.kind = KEY_IP, .ip = masked(x->record.client_ip, keys)};
}

/* Lent by PART. */
static struct slice bytes_of(const struct client_part *part)
{
    return part->kind == KEY_IP ? (struct slice){(const char *)part->ip.b, sizeof(part->ip.b)} : part->value;
}

struct client_key client_key_of(struct exchange *x, const struct conf_keys *keys, uint64_t id,
                                const unsigned char *secret)
{
    XXH128_hash_t parts[CLIENT_KEY_PARTS + 1] = {{id, 0}};
    size_t n = 1;
    for (size_t i = 0; i < keys->n && i < CLIENT_KEY_PARTS; i++) {
        struct client_part part = client_key_part(x, keys, i);
        struct slice value = bytes_of(&part);
        parts[n++] = XXH3_128bits_withSecret(value.p, value.len, secret, CLIENT_KEY_SECRET);
    }
    XXH128_hash_t h = XXH3_128bits_withSecret(parts, n * sizeof(parts[0]), secret, CLIENT_KEY_SECRET);
    return (struct client_key){h.high64, h.low64};
}

/* With its kind and length, so that no two lists of parts read the same. */
static bool add_part(EVP_MD_CTX *md, char kind, struct slice value)
{
    uint64_t len = value.len;
    return EVP_DigestUpdate(md, &kind, 1) && EVP_DigestUpdate(md, &len, sizeof(len)) &&
           EVP_DigestUpdate(md, value.p, value.len);
}

static bool add_parts(EVP_MD_CTX *md, struct exchange *x, const struct conf_keys *keys)
{
    bool ok = true;
    for (size_t i = 0; ok && i < keys->n && i < CLIENT_KEY_PARTS; i++) {
        struct client_part part = client_key_part(x, keys, i);
        ok = add_part(md, part.kind == KEY_IP ? 'a' : 'v', bytes_of(&part));
    }
    return ok;
}

bool client_key_shared(struct exchange *x, const struct conf_keys *keys, uint64_t id, struct client_key *key)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, &id, sizeof(id)) &&
              add_parts(md, x, keys) && EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    if (ok)
        memcpy(key, digest, sizeof(*key));
    return ok;
}
