/*
 * fuzz_trace.c: any bytes as traceparent, as b3 of both kinds, as tracestate and as an id.
 *
 * What has to hold: what is refused leaves the context alone; what is taken has an id and a parent, or only a
 * decision; it is written as text that reads back as the same; a state that is taken has no byte that could
 * end a field.
 */
#include "lib/trace.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct trace_context blank = {.id = {1, 2}, .parent = 3};

static bool is_blank(const struct trace_context *c)
{
    return c->id.high == 1 && c->id.low == 2 && c->parent == 3 && !c->is_sampled && !c->has_decision &&
           !c->is_debug && !c->is_random;
}

static void check_parent(struct slice input)
{
    char text[TRACE_PARENT_LEN + 1];
    struct trace_context c = blank, again;
    if (!trace_parse(input, &c)) {
        CHECK(is_blank(&c));
        return;
    }
    CHECK((c.id.high || c.id.low) && c.parent && c.has_decision);
    trace_format(&c, c.parent, text);
    CHECK(strlen(text) == TRACE_PARENT_LEN && memcmp(text + 2, input.p + 2, 51) == 0);
    CHECK(trace_parse(slice_of(text), &again));
    CHECK(trace_id_equals(c.id, again.id) && again.parent == c.parent && again.is_sampled == c.is_sampled &&
          again.is_random == c.is_random);
}

static void check_context_of_b3(const struct trace_context *c)
{
    char text[TRACE_B3_LEN + 1];
    struct trace_context again;
    CHECK((c->parent != 0) == (c->id.high || c->id.low));
    CHECK(c->parent || c->has_decision);
    CHECK(!c->is_debug || c->is_sampled);
    if (!c->parent)
        return;
    trace_format_b3(c, c->parent, text);
    CHECK(strlen(text) == TRACE_B3_LEN && trace_parse_b3(slice_of(text), &again));
    CHECK(trace_id_equals(c->id, again.id) && again.parent == c->parent &&
          again.is_sampled == c->is_sampled && again.is_debug == c->is_debug);
}

static void check_b3(struct slice input)
{
    struct trace_context c = blank;
    if (trace_parse_b3(input, &c))
        check_context_of_b3(&c);
    else
        CHECK(is_blank(&c));
}

/* The input's lines are the four fields. */
static void check_b3_fields(struct slice input)
{
    struct slice field[4] = {{0}};
    struct trace_context c = blank;
    for (int i = 0; i < 4; i++) {
        ptrdiff_t end = slice_find(input, '\n');
        field[i] = (struct slice){input.p, end < 0 ? input.len : (size_t)end};
        input = slice_skip(input, field[i].len + 1);
    }
    if (trace_parse_b3_fields(field[0], field[1], field[2], field[3], &c))
        check_context_of_b3(&c);
    else
        CHECK(is_blank(&c));
}

static void check_state(struct slice input)
{
    if (!trace_state_is_valid(input))
        return;
    CHECK(input.len <= TRACE_STATE_MAX);
    for (size_t i = 0; i < input.len; i++)
        CHECK((input.p[i] >= ' ' && input.p[i] <= '~') || input.p[i] == '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct trace_id id;
    char text[33];
    check_parent(input);
    check_b3(input);
    check_b3_fields(input);
    check_state(input);
    if (trace_id_parse(input, &id)) {
        trace_id_format(&id, text);
        CHECK(slice_eq(slice_of(text), input));
    }
    return 0;
}
