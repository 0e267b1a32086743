/*
 * conf_address.h: addresses to listen on, URLs of servers, Redis nodes, names of hosts, as a configuration
 * writes them. Used by the conf_*.c files only. Pure; memory comes from the load's arena.
 */
#ifndef GATEWAY_CONF_ADDRESS_H
#define GATEWAY_CONF_ADDRESS_H

#include "gateway/conf_bind.h"

/* "0.0.0.0:8080", "[::]:8080" or "unix:/run/tollgate.sock" into address, host, port and unix_path. */
MUST_USE bool conf_parse_listen(struct conf_load *load, const char *text, struct conf_listen *out,
                                struct conf_why *why);

/* "http://users-1:9000", "https://api.internal" or "unix:/run/app.sock" into url, tls, host, port and
 * unix_path. */
MUST_USE bool conf_parse_server(struct conf_load *load, const char *text, struct conf_server *out,
                                struct conf_why *why);

/* "redis-1:6379", "redis-1", "[::1]:6379" or "unix:/run/redis.sock" into name, host, port and unix_path. */
MUST_USE bool conf_parse_redis_node(struct conf_load *load, const char *text, struct conf_redis_node *out,
                                    struct conf_why *why);

/* A name or IPv4 address: labels of letters, digits, '-' and '_'. */
MUST_USE bool conf_check_name(struct slice host, struct conf_why *why);

/* "api.example", "*.example", "[::1]": what a route may ask of the Host field. */
MUST_USE bool conf_check_host_pattern(struct slice host, struct conf_why *why);

/* "api.example" or "api.example:8080": a Host field to send. */
MUST_USE bool conf_check_host_field(struct slice host, struct conf_why *why);

/* Whether only this machine can reach it. */
bool conf_listen_is_local(const struct conf_listen *l);
bool conf_listen_is_same(const struct conf_listen *a, const struct conf_listen *b);
bool conf_server_is_same(const struct conf_server *a, const struct conf_server *b);
bool conf_redis_node_is_same(const struct conf_redis_node *a, const struct conf_redis_node *b);

#endif
