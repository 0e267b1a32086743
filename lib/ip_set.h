/*
 * ip_set.h: many networks, and which of them an address is in.
 *
 * Each network has a value that the caller gives a meaning (allow, deny, a tag's number); an address gets
 * that of the longest network it is in. Made for lists of 100,000 networks, IPv4 and IPv6 mixed, that every
 * request asks.
 *
 *     struct ip_set *set = ip_set_new(nets, n, &e);        // nets may be freed
 *     uint32_t value;
 *     if (ip_set_find(set, &client, &value) && value == DENY) ...
 *     ip_set_free(set);
 *
 * A set never changes: any thread may ask. As in cidr.h an IPv4 address is an IPv4-mapped IPv6 address:
 * "::/0" has every IPv4 address too and "::ffff:10.0.0.0/104" is "10.0.0.0/8".
 *
 * Source: Nilsson and Karlsson, "IP-address lookup using LC-tries", IEEE JSAC 17(6), 1999.
 */
#ifndef LIB_IP_SET_H
#define LIB_IP_SET_H

#include "lib/cidr.h"
#include "lib/err.h"

#define IP_SET_MAX 10000000 /* networks */

struct ip_net {
    struct cidr block; /* as cidr_parse gives it: bits past the prefix are zero */
    uint32_t value;
};

struct ip_set;

/* In any order; a network twice is one, but with two values it is an error. NULL also when memory ran out. */
MUST_USE struct ip_set *ip_set_new(const struct ip_net *nets, size_t n, struct err *e);

/* NULL is allowed. */
void ip_set_free(struct ip_set *s);

/* The value of the longest network that has IP; false when none has. *VALUE is written only on true. */
MUST_USE bool ip_set_find(const struct ip_set *s, const struct ip *ip, uint32_t *value);
size_t ip_set_count(const struct ip_set *s);

/* Bytes of memory it takes. */
size_t ip_set_size(const struct ip_set *s);

#endif
