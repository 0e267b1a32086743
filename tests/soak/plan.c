/*
 * plan.c: see plan.h. Probabilities are in parts of 10,000 and chosen so that 20,000 requests meet every
 * branch.
 *
 * The random numbers are splitmix64: its n-th output is a mix of seed + n * constant, which is what lets a
 * stream be entered at any offset.
 */
#include "tests/soak/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GOLDEN 0x9e3779b97f4a7c15u

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t rng_next(struct rng *r)
{
    r->state += GOLDEN;
    return mix(r->state);
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    return rng_next(r) % bound;
}

bool rng_chance(struct rng *r, unsigned per_10000)
{
    return rng_below(r, 10000) < per_10000;
}

void stream_fill(uint64_t seed, uint64_t at, unsigned char *out, size_t n)
{
    for (size_t run; n > 0; at += run, out += run, n -= run) {
        uint64_t word = mix(seed + (at / 8) * GOLDEN);
        size_t skip = at % 8;
        run = n < 8 - skip ? n : 8 - skip;
        memcpy(out, (unsigned char *)&word + skip, run);
    }
}

bool stream_same(uint64_t seed, uint64_t at, const unsigned char *bytes, size_t n)
{
    unsigned char expected[4096];
    for (size_t run; n > 0; at += run, bytes += run, n -= run) {
        run = n < sizeof(expected) ? n : sizeof(expected);
        stream_fill(seed, at, expected, run);
        if (memcmp(expected, bytes, run) != 0)
            return false;
    }
    return true;
}

static uint64_t body_size(struct rng *r)
{
    uint64_t x = rng_below(r, 10000);
    if (x < 1000)
        return 0;
    if (x < 6000)
        return 1 + rng_below(r, 1024);
    if (x < 9300)
        return 1 + rng_below(r, 16384);
    if (x < 9980)
        return 1 + rng_below(r, 262144);
    return 1048576 + rng_below(r, 3 * 1048576);
}

static const char *pick_method(struct rng *r)
{
    static const char *const methods[] = {"GET",  "GET",  "GET", "GET", "GET",    "GET",  "POST",  "POST",
                                          "POST", "POST", "PUT", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"};
    return methods[rng_below(r, sizeof(methods) / sizeof(methods[0]))];
}

static void make_request_body(struct plan *p, struct rng *r)
{
    bool may = strcmp(p->method, "POST") == 0 || strcmp(p->method, "PUT") == 0 ||
               strcmp(p->method, "PATCH") == 0 || (strcmp(p->method, "DELETE") == 0 && rng_chance(r, 3000));
    if (!may)
        return;
    p->framing = !p->is_http10 && rng_chance(r, 4000) ? CHUNKED : LENGTH;
    p->size = body_size(r);
    p->has_trailers = p->framing == CHUNKED && rng_chance(r, 1500);
    p->has_extensions = p->framing == CHUNKED && rng_chance(r, 500);
    p->expects = !p->is_http10 && p->size > 0 && rng_chance(r, 800);
    p->waits = p->expects && rng_chance(r, 7000);
}

static int pick_status(struct rng *r)
{
    static const int rare[] = {201, 204, 204, 301, 304, 304, 400, 404, 500, 503};
    return rng_chance(r, 8000) ? 200 : rare[rng_below(r, sizeof(rare) / sizeof(rare[0]))];
}

static void make_answer(struct order *o, struct rng *r)
{
    o->status = pick_status(r);
    uint64_t x = rng_below(r, 100);
    o->framing = x < 55 ? LENGTH : x < 92 ? CHUNKED : UNTIL_CLOSE;
    o->size = body_size(r);
    o->seed = rng_next(r);
    o->has_trailers = o->framing == CHUNKED && rng_chance(r, 1000);
    o->interim = rng_chance(r, 200) ? 1 + (unsigned)rng_below(r, 3) : 0;
    o->delay_ms = rng_chance(r, 100) ? 1 + (unsigned)rng_below(r, 15) : 0;
    o->is_slow = rng_chance(r, 15);
    o->is_reset = rng_chance(r, 5000);
    uint64_t y = rng_below(r, 100);
    o->after = y < 90 ? KEEP : y < 95 ? SAY_CLOSE : DROP;
}

static void make_fault(struct plan *p, struct rng *r)
{
    struct order *o = &p->order;
    if (p->leave != STAY || !rng_chance(r, 400))
        return;
    bool can_cut = o->framing != UNTIL_CLOSE && o->size > 0 && plan_has_answer_body(p->method, o->status);
    uint64_t x = rng_below(r, 100);
    if (p->size > 0 && x < 40) {
        o->fault = x < 20 ? EARLY_KEEP : EARLY_CLOSE;
        o->size = o->size % 8192;
        o->is_slow = false;
        o->after = KEEP;
        if (o->framing == UNTIL_CLOSE)
            o->framing = LENGTH;
    } else if (x < 50) {
        o->fault = NO_ANSWER;
    } else if (x < 60 || !can_cut) {
        o->fault = CUT_HEAD;
    } else {
        o->fault = CUT_BODY;
        o->cut_at = rng_below(r, o->size);
    }
}

static void make_leave(struct plan *p, struct rng *r)
{
    if (!rng_chance(r, 400))
        return;
    p->is_reset = rng_chance(r, 5000);
    uint64_t x = rng_below(r, 3);
    if (x == 0) {
        p->leave = LEAVE_IN_HEAD;
        p->leave_at = 1 + rng_below(r, 100);
    } else if (x == 1 && p->size > 0) {
        p->leave = LEAVE_IN_BODY;
        p->leave_at = rng_below(r, p->size);
        p->expects = p->waits = false;
    } else {
        p->leave = LEAVE_IN_ANSWER;
        p->leave_at = p->order.size ? rng_below(r, p->order.size) : 0;
    }
}

void plan_make(struct plan *p, uint64_t seed, uint64_t id, enum plan_kind kind)
{
    struct rng r = {mix(seed) ^ mix(id * GOLDEN + 1)};
    *p = (struct plan){.id = id, .method = "GET", .is_kept = true};
    p->seed = rng_next(&r);
    if (kind == PLAN_PIPELINED) {
        make_answer(&p->order, &r);
        p->order.size %= 16384;
        p->order.is_slow = false;
        return;
    }
    p->method = pick_method(&r);
    p->is_http10 = rng_chance(&r, 500);
    p->is_kept = !rng_chance(&r, 800);
    p->is_slow = rng_chance(&r, 15);
    make_request_body(p, &r);
    make_answer(&p->order, &r);
    make_leave(p, &r);
    make_fault(p, &r);
}

unsigned plan_batch(uint64_t seed, uint64_t id)
{
    struct rng r = {mix(seed + 7) ^ mix(id * GOLDEN)};
    return rng_chance(&r, 300) ? 2 + (unsigned)rng_below(&r, 3) : 1;
}

bool plan_is_idempotent(const char *method)
{
    return strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
}

bool plan_has_answer_body(const char *method, int status)
{
    return strcmp(method, "HEAD") != 0 && status != 204 && status != 304 && status >= 200;
}

size_t plan_filler(uint64_t seed, char *out, size_t size)
{
    struct rng r = {seed ^ 0x5eed};
    size_t n = rng_chance(&r, 500) ? rng_below(&r, 2000) : rng_below(&r, 80);
    if (n > size - 1)
        n = size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)('a' + rng_below(&r, 26));
    out[n] = '\0';
    return n;
}

void plan_write_order(const struct order *o, char *out, size_t size)
{
    snprintf(out, size, "%d,%d,%" PRIu64 ",%" PRIu64 ",%d,%d,%d,%u,%u,%d,%d,%" PRIu64, o->status,
             (int)o->framing, o->size, o->seed, o->has_trailers, o->is_slow, o->is_reset, o->interim,
             o->delay_ms, (int)o->after, (int)o->fault, o->cut_at);
}

bool plan_read_order(struct order *o, const char *text)
{
    int framing, trailers, slow, reset, after, fault;
    if (sscanf(text, "%d,%d,%" SCNu64 ",%" SCNu64 ",%d,%d,%d,%u,%u,%d,%d,%" SCNu64, &o->status, &framing,
               &o->size, &o->seed, &trailers, &slow, &reset, &o->interim, &o->delay_ms, &after, &fault,
               &o->cut_at) != 12)
        return false;
    o->framing = (enum framing)framing;
    o->has_trailers = trailers;
    o->is_slow = slow;
    o->is_reset = reset;
    o->after = (enum after)after;
    o->fault = (enum fault)fault;
    return true;
}

uint64_t plan_check(const char *method, uint64_t id, uint64_t size, const char *order_text)
{
    uint64_t sum = mix(id) ^ mix(size + GOLDEN);
    for (const char *c = method; *c; c++)
        sum = mix(sum ^ (unsigned char)*c);
    for (const char *c = order_text; *c; c++)
        sum = mix(sum ^ (unsigned char)*c);
    return sum;
}

static const char *connection_field(const struct plan *p)
{
    if (p->is_http10)
        return p->is_kept ? "Connection: keep-alive\r\n" : "";
    return p->is_kept ? "" : "Connection: close\r\n";
}

size_t plan_write_head(const struct plan *p, char *out, size_t size)
{
    char order[256], filler[2048], framing[64] = "";
    plan_write_order(&p->order, order, sizeof(order));
    plan_filler(p->seed, filler, sizeof(filler));
    if (p->framing == LENGTH)
        snprintf(framing, sizeof(framing), "Content-Length: %" PRIu64 "\r\n", p->size);
    else if (p->framing == CHUNKED)
        snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n%s",
                 p->has_trailers ? "Trailer: X-Trail\r\n" : "");
    return (size_t)snprintf(out, size,
                            "%s /soak/%" PRIu64 "?q=%.60s HTTP/1.%d\r\nHost: soak.example\r\nX-Id: %" PRIu64
                            "\r\nX-Seed: %" PRIu64 "\r\nX-Size: %" PRIu64 "\r\nX-Do: %s\r\nX-Check: %" PRIu64
                            "\r\nX-Filler: f%s\r\n%s%s%s\r\n",
                            p->method, p->id, filler, !p->is_http10, p->id, p->seed, p->size, order,
                            plan_check(p->method, p->id, p->size, order), filler, framing,
                            connection_field(p), p->expects ? "Expect: 100-continue\r\n" : "");
}

void plan_describe(const struct plan *p, char *out, size_t size)
{
    static const char *const framings[] = {"no body", "length", "chunked", "until close"};
    static const char *const faults[] = {"none",      "cut body",   "cut head",
                                         "no answer", "early keep", "early close"};
    static const char *const leaves[] = {"stays", "leaves in head", "leaves in body", "leaves in answer"};
    static const char *const afters[] = {"keep", "say close", "drop"};
    const struct order *o = &p->order;
    snprintf(out, size,
             "%s HTTP/1.%d %s %" PRIu64 "%s%s%s%s%s -> %d %s %" PRIu64
             "%s%s interim %u, then %s; fault %s at %" PRIu64 "; client %s at %" PRIu64 "%s",
             p->method, !p->is_http10, framings[p->framing], p->size, p->has_trailers ? " trailers" : "",
             p->expects ? " expect" : "", p->waits ? " waits" : "", p->is_slow ? " slow" : "",
             p->is_kept ? "" : " close", o->status, framings[o->framing], o->size,
             o->has_trailers ? " trailers" : "", o->is_slow ? " slow" : "", o->interim, afters[o->after],
             faults[o->fault], o->cut_at, leaves[p->leave], p->leave_at,
             p->is_reset || o->is_reset ? " (reset)" : "");
}
