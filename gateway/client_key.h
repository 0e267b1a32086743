/*
 * client_key.h: what limits tell clients apart by.
 *
 * A key is made of parts: address, header, cookie, consumer, claim, route. A part that the request does not
 * have (no such header) is replaced by the client's address: those without it share nothing with each other,
 * and leaving it out gains nothing.
 *
 * A key is a hash with a secret of the process, so that nobody can aim at another's bucket. What gateways
 * share needs the same key on all of them: there it is a hash that nobody can aim with, SHA-256. Worker's
 * thread.
 */
#ifndef GATEWAY_CLIENT_KEY_H
#define GATEWAY_CLIENT_KEY_H

#include "gateway/conf.h"

struct exchange;

#define CLIENT_KEY_SECRET 192 /* random bytes */
#define CLIENT_KEY_PARTS  8   /* that count */

struct client_key {
    uint64_t high, low; /* each uniformly random */
};

/* A part of a key, as a request has it. */
struct client_part {
    enum conf_key_kind kind; /* KEY_IP also where it is in place of another */
    struct slice value;      /* else; lent by the exchange */
    struct ip ip;            /* KEY_IP: as many bits of it as count */
};

/* Part I of KEYS. */
struct client_part client_key_part(struct exchange *x, const struct conf_keys *keys, size_t i);

/* ID keeps the keys of different limits apart. */
struct client_key client_key_of(struct exchange *x, const struct conf_keys *keys, uint64_t id,
                                const unsigned char *secret);

/* The same on all gateways. False: memory is short. */
MUST_USE bool client_key_shared(struct exchange *x, const struct conf_keys *keys, uint64_t id,
                                struct client_key *key);

#endif
