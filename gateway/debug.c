/*
 * debug.c: see debug.h.
 *
 * A job is an actor that ticks until its answer is made, and posts a note to the control thread then. That
 * thread ends the actor and hands the answer over. A job's answer and profile are the actor's until it is
 * stopped; the ticket is the control thread's. The note is a message of its own, for it may lie in the
 * mailbox longer than the job lives.
 */
#include "gateway/debug.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/debug_internal.h"
#include "gateway/state_internal.h"
#include "lib/actor.h"
#include "lib/clock.h"
#include "lib/profile_report.h"

#define TICK_NS         (50 * CLOCK_MILLISECOND_NS)
#define STOP_NS         (20 * CLOCK_SECOND_NS)
#define SECONDS_DEFAULT 5
#define SECONDS_MAX     60
#define HZ_DEFAULT      99

enum job_kind { JOB_PROFILE, JOB_THREADS, JOBS };
enum job_state { JOB_BEGINS, JOB_RUNS, JOB_HAS_ANSWER, JOB_POSTED };

/* Outlives its job when the job is not over in time. */
struct job_ticket {
    struct state_ticket base; /* first */
    struct job *job;          /* NULL: it is over */
};

struct note {
    struct message base; /* first */
    enum job_kind kind;
};

struct job {
    struct debug *debug;
    struct actor *actor;
    struct job_ticket *ticket;
    enum job_kind kind;
    unsigned seconds, hz;
    bool is_pprof;
    _Atomic bool is_unwanted;
    _Atomic bool is_forgotten; /* it did not end in time: nobody hears of it any more */
    /* the actor's */
    enum job_state state;
    struct note *note; /* until it is posted */
    struct profile *profile;
    uint64_t until_ns;
    struct state_answer answer;
};

struct debug {
    struct debug_setup setup;
    struct job *jobs[JOBS]; /* NULL: none is under way */
};

/* ---- on the job's thread ---- */

static struct state_answer report(const struct job *j)
{
    struct state_answer a = {.status = 200};
    a.type = j->is_pprof ? "application/octet-stream" : "text/plain; charset=utf-8";
    a.json =
        j->is_pprof ? profile_report_pprof(j->profile, &a.len) : profile_report_folded(j->profile, &a.len);
    return a;
}

static void begin_profile(struct job *j, uint64_t now_ns)
{
    struct err err = {0};
    j->state = JOB_RUNS;
    j->until_ns = now_ns + j->seconds * CLOCK_SECOND_NS;
    j->profile = profile_new(j->hz, &err);
    if (j->profile)
        return;
    j->answer = state_refuse(err.sys == EBUSY ? 409 : 503, "the profile cannot be made");
    j->state = JOB_HAS_ANSWER;
}

static void go_on_with_profile(struct job *j, uint64_t now_ns)
{
    bool is_unwanted = atomic_load_explicit(&j->is_unwanted, memory_order_relaxed);
    if (now_ns < j->until_ns && !is_unwanted) {
        profile_collect(j->profile);
        return;
    }
    profile_stop(j->profile);
    if (!is_unwanted)
        j->answer = report(j);
    profile_free(j->profile);
    j->profile = NULL;
    j->state = JOB_HAS_ANSWER;
}

static void on_tick(void *self, uint64_t now_ns)
{
    struct job *j = self;
    if (j->state == JOB_RUNS)
        go_on_with_profile(j, now_ns);
    if (j->state == JOB_BEGINS && j->kind == JOB_PROFILE)
        begin_profile(j, now_ns);
    if (j->state == JOB_BEGINS) {
        j->answer = debug_show_threads(&j->debug->setup);
        j->state = JOB_HAS_ANSWER;
    }
    /* A full mailbox is tried again. */
    if (j->state == JOB_HAS_ANSWER && !atomic_load_explicit(&j->is_forgotten, memory_order_relaxed) &&
        mailbox_send(j->debug->setup.mailbox, &j->note->base))
        j->state = JOB_POSTED;
}

static void on_message(void *self, struct message *m)
{
    (void)self;
    message_drop(m);
}

/* ---- on the control thread ---- */

static void give_up(struct state_ticket *ticket)
{
    const struct job_ticket *t = (struct job_ticket *)ticket;
    if (t->job)
        atomic_store_explicit(&t->job->is_unwanted, true, memory_order_relaxed);
}

static void answer_ticket(struct job *j, struct state_answer answer)
{
    if (!answer.json)
        answer = state_refuse(503, "memory is short");
    j->ticket->job = NULL;
    state_finish(&j->ticket->base, answer);
}

/* The actor has ended, or ends at once: it only waits for that. False: not in time, and what its thread still
 * uses is its own for ever. */
static bool end_job(struct job *j)
{
    atomic_store_explicit(&j->is_unwanted, true, memory_order_relaxed);
    j->debug->jobs[j->kind] = NULL;
    if (!actor_stop(j->actor, clock_now_ns() + STOP_NS)) {
        atomic_store_explicit(&j->is_forgotten, true, memory_order_relaxed);
        answer_ticket(j, state_refuse(503, "it takes too long"));
        return false;
    }
    actor_free(j->actor);
    if (j->profile)
        profile_free(j->profile);
    if (j->state != JOB_POSTED)
        free(j->note);
    answer_ticket(j, j->answer);
    free(j);
    return true;
}

void debug_finish(struct debug *d, struct message *m)
{
    enum job_kind kind = ((struct note *)m)->kind;
    message_drop(m);
    if (d->jobs[kind])
        (void)end_job(d->jobs[kind]);
}

static void note_free(struct message *m)
{
    free((struct note *)m);
}

static bool start_job(struct job *j)
{
    const struct actor_setup a = {
        .name = "debug", .self = j, .handle = on_message, .tick = on_tick, .tick_ns = TICK_NS, .max = 1};
    j->ticket = calloc(1, sizeof(*j->ticket));
    j->note = calloc(1, sizeof(*j->note));
    if (j->ticket && j->note) {
        j->ticket->base.give_up = give_up;
        j->ticket->job = j;
        j->note->base = (struct message){.type = STATE_MAIL_DEBUG, .free = note_free};
        j->note->kind = j->kind;
        if ((j->actor = actor_new(&a, NULL)) != NULL)
            return true;
    }
    free(j->ticket);
    free(j->note);
    return false;
}

static struct state_answer start(struct debug *d, const struct job *what)
{
    if (d->jobs[what->kind])
        return state_refuse(409, "somebody else has asked for it; wait for that to end");
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return state_refuse(503, "memory is short");
    j->debug = d;
    j->kind = what->kind;
    j->seconds = what->seconds;
    j->hz = what->hz;
    j->is_pprof = what->is_pprof;
    if (!start_job(j)) {
        free(j);
        return state_refuse(503, "no thread for it");
    }
    d->jobs[j->kind] = j;
    return (struct state_answer){.status = 200, .ticket = &j->ticket->base};
}

/* TEXT as a number of 1 to MAX, USUAL without it; 0: it is none. */
static unsigned number_of(const char *text, unsigned usual, unsigned max)
{
    unsigned n = 0;
    if (!text)
        return usual;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 4 || text[digits] != '\0')
        return 0;
    for (size_t i = 0; i < digits; i++)
        n = n * 10 + (unsigned)(text[i] - '0');
    return n <= max ? n : 0;
}

static struct state_answer ask_profile(struct debug *d, const struct state_ask *ask)
{
    const struct job j = {.kind = JOB_PROFILE,
                          .seconds = number_of(ask->seconds, SECONDS_DEFAULT, SECONDS_MAX),
                          .hz = number_of(ask->hz, HZ_DEFAULT, PROFILE_HZ_MAX),
                          .is_pprof = ask->format && strcmp(ask->format, "pprof") == 0};
    if (j.seconds == 0)
        return state_refuse(400, "seconds is a number of 1 to 60");
    if (j.hz == 0)
        return state_refuse(400, "hz is a number of 1 to 500");
    if (ask->format && !j.is_pprof && strcmp(ask->format, "folded") != 0)
        return state_refuse(400, "format is folded or pprof");
    return start(d, &j);
}

bool debug_has(const struct state_ask *ask)
{
    static const char *const pages[] = {"/debug/profile", "/debug/threads", "/debug/memory"};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (strcmp(ask->path, pages[i]) == 0)
            return true;
    return false;
}

struct state_answer debug_handle(struct debug *d, const struct state_view *v, const struct state_ask *ask)
{
    if (!d)
        return state_refuse(503, "the gateway ends");
    if (strcmp(ask->path, "/debug/profile") == 0)
        return ask_profile(d, ask);
    if (strcmp(ask->path, "/debug/threads") == 0)
        return start(d, &(struct job){.kind = JOB_THREADS});
    return debug_show_memory(&d->setup, v);
}

struct debug *debug_new(const struct debug_setup *setup)
{
    struct debug *d = calloc(1, sizeof(*d));
    if (d)
        d->setup = *setup;
    return d;
}

void debug_free(struct debug *d)
{
    bool is_over = true;
    for (int i = 0; d && i < JOBS; i++)
        if (d->jobs[i])
            is_over &= end_job(d->jobs[i]);
    if (is_over)
        free(d);
}
