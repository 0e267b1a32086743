/*
 * check.h: assertions that stay in release builds.
 *
 * CHECK() is for faults of our own: a broken invariant ends the process with a line on stderr that says
 * where. No byte that comes from a client, a backend or Redis may ever reach a CHECK.
 *
 * Thread-safe. MUST_USE marks a result that the caller may not drop.
 */
#ifndef LIB_CHECK_H
#define LIB_CHECK_H

#define MUST_USE             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, ap) __attribute__((format(printf, fmt, ap)))
#define NORETURN             __attribute__((noreturn))
#define LIKELY(x)            __builtin_expect(!!(x), 1)
#define UNLIKELY(x)          __builtin_expect(!!(x), 0)

/* Cache lines of the machines we run on; what different threads write is kept this far apart. */
#define CACHE_LINE 64

NORETURN void check_failed(const char *file, int line, const char *what);

#define CHECK(cond) (LIKELY(cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

#endif
