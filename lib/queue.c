/*
 * queue.c: see queue.h.
 *
 * struct queue is a singly linked list from `head` (oldest) to `tail` (newest) that always holds one node
 * more than was pushed, at times the stub. A push takes the place at the tail by one exchange and then links
 * its predecessor to itself; between the two the list is broken at that place, and pop says "nothing" there
 * instead of waiting. That is why a push looks at `armed` only after it has linked: whoever mends the list
 * wakes the consumer.
 *
 * The bound is a counter that is raised before the push and lowered by the pop. Its top bit says closed, so
 * that one atomic tells both; a raise after the closing always sees it.
 *
 * A compare-and-swap stack that the consumer takes whole and turns round was considered: it pops faster, but
 * its push may be made to repeat without end by other producers.
 *
 * struct queue_ring: every cell has a sequence number that tells whose turn it is. For the cell at position P
 * in round zero: P = free for the push at P; P + 1 = full, for the pop at P; P + capacity = free for the push
 * of the next round.
 */
#include "lib/queue.h"

#include <stdint.h>
#include <stdlib.h>

#define CLOSED (SIZE_MAX / 2 + 1)

void queue_init(struct queue *q, size_t max)
{
    CHECK(max > 0 && max < CLOSED);
    atomic_init(&q->stub.next, NULL);
    atomic_init(&q->tail, &q->stub);
    atomic_init(&q->count, 0);
    atomic_init(&q->armed, true);
    q->max = max;
    q->head = &q->stub;
}

/* Count one more node, unless there are enough. */
static bool admit(struct queue *q)
{
    /* Relaxed: `count` guards no other memory. The look before the raise keeps a refused crowd from raising
     * at all. */
    if (atomic_load_explicit(&q->count, memory_order_relaxed) >= q->max)
        return false;
    if (LIKELY(atomic_fetch_add_explicit(&q->count, 1, memory_order_relaxed) < q->max))
        return true;
    atomic_fetch_sub_explicit(&q->count, 1, memory_order_relaxed);
    return false;
}

static void link_node(struct queue *q, struct queue_node *n)
{
    atomic_store_explicit(&n->next, NULL, memory_order_relaxed);
    /*
     * Release: N->next = NULL must come before what the next producer stores there; its partner is the
     * acquire of that producer's own exchange. Acquire: the same, seen from the other side.
     */
    struct queue_node *before = atomic_exchange_explicit(&q->tail, n, memory_order_acq_rel);
    /* Release: what N carries. Partner: the acquire loads of `next` in queue_pop. */
    atomic_store_explicit(&before->next, n, memory_order_release);
}

enum queue_push_result queue_push(struct queue *q, struct queue_node *n)
{
    if (!admit(q))
        return QUEUE_REFUSED;
    link_node(q, n);
    /*
     * Partner: queue_arm. Both are read-modify-writes, so one of the two is first. The arming first: it is
     * seen here, and the consumer is woken. This one first: its release (carried on by the pushes that follow
     * it) is acquired by the arming, and the look after the arming finds the node. A plain load would let the
     * link above sink below it.
     */
    bool armed = atomic_exchange_explicit(&q->armed, false, memory_order_acq_rel);
    return armed ? QUEUE_WAKE : QUEUE_ADDED;
}

void queue_arm(struct queue *q)
{
    /* Partner: the exchange in queue_push. */
    (void)atomic_exchange_explicit(&q->armed, true, memory_order_acq_rel);
}

static struct queue_node *take_head(struct queue *q, struct queue_node *next)
{
    struct queue_node *n = q->head;
    q->head = next;
    atomic_fetch_sub_explicit(&q->count, 1, memory_order_relaxed);
    return n;
}

struct queue_node *queue_pop(struct queue *q)
{
    /* The acquire loads of `next` here pair with the release store in link_node. */
    struct queue_node *next = atomic_load_explicit(&q->head->next, memory_order_acquire);
    if (q->head == &q->stub) {
        if (!next)
            return NULL;
        q->head = next;
        next = atomic_load_explicit(&next->next, memory_order_acquire);
    }
    if (next)
        return take_head(q, next);
    /* Relaxed: only compared. A producer that has passed the head but not linked yet makes them differ. */
    if (q->head != atomic_load_explicit(&q->tail, memory_order_relaxed))
        return NULL;
    /* One node is left, and the list must keep one: the stub takes its place. */
    link_node(q, &q->stub);
    next = atomic_load_explicit(&q->head->next, memory_order_acquire);
    return next ? take_head(q, next) : NULL;
}

void queue_close(struct queue *q)
{
    /* Relaxed: the modification order of `count` alone decides which pushes come after. */
    atomic_fetch_or_explicit(&q->count, CLOSED, memory_order_relaxed);
}

bool queue_is_closed(const struct queue *q)
{
    return atomic_load_explicit(&q->count, memory_order_relaxed) & CLOSED;
}

bool queue_is_over(const struct queue *q)
{
    return atomic_load_explicit(&q->count, memory_order_relaxed) == CLOSED;
}

size_t queue_count(const struct queue *q)
{
    return atomic_load_explicit(&q->count, memory_order_relaxed) & ~CLOSED;
}

/* ---- many producers, many consumers ---- */

struct cell {
    _Atomic size_t turn;
    void *item;
};

struct queue_ring {
    _Alignas(CACHE_LINE) _Atomic size_t push_at; /* position of the next push; cell = position & mask */
    _Alignas(CACHE_LINE) _Atomic size_t pop_at;
    _Alignas(CACHE_LINE) size_t mask;
    _Alignas(CACHE_LINE) struct cell cells[];
};

/* The power of two that holds N. */
static size_t round_up(size_t n)
{
    size_t power = 2;
    while (power < n)
        power *= 2;
    return power;
}

struct queue_ring *queue_ring_new(size_t capacity)
{
    if (capacity > SIZE_MAX / 4 / sizeof(struct cell))
        return NULL;
    size_t n = round_up(capacity);
    size_t size = sizeof(struct queue_ring) + n * sizeof(struct cell);
    struct queue_ring *r = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!r)
        return NULL;
    atomic_init(&r->push_at, 0);
    atomic_init(&r->pop_at, 0);
    r->mask = n - 1;
    for (size_t i = 0; i < n; i++) {
        atomic_init(&r->cells[i].turn, i);
        r->cells[i].item = NULL;
    }
    return r;
}

void queue_ring_free(struct queue_ring *r)
{
    free(r);
}

/*
 * Claim the cell of the next position at *AT (push_at or pop_at), which is ready when its turn is the
 * position plus READY. NULL: not ready, so the ring is full (or empty). The claimed position goes to
 * *POSITION.
 */
static struct cell *claim(struct queue_ring *r, _Atomic size_t *at, size_t ready, size_t *position)
{
    size_t p = atomic_load_explicit(at, memory_order_relaxed);
    for (;;) {
        struct cell *c = &r->cells[p & r->mask];
        /* Acquire: `item` as the last owner of the cell left it. Partner: the release stores of `turn` below.
         */
        size_t turn = atomic_load_explicit(&c->turn, memory_order_acquire);
        ptrdiff_t ahead = (ptrdiff_t)(turn - (p + ready));
        if (ahead < 0)
            return NULL;
        /* Relaxed: the position only hands out cells; `turn` orders their contents. A failure loads the newer
         * P. */
        if (ahead > 0)
            p = atomic_load_explicit(at, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(at, &p, p + 1, memory_order_relaxed,
                                                       memory_order_relaxed)) {
            *position = p;
            return c;
        }
    }
}

bool queue_ring_push(struct queue_ring *r, void *item)
{
    CHECK(item);
    size_t position;
    struct cell *c = claim(r, &r->push_at, 0, &position);
    if (!c)
        return false;
    c->item = item;
    /* Release: `item` and what it points to. Partner: the acquire load of a pop's claim. */
    atomic_store_explicit(&c->turn, position + 1, memory_order_release);
    return true;
}

void *queue_ring_pop(struct queue_ring *r)
{
    size_t position;
    struct cell *c = claim(r, &r->pop_at, 1, &position);
    if (!c)
        return NULL;
    void *item = c->item;
    /* Release: `item` was read before it may be overwritten. Partner: the acquire load of a push's claim. */
    atomic_store_explicit(&c->turn, position + r->mask + 1, memory_order_release);
    return item;
}
