/* cache_status.c: see cache_status.h. */
#include "gateway/cache_status.h"

#include <stddef.h>

const char *cache_status_name(enum cache_status s)
{
    static const char *const names[CACHE_STATUSES] = {
        [CACHE_HIT] = "HIT",       [CACHE_MISS] = "MISS",
        [CACHE_STALE] = "STALE",   [CACHE_REVALIDATED] = "REVALIDATED",
        [CACHE_BYPASS] = "BYPASS",
    };
    return names[s];
}
