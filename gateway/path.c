/*
 * path.c: the request's path. Read this first.
 *
 *     accept -> head -> identify -> admit -> target -> route -> cors -> access -> limit -> concurrency ->
 * body limit -> cache -> answer here, or: forward -> reply
 *
 * front.c accepts and parses; each row below is a step in the file named beside it; forward.c streams;
 * front.c sends the reply; exchange.c ends it all with a log line.
 */
#include "gateway/path.h"

#include "gateway/answer.h"
#include "gateway/identify.h"
#include "gateway/request.h"

const struct step request_path[] = {
    {"head", request_check_head, NULL},    /* request.c: is the head well-formed and its framing plain? */
    {"identify", identify_run, NULL},      /* identify.c: request id, trace, the client's address */
    {"admit", access_admit, NULL},         /* access.c: is the client's network let in at all? */
    {"target", request_read_target, NULL}, /* request.c: the path in its one normal form */
    {"route", request_find_route, NULL},   /* request.c: which route; 404, 405 */
    {"cors", cors_step, NULL},             /* cors.c: what a browser asks first, and what it is told */
    {"access", access_step, access_undo},  /* access.c: who is it, and may it? 401, 403 */
    {"limit", limit_step, limit_undo},     /* limit.c: not too many requests of one client */
    {"concurrency", concurrency_step, concurrency_undo}, /* concurrency.c: not too many at once */
    {"body", request_check_body, NULL},                  /* request.c: the route's bound on the body */
    {"cache", cache_step, cache_undo},                   /* cache.c: is it stored, or being fetched? */
    {"answer", answer_run, NULL},                        /* answer.c: fixed responses and redirects */
    {"forward", forward_step, forward_undo}, /* forward.c: a server, a connection, the exchange with it */
};

const size_t request_path_length = sizeof(request_path) / sizeof(request_path[0]);
