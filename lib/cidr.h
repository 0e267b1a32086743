/*
 * cidr.h: IP addresses and blocks of them ("10.0.0.0/8", "2001:db8::/32", "192.0.2.1").
 *
 * IPv4 is kept as an IPv4-mapped IPv6 address, so that one comparison serves both and a mapped client matches
 * an IPv4 block. Pure functions, callable from any thread. Source: RFC 4291, RFC 4632.
 */
#ifndef LIB_CIDR_H
#define LIB_CIDR_H

#include "lib/check.h"
#include "lib/slice.h"

#include <sys/socket.h>

struct ip {
    uint8_t b[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
};

struct cidr {
    struct ip base;  /* bits past the prefix are zero */
    unsigned prefix; /* 0..128; an IPv4 /8 is 104 */
};

#define IP_TEXT_MAX 46 /* longest text of an address, with its NUL */

/* False when TEXT is not a numeric address (no zone, no port, no brackets). */
MUST_USE bool ip_parse(struct slice text, struct ip *ip);

/* False for other address families than AF_INET and AF_INET6. */
MUST_USE bool ip_of_sockaddr(const struct sockaddr *sa, struct ip *ip);

bool ip_is_v4(const struct ip *ip);

/* The canonical text (RFC 5952), IPv4 dotted; the length without NUL. */
size_t ip_text(const struct ip *ip, char out[IP_TEXT_MAX]);

/* False when TEXT is neither a block nor an address, or has bits set past its prefix. */
MUST_USE bool cidr_parse(struct slice text, struct cidr *c);
bool cidr_has(const struct cidr *c, const struct ip *ip);
bool cidr_any_has(const struct cidr *blocks, size_t n, const struct ip *ip);

#endif
