/* The panels and how they look (gateway/top_table, gateway/top_view): order, sizes, keys, hostile text. */
#include "gateway/top_view.h"

#include <math.h>
#include <stdio.h>

#include "lib/buf.h"
#include "tests/unit/unit.h"

static const char before[] =
    "{\"instance\":\"a\",\"started\":100,\"now\":200,\"version\":\"1\",\"ready\":true,\"config_ok\":true,"
    "\"latency_bounds\":[0.001,0.01],\"errors\":{\"limited\":4},\"routes\":["
    "{\"name\":\"/slow\",\"requests\":{\"2xx\":10}},{\"name\":\"/fast\",\"requests\":{\"2xx\":10}}]}";

static const char after[] =
    "{\"instance\":\"a\",\"started\":100,\"now\":202,\"version\":\"1\",\"ready\":true,\"config_ok\":true,"
    "\"latency_bounds\":[0.001,0.01],\"redis\":{\"gateway\":\"gw\\u001b\",\"gateways\":2,\"same_nodes\":"
    "false,\"nodes\":["
    "{\"node\":\"r1:6379\",\"up\":true,\"sessions\":3,\"verified_ago_s\":0.5},{\"node\":\"r2\",\"up\":false}]"
    "},"
    "\"errors\":{\"limited\":8,\"breaker_open\":2},\"routes\":["
    "{\"name\":\"/slow\",\"requests\":{\"2xx\":12},\"limited\":4},"
    "{\"name\":\"/fast\",\"requests\":{\"2xx\":90,\"5xx\":20},\"cache\":{\"HIT\":3,\"MISS\":1}},"
    "{\"name\":\"/\\u001b[2J\\u009b\\n\",\"requests\":{}}],\"backends\":["
    "{\"name\":\"idle\",\"latency\":{\"count\":0},\"breaker\":{\"state\":\"open\"},"
    "\"servers\":[{\"server\":\"10.0.0.1:80\",\"state\":\"up\",\"weight\":1},"
    "{\"server\":\"10.0.0.2:80\",\"state\":\"down\",\"weight\":1}]},"
    "{\"name\":\"busy\",\"latency\":{\"count\":6},\"breaker\":{\"state\":\"closed\"},"
    "\"servers\":[{\"server\":\"10.0.0.3:80\",\"state\":\"up\",\"weight\":2}]}]}";

/* What was drawn. */
struct drawn {
    char text[65536];
    struct buf b;
    size_t lines, widest;
    enum top_style styles[256];
};

static void on_line(void *ctx, const char *line, enum top_style style)
{
    struct drawn *d = ctx;
    size_t len = strlen(line);
    for (const char *p = line; *p; p++)
        ck_assert(*p >= 0x20 && *p <= 0x7e);
    ck_assert_uint_lt(d->lines, 256);
    d->styles[d->lines++] = style;
    d->widest = len > d->widest ? len : d->widest;
    buf_printf(&d->b, "%s\n", line);
}

static struct top_model looks(void)
{
    struct top_model m = {0};
    ck_assert(top_model_take(&m, slice_of(before)) && top_model_take(&m, slice_of(after)));
    return m;
}

static void draw(struct top_view *v, const struct top_model *m, struct drawn *d)
{
    d->lines = d->widest = 0;
    buf_init(&d->b, d->text, sizeof(d->text));
    top_view_draw(v, m, on_line, d);
    ck_assert_ptr_nonnull(buf_cstr(&d->b));
}

static struct top_view view_of(size_t width, size_t height)
{
    struct top_view v;
    top_view_init(&v, "http://x");
    v.width = width;
    v.height = height;
    return v;
}

static void says(const struct drawn *d, const char *text)
{
    ck_assert_msg(strstr(d->text, text), "no \"%s\" in\n%s", text, d->text);
}

/* ONE stands above TWO. */
static void in_order(const struct drawn *d, const char *one, const char *two)
{
    says(d, one);
    says(d, two);
    ck_assert_msg(strstr(d->text, one) < strstr(d->text, two), "%s", d->text);
}

START_TEST(routes)
{
    struct top_model m = looks();
    struct top_view v = view_of(80, 24);
    struct drawn d;
    draw(&v, &m, &d);
    says(&d, "51.0 req/s  5xx 19.6%");
    says(&d, "[1 routes]");
    says(&d, ">req/s");
    says(&d, "/%1B[2J%C2%9B%0A");
    in_order(&d, "/fast ", "/slow ");
    ck_assert(top_view_key(&v, 'r'));
    draw(&v, &m, &d);
    says(&d, "<req/s");
    in_order(&d, "/slow ", "/fast ");
    ck_assert(top_view_key(&v, '<') && top_view_key(&v, '<')); /* the name, and no further; z to a */
    draw(&v, &m, &d);
    says(&d, "<route");
    in_order(&d, "/slow ", "/fast ");
    ck_assert(top_view_key(&v, 'r'));
    draw(&v, &m, &d);
    in_order(&d, "/fast ", "/slow ");
    top_model_fini(&m);
}
END_TEST

START_TEST(columns_that_do_not_fit)
{
    struct top_model m = looks();
    struct top_view narrow = view_of(80, 24), wide = view_of(200, 24);
    struct drawn d;
    draw(&narrow, &m, &d);
    ck_assert_ptr_null(strstr(d.text, "out B/s"));
    draw(&wide, &m, &d);
    says(&d, "out B/s");
    for (int i = 0; i < 20; i++) {
        ck_assert(top_view_key(&narrow, '>'));
        draw(&narrow, &m, &d);
        says(&d, ">"); /* the column is always one that is seen */
        ck_assert_uint_le(d.widest, 80);
    }
    top_model_fini(&m);
}
END_TEST

START_TEST(every_size)
{
    struct top_model m = looks(), none = {0};
    struct drawn d;
    for (size_t width = 1; width < 220; width += 31)
        for (size_t height = 1; height < 40; height += height < 12 ? 1 : 9)
            for (int p = 0; p < TOP_PANELS; p++) {
                struct top_view v = view_of(width, height);
                v.panel = (enum top_panel)p;
                v.scroll = height;
                draw(&v, &m, &d);
                ck_assert_uint_le(d.widest, width);
                ck_assert_uint_eq(d.lines, height);
                draw(&v, &none, &d);
                ck_assert_uint_eq(d.lines, height);
            }
    top_model_fini(&m);
}
END_TEST

START_TEST(backends_keep_their_servers)
{
    struct top_model m = looks();
    struct top_view v = view_of(120, 24);
    struct drawn d;
    ck_assert(top_view_key(&v, '2'));
    draw(&v, &m, &d);
    says(&d, "[2 backends]");
    in_order(&d, "busy ", "  10.0.0.3:80");
    in_order(&d, "  10.0.0.3:80", "idle ");
    in_order(&d, "idle ", "  10.0.0.1:80");
    in_order(&d, "  10.0.0.1:80", "  10.0.0.2:80");
    says(&d, "open");
    ck_assert_int_eq(d.styles[8], TOP_STYLE_BAD); /* idle, whose breaker is open */
    ck_assert_int_eq(d.styles[6], TOP_STYLE_PLAIN);
    ck_assert(top_view_key(&v, 'r'));
    draw(&v, &m, &d);
    in_order(&d, "  10.0.0.2:80", "busy ");
    top_model_fini(&m);
}
END_TEST

START_TEST(the_other_panels)
{
    struct top_model m = looks(), alone = {0};
    struct top_view v = view_of(120, 24);
    struct drawn d;
    ck_assert(top_model_take(&alone, slice_of(before)));
    ck_assert(top_view_key(&v, '3'));
    draw(&v, &m, &d);
    says(&d, "/slow                    ");
    says(&d, "2.0         4"); /* refused: per second, in all */
    ck_assert(top_view_key(&v, '\t'));
    draw(&v, &m, &d);
    says(&d, "[4 cache]");
    says(&d, "75.0      1.5      0.5");
    ck_assert(top_view_key(&v, '5'));
    draw(&v, &m, &d);
    says(&d, "gw%1B, 2 gateways, NOT ALL WITH THE SAME NODES");
    says(&d, "up             3     500ms");
    says(&d, "down           -         -");
    draw(&v, &alone, &d);
    says(&d, "shares nothing");
    ck_assert(top_view_key(&v, '6'));
    draw(&v, &m, &d);
    in_order(&d, "limited", "breaker_open");
    says(&d, "2.0   66.7          8");
    ck_assert(top_view_key(&v, '\t') && top_view_key(&v, '7'));
    ck_assert_int_eq(v.panel, TOP_ROUTES);
    top_model_fini(&m);
    top_model_fini(&alone);
}
END_TEST

START_TEST(what_is_said)
{
    struct top_model m = looks();
    struct top_view v = view_of(120, 24);
    struct drawn d;
    ck_assert(top_view_key(&v, ' '));
    draw(&v, &m, &d);
    says(&d, "PAUSED");
    v.is_lost = true;
    top_view_note(&v, "refused\x1b[31m");
    draw(&v, &m, &d);
    says(&d, "NO ANSWER: refused%1B[31m; trying again");
    v.is_lost = false;
    m.has_restarted = true;
    draw(&v, &m, &d);
    says(&d, "started anew");
    ck_assert(!top_view_key(&v, 'q'));
    top_model_fini(&m);
}
END_TEST

START_TEST(scrolling)
{
    struct top_model m = looks();
    struct top_view v = view_of(120, 9); /* room for two rows */
    struct drawn d;
    draw(&v, &m, &d);
    says(&d, "/fast ");
    for (int i = 0; i < 5; i++)
        ck_assert(top_view_key(&v, TOP_KEY_DOWN));
    draw(&v, &m, &d);
    ck_assert_uint_eq(v.scroll, 1);
    ck_assert_ptr_null(strstr(d.text, "/fast "));
    ck_assert(top_view_key(&v, TOP_KEY_PAGE_UP));
    ck_assert_uint_eq(v.scroll, 0);
    ck_assert(top_view_key(&v, TOP_KEY_UP));
    ck_assert_uint_eq(v.scroll, 0);
    top_model_fini(&m);
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        enum top_kind kind;
        double n;
        const char *text;
    } cases[] = {
        {TOP_COUNT, 0, "0"},
        {TOP_COUNT, 999999, "999999"},
        {TOP_COUNT, 12345678, "12.3M"},
        {TOP_RATE, 0.04, "0.0"},
        {TOP_RATE, 99.9, "99.9"},
        {TOP_RATE, 100.4, "100"},
        {TOP_RATE, 1234, "1.23k"},
        {TOP_SHARE, 0.123, "12.3"},
        {TOP_SHARE, 1, "100"},
        {TOP_SECONDS, 0.00002, "20us"},
        {TOP_SECONDS, 0.0123, "12.3ms"},
        {TOP_SECONDS, 0.5, "500ms"},
        {TOP_SECONDS, 12.34, "12.3s"},
        {TOP_SECONDS, 1e9, "long"},
        {TOP_BYTES, 19681280, "19.7M"},
        {TOP_BYTES, 1e18, "1.00E"},
        {TOP_RATE, NAN, "-"},
        {TOP_RATE, INFINITY, "-"},
        {TOP_COUNT, -1, "-"},
        {TOP_BYTES, 1e300, "-"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[16];
        top_view_number(text, cases[i].kind, cases[i].n);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("top_view");
    TCase *t = tcase_create("top_view");
    tcase_add_test(t, routes);
    tcase_add_test(t, columns_that_do_not_fit);
    tcase_add_test(t, every_size);
    tcase_add_test(t, backends_keep_their_servers);
    tcase_add_test(t, the_other_panels);
    tcase_add_test(t, what_is_said);
    tcase_add_test(t, scrolling);
    tcase_add_test(t, numbers);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
