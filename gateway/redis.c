/*
 * redis.c: see redis.h.
 *
 * Which scripts a connection has run is remembered per node, and forgotten when it goes up anew or says
 * NOSCRIPT.
 */
#include "gateway/redis.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "lib/hash_ring.h"

#define SHA_DIGITS 40
#define WORDS_HEAD 3 /* EVALSHA sha nkeys */

struct member {
    struct redis *redis;
    size_t index;
    struct redis_node node;
    struct redis_link *link;
    uint64_t known; /* scripts, a bit for each */
};

struct redis {
    struct redis_setup setup;
    struct hash_ring *ring;
    struct redis_tls *tls;
    char digests[REDIS_SCRIPTS][SHA_DIGITS + 1];
    size_t n;
    struct member members[];
};

static void on_changed(void *ctx, enum redis_state state, const char *why)
{
    struct member *m = ctx;
    m->known = 0;
    if (m->redis->setup.changed)
        m->redis->setup.changed(m->redis->setup.ctx, m->index, state, why);
}

static void on_failed(void *ctx, struct slice text)
{
    struct member *m = ctx;
    if (slice_starts(text, SLICE("NOSCRIPT")))
        m->known = 0;
}

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    struct member *m = ctx;
    m->redis->setup.set_timer(m->redis->setup.ctx, e, due_ns);
}

static bool digest(const char *text, char *out)
{
    unsigned char sha[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(text, strlen(text), sha, &len, EVP_sha1(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < len && i < SHA_DIGITS / 2; i++)
        snprintf(out + i * 2, 3, "%02x", sha[i]);
    return true;
}

static bool make_ring(struct redis *r)
{
    struct hash_ring_node nodes[CONF_REDIS_NODES_MAX];
    for (size_t i = 0; i < r->n; i++)
        nodes[i] =
            (struct hash_ring_node){slice_of(r->setup.conf->nodes[i].name), r->setup.conf->nodes[i].weight};
    return (r->ring = hash_ring_new(nodes, r->n)) != NULL;
}

static bool open_link(struct redis *r, size_t i)
{
    struct member *m = &r->members[i];
    m->redis = r;
    m->index = i;
    redis_node_of(r->setup.conf, i, &m->node);
    const struct redis_link_setup link = {.loop = r->setup.loop,
                                          .set_timer = set_timer,
                                          .node = &m->node,
                                          .tls = r->tls,
                                          .seed = r->setup.seed + i,
                                          .changed = on_changed,
                                          .failed = on_failed,
                                          .ctx = m};
    return (m->link = redis_link_new(&link)) != NULL;
}

struct redis *redis_new(const struct redis_setup *setup)
{
    size_t n = setup->conf->nnodes;
    struct redis *r = calloc(1, sizeof(*r) + n * sizeof(r->members[0]));
    struct err err = {0};
    if (!r)
        return NULL;
    r->setup = *setup;
    r->n = n;
    bool ok = make_ring(r);
    for (size_t i = 0; ok && i < REDIS_SCRIPTS; i++)
        ok = digest(redis_script_text((enum redis_script)i)->lua, r->digests[i]);
    if (ok && setup->conf->tls.enabled)
        ok = (r->tls = redis_tls_new(&setup->conf->tls, &err)) != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = open_link(r, i);
    if (ok)
        return r;
    redis_free(r);
    return NULL;
}

void redis_free(struct redis *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        redis_link_free(r->members[i].link);
    hash_ring_free(r->ring);
    redis_tls_free(r->tls);
    free(r);
}

void redis_node_of(const struct conf_redis *conf, size_t i, struct redis_node *out)
{
    const struct conf_redis_node *n = &conf->nodes[i];
    struct in6_addr any;
    bool is_number =
        n->host && (inet_pton(AF_INET, n->host, &any) == 1 || inet_pton(AF_INET6, n->host, &any) == 1);
    *out = (struct redis_node){.name = n->name,
                               .address = n->unix_path ? n->unix_path
                                          : is_number  ? n->host
                                                       : NULL,
                               .port = n->port,
                               .host = n->host,
                               .username = conf->username,
                               .password = conf->password,
                               .database = conf->database,
                               .connect_ms = conf->connect_ms,
                               .command_ms = conf->command_ms};
}

void redis_set_address(struct redis *r, size_t i, const char *address)
{
    redis_link_set_address(r->members[i].link, address);
}

const struct redis_tls *redis_tls_of(const struct redis *r)
{
    return r->tls;
}

/* ---- which node ---- */

bool redis_is_up(const struct redis *r, size_t i)
{
    return redis_link_state(r->members[i].link) == REDIS_UP &&
           !(r->setup.is_barred && r->setup.is_barred(r->setup.bar, i));
}

size_t redis_node_for(const struct redis *r, uint64_t hash)
{
    struct hash_ring_walk w;
    size_t i = hash_ring_owner(r->ring, hash);
    if (i == SIZE_MAX || redis_is_up(r, i))
        return i;
    hash_ring_walk(r->ring, hash, &w);
    while (hash_ring_next(r->ring, &w, &i))
        if (redis_is_up(r, i))
            return i;
    return REDIS_NONE;
}

struct redis_link_stats redis_node_stats(const struct redis *r, size_t i)
{
    return redis_link_stats(r->members[i].link);
}

/* ---- commands ---- */

bool redis_send(struct redis *r, size_t i, struct redis_call *call, const struct redis_command *command)
{
    return redis_link_send(r->members[i].link, call, command);
}

bool redis_eval(struct redis *r, size_t i, struct redis_call *call, enum redis_script script,
                struct redis_words keys, struct redis_words args)
{
    struct member *m = &r->members[i];
    struct slice words[REDIS_WORDS_MAX];
    char number[12];
    bool is_known = m->known >> script & 1;
    int n = WORDS_HEAD;
    if (keys.n + args.n + WORDS_HEAD > REDIS_WORDS_MAX)
        return false;
    snprintf(number, sizeof(number), "%d", keys.n);
    words[0] = is_known ? SLICE("EVALSHA") : SLICE("EVAL");
    words[1] =
        is_known ? (struct slice){r->digests[script], SHA_DIGITS} : slice_of(redis_script_text(script)->lua);
    words[2] = slice_of(number);
    memcpy(words + n, keys.at, (size_t)keys.n * sizeof(*words));
    n += keys.n;
    if (args.n > 0)
        memcpy(words + n, args.at, (size_t)args.n * sizeof(*words));
    n += args.n;
    if (!redis_link_send(m->link, call, &(struct redis_command){words, n}))
        return false;
    m->known |= UINT64_C(1) << script;
    return true;
}

bool redis_wants_again(const struct redis_reply *reply)
{
    return reply->kind == REDIS_FAILED && slice_starts(reply->text, SLICE("NOSCRIPT"));
}
