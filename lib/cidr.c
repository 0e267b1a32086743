/*
 * cidr.c: see cidr.h.
 *
 * Text is turned into numbers by inet_pton, which takes no zone, no brackets and no octal or short IPv4
 * forms; the text is copied first, for slices have no NUL. Printing is inet_ntop's, which follows RFC 5952,
 * except that an IPv4-mapped address is printed as the IPv4 address it stands for.
 */
#include "lib/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void set_v4(struct ip *ip, const void *four_bytes)
{
    memcpy(ip->b, v4_prefix, sizeof(v4_prefix));
    memcpy(ip->b + sizeof(v4_prefix), four_bytes, 4);
}

/* *IS_V4 tells how it was written: "::ffff:1.2.3.4" is IPv6 text for the same address as "1.2.3.4". */
static bool parse(struct slice text, struct ip *ip, bool *is_v4)
{
    char copy[IP_TEXT_MAX];
    uint8_t four[4];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.p, '\0', text.len))
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    *is_v4 = inet_pton(AF_INET, copy, four) == 1;
    if (*is_v4)
        set_v4(ip, four);
    return *is_v4 || inet_pton(AF_INET6, copy, ip->b) == 1;
}

bool ip_parse(struct slice text, struct ip *ip)
{
    bool is_v4;
    return parse(text, ip, &is_v4);
}

bool ip_of_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        set_v4(ip, &in.sin_addr);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        memcpy(ip->b, &in6.sin6_addr, sizeof(ip->b));
        return true;
    }
    return false;
}

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

static char *put_octet(char *p, unsigned n)
{
    if (n >= 100)
        *p++ = (char)('0' + n / 100);
    if (n >= 10)
        *p++ = (char)('0' + n / 10 % 10);
    *p++ = (char)('0' + n % 10);
    return p;
}

/* Every request that is forwarded has one; inet_ntop takes seventeen times the instructions. */
static size_t v4_text(const uint8_t octets[4], char *out)
{
    char *p = put_octet(out, octets[0]);
    for (int i = 1; i < 4; i++) {
        *p++ = '.';
        p = put_octet(p, octets[i]);
    }
    *p = '\0';
    return (size_t)(p - out);
}

size_t ip_text(const struct ip *ip, char out[IP_TEXT_MAX])
{
    if (ip_is_v4(ip))
        return v4_text(ip->b + sizeof(v4_prefix), out);
    CHECK(inet_ntop(AF_INET6, ip->b, out, IP_TEXT_MAX));
    return strlen(out);
}

/* Whether the first PREFIX bits are the same. */
static bool same_bits(const struct ip *a, const struct ip *b, unsigned prefix)
{
    unsigned whole = prefix / 8, rest = prefix % 8;
    if (memcmp(a->b, b->b, whole) != 0)
        return false;
    return rest == 0 || ((a->b[whole] ^ b->b[whole]) >> (8 - rest)) == 0;
}

static bool has_bits_past(const struct ip *ip, unsigned prefix)
{
    for (unsigned bit = prefix; bit < 128; bit++)
        if (ip->b[bit / 8] & (0x80u >> bit % 8))
            return true;
    return false;
}

bool cidr_parse(struct slice text, struct cidr *c)
{
    ptrdiff_t slash = slice_find(text, '/');
    bool is_v4;
    uint64_t prefix;
    if (slash < 0) {
        c->prefix = 128;
        return ip_parse(text, &c->base);
    }
    if (!parse((struct slice){text.p, (size_t)slash}, &c->base, &is_v4) ||
        !slice_to_u64(slice_skip(text, (size_t)slash + 1), is_v4 ? 32 : 128, &prefix))
        return false;
    c->prefix = (unsigned)prefix + (is_v4 ? 96 : 0);
    return !has_bits_past(&c->base, c->prefix);
}

bool cidr_has(const struct cidr *c, const struct ip *ip)
{
    return same_bits(&c->base, ip, c->prefix);
}

bool cidr_any_has(const struct cidr *blocks, size_t n, const struct ip *ip)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_has(&blocks[i], ip))
            return true;
    return false;
}
