/*
 * router_fixture.h: configurations for the tests of the router, a line of text for each route:
 *
 *     "HOSTS METHODS PATH [NAME[=VALUE] ...]"      "a.example,*.b GET,POST /users/{id} X-Beta X-Tier=gold"
 *
 * with "-" for none.
 */
#ifndef TESTS_UNIT_GATEWAY_ROUTER_FIXTURE_H
#define TESTS_UNIT_GATEWAY_ROUTER_FIXTURE_H

#include "gateway/router.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define FIXTURE_ROUTES 256
#define FIXTURE_LIST   24

struct fixture_route {
    char text[256];
    const char *hosts[FIXTURE_LIST], *methods[FIXTURE_LIST];
    struct conf_match_header headers[FIXTURE_LIST];
};

struct fixture {
    struct conf conf;
    struct conf_route routes[FIXTURE_ROUTES];
    struct fixture_route store[FIXTURE_ROUTES];
};

static inline size_t fixture_list(char *text, const char **list)
{
    size_t n = 0;
    char *rest = NULL;
    if (strcmp(text, "-") == 0)
        return 0;
    for (char *item = strtok_r(text, ",", &rest); item && n < FIXTURE_LIST; item = strtok_r(NULL, ",", &rest))
        list[n++] = item;
    return n;
}

static inline void fixture_header(struct conf_match_header *h, char *text)
{
    char *equals = strchr(text, '=');
    if (equals)
        *equals++ = '\0';
    *h = (struct conf_match_header){.name = text, .value = equals};
}

/* Add a route; its path has to pass the check. */
static inline struct conf_route *fixture_add(struct fixture *f, const char *line)
{
    char reason[128] = "", *rest = NULL;
    struct conf_route *r = &f->routes[f->conf.nroutes];
    struct fixture_route *s = &f->store[f->conf.nroutes++];
    *r = (struct conf_route){.name = line, .hosts = s->hosts, .methods = s->methods, .headers = s->headers};
    ck_assert_uint_lt((size_t)snprintf(s->text, sizeof(s->text), "%s", line), sizeof(s->text));
    char *hosts = strtok_r(s->text, " ", &rest), *methods = strtok_r(NULL, " ", &rest);
    r->path = strtok_r(NULL, " ", &rest);
    r->nhosts = fixture_list(hosts, s->hosts);
    r->nmethods = fixture_list(methods, s->methods);
    for (char *h; (h = strtok_r(NULL, " ", &rest));)
        fixture_header(&s->headers[r->nheaders++], h);
    ck_assert_msg(router_check_path(r->path, &r->path_kind, reason, sizeof(reason)), "%s: %s", r->path,
                  reason);
    f->conf.routes = f->routes;
    return r;
}

#endif
