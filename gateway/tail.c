/*
 * tail.c: see tail.h.
 *
 * Places of listeners are bits of a mask, and are used again. So each set of filters has a generation, a
 * block carries that of the set its lines were matched by, and a listener gets nothing from a block older
 * than itself.
 *
 * A worker sends its block when it is full or ticks. While the mailbox has no room it keeps the block and
 * counts lines instead, for each listener; the next block carries the counts. The control thread looks into
 * the mailbox every TAIL_EVERY_MS rather than be woken by each block.
 */
#include "gateway/tail.h"

#include <stdlib.h>

#include "lib/mailbox.h"

#define BLOCK     (32 * 1024) /* bytes of lines; one longer line has a block of its own */
#define LOG_LINES 256         /* of the error log that may wait */
#define MAIL_MAX  (TAIL_BLOCKS + LOG_LINES)

enum mail { MAIL_BLOCK, MAIL_LOG };

struct tail_filters {
    _Atomic uint32_t refs;
    uint64_t generation;
    unsigned n;
    struct tail_filter at[TAIL_LISTENERS];
    char texts[TAIL_LISTENERS][TAIL_TEXT_MAX];
};

struct tail {
    struct tail_setup setup;
    struct mailbox *mailbox;
    uv_timer_t timer; /* runs while there are listeners, or mail */
    struct tail_filters *filters;
    struct event_stream *listeners[TAIL_LISTENERS]; /* by place */
    _Atomic uint32_t wants_log;                     /* listeners that do; relaxed, for it only saves work */
    _Atomic uint64_t log_missed;                    /* lines; relaxed, a count */
};

/* What stands before each line in a block. */
struct entry {
    uint32_t who, len;
};

struct block {
    struct message base; /* first */
    uint64_t generation;
    uint64_t missed[TAIL_LISTENERS]; /* lines before these, by place */
    size_t used, cap;
    char bytes[];
};

struct log_line {
    struct message base; /* first */
    size_t len;
    char text[];
};

struct tail_stream {
    struct tail *tail;
    struct tail_filters *filters; /* NULL: nobody listens */
    struct block *block;          /* NULL: nothing waits */
    uint64_t missed[TAIL_LISTENERS];
    bool has_missed;
};

static void free_mail(struct message *m)
{
    free(m);
}

/* ---- filters ---- */

/* "404" or "5xx". */
static bool parse_status(struct slice text, uint16_t *low, uint16_t *high)
{
    uint64_t n;
    if (text.len != 3)
        return false;
    bool is_class = slice_eq_nocase(slice_skip(text, 1), SLICE("xx"));
    if (!slice_to_u64((struct slice){text.p, is_class ? 1 : 3}, 999, &n))
        return false;
    *low = (uint16_t)(is_class ? n * 100 : n);
    *high = (uint16_t)(is_class ? n * 100 + 99 : n);
    return *low >= 100;
}

static bool parse_statuses(const char *text, struct tail_filter *f)
{
    struct slice rest = slice_of(text), one;
    while (slice_next_token(&rest, &one)) {
        if (f->nstatuses == TAIL_STATUSES ||
            !parse_status(one, &f->statuses[f->nstatuses].low, &f->statuses[f->nstatuses].high))
            return false;
        f->nstatuses++;
    }
    return !text || f->nstatuses > 0;
}

#define TEXTS 6

/* All texts of F, by turns. */
static struct slice *text_at(struct tail_filter *f, unsigned i)
{
    struct slice *all[TEXTS] = {&f->request, &f->trace, &f->route, &f->backend, &f->method, &f->path};
    return all[i];
}

static bool texts_fit(struct tail_filter *f)
{
    size_t n = 0;
    for (unsigned i = 0; i < TEXTS; i++)
        n += text_at(f, i)->len;
    return n <= TAIL_TEXT_MAX;
}

const char *tail_filter_parse(const struct tail_ask *ask, struct tail_filter *out)
{
    uint64_t min_ms = 0;
    *out = (struct tail_filter){
        .request = slice_of(ask->request),
        .trace = slice_of(ask->trace),
        .route = slice_of(ask->route),
        .backend = slice_of(ask->backend),
        .method = slice_of(ask->method),
        .path = slice_of(ask->path),
        .has_client = ask->client,
        .wants_log = !ask->log || strcmp(ask->log, "no") != 0,
    };
    if (!parse_statuses(ask->status, out))
        return "status is one of 404, 5xx or a list of up to 8 of them, with commas";
    if (ask->min_ms && !slice_to_u64(slice_of(ask->min_ms), 86400000, &min_ms))
        return "min_ms is a whole number of milliseconds, at most a day";
    if (ask->client && !cidr_parse(slice_of(ask->client), &out->client))
        return "client is an IP address or a block of them";
    if (out->wants_log && ask->log && strcmp(ask->log, "yes") != 0)
        return "log is yes or no";
    out->min_ns = min_ms * 1000000;
    return texts_fit(out) ? NULL : "the filters are too long";
}

static bool status_matches(const struct tail_filter *f, unsigned status)
{
    for (unsigned i = 0; i < f->nstatuses; i++)
        if (status >= f->statuses[i].low && status <= f->statuses[i].high)
            return true;
    return f->nstatuses == 0;
}

static bool is_or_any(struct slice wanted, struct slice has)
{
    return wanted.len == 0 || slice_eq(wanted, has);
}

bool tail_filter_matches(const struct tail_filter *f, const struct record *r)
{
    return status_matches(f, r->status) && record_total_ns(r) >= f->min_ns && is_or_any(f->route, r->route) &&
           is_or_any(f->backend, r->backend) && slice_starts(r->path, f->path) &&
           (f->method.len == 0 || slice_eq_nocase(f->method, r->method)) &&
           slice_starts(r->trace_id, f->trace) &&
           (slice_starts(r->request_id, f->request) || slice_starts(r->trace_id, f->request)) &&
           (!f->has_client || cidr_has(&f->client, &r->client_ip));
}

struct tail_filters *tail_filters_get(struct tail_filters *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void tail_filters_put(struct tail_filters *f)
{
    /* Release: what we read comes before the free; acquire: in the thread that frees. */
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        free(f);
}

static void set_filter(struct tail_filters *set, unsigned place, const struct tail_filter *f)
{
    char *to = set->texts[place];
    set->at[place] = *f;
    for (unsigned i = 0; i < TEXTS; i++) {
        struct slice *s = text_at(&set->at[place], i);
        if (s->len > 0)
            memcpy(to, s->p, s->len);
        s->p = to;
        to += s->len;
    }
    set->n++;
}

/* The next generation of OLD, which may be NULL, without what is at place LESS; one reference. */
static struct tail_filters *filters_without(const struct tail_filters *old, unsigned less)
{
    struct tail_filters *set = calloc(1, sizeof(*set));
    if (!set)
        return NULL;
    atomic_init(&set->refs, 1);
    set->generation = old ? old->generation + 1 : 1;
    for (unsigned i = 0; old && i < TAIL_LISTENERS; i++)
        if (i != less && old->at[i].born)
            set_filter(set, i, &old->at[i]);
    return set;
}

/* ---- a worker ---- */

struct tail_stream *tail_stream_new(struct tail *t)
{
    struct tail_stream *s = calloc(1, sizeof(*s));
    if (s)
        s->tail = t;
    return s;
}

void tail_stream_free(struct tail_stream *s)
{
    if (!s)
        return;
    free(s->block);
    tail_filters_put(s->filters);
    free(s);
}

static void miss(struct tail_stream *s, uint32_t who)
{
    for (; who; who &= who - 1)
        s->missed[__builtin_ctz(who)]++;
    s->has_missed = true;
}

/* A block with room for NEED bytes, which takes what was missed along. */
static bool begin_block(struct tail_stream *s, size_t need)
{
    size_t cap = need > BLOCK ? need : BLOCK;
    struct block *b = malloc(sizeof(*b) + cap);
    if (!b)
        return false;
    b->base = (struct message){.type = MAIL_BLOCK, .free = free_mail};
    b->generation = s->filters->generation;
    b->used = 0;
    b->cap = cap;
    memcpy(b->missed, s->missed, sizeof(b->missed));
    memset(s->missed, 0, sizeof(s->missed));
    s->has_missed = false;
    s->block = b;
    return true;
}

void tail_stream_flush(struct tail_stream *s)
{
    if (!s->filters || (!s->block && !(s->has_missed && begin_block(s, 0))))
        return;
    struct mailbox *mb = s->tail->mailbox;
    if (mailbox_count(mb) < TAIL_BLOCKS && mailbox_send(mb, &s->block->base))
        s->block = NULL;
}

uint32_t tail_stream_match(const struct tail_stream *s, const struct record *r)
{
    uint32_t who = 0;
    for (unsigned i = 0; s->filters && i < TAIL_LISTENERS; i++)
        if (s->filters->at[i].born && tail_filter_matches(&s->filters->at[i], r))
            who |= UINT32_C(1) << i;
    return who;
}

void tail_stream_line(struct tail_stream *s, uint32_t who, struct slice line)
{
    const struct entry e = {who, (uint32_t)line.len};
    size_t need = sizeof(e) + line.len;
    if (s->block && s->block->cap - s->block->used < need)
        tail_stream_flush(s);
    if (s->block ? s->block->cap - s->block->used < need : !begin_block(s, need)) {
        miss(s, who);
        return;
    }
    memcpy(s->block->bytes + s->block->used, &e, sizeof(e));
    memcpy(s->block->bytes + s->block->used + sizeof(e), line.p, line.len);
    s->block->used += need;
}

/* Take the first entry off what is at *AT. */
static bool next_entry(const struct block *b, size_t *at, struct entry *e, struct slice *line)
{
    if (*at == b->used)
        return false;
    memcpy(e, b->bytes + *at, sizeof(*e));
    *line = (struct slice){b->bytes + *at + sizeof(*e), e->len};
    *at += sizeof(*e) + e->len;
    return true;
}

/* A block that finds no room when the filters change is given up: its lines are missed. */
static void give_up_block(struct tail_stream *s)
{
    struct entry e;
    struct slice line;
    for (size_t at = 0; next_entry(s->block, &at, &e, &line);)
        miss(s, e.who);
    for (unsigned i = 0; i < TAIL_LISTENERS; i++)
        s->missed[i] += s->block->missed[i];
    free(s->block);
    s->block = NULL;
}

void tail_stream_take(struct tail_stream *s, struct tail_filters *filters)
{
    tail_stream_flush(s);
    if (s->block)
        give_up_block(s);
    for (unsigned i = 0; i < TAIL_LISTENERS; i++)
        if (!s->filters || s->filters->at[i].born != filters->at[i].born)
            s->missed[i] = 0;
    tail_filters_put(s->filters);
    s->filters = filters->n > 0 ? filters : NULL;
    if (!s->filters)
        tail_filters_put(filters);
}

/* ---- the error log ---- */

static bool wants_log(const void *tail)
{
    const struct tail *t = tail;
    return atomic_load_explicit(&t->wants_log, memory_order_relaxed) > 0;
}

static void hear_log(void *tail, struct slice line)
{
    struct tail *t = tail;
    struct log_line *l = malloc(sizeof(*l) + line.len);
    if (l) {
        l->base = (struct message){.type = MAIL_LOG, .free = free_mail};
        l->len = line.len;
        memcpy(l->text, line.p, line.len);
        if (mailbox_send(t->mailbox, &l->base))
            return;
        free(l);
    }
    atomic_fetch_add_explicit(&t->log_missed, 1, memory_order_relaxed);
}

/* ---- to the listeners ---- */

static void send_line(struct tail *t, const struct block *b, uint32_t who, struct slice line)
{
    for (; who; who &= who - 1) {
        unsigned i = (unsigned)__builtin_ctz(who);
        if (t->listeners[i] && t->filters->at[i].born <= b->generation)
            event_stream_send(t->listeners[i], "request", line);
    }
}

static void send_block(struct tail *t, const struct block *b)
{
    struct entry e;
    struct slice line;
    for (unsigned i = 0; i < TAIL_LISTENERS; i++)
        if (t->listeners[i] && t->filters->at[i].born <= b->generation)
            event_stream_drop(t->listeners[i], b->missed[i]);
    for (size_t at = 0; next_entry(b, &at, &e, &line);)
        send_line(t, b, e.who, line);
}

static void send_log(struct tail *t, struct slice line)
{
    for (unsigned i = 0; i < TAIL_LISTENERS; i++)
        if (t->listeners[i] && t->filters->at[i].wants_log)
            event_stream_send(t->listeners[i], "log", line);
}

static void on_message(void *ctx, struct message *m)
{
    const struct log_line *l = (const struct log_line *)(void *)m;
    if (m->type == MAIL_BLOCK)
        send_block(ctx, (const struct block *)(void *)m);
    else
        send_log(ctx, (struct slice){l->text, l->len});
    free(m);
}

static void tell_log_missed(struct tail *t)
{
    uint64_t n = atomic_exchange_explicit(&t->log_missed, 0, memory_order_relaxed);
    for (unsigned i = 0; n > 0 && i < TAIL_LISTENERS; i++)
        if (t->listeners[i] && t->filters->at[i].wants_log)
            event_stream_drop(t->listeners[i], n);
}

static void on_timer(uv_timer_t *timer)
{
    struct tail *t = timer->data;
    size_t n = mailbox_drain(t->mailbox, on_message, t, MAIL_MAX);
    tell_log_missed(t);
    if (n == 0 && t->filters->n == 0)
        uv_timer_stop(timer);
}

/* ---- listeners ---- */

static void use(struct tail *t, struct tail_filters *next)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < TAIL_LISTENERS; i++)
        n += next->at[i].born && next->at[i].wants_log;
    atomic_store_explicit(&t->wants_log, n, memory_order_relaxed);
    tail_filters_put(t->filters);
    t->filters = next;
    t->setup.publish(t->setup.ctx, next);
}

/* Without memory for a set without it, its lines are made on and go nowhere until the next set comes. */
static void on_gone(void *owner, struct event_stream *stream)
{
    struct tail *t = owner;
    unsigned place = 0;
    while (t->listeners[place] != stream)
        place++;
    t->listeners[place] = NULL;
    struct tail_filters *next = filters_without(t->filters, place);
    if (next)
        use(t, next);
}

bool tail_listen(struct tail *t, struct event_stream *stream, const struct tail_filter *filter)
{
    unsigned place = 0;
    while (place < TAIL_LISTENERS && t->listeners[place])
        place++;
    struct tail_filters *next = place < TAIL_LISTENERS ? filters_without(t->filters, place) : NULL;
    if (!next)
        return false;
    set_filter(next, place, filter);
    next->at[place].born = next->generation;
    t->listeners[place] = stream;
    event_stream_own(stream, on_gone, t);
    use(t, next);
    uv_timer_start(&t->timer, on_timer, TAIL_EVERY_MS, TAIL_EVERY_MS);
    return true;
}

struct tail *tail_new(const struct tail_setup *setup)
{
    struct tail *t = calloc(1, sizeof(*t));
    if (t && (t->filters = filters_without(NULL, 0)) && (t->mailbox = mailbox_new(MAIL_MAX))) {
        t->setup = *setup;
        uv_timer_init(setup->loop, &t->timer);
        t->timer.data = t;
        if (setup->log)
            log_set_listener(setup->log, &(struct log_listener){wants_log, hear_log, t});
        return t;
    }
    tail_filters_put(t ? t->filters : NULL);
    free(t);
    return NULL;
}

void tail_close(struct tail *t)
{
    uv_close((uv_handle_t *)&t->timer, NULL);
}

void tail_free(struct tail *t)
{
    if (!t)
        return;
    mailbox_free(t->mailbox);
    tail_filters_put(t->filters);
    free(t);
}
