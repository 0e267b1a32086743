/*
 * control_internal.h: what the parts of control.h share: control.c (start, reload, drain, end) and
 * control_view.c (what the admin port shows and sets). Nobody else includes it.
 */
#ifndef GATEWAY_CONTROL_INTERNAL_H
#define GATEWAY_CONTROL_INTERNAL_H

#include <uv.h>

#include "gateway/admin.h"
#include "gateway/control.h"
#include "gateway/debug.h"
#include "gateway/fleet.h"
#include "gateway/generation.h"
#include "gateway/listener.h"
#include "gateway/log.h"
#include "gateway/logins.h"
#include "gateway/prober.h"
#include "gateway/redis_watch.h"
#include "gateway/resolver.h"
#include "gateway/status.h"
#include "gateway/tail.h"
#include "gateway/tracer.h"
#include "gateway/watchdog.h"
#include "gateway/worker.h"

#define SIGNALS 5

struct control {
    const char *conf_path;
    char instance[STATUS_INSTANCE];
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    uv_timer_t look, sweep;
    uv_poll_t mail;
    struct mailbox *mailbox; /* from the fleet's thread */
    struct snapshot_shared shared;
    struct logwriter *access_log; /* NULL: off */
    struct log *log;
    struct tail *tail;
    struct logins *logins;
    struct concurrency *concurrency;
    struct cache *cache;
    struct fleet *fleet; /* NULL: nothing is shared with other gateways */
    struct redis_watch *redis_watch;
    struct prober *prober;
    struct endpoint_registry *registry;
    struct resolver *resolver;
    struct listeners listeners;
    struct generation current;
    bool is_live; /* the workers have it: changes are posted */
    struct worker **workers;
    unsigned nworkers;
    struct tracer *tracer;
    struct admin *admin;
    struct debug *debug;
    struct watchdog *watchdog;
    bool draining;
    uint64_t drain_until_ns;
};

/* Open the admin port, if there is to be one. */
bool control_start_admin(struct control *c, struct err *err);

#endif
