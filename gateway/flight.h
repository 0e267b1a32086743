/*
 * flight.h: one fetch for all who want the same, over all workers.
 *
 * The first to ask for a key leads: it asks the backend. Whoever asks for the key meanwhile follows. When the
 * head of the answer is there, all know what becomes of it: it may be shared, and then everybody, the
 * leader's own client too, reads the body as it comes, each at its own pace; or not, and then each goes
 * alone, at once. The body goes into memory of the store, so that it need not be copied when it is complete.
 *
 *     ASKING -> BODY -> DONE                     the answer was shared, and is in the store
 *     ASKING -> DONE                             the same in one step
 *     ASKING -> ALONE | FAILED                   it may not be shared; the backend was not reached
 *     BODY -> BROKEN                             it broke off
 *     ASKING -> AGAIN                            there is something in the store now: look again
 *
 * Of a body whose length nobody knew and that becomes too large for the store the last part is kept, and the
 * leader waits for the slowest reader.
 *
 * A flight lives as long as somebody has to do with it; it is found by its key until it has landed, or until
 * its key was purged. Functions that take a reader are for the thread of its worker; those of the leader for
 * the leader's.
 */
#ifndef GATEWAY_FLIGHT_H
#define GATEWAY_FLIGHT_H

#include <sys/types.h>

#include "gateway/reason.h"
#include "lib/object_store.h"
#include "lib/trace.h"

struct exchange;
struct flight;
struct flights;
struct worker;

enum flight_state {
    FLIGHT_ASKING,
    FLIGHT_BODY,
    FLIGHT_DONE,
    FLIGHT_ALONE,
    FLIGHT_FAILED,
    FLIGHT_BROKEN,
    FLIGHT_AGAIN,
};

/* Somebody's place in a flight; part of the exchange. */
struct flight_reader {
    struct exchange *exchange;
    struct flight *flight;                       /* counted; NULL: in none */
    bool leads;                                  /* and it has not landed */
    bool is_first;                               /* began it */
    bool waits;                                  /* is in the list of its worker's waiting ones */
    uint64_t at;                                 /* bytes of the body that it has */
    struct flight_reader *next, *prev;           /* of the flight */
    struct flight_reader *wait_next, *wait_prev; /* of those that wait */
};

/* RESUME is called on the leader's thread, when there is room again for a body that had to wait. */
MUST_USE struct flights *flights_new(struct object_store *store, unsigned nworkers,
                                     void (*resume)(struct exchange *leader));
void flights_free(struct flights *f);

/* How many are under way, and how many requests have followed another's so far. */
struct flights_stats {
    uint64_t flying, followed;
};

void flights_stats(struct flights *f, struct flights_stats *out);

/* Join the flight for KEY, or begin one: R->leads. False: memory is short. R->exchange is set. */
MUST_USE bool flight_join(struct flights *f, const struct object_key *key, struct flight_reader *r);

/* Have the exchange woken when the state is no longer ASKING, or there is more of the body. False: that is so
 * already. */
MUST_USE bool flight_wait(struct flight_reader *r);

enum flight_state flight_state(const struct flight_reader *r);

/* The trace of who began it, and the span of that request. */
void flight_trace(const struct flight_reader *r, struct trace_id *trace, uint64_t *span);

/* FLIGHT_BODY, FLIGHT_DONE: nobody had to be asked, it was stored already. */
bool flight_was_stored(const struct flight_reader *r);

/* FLIGHT_FAILED: why. */
enum reason flight_reason(const struct flight_reader *r);

/* The head of the answer, without its body in FLIGHT_BODY, with it in FLIGHT_DONE. A reference; NULL: there
 * is none (DONE without its being kept). */
MUST_USE struct object *flight_object(const struct flight_reader *r);

/* Bytes of the body; UINT64_MAX: not known yet. */
uint64_t flight_length(const struct flight_reader *r);

/* The next bytes of the body; 0: none now, the exchange is woken; FORWARD_END, FORWARD_FAILED. */
MUST_USE ssize_t flight_read(struct flight_reader *r, char *p, size_t max);

/* No more to do with it. The leader may stay as such; see flight_land. */
void flight_leave(struct flight_reader *r);

/* ---- the leader ---- */

/* Others than the leader's client want it. */
bool flight_has_followers(const struct flight_reader *r);

/* When it was begun, for the store. */
uint64_t flight_since(const struct flight_reader *r);

/* An answer that is to be kept. */
struct flight_answer {
    struct object *head;      /* without body; the flight takes a reference of its own */
    struct object_body *body; /* its memory; taken */
    size_t filled;            /* bytes of it that are there already */
    bool has_length;          /* its length is that of BODY */
    size_t max;               /* bytes of body that are kept at most */
    bool is_shared;           /* otherwise the others go alone */
    bool was_stored;          /* it comes from where it was stored, not from a backend */
};

void flight_begin_body(struct flight_reader *r, const struct flight_answer *a);

/* R reads nothing of the body, and is woken when the flight has landed: the leader when its client is gone.
 */
void flight_detach(struct flight_reader *r);

/* Memory for the next bytes of the body; 0: none now, RESUME will be called. Then how many came. */
size_t flight_space(struct flight_reader *r, char **p);
void flight_filled(struct flight_reader *r, size_t n);

/* The body, and how much of it is there; NULL: it became too large to be kept. Lent. */
struct object_body *flight_body(const struct flight_reader *r, size_t *len);

/* It is over. OBJECT: what is in the store now, or NULL; takes a reference of its own. The leader leaves by
 * flight_leave as the others do. */
void flight_land(struct flight_reader *r, enum flight_state state, struct object *object, enum reason reason);

/* It is over before it began: OBJECT was stored already. */
void flight_land_stored(struct flight_reader *r, struct object *object);

#endif
