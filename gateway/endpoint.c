/*
 * endpoint.c: see endpoint.h.
 *
 * Reference counts go down on any thread and up on the control thread or under a reference that is held. Only
 * the control thread frees, in its sweep, and only it may find an endpoint that nobody refers to: so one
 * whose count has come to zero may be revived by endpoint_find until the sweep has taken it out.
 */
#include "gateway/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct endpoint_registry {
    unsigned nworkers;
    struct endpoint *first;
};

struct endpoint_registry *endpoint_registry_new(unsigned nworkers)
{
    struct endpoint_registry *reg = calloc(1, sizeof(*reg));
    if (reg)
        reg->nworkers = nworkers;
    return reg;
}

static void endpoint_free(struct endpoint *e)
{
    free(e->address);
    free(e->unix_path);
    free(e->host);
    free(e->host_field);
    free((char *)(uintptr_t)e->tls_conf.ca_file);
    free((char *)(uintptr_t)e->tls_conf.cert_file);
    free((char *)(uintptr_t)e->tls_conf.key_file);
    free((char *)(uintptr_t)e->tls_conf.server_name);
    free(e);
}

void endpoint_sweep(struct endpoint_registry *reg)
{
    for (struct endpoint **at = &reg->first, *e; (e = *at) != NULL;) {
        /* Acquire: all that the last user did comes before the free. */
        if (atomic_load_explicit(&e->refs, memory_order_acquire) > 0) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        endpoint_free(e);
    }
}

void endpoint_registry_free(struct endpoint_registry *reg)
{
    endpoint_sweep(reg);
    CHECK(reg->first == NULL);
    free(reg);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_tls(const struct conf_tls *a, const struct conf_tls *b)
{
    return a->verify == b->verify && same_text(a->ca_file, b->ca_file) &&
           same_text(a->cert_file, b->cert_file) && same_text(a->key_file, b->key_file) &&
           same_text(a->server_name, b->server_name);
}

static bool is_it(const struct endpoint *e, const struct conf_server *s, const struct conf_tls *tls,
                  const char *address)
{
    return e->tls == s->tls && e->port == s->port && same_text(e->address, address) &&
           same_text(e->host, s->host) && same_text(e->unix_path, s->unix_path) &&
           (!s->tls || same_tls(&e->tls_conf, tls));
}

/* *OK turns false when memory is short. NULL stays NULL. */
static char *copy(const char *text, bool *ok)
{
    char *c = text ? strdup(text) : NULL;
    *ok = *ok && (!text || c);
    return c;
}

static char *make_host_field(const struct conf_server *s, bool *ok)
{
    char text[300];
    bool own_port = s->port != (s->tls ? 443 : 80);
    bool v6 = s->host && strchr(s->host, ':');
    if (!s->host)
        return copy("localhost", ok);
    if (own_port)
        snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", s->host, s->port);
    else
        snprintf(text, sizeof(text), v6 ? "[%s]" : "%s", s->host);
    return copy(text, ok);
}

static void make_text(struct endpoint *e)
{
    if (e->unix_path)
        snprintf(e->text, sizeof(e->text), "unix:%s", e->unix_path);
    else
        snprintf(e->text, sizeof(e->text), strchr(e->address, ':') ? "[%s]:%u" : "%s:%u", e->address,
                 e->port);
}

static struct endpoint *endpoint_new(struct endpoint_registry *reg, const struct conf_server *s,
                                     const struct conf_tls *tls, const char *address)
{
    bool ok = true;
    size_t size = sizeof(struct endpoint) + reg->nworkers * sizeof(struct endpoint_slot);
    struct endpoint *e = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!e)
        return NULL;
    memset(e, 0, size);
    e->registry = reg;
    e->nslots = reg->nworkers;
    e->port = s->port;
    e->tls = s->tls;
    e->address = copy(address, &ok);
    e->unix_path = copy(s->unix_path, &ok);
    e->host = copy(s->host, &ok);
    e->host_field = make_host_field(s, &ok);
    e->tls_conf.verify = tls->verify;
    e->tls_conf.ca_file = copy(tls->ca_file, &ok);
    e->tls_conf.cert_file = copy(tls->cert_file, &ok);
    e->tls_conf.key_file = copy(tls->key_file, &ok);
    e->tls_conf.server_name = copy(tls->server_name, &ok);
    if (!ok) {
        endpoint_free(e);
        return NULL;
    }
    make_text(e);
    e->next = reg->first;
    reg->first = e;
    return e;
}

struct endpoint *endpoint_find(struct endpoint_registry *reg, const struct conf_server *server,
                               const struct conf_tls *tls, const char *address)
{
    struct endpoint *e = reg->first;
    while (e && !is_it(e, server, tls, address))
        e = e->next;
    if (!e)
        e = endpoint_new(reg, server, tls, address);
    if (!e)
        return NULL;
    atomic_store_explicit(&e->retired, false, memory_order_relaxed);
    return endpoint_get(e);
}

struct endpoint *endpoint_get(struct endpoint *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void endpoint_put(struct endpoint *e)
{
    /* Release: pairs with the sweep's acquire. */
    uint32_t before = atomic_fetch_sub_explicit(&e->refs, 1, memory_order_release);
    CHECK(before > 0);
}

struct endpoint_list *endpoint_list_get(struct endpoint_list *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void endpoint_list_put(struct endpoint_list *l)
{
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < l->n; i++)
        endpoint_put(l->at[i].endpoint);
    free(l);
}
