/*
 * redis_resp.c: see redis_resp.h.
 *
 * Commands are framed here, straight into the buffer they are written from. Nearly all replies are plain: a
 * value, or a short array of values, that has come as a whole. These are read where they lie. Whatever else
 * has come is given to hiredis' reader, which then has the say until its reply is complete; what it makes are
 * not its own objects, of an allocation each, but ours in an arena that is reset with every reply: that is
 * where their number, size and depth are bounded too. It gets small pieces, for it moves what it has not
 * parsed yet with every reply.
 *
 * hiredis is older than 1.0 on some systems. Its reader has the same functions there but for what RESP3 adds,
 * which we never ask for and refuse.
 */
#include "gateway/redis_resp.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "lib/arena.h"

#define OUTPUT_FIRST ((size_t)16 << 10)
#define OUTPUT_KEPT  ((size_t)1 << 20) /* a buffer that is larger is not kept once it is empty */
#define FRAME_MAX    ((size_t)26)      /* of a word: "$", 20 digits and two line ends, rounded up */
#define READER_KEPT  ((size_t)256 << 10)
#define MEMORY_MAX   (2 * REDIS_REPLY_MAX) /* of a reply with all its elements */
#define MEMORY_FIRST ((size_t)4096)
#define PIECE        ((size_t)4096) /* bytes that hiredis is given at a time */
#define DIGITS_MAX   18             /* that surely fit into 64 bits */
#define PLAIN_MAX    16             /* elements of an array that is read where it lies */

/* ---- commands ---- */

/* Bytes that C takes at most; SIZE_MAX when that is more than can ever wait. */
static size_t size_of(const struct redis_command *c)
{
    size_t size = FRAME_MAX;
    for (int i = 0; i < c->n; i++) {
        if (c->words[i].len > REDIS_OUTPUT_MAX)
            return SIZE_MAX;
        size += c->words[i].len + FRAME_MAX;
    }
    return size;
}

/* Room for SIZE bytes behind what waits. */
static bool make_room(struct redis_output *o, size_t size)
{
    size_t waiting = o->end - o->begin, cap = o->cap ? o->cap : OUTPUT_FIRST;
    if (size > REDIS_OUTPUT_MAX - waiting)
        return false;
    if (o->begin > 0 && o->cap - waiting >= size && waiting <= o->begin) {
        memcpy(o->p, o->p + o->begin, waiting);
    } else {
        while (cap - waiting < size)
            cap *= 2;
        char *p = malloc(cap);
        if (!p)
            return false;
        if (waiting > 0)
            memcpy(p, o->p + o->begin, waiting);
        free(o->p);
        o->p = p;
        o->cap = cap;
    }
    o->begin = 0;
    o->end = waiting;
    return true;
}

static char *put_number(char *at, char type, size_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    *at++ = type;
    if (n < 10) { /* most words are short */
        *at++ = (char)('0' + n);
    } else if (n < 100) {
        *at++ = (char)('0' + n / 10);
        *at++ = (char)('0' + n % 10);
    } else {
        for (; n > 0; n /= 10)
            digits[--i] = (char)('0' + n % 10);
        memcpy(at, digits + i, sizeof(digits) - i);
        at += sizeof(digits) - i;
    }
    memcpy(at, "\r\n", 2);
    return at + 2;
}

bool redis_output_add(struct redis_output *o, const struct redis_command *c)
{
    if (c->n < 1 || c->n > REDIS_WORDS_MAX)
        return false;
    size_t size = size_of(c);
    if (o->cap - o->end < size && !make_room(o, size))
        return false;
    char *at = put_number(o->p + o->end, '*', (size_t)c->n);
    for (int i = 0; i < c->n; i++) {
        struct slice word = c->words[i];
        at = put_number(at, '$', word.len);
        if (word.len > 0)
            memcpy(at, word.p, word.len);
        at += word.len;
        *at++ = '\r';
        *at++ = '\n';
    }
    o->end = (size_t)(at - o->p);
    return true;
}

void redis_output_take(struct redis_output *o, size_t n)
{
    o->begin += n;
    if (o->begin < o->end)
        return;
    o->begin = o->end = 0;
    if (o->cap > OUTPUT_KEPT)
        redis_output_fini(o);
}

void redis_output_fini(struct redis_output *o)
{
    free(o->p);
    *o = (struct redis_output){0};
}

/* ---- replies ---- */

struct redis_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions functions;
    struct arena memory; /* of the reply under way */
    size_t bytes;        /* that came since the last reply */
    bool is_done;        /* the reply under way was given: it may go */
    struct slice rest;   /* of what was fed; lent */
    struct redis_reply plain[PLAIN_MAX];
    _Alignas(max_align_t) char first[MEMORY_FIRST];
};

struct redis_reply redis_reply_at(const struct redis_reply *array, size_t i)
{
    return array->kind == REDIS_ARRAY && i < array->n ? array->elements[i]
                                                      : (struct redis_reply){.kind = REDIS_NIL};
}

/* Where the object of TASK goes: into its array, which was made for all its elements. */
static struct redis_reply *place_of(const redisReadTask *task)
{
    struct redis_reader *r = task->privdata;
    if (!task->parent)
        return arena_alloc(&r->memory, sizeof(struct redis_reply));
    const struct redis_reply *array = task->parent->obj;
    return (struct redis_reply *)(uintptr_t)&array->elements[task->idx];
}

static void *make_string(const redisReadTask *task, char *p, size_t len)
{
    struct redis_reader *r = task->privdata;
    struct redis_reply *v = place_of(task);
    bool is_ok = task->type == REDIS_REPLY_STRING || task->type == REDIS_REPLY_STATUS ||
                 task->type == REDIS_REPLY_ERROR;
    if (!v || !is_ok)
        return NULL;
    *v = (struct redis_reply){.kind = task->type == REDIS_REPLY_ERROR ? REDIS_FAILED : REDIS_TEXT};
    v->text = arena_slice(&r->memory, (struct slice){p, len}, &is_ok);
    return is_ok ? v : NULL;
}

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

static void *make_array(const redisReadTask *task, array_size n)
{
    struct redis_reader *r = task->privdata;
    struct redis_reply *v = place_of(task);
    int depth = 1;
    for (const redisReadTask *t = task->parent; t; t = t->parent)
        depth++;
    if (!v || task->type != REDIS_REPLY_ARRAY || (size_t)n > REDIS_ELEMENTS_MAX || depth > REDIS_DEPTH_MAX)
        return NULL;
    *v = (struct redis_reply){.kind = REDIS_ARRAY, .n = (size_t)n};
    v->elements = arena_alloc(&r->memory, (size_t)n * sizeof(*v));
    return v->elements ? v : NULL;
}

static void *make_integer(const redisReadTask *task, long long integer)
{
    struct redis_reply *v = place_of(task);
    if (v)
        *v = (struct redis_reply){.kind = REDIS_INTEGER, .integer = integer};
    return v;
}

static void *make_nil(const redisReadTask *task)
{
    struct redis_reply *v = place_of(task);
    if (v)
        *v = (struct redis_reply){.kind = REDIS_NIL};
    return v;
}

static void forget(void *object) /* the arena has it */
{
    (void)object;
}

#if HIREDIS_MAJOR >= 1
static void *refuse_double(const redisReadTask *task, double d, char *p, size_t len)
{
    (void)task, (void)d, (void)p, (void)len;
    return NULL;
}

static void *refuse_bool(const redisReadTask *task, int b)
{
    (void)task, (void)b;
    return NULL;
}
#endif

struct redis_reader *redis_reader_new(void)
{
    struct redis_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->functions = (redisReplyObjectFunctions)
    {
        .createString = make_string, .createArray = make_array, .createInteger = make_integer,
        .createNil = make_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = refuse_double, .createBool = refuse_bool,
#endif
        .freeObject = forget
    };
    r->hiredis = redisReaderCreateWithFunctions(&r->functions);
    if (!r->hiredis) {
        free(r);
        return NULL;
    }
    r->hiredis->privdata = r;
    r->hiredis->maxbuf = READER_KEPT;
    arena_init(&r->memory, r->first, sizeof(r->first), MEMORY_MAX);
    return r;
}

void redis_reader_free(struct redis_reader *r)
{
    if (!r)
        return;
    redisReaderFree(r->hiredis);
    arena_fini(&r->memory);
    free(r);
}

/* ---- plain replies ---- */

/*
 * The number of the line that AT begins with, behind its first byte; AT goes on behind the line. False: it is
 * not all there, or is not written as nodes write numbers; that is for hiredis to judge.
 */
static bool take_number(struct slice *at, int64_t *number)
{
    const char *p = at->p + 1, *end = at->p + at->len;
    bool is_negative = p < end && *p == '-';
    uint64_t n = 0;
    p += is_negative;
    const char *first = p;
    for (; p < end && *p >= '0' && *p <= '9' && p - first < DIGITS_MAX; p++)
        n = n * 10 + (uint64_t)(*p - '0');
    ptrdiff_t digits = p - first;
    if (end - p < 2 || p[0] != '\r' || p[1] != '\n' || digits == 0 ||
        (*first == '0' && (digits > 1 || is_negative)))
        return false;
    *number = is_negative ? -(int64_t)n : (int64_t)n;
    *at = slice_between(p + 2, end);
    return true;
}

/* A text, an integer or nil. False: it is something else, or not all of it is there. */
static bool read_plain(struct slice *at, struct redis_reply *v)
{
    int64_t n;
    char type = at->len > 0 ? at->p[0] : '\0';
    if ((type != '$' && type != ':') || !take_number(at, &n))
        return false;
    if (type == ':') {
        *v = (struct redis_reply){.kind = REDIS_INTEGER, .integer = n};
        return true;
    }
    if (n == -1) {
        *v = (struct redis_reply){.kind = REDIS_NIL};
        return true;
    }
    if (n < 0 || at->len < 2 || (uint64_t)n > at->len - 2 || at->p[n] != '\r' || at->p[n + 1] != '\n')
        return false;
    *v = (struct redis_reply){.kind = REDIS_TEXT, .text = {at->p, (size_t)n}};
    *at = slice_skip(*at, (size_t)n + 2);
    return true;
}

/* The next reply, if it is a plain one and all there; otherwise nothing is taken. */
static bool take_plain(struct redis_reader *r, struct redis_reply *reply)
{
    struct slice at = r->rest;
    int64_t n;
    if (at.len > 0 && at.p[0] == '*') {
        if (!take_number(&at, &n) || n < 0 || n > PLAIN_MAX)
            return false;
        for (int64_t i = 0; i < n; i++)
            if (!read_plain(&at, &r->plain[i]))
                return false;
        *reply = (struct redis_reply){.kind = REDIS_ARRAY, .n = (size_t)n, .elements = r->plain};
    } else if (!read_plain(&at, reply)) {
        return false;
    }
    r->rest = at;
    return true;
}

/* ---- all replies ---- */

/* hiredis has nothing of a reply. */
static bool is_between(const redisReader *h)
{
    return h->err == 0 && h->ridx < 0 && h->pos == h->len;
}

static bool give_hiredis(struct redis_reader *r, size_t max)
{
    size_t n = r->rest.len < max ? r->rest.len : max;
    struct slice piece = {r->rest.p, n};
    r->rest = slice_skip(r->rest, n);
    r->bytes += n;
    return redisReaderFeed(r->hiredis, piece.p, n) == REDIS_OK;
}

bool redis_reader_feed(struct redis_reader *r, struct slice bytes)
{
    bool ok = r->rest.len == 0 || give_hiredis(r, r->rest.len);
    r->rest = bytes;
    return ok;
}

/* What is not parsed begins with a line that is longer than any. One with a length ends soon. */
static bool is_endless(const redisReader *h)
{
    return h->len - h->pos > REDIS_LINE_MAX && !memmem(h->buf + h->pos, REDIS_LINE_MAX, "\r\n", 2);
}

/* What hiredis says of what it has. */
static enum redis_reading ask_hiredis(struct redis_reader *r, struct redis_reply *reply)
{
    void *object = NULL;
    if (redisReaderGetReply(r->hiredis, &object) != REDIS_OK)
        return REDIS_READ_FAULT;
    if (!object)
        return r->bytes > REDIS_REPLY_MAX || is_endless(r->hiredis) ? REDIS_READ_FAULT : REDIS_READ_MORE;
    r->bytes = r->hiredis->len - r->hiredis->pos;
    r->is_done = true;
    *reply = *(struct redis_reply *)object;
    return REDIS_READ_REPLY;
}

enum redis_reading redis_reader_next(struct redis_reader *r, struct redis_reply *reply)
{
    if (r->is_done)
        arena_reset(&r->memory);
    r->is_done = false;
    if (is_between(r->hiredis) && take_plain(r, reply))
        return REDIS_READ_REPLY;
    enum redis_reading what = ask_hiredis(r, reply);
    while (what == REDIS_READ_MORE && r->rest.len > 0)
        what = give_hiredis(r, PIECE) ? ask_hiredis(r, reply) : REDIS_READ_FAULT;
    return what;
}
