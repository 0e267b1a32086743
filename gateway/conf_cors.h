/*
 * conf_cors.h: the part of conf.h about who may come from where: networks that are let in, and the origins
 * whose pages may use a route (CORS). Included by conf.h; its conventions hold.
 */
#ifndef GATEWAY_CONF_CORS_H
#define GATEWAY_CONF_CORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cidr.h"
#include "lib/ip_set.h"

/* The longest network that has an address decides; without one, addresses get in unless there is an allow. */
struct conf_networks {
    struct cidr *allow, *deny;
    size_t nallow, ndeny;
    struct ip_set *set; /* both, allow as 1 and deny as 0; owned; NULL: neither is given */
};

struct conf_cors {
    bool enabled;         /* the section is there */
    bool any_origin;      /* "*" is among the origins */
    const char **origins; /* an origin, "null", "*", or with "*." in front of its host */
    size_t norigins;
    const char **methods; /* for preflights; default those of the route, or GET, HEAD and POST */
    size_t nmethods;
    const char **headers; /* of requests; "*": any; default none but those that need no leave */
    size_t nheaders;
    const char **exposed; /* of answers */
    size_t nexposed;
    bool credentials;    /* cookies and the like may come along; default no */
    uint32_t max_age_ms; /* a preflight's answer is good for this long; default 10 min */

    bool any_header; /* "*" is among the headers */
    const char *methods_text, *headers_text, *exposed_text,
        *max_age_text; /* as fields have them; may be "" */
};

#endif
