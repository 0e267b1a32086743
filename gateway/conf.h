/*
 * conf.h: the configuration as its file says it: plain, checked data.
 *
 * conf_load reads a file (and what it includes), reports every mistake it finds with file and line, and gives
 * either a complete configuration or none. Nothing here is resolved, opened or started; snapshot.h turns it
 * into something a worker can use. A struct conf is immutable once loaded and may be read by any thread.
 *
 *     struct conf *c = conf_load("conf/tollgate.conf", &mistakes);
 *     if (!c) { for each mistake: fprintf(stderr, "%s\n", ...); }
 *     conf_free(c);
 *
 * Paths of files are absolute: in the file they are relative to the file that names them.
 *
 * Strings are NUL-terminated and live as long as the struct conf. Times are milliseconds, sizes bytes, 0 as
 * written in the comment of each field.
 */
#ifndef GATEWAY_CONF_H
#define GATEWAY_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gateway/conf_auth.h"
#include "gateway/conf_cache.h"
#include "gateway/conf_cors.h"
#include "gateway/conf_protect.h"
#include "gateway/conf_redis.h"
#include "lib/check.h"
#include "lib/cidr.h"
#include "lib/http.h"
#include "lib/shedder.h"

/* An address to listen on. */
struct conf_listen {
    struct conf_where where;
    const char *address;   /* as written: "0.0.0.0:8080", "[::]:8080", "unix:/run/tollgate.sock" */
    const char *host;      /* numeric address without brackets; NULL for a unix socket */
    uint16_t port;         /* 0 only for a unix socket */
    const char *unix_path; /* NULL for TCP */
    const char *tls_cert;  /* PEM chain; NULL: plain HTTP */
    const char *tls_key;   /* PEM key; set exactly when tls_cert is */
};

enum conf_balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN, BALANCE_P2C, BALANCE_HASH };
enum conf_hash_key { HASH_KEY_IP, HASH_KEY_HEADER, HASH_KEY_COOKIE };

struct conf_backend;

/* One server of a backend: a name that may stand for several addresses. */
struct conf_server {
    struct conf_where where;
    const char *url; /* as written: "http://users-1:9000", "https://api.internal", "unix:/run/app.sock" */
    bool tls;
    const char *host;                   /* name or numeric address without brackets; NULL for a unix socket */
    uint16_t port;                      /* 80 or 443 when the url has none */
    const char *unix_path;              /* NULL for TCP */
    unsigned weight;                    /* 1..1000, default 1 */
    bool is_backup;                     /* only when no other server can be used; default no */
    const struct conf_backend *backend; /* that it belongs to */
};

struct conf_timeout {
    uint32_t connect_ms;    /* TCP and TLS handshake; default 1 s */
    uint32_t first_byte_ms; /* request sent to first byte of the answer; default 15 s */
    uint32_t
        between_bytes_ms; /* between two reads of the answer or two writes of the request; default 60 s */
    uint32_t total_ms;    /* whole exchange; 0: none; default 0 */
    const char *deadline_header; /* tells the backend what is left of the total, in ms; NULL: none is sent */
};

struct conf_keepalive {
    unsigned
        max_idle; /* idle connections kept to each address, by each worker; default 64; 0: none are kept */
    uint32_t idle_ms;      /* an idle connection is closed after this; default 60 s */
    uint32_t max_requests; /* requests on one connection; 0: no bound; default 10000 */
};

struct conf_tls {
    bool verify;             /* check the chain and the name; default yes */
    const char *ca_file;     /* PEM; NULL: the system's */
    const char *cert_file;   /* client certificate, PEM; NULL: none */
    const char *key_file;    /* its key */
    const char *server_name; /* SNI and name to verify; NULL: the server's host */
};

struct conf_backend {
    struct conf_where where;
    const char *name;
    struct conf_server *servers;
    size_t nservers; /* at least 1 */
    enum conf_balance balance;
    enum conf_hash_key hash_key; /* with BALANCE_HASH */
    const char *hash_name;       /* header or cookie name, for those keys */
    struct conf_timeout timeout;
    struct conf_keepalive keepalive;
    struct conf_tls tls;
    uint32_t max_connections; /* open to each address, by each worker; default 1024 */
    uint32_t fail_timeout_ms; /* an address that could not be connected to is left out for this long; default
                                 10 s */
    struct conf_breaker breaker;
    struct conf_retry retry;
    struct conf_eject eject;
    struct conf_health health;
    struct conf_bulkhead bulkhead;
    uint32_t slow_start_ms;   /* a server that came back gets its full share after this; default 0 */
    uint32_t panic_threshold; /* hundredths of a percent: with fewer good servers all are used; default 0 */
};

/* How a route's path is compared; see router.h for what the titles mean. */
enum conf_path_kind { PATH_EXACT, PATH_PREFIX, PATH_PARAM, PATH_PARAM_PREFIX, PATH_REGEX };

/* A condition on a request header: present, or equal to VALUE. */
struct conf_match_header {
    const char *name;
    const char *value; /* NULL: any value */
};

enum conf_edit_kind { EDIT_SET, EDIT_ADD, EDIT_REMOVE };

/* One change to the header fields. Values may hold {param} of the route's path. Applied in the order SET,
 * ADD, REMOVE within a section, as written within each. */
struct conf_edit {
    enum conf_edit_kind kind;
    const char *name;
    const char *value; /* NULL for EDIT_REMOVE */
};

struct conf_edits {
    struct conf_edit *at;
    size_t n;
};

enum conf_action { ACTION_PROXY, ACTION_RESPOND, ACTION_REDIRECT };

/* Which Host field a backend sees: the client's, the server's own name, or a fixed one. */
enum conf_upstream_host { UPSTREAM_HOST_PASS, UPSTREAM_HOST_SERVER, UPSTREAM_HOST_FIXED };

struct conf_route {
    struct conf_where where;
    const char *name; /* the section's title: its label in log and metrics */

    /* what it matches */
    const char *path; /* as written: the title, unless `path` is given */
    enum conf_path_kind path_kind;
    const char **hosts; /* lower case: "api.example", "*.example"; none: any */
    size_t nhosts;
    const char **methods; /* none: any */
    size_t nmethods;
    struct conf_match_header *headers; /* all must hold */
    size_t nheaders;
    bool encoded_slash; /* let %2F through in the path; default no: 400 */

    /* what it does */
    enum conf_action action;
    size_t backend;           /* ACTION_PROXY: index into conf.backends */
    unsigned status;          /* ACTION_RESPOND, ACTION_REDIRECT */
    const char *body;         /* ACTION_RESPOND; may be "" */
    const char *content_type; /* ACTION_RESPOND */
    const char *location;     /* ACTION_REDIRECT; template */

    /* what it changes on the way */
    const char *strip_prefix; /* NULL: none; begins with '/' */
    const char *add_prefix;   /* NULL: none; begins with '/' */
    const char *rewrite;      /* NULL: none; template of the whole path, with {param} and {query} */
    enum conf_upstream_host upstream_host;
    const char *upstream_host_name; /* UPSTREAM_HOST_FIXED */
    struct conf_edits request_edits;
    struct conf_edits response_edits;
    struct conf_networks networks; /* whose clients may use it, beside those of struct conf */
    struct conf_cors cors;
    size_t *auths; /* who may use it: indexes into conf.auths, any of which suffices; none: everybody */
    size_t nauths;
    const char **scopes; /* that a token must have, all of them */
    size_t nscopes;
    struct conf_limit *limits;
    size_t nlimits;
    struct conf_concurrency *concurrencies;
    size_t nconcurrencies;
    struct conf_cache cache;
    struct conf_fallback fallback;
    struct conf_hedge hedge;
    enum shed_priority priority; /* default SHED_NORMAL */
    uint64_t max_body;           /* bytes of a request body; 0: no bound (the default) */
    bool forwarded;              /* also send Forwarded (RFC 7239); default no */
};

/* What the front end grants its clients. */
struct conf_client {
    uint32_t head_timeout_ms; /* first byte of a request to the end of its head; default 10 s */
    uint32_t idle_timeout_ms; /* no byte moving on a connection, kept-alive ones too; whole seconds; default
                                 75 s */
    uint32_t max_head;        /* bytes of request line and header; default 8 KB; 4 KB..64 KB */
    uint32_t max_fields;      /* header fields of a request; default 100 */
    uint32_t max_connections; /* open at once, over all workers; default 10000 */
};

enum conf_log_format { LOG_JSON, LOG_COMBINED };
enum conf_log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct conf_log {
    const char *access; /* "stdout", "off" or a file's path; default stdout */
    const char *error;  /* "stderr" or a file's path; default stderr */
    enum conf_log_format format;
    enum conf_log_level level; /* of the error log; default info */
    uint32_t queue; /* lines that may wait for a slow disk; more are dropped and counted; default 16384 */
    const char **mask_query; /* names of query parameters whose values are masked; default: none */
    size_t nmask_query;
};

#define CONF_TOKEN_MAX 500 /* characters of a token of the admin port */

/* Without any token, only a loopback address or a unix socket is allowed. */
struct conf_admin {
    struct conf_listen listen;   /* listen.address == NULL: no admin port */
    const char *token;           /* bearer token with all rights; NULL: none */
    const char *read_token;      /* bearer token of those who only look; NULL: none */
    const char *token_file;      /* where token was read from; NULL: it stands in the configuration */
    const char *read_token_file; /* the same of read_token */
};

/* Whose trace contexts are gone on with. */
enum conf_parents { TRACING_PARENTS_ALL, TRACING_PARENTS_TRUSTED, TRACING_PARENTS_NONE };

struct conf_tracing {
    bool enabled;
    const char *endpoint; /* OTLP over HTTP; NULL: nothing is exported */
    uint32_t sample;      /* hundredths of a percent; default 1 % */
    uint64_t ratio;       /* the same, for trace_ratio_samples */
    uint32_t slow_ms;     /* requests that take as long are kept; 0: none; default 1 s */
    enum conf_parents parents;
    bool b3;              /* contexts in the form of Zipkin, too */
    const char *service;  /* service.name; default "tollgate" */
    const char **headers; /* "Name: value", for the endpoint */
    size_t nheaders;
    uint32_t queue;      /* spans that may wait for the endpoint; default 8192 */
    uint32_t timeout_ms; /* of one export; default 5 s */
    const char *ca_file; /* for an https endpoint; NULL: the system's */
};

struct conf {
    const char *file;
    struct conf_listen *listens;
    size_t nlistens; /* at least 1 */
    struct conf_admin admin;
    unsigned workers; /* threads; 0 in the file ("auto") has become the number of cores */
    struct cidr *trusted_proxies;
    size_t ntrusted;
    struct conf_client client;
    struct conf_log log;
    struct conf_cache_store cache;
    struct conf_redis redis;
    struct conf_tracing tracing;
    uint32_t drain_timeout_ms; /* TERM to exit at the latest; default 30 s */
    uint32_t limit_buckets;    /* clients that are remembered by limits at a time; default 1,000,000 */
    uint32_t resolve_ms;       /* names of servers are resolved again this often; default 10 s */
    uint32_t shed_lag_ms;      /* a loop as late as this refuses its lowest priority; 0: never; default 0 */
    const char *server_header; /* value of Server on our own answers; NULL: none; default "tollgate" */
    struct conf_networks networks; /* whose clients get in at all */
    struct conf_auth *auths;
    size_t nauths;
    struct conf_backend *backends;
    size_t nbackends;
    struct conf_route *routes;
    size_t nroutes;
};

/* What was wrong, in the order of the file. Each text reads "file:line: reason". */
struct conf_mistakes {
    char **at;
    size_t n;
};

/* The configuration, or NULL when there is any mistake; *MISTAKES is filled either way (it may hold warnings
 * that do not stop the load, texts then reading "file:line: warning: reason") and is freed by
 * conf_mistakes_free. */
MUST_USE struct conf *conf_load(const char *path, struct conf_mistakes *mistakes);
void conf_free(struct conf *c);
void conf_mistakes_free(struct conf_mistakes *m);

/* Write the effective configuration, every option with its value, in the grammar that conf_load reads. The
 * tokens of the admin port and the password of Redis are masked. What is written loads again to an equal
 * configuration. */
void conf_dump(const struct conf *c, FILE *out);

#endif
