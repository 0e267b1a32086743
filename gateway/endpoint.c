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
    struct fitness *fitnesses;
};

/* ---- fitness ---- */

#define MS UINT64_C(1000000)

static struct ejection_policy policy_of(const struct conf_backend *b)
{
    struct ejection_policy p;
    memset(&p, 0, sizeof(p)); /* its bytes are compared */
    p.base_ns = p.max_ns = MS;
    p.rise = p.fall = 1;
    if (!b)
        return p;
    p.consecutive = (uint16_t)(b->eject.failures < UINT16_MAX ? b->eject.failures : UINT16_MAX);
    p.base_ns = b->eject.for_ms * MS;
    p.max_ns = (b->eject.max_ms > b->eject.for_ms ? b->eject.max_ms : b->eject.for_ms) * MS;
    p.max_share = b->eject.share;
    p.rise = (uint16_t)(b->health.rise ? b->health.rise : 1);
    p.fall = (uint16_t)(b->health.fall ? b->health.fall : 1);
    p.slow_start_ns = b->slow_start_ms * MS;
    p.panic_share = b->panic_threshold;
    return p;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_fitness_of(const struct fitness *f, const struct conf_backend *b)
{
    const struct ejection_policy policy = policy_of(b);
    return same_text(f->backend, b ? b->name : NULL) && memcmp(&f->policy, &policy, sizeof(policy)) == 0;
}

/* The one for the servers of B, made when it is new. NULL when memory is short. */
static struct fitness *fitness_find(struct endpoint_registry *reg, const struct conf_backend *b)
{
    struct fitness *f = reg->fitnesses;
    while (f && !is_fitness_of(f, b))
        f = f->next;
    if (f)
        return f;
    f = aligned_alloc(CACHE_LINE, (sizeof(*f) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!f)
        return NULL;
    memset(f, 0, sizeof(*f));
    f->policy = policy_of(b);
    f->backend = b ? strdup(b->name) : NULL;
    if (b && !f->backend) {
        free(f);
        return NULL;
    }
    ejection_pool_init(&f->pool, &f->policy, 1);
    f->next = reg->fitnesses;
    reg->fitnesses = f;
    return f;
}

static void fitness_sweep(struct endpoint_registry *reg)
{
    for (struct fitness **at = &reg->fitnesses, *f; (f = *at) != NULL;) {
        if (f->endpoints > 0) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        free(f->backend);
        free(f);
    }
}

void endpoint_set_pool_size(struct endpoint *e, size_t n)
{
    ejection_pool_resize(&e->fitness->pool, (uint32_t)n);
}

/* ---- endpoints ---- */

struct endpoint_registry *endpoint_registry_new(unsigned nworkers)
{
    struct endpoint_registry *reg = calloc(1, sizeof(*reg));
    if (reg)
        reg->nworkers = nworkers;
    return reg;
}

static void endpoint_free(struct endpoint *e)
{
    if (e->fitness) {
        ejection_forget(&e->fitness->pool, &e->fit);
        e->fitness->endpoints--;
    }
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
    fitness_sweep(reg);
}

void endpoint_registry_free(struct endpoint_registry *reg)
{
    endpoint_sweep(reg);
    CHECK(reg->first == NULL);
    free(reg);
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
    return is_fitness_of(e->fitness, s->backend) && e->tls == s->tls && e->port == s->port &&
           same_text(e->address, address) && same_text(e->host, s->host) &&
           same_text(e->unix_path, s->unix_path) && (!s->tls || same_tls(&e->tls_conf, tls));
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
    e->fitness = ok ? fitness_find(reg, s->backend) : NULL;
    if (!e->fitness) {
        endpoint_free(e);
        return NULL;
    }
    e->fitness->endpoints++;
    ejection_init(&e->fit);
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

struct endpoint_list *endpoint_list_renew(const struct endpoint_list *l)
{
    size_t size = l->n * sizeof(l->at[0]);
    struct endpoint_list *copy = malloc(sizeof(*copy) + size);
    if (!copy)
        return NULL;
    atomic_init(&copy->refs, 1); /* others count their own of L meanwhile, which is not to be copied */
    copy->n = l->n;
    memcpy(copy->at, l->at, size);
    for (size_t i = 0; i < l->n; i++) {
        struct endpoint *e = endpoint_get(l->at[i].endpoint);
        copy->at[i].weight = e->by_hand.weight ? e->by_hand.weight : l->at[i].configured;
        copy->at[i].is_drained = e->by_hand.is_drained;
    }
    return copy;
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
