/*
 * timestamp.h: the wall clock as text for log lines, UTC.
 *
 *     struct timestamp t = {0};
 *     timestamp_set(&t, wall_us / 1000000);           // once a second
 *     "2026-11-23T13:01:00"          t.rfc3339, TIMESTAMP_RFC3339 bytes, without fraction and zone
 *     "23/Nov/2026:13:01:00 +0000"   t.clf, TIMESTAMP_CLF bytes, as the common log format has it
 *
 * The texts are not NUL-terminated. Pure functions, callable from any thread. Sources: RFC 3339; Apache's log
 * formats.
 */
#ifndef GATEWAY_TIMESTAMP_H
#define GATEWAY_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_RFC3339 19
#define TIMESTAMP_CLF     26

struct timestamp {
    bool is_set;
    int64_t second; /* since 1970 */
    char rfc3339[TIMESTAMP_RFC3339];
    char clf[TIMESTAMP_CLF];
};

/* Seconds before 1970 or after the year 9999 become the nearest that can be written. */
void timestamp_set(struct timestamp *t, int64_t second);

#endif
