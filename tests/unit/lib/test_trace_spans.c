/* test_trace_spans.c: the spans of a request: their order, their bounds, and no memory. */
#include "lib/trace.h"
#include "tests/unit/unit.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct arena arena;
static struct span_list list;

static void begin_spans(void)
{
    arena_init(&arena, NULL, 0, 1 << 20);
    list = (struct span_list){0};
}

static void end_spans(void)
{
    arena_fini(&arena);
}

START_TEST(keeps_spans_in_order)
{
    struct span *a = span_add(&list, &arena, "a", 10), *b = span_add(&list, &arena, "b", 20);
    ck_assert_ptr_eq(list.first, a);
    ck_assert_ptr_eq(a->next, b);
    ck_assert_ptr_eq(list.last, b);
    ck_assert_ptr_null(b->next);
    ck_assert_str_eq(b->name, "b");
    ck_assert(a->begin_ns == 10 && a->end_ns == 0 && a->kind == SPAN_INTERNAL && a->id == 0);
    span_end(a, 15);
    span_end(a, 99);
    ck_assert(a->end_ns == 15 && list.n == 2 && list.dropped == 0);
    span_link(a, (struct trace_id){7, 8}, 9);
    ck_assert(a->link_trace.high == 7 && a->link_trace.low == 8 && a->link_span == 9);
}
END_TEST

START_TEST(bounds_spans)
{
    for (int i = 0; i < SPANS_MAX; i++)
        ck_assert_ptr_nonnull(span_add(&list, &arena, "s", 1));
    ck_assert_ptr_null(span_add(&list, &arena, "s", 1));
    ck_assert_ptr_null(span_add(&list, &arena, "s", 1));
    ck_assert(list.n == SPANS_MAX && list.dropped == 2);
}
END_TEST

START_TEST(bounds_attributes)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    struct span *s = span_add(&list, &arena, "s", 1);
    ck_assert(s->nattributes == 0 && !s->attributes);
    for (size_t i = 0; i < N(names); i++)
        span_set_number(s, &arena, names[i], (int64_t)i);
    ck_assert_uint_eq(s->nattributes, SPAN_ATTRIBUTES);
    span_set_text(s, &arena, "c", SLICE("text"));
    ck_assert_uint_eq(s->nattributes, SPAN_ATTRIBUTES);
    ck_assert(slice_eq(s->attributes[2].text, SLICE("text")));
    span_set_text(s, &arena, "b", (struct slice){0});
    ck_assert_ptr_nonnull(s->attributes[1].text.p);
    span_set_number(s, &arena, "c", -5);
    ck_assert(!s->attributes[2].text.p && s->attributes[2].number == -5);
    ck_assert(!s->attributes[7].text.p && s->attributes[7].number == 7);
}
END_TEST

START_TEST(does_without_memory)
{
    struct arena none;
    arena_init(&none, NULL, 0, 0);
    ck_assert_ptr_null(span_add(&list, &none, "s", 1));
    ck_assert(list.n == 0 && list.dropped == 1 && !list.first);
    span_end(NULL, 1);
    span_set_text(NULL, &none, "a", SLICE("b"));
    span_set_number(NULL, &none, "a", 1);
    span_link(NULL, (struct trace_id){1, 2}, 3);
    struct span *s = span_add(&list, &arena, "s", 1);
    span_set_number(s, &none, "a", 1);
    ck_assert(s->nattributes == 0);
    arena_fini(&none);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("trace_spans");
    TCase *spans = tcase_create("spans");
    tcase_add_checked_fixture(spans, begin_spans, end_spans);
    tcase_add_test(spans, keeps_spans_in_order);
    tcase_add_test(spans, bounds_spans);
    tcase_add_test(spans, bounds_attributes);
    tcase_add_test(spans, does_without_memory);
    suite_add_tcase(s, spans);
    return s;
}

UNIT_MAIN(suite)
