/*
 * conf_address.c: see conf_address.h.
 *
 * What cannot be an address is told with the form that was probably meant: most mistakes are a missing
 * scheme, a missing port, brackets that are missing around IPv6, or a path behind the host.
 */
#include "gateway/conf_address.h"

#include <sys/un.h>

#include "lib/cidr.h"

#define HOST_MAX   253
#define REDIS_PORT 6379

/* ---- pieces ---- */

static bool parse_port(struct slice text, uint16_t *port, struct conf_why *why)
{
    uint64_t n;
    if (!slice_to_u64(text, 65535, &n) || n == 0)
        return conf_refuse(why, "the port '%.*s' is not a number from 1 to 65535", SLICE_ARG(text));
    *port = (uint16_t)n;
    return true;
}

static bool check_unix_path(struct slice path, struct conf_why *why)
{
    size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    if (path.len == 0 || path.p[0] != '/')
        return conf_refuse(why, "the path of a unix socket begins with '/': unix:/run/tollgate.sock");
    if (path.len > max)
        return conf_refuse(why, "the path of a unix socket is longer than %zu bytes", max);
    return true;
}

static bool refuse_bare_ipv6(struct slice text, struct conf_why *why)
{
    size_t last = text.len;
    while (last > 0 && text.p[last - 1] != ':')
        last--;
    return conf_refuse(why, "an IPv6 address stands in brackets: [%.*s]:%.*s", (int)last - 1, text.p,
                       (int)(text.len - last), text.p + last);
}

/* "host:port" or "[v6]:port" or without a port, cut apart; HAS_PORT tells "host:" from "host". */
static bool split_port(struct slice text, struct slice *host, struct slice *port, bool *has_port,
                       struct conf_why *why)
{
    ptrdiff_t end = text.len > 0 && text.p[0] == '[' ? slice_find(text, ']') : slice_find(text, ':');
    if (text.len > 0 && text.p[0] == '[') {
        if (end < 0)
            return conf_refuse(why, "']' is missing");
        end++;
    }
    if (end < 0)
        end = (ptrdiff_t)text.len;
    struct slice rest = slice_skip(text, (size_t)end);
    *host = (struct slice){text.p, (size_t)end};
    *has_port = rest.len > 0;
    if (rest.len > 0 && rest.p[0] != ':')
        return conf_refuse(why, "unexpected '%.*s' behind the address", SLICE_ARG(rest));
    *port = slice_skip(rest, 1);
    if (slice_find(*port, ':') >= 0)
        return refuse_bare_ipv6(text, why);
    return true;
}

static bool is_bracketed(struct slice s)
{
    return s.len >= 2 && s.p[0] == '[' && s.p[s.len - 1] == ']';
}

static struct slice unbracketed(struct slice s)
{
    return is_bracketed(s) ? (struct slice){s.p + 1, s.len - 2} : s;
}

static bool is_name_char(char c)
{
    char low = (char)(c | 0x20);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_number(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.len > 0;
}

bool conf_check_name(struct slice host, struct conf_why *why)
{
    struct ip ip;
    size_t begin = 0;
    struct slice label = {"", 0};
    if (host.len == 0)
        return conf_refuse(why, "the name of the host is missing");
    if (host.len > HOST_MAX)
        return conf_refuse(why, "the name of the host is longer than %d bytes", HOST_MAX);
    for (size_t i = 0; i <= host.len; i++) {
        if (i < host.len && is_name_char(host.p[i]))
            continue;
        if (i < host.len && host.p[i] != '.')
            return conf_refuse(why, "'%c' cannot stand in the name of a host", host.p[i]);
        if (i == begin && i < host.len)
            return conf_refuse(why, "the name of the host has an empty part");
        if (i > begin)
            label = (struct slice){host.p + begin, i - begin};
        begin = i + 1;
    }
    if (is_number(label) && !ip_parse(host, &ip))
        return conf_refuse(why, "'%.*s' is not an IPv4 address", SLICE_ARG(host));
    return true;
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static bool check_host(struct slice host, struct conf_why *why)
{
    struct ip ip;
    if (host.len > 0 && host.p[0] == '[') {
        if (!is_bracketed(host) || !ip_parse(unbracketed(host), &ip) || slice_find(host, ':') < 0)
            return conf_refuse(why, "'%.*s' is not an IPv6 address", SLICE_ARG(host));
        return true;
    }
    return conf_check_name(host, why);
}

/* ---- listen ---- */

static bool refuse_listen(struct slice text, struct conf_why *why)
{
    uint64_t port;
    if (slice_to_u64(text, 65535, &port))
        return conf_refuse(why,
                           "the address is missing: 0.0.0.0:%.*s, or 127.0.0.1:%.*s for this machine only",
                           SLICE_ARG(text), SLICE_ARG(text));
    return conf_refuse(why, "the port is missing: %.*s:8080", SLICE_ARG(text));
}

static bool parse_tcp_listen(struct conf_load *load, struct slice text, struct conf_listen *out,
                             struct conf_why *why)
{
    struct ip ip;
    struct slice host, port;
    bool has_port;
    if (slice_find(text, '/') >= 0)
        return conf_refuse(why, "an address has no scheme and no path: 0.0.0.0:8080");
    if (!split_port(text, &host, &port, &has_port, why))
        return false;
    if (!has_port)
        return refuse_listen(text, why);
    if (host.len == 0)
        return refuse_listen(port, why);
    if (!parse_port(port, &out->port, why))
        return false;
    if (slice_eq_nocase(host, SLICE("localhost")) || slice_eq(host, SLICE("*")))
        return conf_refuse(why, "'%.*s' is not a numeric address: write %s:%.*s", SLICE_ARG(host),
                           host.len > 1 ? "127.0.0.1" : "0.0.0.0", SLICE_ARG(port));
    if (!ip_parse(unbracketed(host), &ip) || is_bracketed(host) != (slice_find(unbracketed(host), ':') >= 0))
        return conf_refuse(why, "'%.*s' is not a numeric address, such as 0.0.0.0, 127.0.0.1 or [::]",
                           SLICE_ARG(host));
    out->host = conf_copy(load, unbracketed(host));
    return true;
}

bool conf_parse_listen(struct conf_load *load, const char *text, struct conf_listen *out,
                       struct conf_why *why)
{
    struct slice s = slice_of(text);
    if (s.len == 0)
        return conf_refuse(why, "the address is empty");
    out->address = conf_copy(load, s);
    if (!slice_starts(s, SLICE("unix:")))
        return parse_tcp_listen(load, s, out, why);
    s = slice_skip(s, 5);
    out->unix_path = conf_copy(load, s);
    return check_unix_path(s, why);
}

bool conf_listen_is_local(const struct conf_listen *l)
{
    struct ip ip;
    if (l->unix_path)
        return true;
    if (!l->host || !ip_parse(slice_of(l->host), &ip))
        return false;
    const struct ip loopback6 = {.b = {[15] = 1}};
    return ip_is_v4(&ip) ? ip.b[12] == 127 : memcmp(&ip, &loopback6, sizeof(ip)) == 0;
}

bool conf_listen_is_same(const struct conf_listen *a, const struct conf_listen *b)
{
    struct ip x, y;
    if (a->unix_path && b->unix_path)
        return strcmp(a->unix_path, b->unix_path) == 0;
    return a->host && b->host && a->port == b->port && ip_parse(slice_of(a->host), &x) &&
           ip_parse(slice_of(b->host), &y) && memcmp(&x, &y, sizeof(x)) == 0;
}

/* ---- servers ---- */

static bool refuse_scheme(struct slice text, struct conf_why *why)
{
    for (size_t i = 0; i + 2 < text.len; i++)
        if (memcmp(text.p + i, "://", 3) == 0)
            return conf_refuse(why, "the scheme '%.*s' is not known: http, https or unix", (int)i, text.p);
    return conf_refuse(why, "the scheme is missing: http://%.*s", SLICE_ARG(text));
}

/* What follows the authority: nothing, or "/". */
static bool check_rest(struct slice rest, struct conf_why *why)
{
    if (rest.len == 0 || slice_eq(rest, SLICE("/")))
        return true;
    if (rest.p[0] == '/')
        return conf_refuse(why, "a server has no path: give '%.*s' to the route, as add_prefix or rewrite",
                           SLICE_ARG(rest));
    return conf_refuse(why, "a server has no query and no fragment: '%.*s'", SLICE_ARG(rest));
}

static size_t authority_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
        n++;
    return n;
}

static bool parse_tcp_server(struct conf_load *load, struct slice text, struct conf_server *out,
                             struct conf_why *why)
{
    struct slice host, port, authority = {text.p, authority_length(text)};
    bool has_port;
    if (slice_find(authority, '@') >= 0)
        return conf_refuse(
            why, "a user or password cannot be given here: set an Authorization field in the route's "
                 "request_header");
    if (!split_port(authority, &host, &port, &has_port, why) || !check_host(host, why))
        return false;
    out->port = out->tls ? 443 : 80;
    if (has_port && !parse_port(port, &out->port, why))
        return false;
    out->host = conf_copy(load, unbracketed(host));
    return check_rest(slice_skip(text, authority.len), why);
}

bool conf_parse_server(struct conf_load *load, const char *text, struct conf_server *out,
                       struct conf_why *why)
{
    struct slice s = slice_of(text);
    if (s.len == 0)
        return conf_refuse(why, "the URL is empty");
    out->url = conf_copy(load, s);
    if (slice_starts(s, SLICE("unix:"))) {
        s = slice_skip(s, 5);
        out->unix_path = conf_copy(load, s);
        return check_unix_path(s, why);
    }
    size_t scheme = slice_starts(s, SLICE("http://")) ? 7 : slice_starts(s, SLICE("https://")) ? 8 : 0;
    if (scheme == 0)
        return refuse_scheme(s, why);
    out->tls = scheme == 8;
    return parse_tcp_server(load, slice_skip(s, scheme), out, why);
}

bool conf_server_is_same(const struct conf_server *a, const struct conf_server *b)
{
    if (a->unix_path && b->unix_path)
        return strcmp(a->unix_path, b->unix_path) == 0;
    return a->host && b->host && a->tls == b->tls && a->port == b->port &&
           slice_eq_nocase(slice_of(a->host), slice_of(b->host));
}

/* ---- Redis nodes ---- */

/* What stands before an '@' could be a password, which is not told. */
static bool parse_tcp_node(struct conf_load *load, struct slice text, struct conf_redis_node *out,
                           struct conf_why *why)
{
    struct slice host, port;
    bool has_port;
    if (slice_find(text, '@') >= 0)
        return conf_refuse(why, "a user or password is not part of it: they are options of their own");
    if (slice_find(text, '/') >= 0)
        return conf_refuse(why, "a node has no scheme and no path: redis-1:%d", REDIS_PORT);
    if (!split_port(text, &host, &port, &has_port, why) || !check_host(host, why))
        return false;
    out->port = REDIS_PORT;
    if (has_port && !parse_port(port, &out->port, why))
        return false;
    out->host = conf_copy(load, unbracketed(host));
    return true;
}

bool conf_parse_redis_node(struct conf_load *load, const char *text, struct conf_redis_node *out,
                           struct conf_why *why)
{
    struct slice s = slice_of(text);
    if (s.len == 0)
        return conf_refuse(why, "the address is empty");
    out->name = conf_copy(load, s);
    if (!slice_starts(s, SLICE("unix:")))
        return parse_tcp_node(load, s, out, why);
    s = slice_skip(s, 5);
    out->unix_path = conf_copy(load, s);
    return check_unix_path(s, why);
}

bool conf_redis_node_is_same(const struct conf_redis_node *a, const struct conf_redis_node *b)
{
    if (a->unix_path && b->unix_path)
        return strcmp(a->unix_path, b->unix_path) == 0;
    return a->host && b->host && a->port == b->port && slice_eq_nocase(slice_of(a->host), slice_of(b->host));
}

/* ---- hosts ---- */

bool conf_check_host_pattern(struct slice host, struct conf_why *why)
{
    struct slice name = slice_starts(host, SLICE("*.")) ? slice_skip(host, 2) : host;
    if (slice_eq(host, SLICE("*")))
        return conf_refuse(why, "leave `host` out to match any host");
    if (slice_find(host, '/') >= 0)
        return conf_refuse(why, "'%.*s' is not the name of a host: no scheme, no path", SLICE_ARG(host));
    if (slice_find(name, '*') >= 0)
        return conf_refuse(why, "'%.*s': a '*' stands for the first parts only, as in *.example",
                           SLICE_ARG(host));
    if (host.len > 0 && host.p[0] == '[')
        return check_host(host, why);
    if (slice_find(host, ':') >= 0)
        return conf_refuse(why, "'%.*s': leave the port out, any port matches", SLICE_ARG(host));
    return conf_check_name(name, why);
}

bool conf_check_host_field(struct slice host, struct conf_why *why)
{
    struct slice name, port;
    bool has_port;
    uint16_t number;
    if (slice_find(host, '/') >= 0)
        return conf_refuse(why, "'%.*s' is not the name of a host: no scheme, no path", SLICE_ARG(host));
    return split_port(host, &name, &port, &has_port, why) && check_host(name, why) &&
           (!has_port || parse_port(port, &number, why));
}
