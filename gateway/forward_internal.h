/*
 * forward_internal.h: what the three parts of forward.h share: forward.c (choose, connect, time),
 * forward_send.c and forward_answer.c. Nobody else includes it.
 */
#ifndef GATEWAY_FORWARD_INTERNAL_H
#define GATEWAY_FORWARD_INTERNAL_H

#include "gateway/exchange.h"

/* End with REASON, and let the front end know. */
void forward_fail(struct exchange *x, enum reason reason);

/* What is waited for now, and for how long at most; 0: no bound. */
void forward_set_phase(struct forward *f, uint32_t ms, enum reason reason);

/* The connection broke before the answer's head was complete: send the request again, or fail. */
void forward_broken(struct exchange *x, enum reason reason);

/* The try has failed in one of the ways that a breaker and retries know: another try, or the end. */
void forward_lost(struct exchange *x, enum conf_fault way, enum reason reason);

/* The head of an answer has come; whether the whole request was SENT by then. True: it is no answer for the
 * client, another try is under way. */
MUST_USE bool forward_judge_answer(struct exchange *x, bool sent);

/* A server that was not tried; NULL: none. */
struct endpoint *forward_choose(struct exchange *x);

/* Count E as in use where something asks for that; true when it was counted. */
MUST_USE bool forward_count(const struct forward *f, struct endpoint *e);

/* CONN, to E, takes the place of the connection, which was dropped. */
void forward_switch_conn(struct exchange *x, struct upstream_conn *conn, struct endpoint *e, bool counted);

/* The first HAVE bytes of the answer are in B. */
void forward_adopt_buffer(struct exchange *x, struct forward_buffer *b, size_t have);

/* Ask a second server when the first is late; do so no more, and forget what it may answer. */
void forward_hedge_arm(struct exchange *x);
void forward_hedge_end(struct exchange *x);

/* Whether a second server has the request. The first is lost: wait for the second one's answer alone. */
bool forward_hedge_is_sent(const struct forward *f);
void forward_hedge_promote(struct exchange *x);

/* Wait for room in the bulkhead, behind all others of this worker; wait no more. */
void forward_join_queue(struct exchange *x);
void forward_leave_queue(struct exchange *x);

/* The connection goes back, if there is one. */
void forward_drop_conn(struct exchange *x, bool reusable);
void forward_give_back_buffer(struct exchange *x);

void forward_give_back_hold(struct exchange *x);

/* A connection is in hand: begin. */
void forward_start_sending(struct exchange *x);

/* Nothing of the request counts as sent any more. */
void forward_rewind(struct forward *f);

/* The connection takes bytes again. CTX is the exchange. */
void forward_on_writable(void *ctx);

/* Whether nothing would be lost or done twice if the request were sent again from its beginning. */
bool forward_may_repeat(const struct exchange *x);

/* Whether the whole request went out. */
bool forward_all_sent(const struct forward *f);

/* Read what there is of the answer's head. */
void forward_read_head(struct exchange *x);

/* The connection has something to read. CTX is the exchange. */
void forward_on_readable(void *ctx);

#endif
