/*
 * collector.h: where an OTLP/HTTP export goes, over a kept connection.
 *
 *     struct collector *c = collector_new(&setup, &err);
 *     struct collector_answer a;
 *     collector_post(c, body, deadline_ns, &a);            // blocks until then at most
 *     if (a.result == COLLECTOR_LATER) ...                 // the same may be sent again
 *     collector_free(c);
 *
 * What comes back is hostile: it is bounded, redirects are not followed, and a proxy is not taken from the
 * environment. Certificates are verified for https.
 *
 * One thread at a time, but collector_hurry. Source: OpenTelemetry protocol 1.x, OTLP/HTTP: which answers may
 * be retried, Retry-After, partial success.
 */
#ifndef GATEWAY_COLLECTOR_H
#define GATEWAY_COLLECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define COLLECTOR_RETRY_AFTER_MAX_MS 120000 /* more is not waited for, whatever it says */

struct collector;

struct collector_setup {
    const char *endpoint;       /* http:// or https:// */
    const char *const *headers; /* "Name: value" each */
    size_t nheaders;
    const char *ca; /* file of certificates; NULL: the system's */
};

enum collector_result {
    COLLECTOR_TAKEN,
    COLLECTOR_LATER,   /* 429, 502, 503, 504, or no answer: retry */
    COLLECTOR_REFUSED, /* anything else: the same will be refused again */
};

struct collector_answer {
    enum collector_result result;
    uint64_t rejected;       /* spans that it did not take, of those it was sent */
    uint32_t retry_after_ms; /* 0: it did not say */
    struct err err;          /* what is wrong, also a warning beside COLLECTOR_TAKEN; may be unset */
};

/* SETUP is copied. NULL with err. */
MUST_USE struct collector *collector_new(const struct collector_setup *setup, struct err *err);
void collector_free(struct collector *c); /* may be NULL */

/* Send BODY, which is JSON in gzip, and wait for the answer until DEADLINE_NS (monotonic). */
void collector_post(struct collector *c, struct slice body, uint64_t deadline_ns,
                    struct collector_answer *out);

/* Any thread: a post that is under way, and every later one, ends by DEADLINE_NS. */
void collector_hurry(struct collector *c, uint64_t deadline_ns);

/* "host:port", for messages; without what may be secret in the URL. */
const char *collector_where(const struct collector *c);

#endif
