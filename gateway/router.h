/*
 * router.h: which route a request takes.
 *
 * The path of a route is written as
 *     "/users/me"        exactly this path
 *     "/users/"          this and everything below it, but not "/users": a title that ends in '/' is a prefix
 *     "/users/{id}"      {name} stands for one whole, non-empty segment
 *     "/users/{id}/"     the same with everything below it
 *     "~ ^/v(\\d+)/"     a regular expression (PCRE2), tried last; groups are parameters {1}, {2} or
 *                        by their names
 *
 * Paths are compared in normal form (lib/uri.h), case-sensitively; a regular expression is anchored at the
 * start of the path, with or without its '^', and not at the end. "*" (of OPTIONS) has no route. Hosts are
 * compared without regard to case and to a dot at the end; "*.example" is any name below example, however
 * deep, and not example itself.
 *
 * The most specific route wins, in this order:
 *     1. host: exact before "*.suffix" (longer suffix first) before any;
 *     2. path: segment by segment from the left; in the first segment in which two paths differ, a literal
 *        before a {name} before the end of a prefix. So an exact path comes first, and a longer prefix before
 *        a shorter one. How a parameter is called makes no difference. Regular expressions last, in the order
 *        of the file alone;
 *     3. a route that names methods before one that does not;
 *     4. a route with more header conditions before one with fewer;
 *     5. the order of the file.
 * A route whose path matches but whose method or header conditions do not is passed over, for the next in
 * this order, less specific hosts included. When no route is left and only methods stood in the way of some,
 * the result says so and lists theirs (405 with Allow).
 *
 * A HEAD request takes a route that names GET as if it named HEAD too, and Allow lists it. A header condition
 * holds when any field of that name has the value.
 *
 * Immutable once built; router_match may be called from any thread, and allocates nothing (but where PCRE2
 * cannot compile for the processor, a regular expression may). Regular expressions run with a match limit, so
 * that no path can hold a worker. A path that hits it gets no route at all: it would get a lesser one
 * otherwise, and so be led round the one that was meant.
 *
 *     struct router *r = router_new(conf);
 *     struct router_match m;
 *     if (router_match(r, &(struct router_request){.host = host, .path = path, .method = method}, &m)) ...
 */
#ifndef GATEWAY_ROUTER_H
#define GATEWAY_ROUTER_H

#include "gateway/conf.h"
#include "lib/buf.h"

#define ROUTER_PARAMS_MAX 16

struct router;

struct router_request {
    struct slice host; /* without port, as the client wrote it; may be empty */
    struct slice path; /* in normal form */
    struct slice method;
    struct http_fields fields;
};

struct router_param {
    struct slice name;  /* lives as long as the router */
    struct slice value; /* lives as long as the request's path */
};

struct router_match {
    const struct conf_route *route; /* NULL: none */
    size_t index;                   /* of the route in conf.routes */
    struct router_param params[ROUTER_PARAMS_MAX];
    size_t nparams;
    bool method_refused; /* no route, but one would have matched with another method */
    char allow[128];     /* then: "GET, HEAD, POST"; names that do not fit are left out */
};

/* NULL when memory is short; the configuration was checked before. CONF must outlive the router. */
MUST_USE struct router *router_new(const struct conf *conf);
void router_free(struct router *r);

/* *OUT is filled; true when there is a route. */
bool router_match(const struct router *r, const struct router_request *req, struct router_match *out);

/*
 * Whether PATH can be a route's path, and of which kind it is; the reason otherwise, in TEXT. For conf_load.
 * Refused: a path that is not in normal form (it could never match), a {name} that is not a whole segment,
 * stands there twice or is called path, query or host; more than 64 segments or ROUTER_PARAMS_MAX parameters;
 * a bad regular expression.
 */
MUST_USE bool router_check_path(const char *path, enum conf_path_kind *kind, char *text, size_t size);

/*
 * The path and query to send to the backend, added to what OUT holds; TARGET is that addition.
 *
 * strip_prefix takes whole segments only: "/api" (or "/api/") makes "/x" of "/api/x" and "/" of "/api", and
 * does nothing to "/apix". add_prefix is put in front afterwards. rewrite takes the place of both: a template
 * of the path, as below but without {host}; the request's query is kept, unless the template has a '?' and so
 * a query of its own. Parameters are inserted as they stand in the path (already escaped).
 *
 * False when it does not fit, and when the template's path does not come out in normal form ("/files/{1}"
 * with ".."): no request gets out of a template. OUT has failed then.
 */
MUST_USE bool router_rewrite(const struct router_match *m, struct slice path, struct slice query,
                             bool has_query, struct buf *out, struct slice *target);

/*
 * Fill {param} in a template (header values, redirects), added to what OUT holds. {path}, {query} and {host}
 * are always there; {1} is the first parameter, whether it has a name or not. Unknown names stay empty; "{{"
 * is a brace, and so is one that is never closed. False when it does not fit.
 */
MUST_USE bool router_expand(const struct router_match *m, const char *template, struct slice host,
                            struct slice path, struct slice query, struct buf *out);

#endif
