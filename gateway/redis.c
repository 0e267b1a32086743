/*
 * redis.c: see redis.h.
 *
 * The usual way to a node is one look at the ring and one at its owner's link; the walk to its successors is
 * for when that one is down.
 *
 * Which scripts a node has is remembered for each connection, since commands of one are carried out in order:
 * what follows a script that goes whole may name it by its digest. A NOSCRIPT forgets them all, for a node
 * that has lost one has lost all.
 */
#include "gateway/redis.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "gateway/redis_ring.h"
#include "lib/buf.h"

#define DIGEST_BYTES 20 /* SHA-1 */

_Static_assert(REDIS_SCRIPTS <= 64, "struct slot remembers them in 64 bits");

struct slot {
    struct redis *redis;
    size_t i;
    struct redis_node node;
    struct redis_link *link;
    uint64_t known; /* bit S: the node has script S */
};

struct redis {
    struct redis_setup setup;
    struct redis_tls *tls; /* NULL: plain */
    struct hash_ring *ring;
    char digests[REDIS_SCRIPTS][2 * DIGEST_BYTES];
    size_t n;
    struct slot slots[];
};

/* ---- which node ---- */

bool redis_is_up(const struct redis *r, size_t i)
{
    return i < r->n && redis_link_state(r->slots[i].link) == REDIS_UP &&
           !(r->setup.is_barred && r->setup.is_barred(r->setup.bar, i));
}

/* Apart, for the walk is large. */
__attribute__((noinline)) static size_t first_up(const struct redis *r, uint64_t hash)
{
    struct hash_ring_walk w;
    size_t i;
    hash_ring_walk(r->ring, hash, &w);
    while (hash_ring_next(r->ring, &w, &i))
        if (redis_is_up(r, i))
            return i;
    return REDIS_NONE;
}

size_t redis_node_for(const struct redis *r, uint64_t hash)
{
    size_t owner = hash_ring_owner(r->ring, hash);
    return LIKELY(redis_is_up(r, owner)) ? owner : first_up(r, hash);
}

/* ---- commands ---- */

bool redis_send(struct redis *r, size_t i, struct redis_call *call, const struct redis_command *command)
{
    return i < r->n && redis_link_send(r->slots[i].link, call, command);
}

bool redis_eval(struct redis *r, size_t i, struct redis_call *call, enum redis_script script,
                struct redis_words keys, struct redis_words args)
{
    struct slice words[REDIS_WORDS_MAX];
    char number[8];
    struct buf count;
    if (i >= r->n || keys.n < 0 || args.n < 0 || keys.n > REDIS_WORDS_MAX - 3 ||
        args.n > REDIS_WORDS_MAX - 3 - keys.n)
        return false;
    struct slot *s = &r->slots[i];
    bool is_known = s->known >> script & 1;
    buf_init(&count, number, sizeof(number));
    buf_add_u64(&count, (uint64_t)keys.n);
    words[0] = is_known ? SLICE("EVALSHA") : SLICE("EVAL");
    words[1] = is_known ? (struct slice){r->digests[script], sizeof(r->digests[script])}
                        : slice_of(redis_script_text(script)->lua);
    words[2] = buf_slice(&count);
    for (int k = 0; k < keys.n; k++)
        words[3 + k] = keys.at[k];
    for (int k = 0; k < args.n; k++)
        words[3 + keys.n + k] = args.at[k];
    if (!redis_link_send(s->link, call, &(struct redis_command){words, 3 + keys.n + args.n}))
        return false;
    s->known |= UINT64_C(1) << script;
    return true;
}

static bool is_no_script(struct slice text)
{
    return slice_starts(text, SLICE("NOSCRIPT"));
}

bool redis_wants_again(const struct redis_reply *reply, bool *was_repeated)
{
    bool has_none = reply && reply->kind == REDIS_FAILED && is_no_script(reply->text);
    return *was_repeated = has_none && !*was_repeated;
}

/* ---- what links tell ---- */

static void set_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    const struct slot *s = ctx;
    s->redis->setup.set_timer(s->redis->setup.ctx, e, due_ns);
}

static void on_changed(void *ctx, enum redis_state state, const char *why)
{
    struct slot *s = ctx;
    const struct redis_setup *setup = &s->redis->setup;
    s->known = 0;
    if (setup->changed)
        setup->changed(setup->ctx, s->i, state, why);
}

static void on_answered(void *ctx, uint64_t took_ns)
{
    const struct slot *s = ctx;
    if (s->redis->setup.answered)
        s->redis->setup.answered(s->redis->setup.ctx, s->i, took_ns);
}

static void on_failed(void *ctx, struct slice text)
{
    struct slot *s = ctx;
    if (is_no_script(text))
        s->known = 0;
}

/* ---- life ---- */

static bool make_digests(struct redis *r)
{
    for (int s = 0; s < REDIS_SCRIPTS; s++) {
        struct slice lua = slice_of(redis_script_text((enum redis_script)s)->lua);
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        struct buf hex;
        if (EVP_Digest(lua.p, lua.len, digest, &len, EVP_sha1(), NULL) != 1 || len != DIGEST_BYTES)
            return false;
        buf_init(&hex, r->digests[s], sizeof(r->digests[s]));
        for (unsigned i = 0; i < len; i++)
            buf_add_hex(&hex, digest[i], 2);
    }
    return true;
}

/* HOST when it is a number. */
static const char *numeric(const char *host)
{
    unsigned char number[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, number) == 1 || inet_pton(AF_INET6, host, number) == 1 ? host : NULL;
}

void redis_node_of(const struct conf_redis *conf, size_t i, struct redis_node *out)
{
    const struct conf_redis_node *n = &conf->nodes[i];
    *out = (struct redis_node){.name = n->name,
                               .address = n->unix_path ? n->unix_path : numeric(n->host),
                               .port = n->port,
                               .host = n->host,
                               .username = conf->username,
                               .password = conf->password,
                               .database = conf->database,
                               .connect_ms = conf->connect_ms,
                               .command_ms = conf->command_ms};
}

const struct redis_tls *redis_tls_of(const struct redis *r)
{
    return r->tls;
}

static bool make_link(struct redis *r, size_t i)
{
    struct slot *s = &r->slots[i];
    s->redis = r;
    s->i = i;
    redis_node_of(r->setup.conf, i, &s->node);
    s->link = redis_link_new(&(struct redis_link_setup){.loop = r->setup.loop,
                                                        .set_timer = set_timer,
                                                        .node = &s->node,
                                                        .tls = r->tls,
                                                        .seed = r->setup.seed + i,
                                                        .changed = on_changed,
                                                        .failed = on_failed,
                                                        .answered = on_answered,
                                                        .ctx = s});
    return s->link != NULL;
}

struct redis *redis_new(const struct redis_setup *setup)
{
    const struct conf_redis *conf = setup->conf;
    struct redis *r = calloc(1, sizeof(*r) + conf->nnodes * sizeof(r->slots[0]));
    if (!r)
        return NULL;
    r->setup = *setup;
    if (conf->tls.enabled && !(r->tls = redis_tls_new(&conf->tls, NULL)))
        goto fail;
    if (!make_digests(r) || !(r->ring = redis_ring_new(conf)))
        goto fail;
    for (; r->n < conf->nnodes; r->n++)
        if (!make_link(r, r->n))
            goto fail;
    return r;
fail:
    redis_free(r);
    return NULL;
}

void redis_free(struct redis *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        redis_link_free(r->slots[i].link);
    hash_ring_free(r->ring);
    redis_tls_free(r->tls);
    free(r);
}

void redis_set_address(struct redis *r, size_t i, const char *address)
{
    if (i < r->n)
        redis_link_set_address(r->slots[i].link, address);
}

struct redis_link_stats redis_node_stats(const struct redis *r, size_t i)
{
    return i < r->n ? redis_link_stats(r->slots[i].link) : (struct redis_link_stats){0};
}

const char *redis_node_why(const struct redis *r, size_t i)
{
    return i < r->n ? redis_link_why(r->slots[i].link) : "";
}
