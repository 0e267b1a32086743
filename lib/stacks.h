/*
 * stacks.h: where a thread of this process is, now.
 *
 *     uintptr_t at[UNWIND_MAX];
 *     size_t n = stacks_take(modules, tid, at, 100);     // 0: it did not answer within 100 ms
 *
 * The thread is interrupted by a signal (THREADS_STACK) and writes down its own stack; then it goes on. A
 * system call that it waits in may end with EINTR, as with any signal. A thread that blocks the signal, or is
 * held up within the kernel, does not answer.
 *
 * Any thread may ask, for itself too; one ask at a time, others wait for it. The addresses are as in
 * unwind.h.
 */
#ifndef LIB_STACKS_H
#define LIB_STACKS_H

#include <sys/types.h>

#include "lib/unwind.h"

/* At most UNWIND_MAX addresses into AT; how many. */
MUST_USE size_t stacks_take(struct modules *all, pid_t tid, uintptr_t at[UNWIND_MAX], unsigned within_ms);

#endif
