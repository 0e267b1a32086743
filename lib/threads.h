/*
 * threads.h: the threads of this process.
 *
 *     pid_t ids[256];
 *     size_t n = threads_list(ids, 256);
 *     char name[THREAD_NAME];
 *     if (threads_name(ids[0], name)) ...          // false: it has ended
 *
 * And the signals that are theirs: a thread that wants to be left alone by signals blocks threads_signals(),
 * all but the two by which its stack and its profile are taken (stacks.h, profile.h).
 *
 * Thread-safe. Source: proc(5).
 */
#ifndef LIB_THREADS_H
#define LIB_THREADS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/check.h"

#define THREAD_NAME 16 /* bytes, with the NUL */

#define THREADS_PROFILE SIGPROF
#define THREADS_STACK   SIGURG /* ignored where nobody has asked yet */

/* At most MAX ids; how many. */
MUST_USE size_t threads_list(pid_t *ids, size_t max);
MUST_USE bool threads_name(pid_t id, char name[THREAD_NAME]);

/* 'R' it runs or could, 'S' it waits, 'D' it waits for a device; '\0': it has ended. See proc(5). */
char threads_state(pid_t id);

/* To be blocked by a thread of ours. */
static inline void threads_signals(sigset_t *set)
{
    sigfillset(set);
    sigdelset(set, THREADS_PROFILE);
    sigdelset(set, THREADS_STACK);
}

#endif
