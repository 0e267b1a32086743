/*
 * redis_script.h: all that runs inside of Redis.
 *
 * Each script is atomic on its node and uses the node's own clock, so that clocks of gateways do not matter.
 * What keys and arguments it takes and what it answers stands above its text in redis_script.c.
 *
 * Constant data, any thread.
 */
#ifndef GATEWAY_REDIS_SCRIPT_H
#define GATEWAY_REDIS_SCRIPT_H

enum redis_script {
    REDIS_LIMIT_TAKE, /* tokens of a limit */
    REDIS_SCRIPTS,
};

struct redis_script_text {
    const char *name; /* for log and metrics */
    const char *lua;
};

const struct redis_script_text *redis_script_text(enum redis_script s);

#endif
