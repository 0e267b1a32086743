/*
 * trace.c: see trace.h.
 *
 * Every parser fills a context of its own and hands it out only when all of it was good, so that a caller
 * never sees half of what a peer sent. Digits are lower case, as both formats have them: a peer that takes
 * upper case would make two ids of one.
 */
#include "lib/trace.h"

#include "lib/hex.h"

#define TRACE_LEN  32 /* digits of a trace id */
#define SPAN_LEN   16 /* of a span id, and of a short trace id of B3 */
#define PARENT_END (3 + TRACE_LEN + 1 + SPAN_LEN)

#define FLAG_SAMPLED 1u
#define FLAG_RANDOM  2u

#define STATE_MEMBERS 32
#define STATE_KEY     256
#define STATE_TENANT  241
#define STATE_SYSTEM  14
#define STATE_VALUE   256

#define RATIO_ALL  (UINT64_C(1) << 56)
#define RATIO_MASK (RATIO_ALL - 1)

/* ---- digits ---- */

static bool read_hex(struct slice s, size_t at, size_t n, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = at; i < at + n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

static bool read_span(struct slice s, uint64_t *out)
{
    return s.len == SPAN_LEN && read_hex(s, 0, SPAN_LEN, out) && *out != 0;
}

bool trace_id_parse(struct slice text, struct trace_id *out)
{
    struct trace_id id;
    if (text.len != TRACE_LEN || !read_hex(text, 0, 16, &id.high) || !read_hex(text, 16, 16, &id.low))
        return false;
    if (id.high == 0 && id.low == 0)
        return false;
    *out = id;
    return true;
}

void trace_id_format(const struct trace_id *id, char out[33])
{
    *hex_write(hex_write(out, id->high), id->low) = '\0';
}

void span_id_format(uint64_t id, char out[17])
{
    *hex_write(out, id) = '\0';
}

/* ---- W3C ---- */

struct trace_context trace_begin(uint64_t random_high, uint64_t random_low)
{
    struct trace_context c = {.id = {random_high, random_low}, .is_random = true};
    if (random_high == 0 && random_low == 0)
        c.id.low = 1;
    return c;
}

/* What may come behind the four parts: nothing in version 00, in a later one anything behind a dash. */
static bool ends_well(struct slice value, uint64_t version)
{
    if (version == 0xff || value.len == TRACE_PARENT_LEN)
        return version != 0xff;
    return version != 0 && value.p[TRACE_PARENT_LEN] == '-';
}

bool trace_parse(struct slice value, struct trace_context *out)
{
    struct trace_context c = {.has_decision = true};
    uint64_t version, flags;
    if (value.len < TRACE_PARENT_LEN || !read_hex(value, 0, 2, &version) || !ends_well(value, version))
        return false;
    if (value.p[2] != '-' || value.p[3 + TRACE_LEN] != '-' || value.p[PARENT_END] != '-')
        return false;
    if (!trace_id_parse((struct slice){value.p + 3, TRACE_LEN}, &c.id) ||
        !read_span((struct slice){value.p + 3 + TRACE_LEN + 1, SPAN_LEN}, &c.parent) ||
        !read_hex(value, PARENT_END + 1, 2, &flags))
        return false;
    c.is_sampled = flags & FLAG_SAMPLED;
    c.is_random = version == 0 && flags & FLAG_RANDOM;
    *out = c;
    return true;
}

void trace_format(const struct trace_context *c, uint64_t span, char *out)
{
    unsigned flags = (c->is_sampled ? FLAG_SAMPLED : 0) | (c->is_random ? FLAG_RANDOM : 0);
    memcpy(out, "00-", 3);
    trace_id_format(&c->id, out + 3);
    out[3 + TRACE_LEN] = '-';
    span_id_format(span, out + 3 + TRACE_LEN + 1);
    out[PARENT_END] = '-';
    out[PARENT_END + 1] = '0';
    out[PARENT_END + 2] = (char)('0' + flags);
    out[PARENT_END + 3] = '\0';
}

/* ---- B3 ---- */

/* "0", "1" or "d". */
static bool read_decision(struct slice s, struct trace_context *c)
{
    if (s.len != 1 || !s.p[0] || !strchr("01d", s.p[0]))
        return false;
    c->has_decision = true;
    c->is_sampled = s.p[0] != '0';
    c->is_debug = s.p[0] == 'd';
    return true;
}

static bool read_short_id(struct slice s, struct trace_id *out)
{
    if (s.len == TRACE_LEN)
        return trace_id_parse(s, out);
    out->high = 0;
    return read_span(s, &out->low);
}

/* Take what is before the next dash off *REST. False: there is nothing. */
static bool next_part(struct slice *rest, struct slice *part)
{
    if (!rest->p)
        return false;
    ptrdiff_t dash = slice_find(*rest, '-');
    if (dash < 0) {
        *part = *rest;
        *rest = (struct slice){0};
        return true;
    }
    *part = (struct slice){rest->p, (size_t)dash};
    *rest = (struct slice){rest->p + dash + 1, rest->len - (size_t)dash - 1};
    return true;
}

bool trace_parse_b3(struct slice value, struct trace_context *out)
{
    struct trace_context c = {0};
    struct slice part = {0};
    uint64_t grandparent;
    if (!read_decision(value, &c)) {
        if (!next_part(&value, &part) || !read_short_id(part, &c.id) || !next_part(&value, &part) ||
            !read_span(part, &c.parent))
            return false;
        if (next_part(&value, &part) && !read_decision(part, &c))
            return false;
        if (next_part(&value, &part) && !read_span(part, &grandparent))
            return false;
        if (value.p)
            return false;
    }
    *out = c;
    return true;
}

/* Before the format was written down some said it in words, and some still do. */
static bool read_sampled_field(struct slice s, struct trace_context *c)
{
    bool is_yes = slice_eq(s, SLICE("1")) || slice_eq(s, SLICE("true"));
    if (!is_yes && !slice_eq(s, SLICE("0")) && !slice_eq(s, SLICE("false")))
        return false;
    c->has_decision = true;
    c->is_sampled = is_yes;
    return true;
}

static bool read_flags_field(struct slice s, struct trace_context *c)
{
    if (slice_eq(s, SLICE("1")))
        c->has_decision = c->is_sampled = c->is_debug = true;
    return c->is_debug || slice_eq(s, SLICE("0"));
}

bool trace_parse_b3_fields(struct slice trace, struct slice span, struct slice sampled, struct slice flags,
                           struct trace_context *out)
{
    struct trace_context c = {0};
    if ((trace.len > 0) != (span.len > 0))
        return false;
    if (trace.len > 0 && (!read_short_id(trace, &c.id) || !read_span(span, &c.parent)))
        return false;
    if (sampled.len > 0 && !read_sampled_field(sampled, &c))
        return false;
    if (flags.len > 0 && !read_flags_field(flags, &c))
        return false;
    if (trace.len == 0 && !c.has_decision)
        return false;
    *out = c;
    return true;
}

void trace_format_b3(const struct trace_context *c, uint64_t span, char *out)
{
    trace_id_format(&c->id, out);
    out[TRACE_LEN] = '-';
    span_id_format(span, out + TRACE_LEN + 1);
    out[TRACE_LEN + 1 + SPAN_LEN] = '-';
    out[TRACE_LEN + 1 + SPAN_LEN + 1] = c->is_debug ? 'd' : c->is_sampled ? '1' : '0';
    out[TRACE_B3_LEN] = '\0';
}

/* ---- tracestate ---- */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One half of a key, or all of it. */
static bool is_name(struct slice s, size_t max, bool may_begin_with_digit)
{
    if (s.len == 0 || s.len > max || !(is_lower(s.p[0]) || (may_begin_with_digit && is_digit(s.p[0]))))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!s.p[i] || (!is_lower(s.p[i]) && !is_digit(s.p[i]) && !strchr("_-*/", s.p[i])))
            return false;
    return true;
}

static bool is_key(struct slice s)
{
    ptrdiff_t at = slice_find(s, '@');
    if (at < 0)
        return is_name(s, STATE_KEY, false);
    return is_name((struct slice){s.p, (size_t)at}, STATE_TENANT, true) &&
           is_name(slice_skip(s, (size_t)at + 1), STATE_SYSTEM, false);
}

/* Printable, no comma and no equals sign; a member was trimmed, so that no space is at its end. */
static bool is_value(struct slice s)
{
    if (s.len == 0 || s.len > STATE_VALUE)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == ',' || s.p[i] == '=')
            return false;
    return true;
}

struct state_keys {
    struct slice keys[STATE_MEMBERS];
    unsigned n;
};

static bool add_member(struct state_keys *k, struct slice member)
{
    ptrdiff_t equals = slice_find(member, '=');
    if (equals < 0 || k->n == STATE_MEMBERS)
        return false;
    struct slice key = {member.p, (size_t)equals};
    if (!is_key(key) || !is_value(slice_skip(member, (size_t)equals + 1)))
        return false;
    for (unsigned i = 0; i < k->n; i++)
        if (slice_eq(k->keys[i], key))
            return false;
    k->keys[k->n++] = key;
    return true;
}

/* Members may be empty, and those count: who comes next may count them too. */
bool trace_state_is_valid(struct slice joined)
{
    struct state_keys keys = {.n = 0};
    unsigned members = 0;
    if (joined.len > TRACE_STATE_MAX)
        return false;
    for (size_t begin = 0, i = 0; i <= joined.len; i++) {
        if (i < joined.len && joined.p[i] != ',')
            continue;
        struct slice member = slice_trim((struct slice){joined.p ? joined.p + begin : "", i - begin});
        if (++members > STATE_MEMBERS || (member.len > 0 && !add_member(&keys, member)))
            return false;
        begin = i + 1;
    }
    return true;
}

/* ---- sampling ---- */

uint64_t trace_ratio(double share)
{
    if (!(share > 0))
        return 0;
    return share >= 1 ? RATIO_ALL : (uint64_t)(share * (double)RATIO_ALL);
}

/* The upper end is sampled, as OpenTelemetry's consistent sampling has it. */
bool trace_ratio_samples(const struct trace_id *id, uint64_t ratio)
{
    return (id->low & RATIO_MASK) >= RATIO_ALL - ratio;
}

/* ---- spans ---- */

struct span *span_add(struct span_list *l, struct arena *a, const char *name, uint64_t now_ns)
{
    struct span *s = l->n < SPANS_MAX ? arena_alloc(a, sizeof(*s)) : NULL;
    if (!s) {
        l->dropped++;
        return NULL;
    }
    *s = (struct span){.name = name, .kind = SPAN_INTERNAL, .begin_ns = now_ns};
    if (l->last)
        l->last->next = s;
    else
        l->first = s;
    l->last = s;
    l->n++;
    return s;
}

void span_end(struct span *s, uint64_t now_ns)
{
    if (s && s->end_ns == 0)
        s->end_ns = now_ns;
}

/* The place of NAME: its old one, a new one, or none. */
static struct span_attribute *place_for(struct span *s, struct arena *a, const char *name)
{
    if (!s)
        return NULL;
    if (!s->attributes)
        s->attributes = arena_alloc(a, SPAN_ATTRIBUTES * sizeof(*s->attributes));
    if (!s->attributes)
        return NULL;
    unsigned i = 0;
    while (i < s->nattributes && strcmp(s->attributes[i].name, name) != 0)
        i++;
    if (i == SPAN_ATTRIBUTES)
        return NULL;
    if (i == s->nattributes)
        s->nattributes++;
    return &s->attributes[i];
}

void span_set_text(struct span *s, struct arena *a, const char *name, struct slice text)
{
    struct span_attribute *place = place_for(s, a, name);
    if (place)
        *place = (struct span_attribute){.name = name, .text = {text.p ? text.p : "", text.len}};
}

void span_set_number(struct span *s, struct arena *a, const char *name, int64_t number)
{
    struct span_attribute *place = place_for(s, a, name);
    if (place)
        *place = (struct span_attribute){.name = name, .number = number};
}

void span_link(struct span *s, struct trace_id trace, uint64_t span)
{
    if (!s)
        return;
    s->link_trace = trace;
    s->link_span = span;
}
