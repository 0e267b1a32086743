/*
 * router_regex.c: regular expressions at work; see router_table.h.
 *
 * A match is bounded three ways: by the number of steps, by the memory of the interpreter, and by the JIT
 * compiler's stack, which is 32 KB of the thread's own. Whichever is hit, the answer is REGEX_GAVE_UP and
 * never "no".
 */
#include "gateway/router_table.h"

#include <stdlib.h>

#define REGEX_STEPS                                                                                          \
    20000u /* match() calls, or their like in JIT code: some milliseconds at the very most                   \
            */
#define REGEX_HEAP_KB 1024u

pcre2_match_context *router_regex_limits(void)
{
    pcre2_match_context *c = pcre2_match_context_create(NULL);
    if (c) {
        pcre2_set_match_limit(c, REGEX_STEPS);
        pcre2_set_heap_limit(c, REGEX_HEAP_KB);
    }
    return c;
}

static void *take(size_t size, void *workspace)
{
    struct router_regex *x = workspace;
    size_t rounded = (size + 15) & ~(size_t)15;
    if (size > sizeof(x->memory) || rounded > sizeof(x->memory) - x->used)
        return malloc(size);
    void *p = x->memory + x->used;
    x->used += rounded;
    return p;
}

static void give(void *p, void *workspace)
{
    struct router_regex *x = workspace;
    uintptr_t at = (uintptr_t)p, begin = (uintptr_t)x->memory;
    if (at < begin || at >= begin + sizeof(x->memory))
        free(p);
}

static bool begin(struct router_regex *x)
{
    x->used = 0;
    x->general = pcre2_general_context_create(take, give, x);
    x->data = x->general ? pcre2_match_data_create(ROUTER_PARAMS_MAX + 1, x->general) : NULL;
    if (!x->data && x->general)
        pcre2_general_context_free(x->general);
    return x->data != NULL;
}

void router_regex_end(struct router_regex *x)
{
    if (!x->data)
        return;
    pcre2_match_data_free(x->data);
    pcre2_general_context_free(x->general);
    x->data = NULL;
}

/* Groups that took no part are unset, the last ones too. */
static void take_groups(pcre2_match_data *data, const struct router_rule *rule, struct slice path,
                        struct router_param *params)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);
    for (size_t i = 0; i < rule->nnames; i++) {
        PCRE2_SIZE from = ends[2 * i + 2], to = ends[2 * i + 3];
        bool is_set = from != PCRE2_UNSET && from <= to;
        params[i].value = is_set ? slice_between(path.p + from, path.p + to) : SLICE("");
    }
}

enum router_regex_result router_regex_run(struct router_regex *x, const struct router *r,
                                          const struct router_rule *rule, struct slice path,
                                          struct router_param *params)
{
    if (!x->data && !begin(x))
        return REGEX_GAVE_UP;
    int n = pcre2_match(rule->regex, (PCRE2_SPTR)path.p, path.len, 0, 0, x->data, r->context);
    if (n == PCRE2_ERROR_NOMATCH)
        return REGEX_NO;
    if (n <= 0)
        return REGEX_GAVE_UP;
    take_groups(x->data, rule, path, params);
    return REGEX_YES;
}
