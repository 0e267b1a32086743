/* debug_internal.h: what debug.c (jobs) and debug_pages.c (what they print) share. Nobody else includes it.
 */
#ifndef GATEWAY_DEBUG_INTERNAL_H
#define GATEWAY_DEBUG_INTERNAL_H

#include "gateway/debug.h"

/* On a thread that may wait. */
MUST_USE struct state_answer debug_show_threads(const struct debug_setup *s);

/* On the control thread. */
MUST_USE struct state_answer debug_show_memory(const struct debug_setup *s, const struct state_view *v);

#endif
