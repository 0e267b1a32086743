/*
 * dlock.h: a lock that processes on different machines share, kept by Redis or Valkey nodes.
 *
 * The lock is a key with a random token and a time to live. Whoever sets it holds the lock until that time is
 * over, and may extend it or give it back before; both only touch the key while it has the own token. This
 * module does no I/O and knows no clock: it says what to run where, and is told what was answered.
 *
 *     static bool eval(void *ctx, struct dlock_ask *ask)       // queue EVAL dlock_script_text(ask->script)
 *     {                                                        // nkeys keys... args..., answer later:
 *         return link_eval(ctx, ask->script, ask->keys, ask->nkeys, ask->args, ask->nargs, ask);
 *     }
 *     static void on_reply(struct dlock_ask *ask, const struct reply *r)          // NULL: not in time
 *     {
 *         struct dlock_reply reply = {.is_answered = r && r->is_integer, .number = r ? r->integer : 0};
 *         dlock_answer(ask, &reply, now_ns);
 *     }
 *     static void changed(void *ctx, struct dlock *l, enum dlock_event event)
 *     {
 *         switch (event) {
 *         case DLOCK_DID_ACQUIRE: start(ctx, dlock_fence(l));  // and at the end: dlock_release(l);
 *         case DLOCK_DID_REFUSE:  another holds it: wait dlock_backoff_ns(l, random_next(r)) after the END
 *         case DLOCK_DID_FAIL:    the nodes do not answer: go on without
 *         case DLOCK_DID_LOSE:    stop(ctx); dlock_release(l);
 *         case DLOCK_DID_END:     free(l), or dlock_acquire once more
 *         }
 *     }
 *
 *     struct dlock_node node = {.eval = eval, .ctx = link};
 *     dlock_init(l, &(struct dlock_setup){.nodes = &node, .n = 1, .lock_key = SLICE("report:lock"),
 *         .fence_key = SLICE("fence"), .ttl_ms = 3000, .changed = changed, .ctx = job});
 *     if (dlock_acquire(l, (uint64_t[2]){random_next(r), random_next(r)}, now_ns)) ...
 *     whenever now_ns >= dlock_next_ns(l):   dlock_tick(l, now_ns);
 *     whenever now_ns >= dlock_renew_ns(l):  if (!dlock_extend(l, now_ns)) ...
 *     before every effect of the work:       if (!dlock_is_held(l, clock_now_ns())) stop;
 *
 * How long it is held. The time to live of a key begins when a node runs the script, which is not before the
 * ask was sent. So it is held until `ttl - ttl / 100 - 2 ms` after sending, by the holder's own monotonic
 * clock; the subtracted part allows for clocks that run at different speeds. dlock_is_held turns false by
 * itself then. An extension that a node refuses (the key is gone, or another's) loses the lock at once; one
 * that is not answered loses nothing before the time is over.
 *
 * The fencing number. Every grant has one, larger than that of every earlier grant of any lock with the same
 * fence_key on that node. A holder sends it along with what it writes, and whoever stores refuses a number
 * smaller than the largest it has seen: that stops a holder that was paused, lost its lock, and does not know
 * yet. The number is the larger of the last one plus 1 and the node's time in microseconds. So it grows even
 * when the node has lost the last one, provided that the node's clock was not set back past it.
 *
 * Several nodes (Redlock). With 3 to DLOCK_NODES_MAX nodes that know nothing of each other, all are asked,
 * and the lock is held when a majority granted it and time is left. Otherwise it is given back on all, also
 * on those that have not answered. The lock outlives the death of a minority. Since counters of different
 * nodes know nothing of each other, the largest number that a majority gave need not be larger than that of
 * an earlier majority: nodes at 900, 5, 5 grant 901 and 6 to the first holder, and the other two 7 and 6 to
 * the next. So a second round raises the counters of those that granted to the largest number, where it is
 * not there yet and while the key still has the own token; and only when a majority stands at that number is
 * the lock held. Every later majority has one of those nodes in it, and that node's number is larger. This
 * orders the holders of the same lock only, not those of different locks.
 *
 * What it does not give. A lock with a time to live keeps work from being done twice almost always; it cannot
 * keep two processes from believing at once that they hold it, and no lock of this kind can:
 *  - Between dlock_is_held and the effect, a process may be stopped for any time (scheduler, SIGSTOP, a
 *    migrated machine), and so may the packet that carries the effect.
 *  - Nodes expire keys by their wall clock. One that is set forward ends locks early. With a majority, so
 *    does one on as many nodes as two majorities have in common: one of three.
 *  - A node that loses the key (restart without appendfsync always, FLUSHALL, eviction, failover to a replica
 *    that did not have it yet) grants it anew at once. With a majority, again one such node may be enough;
 *    leave a node that lost data switched off for one time to live.
 *  - After a loss of data, a majority's fencing numbers grow only if the clocks of the nodes differ by less
 *    than the time for which the node was away.
 * So use it to save work, or for correctness only together with fencing at the resource; never alone.
 *
 * Callbacks. `changed` is called from dlock_answer and dlock_tick only, as the last thing they do; never from
 * inside acquire, extend, release. It may call everything but these two. `eval` is called from everything
 * that sends; it may not call any function of this header (queue, answer later).
 *
 * Ownership. A struct dlock is embedded, with its nodes (one array for each lock, lent by the caller); both
 * keys are lent, until the lock is FREE. An ask belongs to the lock and is lent until it is answered. Every
 * ask that `eval` accepted is run at most once and answered exactly once, at the deadline of the transport at
 * the latest (a node may still run it after that); the lock is not FREE before. If nobody will answer any
 * more, because the transport itself is gone, the memory may just go. Of each node at most two asks are out
 * at once: one DLOCK_RELEASE and one other.
 *
 * One thread for each lock. Times are monotonic ns. Nothing fails but what the nodes do; nothing is
 * allocated.
 *
 * Sources: redis.io, "Distributed locks with Redis"; Martin Kleppmann, "How to do distributed locking", 2016.
 */
#ifndef LIB_DLOCK_H
#define LIB_DLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"
#include "lib/slice.h"

#define DLOCK_NODES_MAX  9
#define DLOCK_TTL_MIN_MS 10
#define DLOCK_TTL_MAX_MS 86400000
#define DLOCK_FENCE_MAX  ((INT64_C(1) << 53) - 1) /* what Lua can count to; in us, the year 2255 */
#define DLOCK_TOKEN_LEN  32
#define DLOCK_NEVER      UINT64_MAX

/* ---- in C ---- */

enum dlock_state {
    DLOCK_FREE,      /* nothing is asked; the memory may go */
    DLOCK_ACQUIRING, /* asked */
    DLOCK_HELD,      /* granted; ask dlock_is_held whether it still is */
    DLOCK_LOST,      /* was held; waits for dlock_release */
    DLOCK_RELEASING, /* given back or given up; waits for answers */
    DLOCK_STATES,
};

enum dlock_event {
    DLOCK_DID_NOTHING,
    DLOCK_DID_ACQUIRE, /* it is held */
    DLOCK_DID_REFUSE,  /* not granted: others have it, or are about to */
    DLOCK_DID_FAIL,    /* not granted: too few nodes answered in time */
    DLOCK_DID_LOSE,    /* it is not held any more, though nobody gave it back */
    DLOCK_DID_END,     /* it is FREE; once after each dlock_acquire that was true */
    DLOCK_EVENTS,
};

/* What runs on a node. The answer of each is one integer. */
enum dlock_script {
    DLOCK_ACQUIRE, /* lock_key fence_key, token ttl_ms: the fencing number; or minus the holder's ms, or 0 */
    DLOCK_RAISE,   /* lock_key fence_key, token fence: 1; 0 when the key has not the token */
    DLOCK_EXTEND,  /* lock_key, token ttl_ms: 1; 0 when the key has not the token */
    DLOCK_RELEASE, /* lock_key, token: 1; 0 when the key has not the token */
    DLOCK_SCRIPTS,
};

struct dlock;
struct dlock_node;

struct dlock_ask {
    enum dlock_script script;
    int nkeys, nargs;
    struct slice keys[2], args[2];
    struct dlock_node *node; /* the lock's own, as what follows */
    bool is_out;
};

struct dlock_reply {
    bool is_answered; /* by an integer; everything else (an error, silence, another type) is not */
    int64_t number;
};

enum dlock_vote { DLOCK_UNASKED, DLOCK_ASKED, DLOCK_NO, DLOCK_SILENT, DLOCK_YES, DLOCK_READY };

/* The first two are the caller's, the others the lock's. */
struct dlock_node {
    /* Run the script on this node. False: it cannot be sent, which counts as unanswered. */
    bool (*eval)(void *ctx, struct dlock_ask *ask);
    void *ctx;
    struct dlock *lock;
    enum dlock_vote vote; /* YES: granted; READY: and its counter is at the lock's number */
    int64_t fence;        /* it granted */
    bool is_late;         /* granted after a release was sent */
    struct dlock_ask ask, release;
};

struct dlock_setup {
    struct dlock_node *nodes; /* not shared with other locks */
    int n;                    /* 1, or 3 to DLOCK_NODES_MAX for a majority */
    struct slice lock_key;
    struct slice fence_key; /* best one for all locks on a node */
    uint32_t ttl_ms;        /* DLOCK_TTL_MIN_MS to DLOCK_TTL_MAX_MS */
    void (*changed)(void *ctx, struct dlock *l, enum dlock_event event);
    void *ctx;
};

/* No field is for the user. */
struct dlock {
    struct dlock_setup setup;
    enum dlock_state state;
    enum dlock_event news; /* to be told */
    int asks_out;
    int64_t fence; /* 0: not known yet */
    uint64_t sent_ns, until_ns, renew_ns;
    struct {
        uint64_t sent_ns;
        int out, yes, no;
    } extension;
    unsigned misses; /* acquisitions in a row that came to nothing */
    uint32_t holder_ms;
    char token[DLOCK_TOKEN_LEN + 1], ttl[16], number[24];
};

/* FREE. Nodes that are not FREE in another lock. */
void dlock_init(struct dlock *l, const struct dlock_setup *setup);

/* Ask for the lock; what comes of it is told by DID_ACQUIRE, DID_REFUSE or DID_FAIL. RANDOM: any 128 bits
 * that no other acquisition has; they need not be secret. False: not FREE. */
MUST_USE bool dlock_acquire(struct dlock *l, const uint64_t random[2], uint64_t now_ns);

/* Ask for a whole time to live from now on. False: not held, or an extension is under way. */
MUST_USE bool dlock_extend(struct dlock *l, uint64_t now_ns);

/* Give back, or give up, in any state. Nothing but DID_END is told after it, and nothing at all when it is
 * FREE. A release that a node does not answer is not sent again: the key expires. */
void dlock_release(struct dlock *l);

/* ASK was answered, or will not be; REPLY may be NULL for that. */
void dlock_answer(struct dlock_ask *ask, const struct dlock_reply *reply, uint64_t now_ns);

/* Tell what is to be told, and end what has gone on for too long; due at dlock_next_ns, harmless at any time.
 */
void dlock_tick(struct dlock *l, uint64_t now_ns);
uint64_t dlock_next_ns(const struct dlock *l); /* 0: now; or DLOCK_NEVER */

/* When to extend: a third of the time to live after it was last asked for, a tenth after an attempt that
 * failed. DLOCK_NEVER when it is not held or an extension is under way. */
uint64_t dlock_renew_ns(const struct dlock *l);

/* With a fresh now: a loop's cached time says yes for too long. */
MUST_USE bool dlock_is_held(const struct dlock *l, uint64_t now_ns);
uint64_t dlock_until_ns(const struct dlock *l); /* dlock_is_held until then; 0 when not held */
int64_t dlock_fence(const struct dlock *l);     /* 1 to DLOCK_FENCE_MAX; 0 before it was granted */
enum dlock_state dlock_state(const struct dlock *l);

/* What the present holder had left when we were refused; 0: not known. */
uint32_t dlock_holder_ms(const struct dlock *l);

/* How long to wait before the next attempt: 2.5 to 5 ms at first, doubled with each miss up to half the time
 * to live. Random, so that those who were split over the nodes do not meet again. */
uint64_t dlock_backoff_ns(const struct dlock *l, uint64_t random);

const char *dlock_state_name(enum dlock_state state);
const char *dlock_event_name(enum dlock_event event);

/* ---- in a script of the caller's ---- */

/*
 * A script that looks something up, and takes the lock only when it is not there, in one round trip. With one
 * node only. `struct slice token = dlock_offer(l, random)` makes a token and turns FREE to ACQUIRING; the
 * script has it among its arguments, and then exactly one of:
 *
 *     dlock_granted(l, fence, sent_ns, now_ns)  it returned a fencing number; true: HELD; false: the
 *                                               number is none, or came too late, and it is RELEASING
 *     dlock_refused(l)                          it did not take the lock: FREE, without DID_END
 *     dlock_release(l)                          it was not answered, or the lock is not wanted any more
 *
 * SENT_NS is when the script was sent (for the first time). No event is told for them but DID_END after a
 * release.
 *
 *     static const char lua[] = DLOCK_LUA_FUNCTIONS
 *         "local object = redis.call('HGET', KEYS[1], 'body') if object then return object end "
 *         "local fence, holder_ms = dlock_acquire(KEYS[2], KEYS[3], ARGV[1], ARGV[2]) "
 *         "if fence then return {1, fence} end return {0, holder_ms}";
 *
 * and one that stores only what is not older than what is there, and gives the lock back at once:
 *
 *         "if tonumber(ARGV[2]) >= tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) then "
 *         "redis.call('HSET', KEYS[1], 'fence', ARGV[2], 'body', ARGV[3]) end "
 *         "return dlock_release(KEYS[2], ARGV[1])"
 *
 * after whose answer dlock_released(l) does what dlock_release does, but sends nothing.
 */
struct slice dlock_offer(struct dlock *l, const uint64_t random[2]);
MUST_USE bool dlock_granted(struct dlock *l, int64_t fence, uint64_t sent_ns, uint64_t now_ns);
void dlock_refused(struct dlock *l);
void dlock_released(struct dlock *l);

/* The token of the present acquisition. */
struct slice dlock_token(const struct dlock *l);

/* The one that an acquisition with RANDOM has, of DLOCK_TOKEN_LEN bytes. For who asks far more often than is
 * granted anything: send this, and make the lock, with dlock_offer of the same RANDOM, once it is granted. */
void dlock_write_token(const uint64_t random[2], char *out);

/* ---- in Lua ---- */

/*
 * Text, to be put in front of a script; Redis 6 and 7, Valkey (scripts are replicated by their effects, so a
 * write may follow TIME). Keys that a script touches have to be among its KEYS, in a cluster in one slot.
 *
 *     dlock_acquire(lock_key, fence_key, token, ttl_ms)  the fencing number, a whole Lua number; or false
 *                                                        and what PTTL says of the present holder
 *     dlock_raise(lock_key, fence_key, token, fence)     1: the counter is at FENCE at least; 0, and nothing
 *                                                        is done, when the key has not the token
 *     dlock_extend(lock_key, token, ttl_ms)              1; or 0 likewise
 *     dlock_release(lock_key, token)                     1; or 0 likewise
 *
 * A number becomes text by string.format('%.0f', fence): tostring would round it.
 */
#define DLOCK_LUA_FUNCTIONS                                                                                  \
    "local function dlock_acquire(lock_key, fence_key, token, ttl_ms)\n"                                     \
    "  local last = tonumber(redis.call('GET', fence_key) or 0) or 0\n"                                      \
    "  if not redis.call('SET', lock_key, token, 'NX', 'PX', ttl_ms) then\n"                                 \
    "    return false, redis.call('PTTL', lock_key)\n"                                                       \
    "  end\n"                                                                                                \
    "  local time = redis.call('TIME')\n"                                                                    \
    "  local fence = math.max(time[1] * 1000000 + time[2], last + 1)\n"                                      \
    "  redis.call('SET', fence_key, string.format('%.0f', fence))\n"                                         \
    "  return fence\n"                                                                                       \
    "end\n"                                                                                                  \
    "local function dlock_raise(lock_key, fence_key, token, fence)\n"                                        \
    "  if redis.call('GET', lock_key) ~= token then return 0 end\n"                                          \
    "  local last = tonumber(redis.call('GET', fence_key) or 0) or 0\n"                                      \
    "  if last < tonumber(fence) then redis.call('SET', fence_key, fence) end\n"                             \
    "  return 1\n"                                                                                           \
    "end\n"                                                                                                  \
    "local function dlock_extend(lock_key, token, ttl_ms)\n"                                                 \
    "  if redis.call('GET', lock_key) ~= token then return 0 end\n"                                          \
    "  return redis.call('PEXPIRE', lock_key, ttl_ms)\n"                                                     \
    "end\n"                                                                                                  \
    "local function dlock_release(lock_key, token)\n"                                                        \
    "  if redis.call('GET', lock_key) ~= token then return 0 end\n"                                          \
    "  return redis.call('DEL', lock_key)\n"                                                                 \
    "end\n"

/* The scripts of enum dlock_script, whole: as literals, and one of them. */
#define DLOCK_LUA_ACQUIRE                                                                                    \
    DLOCK_LUA_FUNCTIONS                                                                                      \
    "local fence, holder_ms = dlock_acquire(KEYS[1], KEYS[2], ARGV[1], ARGV[2])\n"                           \
    "return fence or -math.max(holder_ms, 0)\n"
#define DLOCK_LUA_RAISE   DLOCK_LUA_FUNCTIONS "return dlock_raise(KEYS[1], KEYS[2], ARGV[1], ARGV[2])\n"
#define DLOCK_LUA_EXTEND  DLOCK_LUA_FUNCTIONS "return dlock_extend(KEYS[1], ARGV[1], ARGV[2])\n"
#define DLOCK_LUA_RELEASE DLOCK_LUA_FUNCTIONS "return dlock_release(KEYS[1], ARGV[1])\n"

const char *dlock_script_text(enum dlock_script script);

#endif
