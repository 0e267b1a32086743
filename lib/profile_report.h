/*
 * profile_report.h: a profile (profile.h) as text and as a file for tools.
 *
 *     char *text = profile_report_folded(p, &len);     // gives; NULL: memory is short
 *
 * Folded: a line for each stack, the thread first, then its functions from the outermost on, and the number
 * of samples, for tools that draw flame graphs:
 *
 *     worker-0;clone;start_thread;run;uv_run;on_check;turn;front_turn 12
 *
 * A line "lost 3" counts samples without a stack. pprof: see pprof.h.
 *
 * Reads files for the names of functions: not for threads that may not wait.
 */
#ifndef LIB_PROFILE_REPORT_H
#define LIB_PROFILE_REPORT_H

#include "lib/profile.h"

/* From malloc, *LEN bytes; the text ends with a NUL besides. */
MUST_USE char *profile_report_folded(const struct profile *p, size_t *len);
MUST_USE char *profile_report_pprof(const struct profile *p, size_t *len);

#endif
