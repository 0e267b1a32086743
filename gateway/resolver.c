/*
 * resolver.c: see resolver.h.
 *
 * A name is looked up once for all watches that want it. Its addresses are kept as sorted text without
 * duplicates, so that two look-ups compare by their bytes. When a name's set has changed, each watch that
 * uses it makes its list anew.
 *
 * Invariants: endpoint->listed is the number of watches whose last published list holds it; at zero it is
 * retired. A name has at most one look-up under way. What is under way when a name is dropped is cancelled,
 * or if that is too late its answer is thrown away; either way the name lives until it has come back.
 */
#include "gateway/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cidr.h"

#define ADDRESSES_MAX 256  /* of one name; more are left out */
#define FOUND_MAX     4096 /* of one answer that are looked at: those kept do not depend on their order */
#define RETRY_MS      1000 /* until a name was found for the first time */

struct address {
    char text[IP_TEXT_MAX];
};

struct name {
    struct resolver *owner;
    struct name *next;
    char *host;
    unsigned users; /* watches that have a server of this name */
    uv_timer_t timer;
    uv_getaddrinfo_t lookup;
    bool looking;
    bool closed; /* its timer is; the memory goes when it is not looking any more */
    bool is_failing;
    struct address *at; /* sorted */
    size_t n;
};

struct resolver_watch {
    struct resolver *owner;
    struct resolver_watch *next;
    const struct conf_backend *backend;
    resolver_publish *publish;
    void *ctx;
    struct endpoint_list *list; /* the last one published; counted */
};

struct resolver {
    uv_loop_t *loop;
    struct endpoint_registry *reg;
    uint32_t resolve_ms;
    resolver_lookup *lookup;
    resolver_log *log;
    void *log_ctx;
    struct name *names;
    struct resolver_watch *watches;
};

/* WHY is what the look-up said; NULL: it works again. */
static void say(const struct resolver *r, const char *host, const char *why)
{
    char text[512];
    if (!r->log)
        return;
    if (why)
        snprintf(text, sizeof(text), "cannot resolve %s: %s", host, why);
    else
        snprintf(text, sizeof(text), "%s resolves again", host);
    r->log(r->log_ctx, text);
}

/* ---- lists ---- */

/* Room for N more. */
static struct endpoint_list *list_grow(struct endpoint_list *l, size_t n)
{
    size_t have = l ? l->n : 0;
    struct endpoint_list *more = realloc(l, sizeof(*more) + (have + n) * sizeof(more->at[0]));
    if (more && !l) {
        atomic_init(&more->refs, 1);
        more->n = 0;
    }
    return more;
}

/* A server that is there twice is one endpoint with the weight of both. */
static bool list_add(struct resolver *r, struct endpoint_list *l, const struct conf_backend *b,
                     const struct conf_server *s, const char *address)
{
    struct endpoint *e = endpoint_find(r->reg, s, &b->tls, address);
    if (!e)
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].endpoint == e) {
            l->at[i].configured += s->weight;
            l->at[i].weight = e->by_hand.weight ? e->by_hand.weight : l->at[i].configured;
            endpoint_put(e);
            return true;
        }
    l->at[l->n].endpoint = e;
    l->at[l->n].is_backup = s->is_backup;
    l->at[l->n].is_drained = e->by_hand.is_drained;
    l->at[l->n].configured = s->weight;
    l->at[l->n++].weight = e->by_hand.weight ? e->by_hand.weight : s->weight;
    endpoint_set_pool_size(e, l->n);
    return true;
}

static bool is_numeric(const char *host)
{
    struct ip ip;
    return ip_parse(slice_of(host), &ip);
}

static const struct name *find_name(const struct resolver *r, const char *host)
{
    const struct name *n = r->names;
    while (n && strcmp(n->host, host) != 0)
        n = n->next;
    return n;
}

/* All addresses of a backend's servers, as far as they are known. NULL when memory is short. */
static struct endpoint_list *make_list(struct resolver *r, const struct conf_backend *b)
{
    struct endpoint_list *l = list_grow(NULL, 0);
    for (size_t i = 0; l && i < b->nservers; i++) {
        const struct conf_server *s = &b->servers[i];
        bool fixed = s->unix_path || is_numeric(s->host);
        const struct name *name = fixed ? NULL : find_name(r, s->host);
        size_t n = fixed ? 1 : name ? name->n : 0;
        struct endpoint_list *more = list_grow(l, n);
        bool ok = more != NULL;
        l = more ? more : l;
        for (size_t k = 0; ok && k < n; k++)
            ok = list_add(r, l, b, s, fixed ? s->host : name->at[k].text);
        if (!ok) {
            endpoint_list_put(l);
            return NULL;
        }
    }
    return l;
}

static bool same_list(const struct endpoint_list *a, const struct endpoint_list *b)
{
    if (!a || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->at[i].endpoint != b->at[i].endpoint || a->at[i].weight != b->at[i].weight ||
            a->at[i].is_backup != b->at[i].is_backup)
            return false;
    return true;
}

static void list_count(struct endpoint_list *l, bool add)
{
    for (size_t i = 0; l && i < l->n; i++) {
        struct endpoint *e = l->at[i].endpoint;
        e->listed += add ? 1 : -1u;
        atomic_store_explicit(&e->retired, e->listed == 0, memory_order_relaxed);
    }
}

/* Make the list of a watch anew, and publish it when it differs. An empty one is published only after a
 * fuller one. */
static void refresh(struct resolver_watch *w)
{
    struct endpoint_list *l = make_list(w->owner, w->backend), *old = w->list;
    if (!l)
        return;
    if (same_list(old, l) || (!old && l->n == 0)) {
        endpoint_list_put(l);
        return;
    }
    list_count(l, true);
    list_count(old, false);
    w->list = l;
    w->publish(w->ctx, l);
    if (old)
        endpoint_list_put(old);
}

static bool uses(const struct conf_backend *b, const char *host)
{
    for (size_t i = 0; i < b->nservers; i++)
        if (b->servers[i].host && strcmp(b->servers[i].host, host) == 0)
            return true;
    return false;
}

/* ---- looking up ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct address *)a)->text, ((const struct address *)b)->text);
}

/* The addresses of an answer, at most MAX of which are looked at, sorted and without duplicates. */
static size_t collect(const struct addrinfo *found, struct address *at, size_t max)
{
    size_t n = 0, kept = 0;
    for (; found && n < max; found = found->ai_next) {
        struct ip ip;
        if (ip_of_sockaddr(found->ai_addr, &ip))
            ip_text(&ip, at[n++].text);
    }
    qsort(at, n, sizeof(*at), by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(at[i].text, at[kept - 1].text) != 0)
            at[kept++] = at[i];
    return kept < ADDRESSES_MAX ? kept : ADDRESSES_MAX;
}

static size_t count_found(const struct addrinfo *found)
{
    size_t n = 0;
    for (; found && n < FOUND_MAX; found = found->ai_next)
        n++;
    return n;
}

/* Whether there were addresses in it. Watches are gone through even when they are the same, so that one whose
 * list could not be made for want of memory gets it now. */
static bool take(struct name *n, const struct addrinfo *found)
{
    size_t max = count_found(found);
    struct address *at = calloc(max + 1, sizeof(*at));
    size_t count = at ? collect(found, at, max) : 0;
    if (count == 0) {
        free(at);
        return false;
    }
    free(n->at);
    n->at = at;
    n->n = count;
    for (struct resolver_watch *w = n->owner->watches; w; w = w->next)
        if (uses(w->backend, n->host))
            refresh(w);
    return true;
}

static void free_if_over(struct name *n)
{
    if (!n->closed || n->looking)
        return;
    free(n->host);
    free(n->at);
    free(n);
}

static void on_timer(uv_timer_t *t);

static void schedule(struct name *n)
{
    uv_timer_start(&n->timer, on_timer, n->n > 0 ? n->owner->resolve_ms : RETRY_MS, 0);
}

/* STATUS of a look-up that has ended; 0: it found something. */
static void settle(struct name *n, int status)
{
    if ((status < 0) != n->is_failing)
        say(n->owner, n->host, status < 0 ? uv_strerror(status) : NULL);
    n->is_failing = status < 0;
    schedule(n);
}

static void on_found(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct name *n = req->data;
    n->looking = false;
    if (n->users > 0)
        settle(n, status < 0 || take(n, found) ? status : UV_EAI_NODATA);
    uv_freeaddrinfo(found);
    free_if_over(n);
}

static void look(struct name *n)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (n->looking)
        return;
    n->lookup.data = n;
    n->looking = true;
    int status = n->owner->lookup(n->owner->loop, &n->lookup, on_found, n->host, NULL, &hints);
    if (status == 0)
        return;
    n->looking = false;
    settle(n, status);
}

static void on_timer(uv_timer_t *t)
{
    look(t->data);
}

/* ---- names in use ---- */

static bool want_name(struct resolver *r, const char *host)
{
    struct name *n = (struct name *)(uintptr_t)find_name(r, host);
    if (n) {
        n->users++;
        return true;
    }
    n = calloc(1, sizeof(*n));
    if (!n || !(n->host = strdup(host)) || uv_timer_init(r->loop, &n->timer) != 0) {
        free(n ? n->host : NULL);
        free(n);
        return false;
    }
    n->owner = r;
    n->users = 1;
    n->timer.data = n;
    n->next = r->names;
    r->names = n;
    look(n);
    return true;
}

static void on_closed(uv_handle_t *h)
{
    struct name *n = h->data;
    n->closed = true;
    free_if_over(n);
}

static void drop_name(struct resolver *r, const char *host)
{
    struct name **at = &r->names, *n;
    while (*at && strcmp((*at)->host, host) != 0)
        at = &(*at)->next;
    n = *at;
    if (!n || --n->users > 0)
        return;
    *at = n->next;
    if (n->looking)
        uv_cancel((uv_req_t *)&n->lookup);
    uv_close((uv_handle_t *)&n->timer, on_closed);
}

static bool needs_name(const struct conf_server *s)
{
    return !s->unix_path && !is_numeric(s->host);
}

/* ---- the interface ---- */

struct resolver *resolver_new_with(uv_loop_t *loop, struct endpoint_registry *reg, uint32_t resolve_ms,
                                   resolver_lookup *lookup)
{
    struct resolver *r = calloc(1, sizeof(*r));
    if (r)
        *r = (struct resolver){.loop = loop, .reg = reg, .resolve_ms = resolve_ms, .lookup = lookup};
    return r;
}

struct resolver *resolver_new(uv_loop_t *loop, struct endpoint_registry *reg, uint32_t resolve_ms)
{
    return resolver_new_with(loop, reg, resolve_ms, uv_getaddrinfo);
}

void resolver_set_log(struct resolver *r, resolver_log *log, void *ctx)
{
    r->log = log;
    r->log_ctx = ctx;
}

void resolver_set_interval(struct resolver *r, uint32_t resolve_ms)
{
    bool changed = r->resolve_ms != resolve_ms;
    r->resolve_ms = resolve_ms;
    for (struct name *n = r->names; changed && n; n = n->next)
        if (!n->looking)
            schedule(n);
}

struct resolver_watch *resolver_watch(struct resolver *r, const struct conf_backend *backend,
                                      resolver_publish *publish, void *ctx)
{
    struct resolver_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    *w = (struct resolver_watch){.owner = r, .backend = backend, .publish = publish, .ctx = ctx};
    for (size_t i = 0; i < backend->nservers; i++) {
        if (!needs_name(&backend->servers[i]) || want_name(r, backend->servers[i].host))
            continue;
        while (i-- > 0)
            if (needs_name(&backend->servers[i]))
                drop_name(r, backend->servers[i].host);
        free(w);
        return NULL;
    }
    w->next = r->watches;
    r->watches = w;
    refresh(w);
    return w;
}

void resolver_unwatch(struct resolver_watch *w)
{
    struct resolver *r = w->owner;
    struct resolver_watch **at = &r->watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    for (size_t i = 0; i < w->backend->nservers; i++)
        if (needs_name(&w->backend->servers[i]))
            drop_name(r, w->backend->servers[i].host);
    list_count(w->list, false);
    if (w->list)
        endpoint_list_put(w->list);
    free(w);
}

void resolver_free(struct resolver *r)
{
    while (r->watches)
        resolver_unwatch(r->watches);
    free(r);
}
