/* client_key.c: see client_key.h. */
#include "gateway/client_key.h"

#include "gateway/exchange.h"
#include "lib/hash.h"

static struct ip masked(struct ip ip, const struct conf_keys *keys)
{
    unsigned keep = ip_is_v4(&ip) ? 96 + keys->v4_prefix : keys->v6_prefix;
    for (unsigned bit = keep; bit < 128; bit++)
        ip.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
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

struct client_key client_key_of(struct exchange *x, const struct conf_keys *keys, uint64_t id,
                                const unsigned char *secret)
{
    XXH128_hash_t parts[CLIENT_KEY_PARTS + 1] = {{id, 0}};
    size_t n = 1;
    for (size_t i = 0; i < keys->n && i < CLIENT_KEY_PARTS; i++) {
        struct ip ip = masked(x->record.client_ip, keys);
        struct slice value;
        if (!part_value(x, &keys->at[i], &value))
            value = (struct slice){(const char *)ip.b, sizeof(ip.b)};
        parts[n++] = XXH3_128bits_withSecret(value.p, value.len, secret, CLIENT_KEY_SECRET);
    }
    XXH128_hash_t h = XXH3_128bits_withSecret(parts, n * sizeof(parts[0]), secret, CLIENT_KEY_SECRET);
    return (struct client_key){h.high64, h.low64};
}
