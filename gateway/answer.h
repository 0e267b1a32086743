/*
 * answer.h: answers that come from the gateway itself: fixed responses, redirects, problems.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "gateway/path.h"

/* The step: replies for routes with `respond` or `redirect`, passes for the others. */
enum step_result answer_run(struct exchange *x);

/* Make a reply with STATUS and no content. False when memory is short. */
MUST_USE bool answer_empty(struct exchange *x, unsigned status);

/* Make the fixed reply of F, in place of the one for REASON. False when memory is short. */
MUST_USE bool answer_fallback(struct exchange *x, const struct conf_fallback *f, enum reason reason);

/* Make the reply for REASON: problem+json, or what the client prefers (problem.h). False when memory is
 * short. */
MUST_USE bool answer_problem(struct exchange *x, enum reason reason);

#endif
