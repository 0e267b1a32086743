/*
 * identify.h: who asks, and under which name this request goes: client address, request id, trace.
 *
 * The client is the peer of the connection, unless that is in trusted_proxies: then it is the rightmost
 * address in X-Forwarded-For that is not. The request id is the client's own when it is sane (one field, at
 * most 128 characters of a harmless alphabet), else 32 random hex digits. For the trace see tracing.h.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_IDENTIFY_H
#define GATEWAY_IDENTIFY_H

#include "gateway/path.h"

enum step_result identify_run(struct exchange *x);

#endif
