/*
 * ip_set.c: a trie compressed by level and path; see ip_set.h for the paper.
 *
 * The networks lie sorted in one array, each with the index of the next shorter one around it. Those with
 * none inside of them are the leaves; no leaf is within another, so that any two differ in a bit both have.
 * The trie is over the leaves only. A node skips the bits that all leaves below it share and then takes as
 * many bits at once as leave half of its places filled (by leaves, or by what is below). A place nobody fills
 * points to the neighbour with the longest start in common.
 *
 * Looking up goes down without checking the bits that are skipped, ends at some leaf, and walks from there to
 * shorter networks until one has the address. That finds the longest: a network around the address either has
 * every leaf below the last node passed that the address agrees with, or has a leaf itself, where the way
 * would have led. The way down is some 3 nodes and one network, each a miss of the cache at most.
 *
 * Invariants: children of a node lie side by side; a node with branch 0 is a leaf.
 */
#include "lib/ip_set.h"

#include <stdlib.h>

#define NONE       UINT32_MAX
#define BITS       128
#define BRANCH_MAX 16 /* bits a node may take at once */

typedef unsigned __int128 bits128; /* the address, its first bit highest */

struct net {
    bits128 bits;
    uint32_t value;
    uint32_t shorter; /* the network around this, or NONE */
    uint8_t len;      /* of the prefix, 0 to 128 */
};

struct node {
    uint8_t branch; /* bits looked at: 2^branch children; 0: a leaf */
    uint8_t skip;   /* bits passed over before */
    uint32_t at;    /* first child, or the leaf's network */
};

struct ip_set {
    struct net *nets;
    size_t n;
    struct node *nodes;
    size_t node_count, node_room;
};

static bits128 load(const struct ip *ip)
{
    uint64_t half[2];
    memcpy(half, ip->b, sizeof(half));
    return (bits128)__builtin_bswap64(half[0]) << 64 | __builtin_bswap64(half[1]);
}

/* COUNT (1 to 16) bits of B from bit AT on. */
static uint32_t extract(bits128 b, unsigned at, unsigned count)
{
    return (uint32_t)((b << at) >> (BITS - count));
}

/* How many leading bits are the same. */
static unsigned common(bits128 a, bits128 b)
{
    bits128 x = a ^ b;
    uint64_t high = (uint64_t)(x >> 64), low = (uint64_t)x;
    if (high)
        return (unsigned)__builtin_clzll(high);
    return low ? 64 + (unsigned)__builtin_clzll(low) : BITS;
}

static bool has(const struct net *net, bits128 address)
{
    return net->len == 0 || (net->bits ^ address) >> (BITS - net->len) == 0;
}

bool ip_set_find(const struct ip_set *s, const struct ip *ip, uint32_t *value)
{
    if (s->n == 0)
        return false;
    bits128 address = load(ip);
    struct node node = s->nodes[0];
    for (unsigned at = 0; node.branch > 0;) {
        at += node.skip;
        unsigned branch = node.branch;
        node = s->nodes[node.at + extract(address, at, branch)];
        at += branch;
    }
    for (uint32_t i = node.at; i != NONE; i = s->nets[i].shorter)
        if (has(&s->nets[i], address)) {
            *value = s->nets[i].value;
            return true;
        }
    return false;
}

/* ---- building ---- */

struct builder {
    struct ip_set *set;
    uint32_t *leaves; /* indices of networks, in order */
    bool failed;      /* memory ran out; sticky */
};

struct range {
    size_t begin, end; /* of leaves; never empty */
    unsigned at;       /* first bit not looked at */
};

static bits128 leaf_bits(const struct builder *b, size_t i)
{
    return b->set->nets[b->leaves[i]].bits;
}

static size_t add_nodes(struct builder *b, size_t n)
{
    struct ip_set *s = b->set;
    while (!b->failed && s->node_room - s->node_count < n) {
        size_t room = s->node_room * 2 + n;
        struct node *more = realloc(s->nodes, room * sizeof(*more));
        if (!more || room > NONE)
            b->failed = true;
        if (more)
            s->nodes = more;
        if (!b->failed)
            s->node_room = room;
    }
    size_t first = s->node_count;
    if (!b->failed)
        s->node_count += n;
    return first;
}

/* How many different values the leaves have in COUNT bits from AT on. */
static size_t different(const struct builder *b, struct range r, unsigned at, unsigned count)
{
    size_t n = 0;
    uint32_t last = 0;
    for (size_t i = r.begin; i < r.end; i++) {
        uint32_t pattern = extract(leaf_bits(b, i), at, count);
        if (i == r.begin || pattern != last)
            n++;
        last = pattern;
    }
    return n;
}

/* The most bits that leave half of the places filled; one bit always does, because the leaves differ in it.
 */
static unsigned branch_of(const struct builder *b, struct range r, unsigned at)
{
    unsigned branch = 1;
    while (branch < BRANCH_MAX && at + branch < BITS && ((size_t)1 << branch) <= r.end - r.begin &&
           different(b, r, at, branch + 1) >= (size_t)1 << branch)
        branch++;
    return branch;
}

/* For a place without leaves: the leaf before or the one after, whichever shares more bits with the place. */
static size_t neighbour(const struct builder *b, struct range r, size_t next, bits128 place)
{
    if (next == r.begin)
        return next;
    if (next == r.end)
        return next - 1;
    return common(leaf_bits(b, next), place) > common(leaf_bits(b, next - 1), place) ? next : next - 1;
}

static void build(struct builder *b, struct range r, size_t node);

/* The places of a node that takes BRANCH bits from AT on, from FIRST on. */
static void build_children(struct builder *b, struct range r, unsigned branch, size_t first)
{
    bits128 above = r.at > 0 ? leaf_bits(b, r.begin) >> (BITS - r.at) << (BITS - r.at) : 0;
    size_t begin = r.begin;
    for (uint32_t pattern = 0; pattern < 1u << branch && !b->failed; pattern++) {
        size_t end = begin;
        while (end < r.end && extract(leaf_bits(b, end), r.at, branch) == pattern)
            end++;
        struct range below = {begin, end, r.at + branch};
        if (begin == end) {
            below.begin = neighbour(b, r, begin, above | (bits128)pattern << (BITS - r.at - branch));
            below.end = below.begin + 1;
        }
        build(b, below, first + pattern);
        begin = end;
    }
}

/* The depth of recursion is at most 128: every level takes a bit. */
static void build(struct builder *b, struct range r, size_t node)
{
    if (r.end - r.begin == 1) {
        b->set->nodes[node] = (struct node){.at = b->leaves[r.begin]};
        return;
    }
    unsigned skip = common(leaf_bits(b, r.begin), leaf_bits(b, r.end - 1)) - r.at;
    r.at += skip;
    unsigned branch = branch_of(b, r, r.at);
    size_t first = add_nodes(b, (size_t)1 << branch);
    if (b->failed)
        return;
    b->set->nodes[node] =
        (struct node){.branch = (uint8_t)branch, .skip = (uint8_t)skip, .at = (uint32_t)first};
    build_children(b, r, branch, first);
}

static int by_place(const void *a, const void *b)
{
    const struct net *x = a, *y = b;
    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    return (int)x->len - (int)y->len;
}

/* Sort, drop what is there twice. False: a network has two values. */
static bool put_in_order(struct ip_set *s, struct err *e)
{
    size_t kept = 0;
    if (s->n > 0)
        qsort(s->nets, s->n, sizeof(*s->nets), by_place);
    for (size_t i = 0; i < s->n; i++) {
        struct net *last = kept > 0 ? &s->nets[kept - 1] : NULL;
        if (!last || by_place(last, &s->nets[i]) != 0) {
            s->nets[kept++] = s->nets[i];
        } else if (last->value != s->nets[i].value) {
            struct ip ip;
            char text[IP_TEXT_MAX];
            uint64_t half[2] = {__builtin_bswap64((uint64_t)(last->bits >> 64)),
                                __builtin_bswap64((uint64_t)last->bits)};
            memcpy(ip.b, half, sizeof(half));
            ip_text(&ip, text);
            err_set(e, ERR_SELF, "network %s/%u is there with two values", text,
                    ip_is_v4(&ip) && last->len >= 96 ? last->len - 96u : last->len);
            return false;
        }
    }
    s->n = kept;
    return true;
}

/* Find for each network the one around it, and the leaves; gives how many. */
static size_t find_leaves(struct ip_set *s, uint32_t *leaves)
{
    size_t n = 0;
    uint32_t around = NONE;
    for (uint32_t i = 0; i < s->n; i++) {
        while (around != NONE && !has(&s->nets[around], s->nets[i].bits))
            around = s->nets[around].shorter;
        s->nets[i].shorter = around;
        around = i;
        if (i + 1 == s->n || !has(&s->nets[i], s->nets[i + 1].bits))
            leaves[n++] = i;
    }
    return n;
}

static bool build_trie(struct ip_set *s)
{
    struct builder b = {.set = s, .leaves = malloc((s->n + 1) * sizeof(*b.leaves))};
    b.failed = b.leaves == NULL;
    size_t root = add_nodes(&b, 1);
    if (!b.failed && s->n > 0)
        build(&b, (struct range){0, find_leaves(s, b.leaves), 0}, root);
    free(b.leaves);
    return !b.failed;
}

struct ip_set *ip_set_new(const struct ip_net *nets, size_t n, struct err *e)
{
    if (n > IP_SET_MAX) {
        err_set(e, ERR_SELF, "more networks than %d", IP_SET_MAX);
        return NULL;
    }
    struct ip_set *s = calloc(1, sizeof(*s));
    if (s)
        s->nets = malloc((n + 1) * sizeof(*s->nets));
    if (!s || !s->nets)
        goto no_memory;
    s->n = n;
    for (size_t i = 0; i < n; i++)
        s->nets[i] =
            (struct net){load(&nets[i].block.base), nets[i].value, NONE, (uint8_t)nets[i].block.prefix};
    if (!put_in_order(s, e)) {
        ip_set_free(s);
        return NULL;
    }
    if (build_trie(s))
        return s;
no_memory:
    err_set(e, ERR_SELF, "no memory for %zu networks", n);
    ip_set_free(s);
    return NULL;
}

void ip_set_free(struct ip_set *s)
{
    if (!s)
        return;
    free(s->nets);
    free(s->nodes);
    free(s);
}

size_t ip_set_count(const struct ip_set *s)
{
    return s->n;
}

size_t ip_set_size(const struct ip_set *s)
{
    return sizeof(*s) + s->n * sizeof(*s->nets) + s->node_room * sizeof(*s->nodes);
}
