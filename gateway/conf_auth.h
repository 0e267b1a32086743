/*
 * conf_auth.h: the part of conf.h that says who may use a route: API keys, users with passwords, JSON web
 * tokens, and services that are asked. Included by conf.h; its conventions hold.
 *
 * The files that it names are read when the configuration is loaded, so that what cannot be used stops the
 * load. A reload reads them again.
 */
#ifndef GATEWAY_CONF_AUTH_H
#define GATEWAY_CONF_AUTH_H

#include "gateway/conf_protect.h"
#include "lib/api_keys.h"
#include "lib/jwt.h"
#include "lib/password.h"

enum conf_auth_kind { AUTH_KEYS, AUTH_USERS, AUTH_JWT, AUTH_EXTERNAL };

/* A claim that is told to the backend. */
struct conf_claim_header {
    const char *name;  /* of the field */
    const char *claim; /* its path; see jwt_claim */
};

/* One way to say who a client is. */
struct conf_auth {
    struct conf_where where;
    enum conf_auth_kind kind;
    const char *name;
    const char *realm; /* told with 401; default the name */
    bool forward;      /* pass the credential on to the backend; default yes for tokens, else no */

    const char *file;   /* AUTH_KEYS, AUTH_USERS */
    const char *header; /* where the key or token is; NULL: not in a header */
    const char *query;  /* AUTH_KEYS: a parameter that may have it; NULL: none */
    const char *cookie; /* AUTH_JWT: a cookie that may have it; NULL: none */

    const char *jwks_file, *jwks_url, *key_file, *secret_file; /* AUTH_JWT: one of them */
    const char *ca_file;                                       /* PEM, for jwks_url; NULL: the system's */
    uint32_t refresh_ms; /* jwks_url is fetched again after this; default 10 min */
    uint32_t refetch_ms; /* but for a key that it lacks not sooner than this; default 10 s */
    const char **algorithms, **issuers, **audiences, **required;
    size_t nalgorithms, nissuers, naudiences, nrequired;
    const char *type; /* the token's "typ"; NULL: any */
    bool require_exp;
    uint32_t leeway_ms, max_age_ms;
    struct conf_claim_header *claim_headers;
    size_t nclaim_headers;

    size_t backend;      /* AUTH_EXTERNAL: that is asked; index into conf.backends */
    const char *path;    /* what it is asked for */
    const char **copied; /* fields of its answer for the backend of the route */
    size_t ncopied;
    const char *consumer; /* field of its answer that says who it is; NULL: none */
    uint32_t timeout_ms;  /* default 1 s */

    struct api_keys *keys;        /* AUTH_KEYS; owned */
    struct password_users *users; /* AUTH_USERS; owned */
    struct jwks *jwks;            /* AUTH_JWT; owned; NULL with jwks_url */
    struct jwt_policy policy;     /* AUTH_JWT */
};

#endif
