/* redis_script.c: see redis_script.h. */
#include "gateway/redis_script.h"

static const struct redis_script_text scripts[REDIS_SCRIPTS] = {
    [REDIS_LIMIT_TAKE] = {"limit_take", "return 0"},
};

const struct redis_script_text *redis_script_text(enum redis_script s)
{
    return &scripts[s];
}
