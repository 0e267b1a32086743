/*
 * client.c: see client.h.
 *
 * What may come of a request, by its plan:
 *   no fault            the complete answer. Or a gateway's 502/503/504, when the gateway met a kept
 * connection that the origin had just closed, the request may not be sent twice (not idempotent, or it has a
 *                       body), and it never reached the origin
 *   the answer is cut   a visible end before its end, or a gateway error; never an answer that looks
 * complete, but for HTTP/1.0 clients, to whom the end of the connection is the end of the answer head cut,
 * none      a gateway error early, kept         the complete answer early, closed       the complete answer,
 * a gateway error, or a visible end the client leaves   nothing is judged here; the origin still sees to it
 * that a body that was cut is not complete
 */
#include "tests/soak/client.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONTINUE_WAIT_MS 2000

enum seen {
    SEEN_ANSWER,  /* the origin's, complete and right */
    SEEN_ERROR,   /* the gateway's own 502, 503 or 504 */
    SEEN_CUT,     /* the origin's, visibly cut short */
    SEEN_NOTHING, /* the connection ended before an answer */
    SEEN_WRONG    /* anything else: already counted as failed */
};

static bool dial(struct client *c)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    wire_init(&c->wire, fd);
    c->is_reused = false;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return true;
    wire_close(&c->wire, false);
    return false;
}

static enum seen wrong(struct client *c, const struct plan *p, const char *text)
{
    tally_fail(c->tally, p, text);
    return SEEN_WRONG;
}

static bool field_is(const struct head *h, const char *name, const char *value)
{
    char got[2100] = "";
    return head_field(h, name, got, sizeof(got)) == 1 && strcmp(got, value) == 0;
}

static bool says(const struct head *h, const char *word)
{
    char got[128] = "";
    return head_field(h, "Connection", got, sizeof(got)) > 0 && strcasestr(got, word) != NULL;
}

/* What is wrong with the head of the origin's answer, or NULL. */
static const char *judge_head(const struct head *h, const struct plan *p)
{
    char id[32], filler[2048], expected[2050];
    const struct order *o = &p->order;
    bool is_early = o->fault == EARLY_KEEP || o->fault == EARLY_CLOSE;
    snprintf(id, sizeof(id), "%" PRIu64, p->id);
    if (!field_is(h, "X-Id", id))
        return "this is the answer to another request";
    if (atoi(h->text + 9) != o->status)
        return "status differs";
    if (!field_is(h, "X-Verdict", is_early ? "early" : "ok"))
        return "the origin found the request wrong";
    plan_filler(o->seed, filler, sizeof(filler));
    snprintf(expected, sizeof(expected), "f%s", filler);
    if (!field_is(h, "X-Filler", expected))
        return "filler of the answer differs";
    return NULL;
}

/* Where a HEAD or 304 names a length it must be the body's. */
static const char *judge_unsent_length(const struct head *h, const struct plan *p)
{
    char got[32], expected[32];
    snprintf(expected, sizeof(expected), "%" PRIu64, p->order.size);
    if (p->order.status == 204 || p->order.framing != LENGTH ||
        !head_field(h, "Content-Length", got, sizeof(got)))
        return NULL;
    return strcmp(got, expected) == 0 ? NULL : "Content-Length of an answer without body differs";
}

/* Read the body of the origin's answer, whose head is good. */
static enum seen take_answer(struct client *c, const struct plan *p, struct body *b)
{
    b->seed = p->order.seed;
    b->is_slow = p->is_slow;
    b->has_stop = p->leave == LEAVE_IN_ANSWER;
    b->stop_at = p->leave_at;
    enum wire_result r = wire_read_body(&c->wire, b);
    tally_add(c->tally, TALLY_BYTES_DOWN, b->moved);
    tally_add(c->tally, TALLY_TRAILERS_DOWN, b->got_trailers);
    if (b->is_wrong)
        return wrong(c, p, "bytes or trailer of the answer differ");
    if (r == WIRE_TIMEOUT)
        return wrong(c, p, "the answer stopped coming");
    if (r == WIRE_NONSENSE)
        return wrong(c, p, "bad chunks in the answer");
    if (r == WIRE_CUT)
        return SEEN_CUT;
    if (r == WIRE_STOPPED || b->framing == NO_BODY || b->moved == p->order.size)
        return SEEN_ANSWER;
    bool can_see_no_cut = p->is_http10 && b->framing == UNTIL_CLOSE;
    if (can_see_no_cut && (p->order.fault == CUT_BODY || p->order.fault == EARLY_CLOSE)) {
        tally_add(c->tally, TALLY_CUT_HIDDEN, 1);
        return SEEN_CUT;
    }
    return wrong(c, p, "the answer looks complete but is not of its size");
}

/* A gateway's own answer: only to say that the origin failed. */
static enum seen take_error(struct client *c, const struct plan *p, struct body *b)
{
    int status = atoi(c->head.text + 9);
    char text[160];
    b->is_unchecked = true;
    if (status < 502 || status > 504) {
        snprintf(text, sizeof(text), "the gateway answered itself: %.40s", c->head.text);
        text[strcspn(text, "\r")] = '\0';
        return wrong(c, p, text);
    }
    return wire_read_body(&c->wire, b) == WIRE_OK ? SEEN_ERROR
                                                  : wrong(c, p, "a gateway error that is cut short");
}

/* The connection's part of an answer: whether it can be used again. */
static bool is_kept(const struct client *c, const struct plan *p, const struct body *b)
{
    if (b->framing == UNTIL_CLOSE || says(&c->head, "close"))
        return false;
    return p->is_http10 ? p->is_kept && says(&c->head, "keep-alive") : p->is_kept;
}

/* After an answer: go on with the connection or see that it ends. */
static enum seen settle(struct client *c, const struct plan *p, const struct body *b, enum seen seen)
{
    if (seen == SEEN_WRONG || seen == SEEN_CUT || p->leave == LEAVE_IN_ANSWER) {
        wire_close(&c->wire, p->is_reset);
    } else if (is_kept(c, p, b)) {
        c->is_reused = true;
    } else {
        enum wire_result end = b->framing == UNTIL_CLOSE ? WIRE_OK : wire_expect_end(&c->wire);
        wire_close(&c->wire, false);
        if (end != WIRE_OK)
            return wrong(c, p,
                         end == WIRE_TIMEOUT ? "the connection was not closed after the last answer"
                                             : "bytes after the last answer");
    }
    return seen;
}

static enum seen read_final_head(struct client *c, const struct plan *p)
{
    for (;;) {
        enum wire_result r = c->has_head ? WIRE_OK : wire_read_head(&c->wire, &c->head);
        c->has_head = false;
        if (r == WIRE_END || r == WIRE_CUT)
            return SEEN_NOTHING;
        if (r != WIRE_OK || strncmp(c->head.text, "HTTP/1.", 7) != 0)
            return wrong(c, p, r == WIRE_TIMEOUT ? "no answer in time" : "what came is no answer");
        int status = atoi(c->head.text + 9);
        if (status >= 200 && status <= 599)
            return SEEN_ANSWER;
        if (p->is_http10 || (status != 100 && status != 103))
            return wrong(c, p, "an interim answer that was not due");
        tally_add(c->tally, TALLY_INTERIM, status == 103);
    }
}

/* Read one answer, interim ones before it included. */
static enum seen read_answer(struct client *c, const struct plan *p)
{
    char value[32];
    enum seen seen = read_final_head(c, p);
    if (seen != SEEN_ANSWER) {
        wire_close(&c->wire, false);
        return seen;
    }
    struct body b = {0};
    if (!head_framing(&c->head, &b.framing, &b.size, UNTIL_CLOSE) || (p->is_http10 && b.framing == CHUNKED)) {
        wire_close(&c->wire, false);
        return wrong(c, p, "framing of the answer is contradictory or not for this client");
    }
    bool is_origins = head_field(&c->head, "X-Id", value, sizeof(value)) > 0;
    int status = atoi(c->head.text + 9);
    const char *fault = is_origins ? judge_head(&c->head, p) : NULL;
    if (!plan_has_answer_body(p->method, status)) {
        fault = fault ? fault : is_origins ? judge_unsent_length(&c->head, p) : NULL;
        b.framing = NO_BODY;
    }
    if (fault)
        seen = wrong(c, p, fault);
    else
        seen = is_origins ? take_answer(c, p, &b) : take_error(c, p, &b);
    return settle(c, p, &b, seen);
}

/* Whether a gateway error may come of a request whose origin is to do no wrong. */
static bool may_be_stale(struct client *c, const struct plan *p)
{
    bool may_not_repeat = !plan_is_idempotent(p->method) || p->size > 0 || p->framing != NO_BODY;
    return may_not_repeat && tally_times_reached(c->tally, p->id) == 0;
}

static void judge_faultless(struct client *c, const struct plan *p, enum seen seen)
{
    if (seen == SEEN_ANSWER)
        tally_pass(c->tally, TALLY_COMPLETE);
    else if (seen == SEEN_ERROR && may_be_stale(c, p))
        tally_pass(c->tally, TALLY_STALE);
    else if (seen == SEEN_ERROR)
        wrong(c, p, "a gateway error, though the origin did no wrong");
    else
        wrong(c, p, seen == SEEN_CUT ? "the answer is cut short" : "the connection ended without an answer");
}

static void judge(struct client *c, const struct plan *p, enum seen seen)
{
    if (seen == SEEN_WRONG)
        return;
    switch (p->order.fault) {
    case NO_FAULT:
    case EARLY_KEEP:
        judge_faultless(c, p, seen);
        return;
    case CUT_BODY:
        if (seen == SEEN_ANSWER)
            wrong(c, p, "an answer the origin cut looks complete");
        else
            tally_pass(c->tally, seen == SEEN_ERROR ? TALLY_REFUSED : TALLY_CUT_SEEN);
        return;
    case CUT_HEAD:
    case NO_ANSWER:
        if (seen == SEEN_ERROR)
            tally_pass(c->tally, TALLY_REFUSED);
        else
            wrong(c, p, "the origin failed, and no gateway error says so");
        return;
    case EARLY_CLOSE:
        tally_pass(c->tally, seen == SEEN_ANSWER  ? TALLY_COMPLETE
                             : seen == SEEN_ERROR ? TALLY_REFUSED
                                                  : TALLY_EARLY_LOST);
        return;
    }
}

/* Wait for 100 Continue. False: a final answer or the end came instead; the body stays here. */
static bool await_continue(struct client *c)
{
    static const char go_on[] = "HTTP/1.1 100";
    if (!wire_wait(&c->wire, CONTINUE_WAIT_MS)) {
        tally_add(c->tally, TALLY_UNASKED, 1);
        return true;
    }
    if (wire_read_head(&c->wire, &c->head) != WIRE_OK)
        return false; /* reading the answer will say it again */
    if (strncmp(c->head.text, go_on, sizeof(go_on) - 1) == 0) {
        tally_add(c->tally, TALLY_CONTINUED, 1);
        return true;
    }
    c->has_head = true;
    return false;
}

/* Send the request as far as the plan goes. False: it could not be sent to its end, which need not be wrong.
 */
static bool send_request(struct client *c, const struct plan *p)
{
    char head[HEAD_MAX];
    size_t n = plan_write_head(p, head, sizeof(head));
    if (p->leave == LEAVE_IN_HEAD)
        return wire_send(&c->wire, head, p->leave_at < n ? p->leave_at : n - 1, false);
    if (!wire_send(&c->wire, head, n, p->is_slow))
        return false;
    if (p->waits && !await_continue(c))
        return false;
    struct body b = {.framing = p->framing,
                     .size = p->size,
                     .seed = p->seed,
                     .has_trailers = p->has_trailers,
                     .has_extensions = p->has_extensions,
                     .is_slow = p->is_slow,
                     .has_stop = p->leave == LEAVE_IN_BODY,
                     .stop_at = p->leave_at};
    return p->framing == NO_BODY || wire_send_body(&c->wire, &b) != WIRE_CUT;
}

static bool has_connection(struct client *c, const struct plan *p)
{
    if (c->wire.fd >= 0 || dial(c))
        return true;
    wrong(c, p, "the gateway takes no connection");
    return false;
}

/* A kept connection that was closed before the request came there: once more, on a fresh one. */
static bool must_repeat(struct client *c, const struct plan *p, enum seen seen, bool was_reused)
{
    if (seen != SEEN_NOTHING || !was_reused || !c->may_close_idle || tally_times_reached(c->tally, p->id) > 0)
        return false;
    tally_add(c->tally, TALLY_IDLE_CLOSED, 1);
    return true;
}

static void do_one(struct client *c, const struct plan *p)
{
    if (!has_connection(c, p))
        return;
    bool was_reused = c->is_reused;
    tally_add(c->tally, TALLY_REUSED, was_reused);
    bool is_sent = send_request(c, p);
    if (p->leave == LEAVE_IN_HEAD || p->leave == LEAVE_IN_BODY) {
        wire_close(&c->wire, p->is_reset);
        tally_pass(c->tally, TALLY_LEFT);
        return;
    }
    enum seen seen = read_answer(c, p);
    if (!is_sent)
        wire_close(&c->wire, false);
    if (must_repeat(c, p, seen, was_reused))
        do_one(c, p);
    else if (p->leave == LEAVE_IN_ANSWER && seen != SEEN_WRONG)
        tally_pass(c->tally, TALLY_LEFT);
    else
        judge(c, p, seen);
}

/* N GETs in one write, then their answers in order. */
static void do_pipeline(struct client *c, const struct plan *plans, unsigned n)
{
    char heads[4 * HEAD_MAX];
    size_t len = 0;
    if (!has_connection(c, plans))
        return;
    bool was_reused = c->is_reused;
    for (unsigned i = 0; i < n; i++)
        len += plan_write_head(&plans[i], heads + len, HEAD_MAX);
    wire_send(&c->wire, heads, len, false);
    tally_add(c->tally, TALLY_PIPELINED, n);
    bool is_open = true;
    for (unsigned i = 0; i < n; i++) {
        if (!is_open) { /* an answer before said that it is the last */
            tally_add(c->tally, TALLY_PIPELINE_CLOSED, 1);
            do_one(c, &plans[i]);
            continue;
        }
        enum seen seen = read_answer(c, &plans[i]);
        is_open = c->wire.fd >= 0;
        if (must_repeat(c, &plans[i], seen, was_reused || i > 0))
            do_one(c, &plans[i]);
        else
            judge(c, &plans[i], seen);
    }
}

void *client_run(void *arg)
{
    struct client *c = arg;
    const struct tally *t = c->tally;
    uint64_t end = t->first_id + t->requests;
    c->wire.fd = -1;
    for (uint64_t id = t->first_id + c->index; id < end && !tally_is_hopeless(c->tally);) {
        struct plan plans[4];
        unsigned n = plan_batch(t->run_seed, id);
        if (n > 1 && (end - id - 1) / c->stride + 1 < n)
            n = (unsigned)((end - id - 1) / c->stride + 1);
        for (unsigned i = 0; i < n; i++, id += c->stride) {
            plan_make(&plans[i], t->run_seed, id, n > 1 ? PLAN_PIPELINED : PLAN_ANY);
            if (!c->has_interim)
                plans[i].order.interim = 0;
        }
        if (n > 1)
            do_pipeline(c, plans, n);
        else
            do_one(c, plans);
        if (c->wire.fd >= 0 && wire_has_rest(&c->wire)) {
            wrong(c, &plans[n - 1], "bytes after the answer");
            wire_close(&c->wire, false);
        }
    }
    wire_close(&c->wire, false);
    return NULL;
}
