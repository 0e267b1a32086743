/*
 * fuzz_vary.c: any Vary of an answer, and any fields of a request.
 *
 * The input is the fields of the answer, an empty line, and those of the request. What has to hold: names are
 * tokens in lower case, in order, each once; the same names come of the same answer when they are already
 * known; the variant does not change when a field that is not among them is added, and begins each of its
 * lines with one of the names.
 */
// needs: gateway/cache_key.c
#include "gateway/cache_key.h"

#include <stdlib.h>

#include "gateway/worker.h"
#include "tests/fuzz/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char scratch[WORKER_SCRATCH];
static const struct conf_route route;

struct buf worker_scratch(struct worker *w)
{
    struct buf b;
    (void)w;
    buf_init(&b, scratch, sizeof(scratch));
    return b;
}

const struct conf_route *exchange_route(const struct exchange *x)
{
    (void)x;
    return &route;
}

static void check_names(struct slice names)
{
    struct slice name, last = {"", 0};
    while (slice_next_token(&names, &name)) {
        CHECK(http_is_token(name));
        for (size_t i = 0; i < name.len; i++)
            CHECK(name.p[i] < 'A' || name.p[i] > 'Z');
        int order = memcmp(last.p, name.p, last.len < name.len ? last.len : name.len);
        CHECK(last.len == 0 || order < 0 || (order == 0 && last.len < name.len));
        last = name;
    }
}

static void check_variant(struct exchange *x, struct slice names)
{
    struct slice variant, again;
    CHECK(cache_variant(x, names, &variant));
    x->fields.at[x->fields.n++] = (struct http_field){SLICE("x-nobody-names-this-one"), SLICE("1")};
    CHECK(cache_variant(x, names, &again));
    CHECK(slice_eq(variant, again) || strstr(scratch, "x-nobody-names-this-one"));
    size_t lines = 0, wanted = 0;
    for (size_t i = 0; i < variant.len; i++)
        lines += variant.p[i] == '\n';
    while (slice_next_token(&names, &again))
        wanted++;
    CHECK(lines == wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field answer_at[FIELDS], request_at[FIELDS + 1];
    struct slice rest = {(const char *)data, size}, names, again;
    struct exchange *x = calloc(1, sizeof(*x));
    CHECK(x);
    arena_init(&x->arena, NULL, 0, EXCHANGE_ARENA_MAX);
    struct http_fields answer = take_fields(&rest, answer_at);
    x->fields = take_fields(&rest, request_at);
    if (cache_vary_names(x, answer, SLICE(""), &names)) {
        check_names(names);
        if (names.len > 0) {
            CHECK(cache_vary_names(x, answer, names, &again) && slice_eq(names, again));
            check_variant(x, names);
        }
    }
    arena_fini(&x->arena);
    free(x);
    return 0;
}
