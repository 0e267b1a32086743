/* conf_limit.c: the limits of a route; see conf_build.h. */
#include "gateway/conf_build.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/token_bucket.h"

static const struct conf_section *limit_section(void)
{
    return conf_schema_get(conf_schema_get(&conf_schema, "route")->section, "limit")->section;
}

/* ---- keys ---- */

static const struct {
    const char *word; /* a name follows when it ends with a colon */
    enum conf_key_kind kind;
} key_words[] = {
    {"ip", KEY_IP},        {"route", KEY_ROUTE},    {"consumer", KEY_CONSUMER},
    {"claim:", KEY_CLAIM}, {"header:", KEY_HEADER}, {"cookie:", KEY_COOKIE},
};
#define KEY_WORDS (sizeof(key_words) / sizeof(key_words[0]))

static bool parse_key(struct conf_load *load, const char *text, struct conf_key *key, struct conf_why *why)
{
    for (size_t i = 0; i < KEY_WORDS; i++) {
        size_t len = strlen(key_words[i].word);
        bool is_named = key_words[i].word[len - 1] == ':';
        if (is_named ? strncmp(text, key_words[i].word, len) != 0 : strcmp(text, key_words[i].word) != 0)
            continue;
        struct slice name = slice_trim(slice_of(text + len));
        key->kind = key_words[i].kind;
        key->name = is_named ? conf_copy(load, name) : NULL;
        if (is_named && !http_is_token(name))
            return conf_refuse(why, "'%.80s' names nothing", text);
        return true;
    }
    return conf_refuse(why, "'%.80s' is none of ip, route, consumer, header:NAME, cookie:NAME, claim:NAME",
                       text);
}

static void build_keys(struct conf_load *load, const struct conf_node *node,
                       const struct conf_section *section, struct conf_keys *keys)
{
    size_t n;
    int *places;
    struct conf_why why;
    const char **texts = conf_texts(load, node, conf_schema_get(section, "key"), &n, &places);
    keys->at = conf_array(load, n ? n : 1, sizeof(*keys->at));
    if (!keys->at)
        return;
    for (size_t i = 0; i < n; i++)
        if (parse_key(load, texts[i], &keys->at[keys->n], &why))
            keys->n++;
        else
            conf_mistake(load->report, places[i], "key: %s", why.text);
    if (n == 0 && conf_node_count(node, "key") == 0)
        keys->at[keys->n++] = (struct conf_key){KEY_IP, NULL};
}

/* ---- rates ---- */

static void check_rate(struct conf_load *load, const struct conf_node *node, const struct units_rate *rate,
                       uint32_t *burst, const char *what)
{
    struct token_rate ready;
    const struct conf_value *given = conf_node_value(node, "rate", 0);
    int place = conf_node_title(node).place;
    if (!given && !conf_node_has_gaps(node))
        conf_mistake(load->report, place, "%s needs a rate, such as rate = 100/s", what);
    if (rate->per_ms == 0)
        return;
    if (*burst == 0)
        *burst = rate->count < UINT32_MAX ? (uint32_t)rate->count : UINT32_MAX;
    if (!token_rate_init(&ready, rate->count, rate->per_ms * 1000000, *burst))
        conf_mistake(
            load->report, given->place,
            "rate: %s is out of range: at most one request in 2 ns, and a burst that fills in 73 years",
            given->text);
}

static void build_tiers(struct conf_load *load, const struct conf_node *node, struct conf_limit *l)
{
    size_t n = conf_node_count(node, "tier");
    l->tiers = conf_array(load, n, sizeof(*l->tiers));
    for (size_t i = 0; l->tiers && i < n; i++) {
        const struct conf_node *one = conf_node_section(node, "tier", i);
        struct conf_tier *t = &l->tiers[l->ntiers++];
        conf_bind(load, one, conf_schema_get(limit_section(), "tier")->section, t);
        t->plan = conf_copy(load, slice_of(conf_node_title(one).text));
        check_rate(load, one, &t->rate, &t->burst, "tier");
    }
}

static void build_limit(struct conf_load *load, const struct conf_node *node, struct conf_limit *l)
{
    int place = conf_node_title(node).place;
    conf_bind(load, node, limit_section(), l);
    l->where = conf_report_where(load->report, place);
    check_rate(load, node, &l->rate, &l->burst, "limit");
    build_keys(load, node, limit_section(), &l->keys);
    build_tiers(load, node, l);
    if (l->scope != LIMIT_SCOPE_GATEWAY)
        conf_warn_alone(load, node, "scope", "each gateway counts alone");
    if (l->scope != LIMIT_SCOPE_GATEWAY && l->delay_ms > 0)
        conf_mistake(load->report, conf_node_value(node, "delay", 0)->place,
                     "delay: only a limit of scope gateway can delay a request");
    l->exempt = conf_build_cidrs(load, node, conf_schema_get(limit_section(), "exempt"), &l->nexempt);
    if (l->rate.per_ms && l->cost > l->burst)
        conf_mistake(load->report, place, "cost is above burst: no request would ever pass");
}

void conf_build_limits(struct conf_load *load, const struct conf_node *node, struct conf_route *r)
{
    size_t n = conf_node_count(node, "limit");
    r->limits = conf_array(load, n, sizeof(*r->limits));
    for (size_t i = 0; r->limits && i < n; i++)
        build_limit(load, conf_node_section(node, "limit", i), &r->limits[r->nlimits++]);
}

/* ---- requests at once ---- */

static const struct conf_section *concurrency_section(void)
{
    return conf_schema_get(conf_schema_get(&conf_schema, "route")->section, "concurrency")->section;
}

void conf_build_concurrency(struct conf_load *load, const struct conf_node *node, struct conf_route *r)
{
    size_t n = conf_node_count(node, "concurrency");
    r->concurrencies = conf_array(load, n, sizeof(*r->concurrencies));
    for (size_t i = 0; r->concurrencies && i < n; i++) {
        const struct conf_node *one = conf_node_section(node, "concurrency", i);
        struct conf_concurrency *c = &r->concurrencies[r->nconcurrencies++];
        int place = conf_node_title(one).place;
        conf_bind(load, one, concurrency_section(), c);
        build_keys(load, one, concurrency_section(), &c->keys);
        c->where = conf_report_where(load->report, place);
        c->id =
            c->name ? hash_bytes(c->name, strlen(c->name), 3) : hash_bytes(r->name, strlen(r->name), 4 + i);
        if (c->max == 0 && !conf_node_has_gaps(one))
            conf_mistake(load->report, place, "concurrency needs a max of at least 1");
        if (i == CONF_CONCURRENCY_MAX)
            conf_mistake(load->report, place, "a route has at most %d sections concurrency",
                         CONF_CONCURRENCY_MAX);
    }
}

/* ---- printing ---- */

static void print_keys(const struct conf_keys *keys, FILE *out)
{
    fputs("    key = {", out);
    for (size_t i = 0; i < keys->n; i++)
        for (size_t k = 0; k < KEY_WORDS; k++)
            if (key_words[k].kind == keys->at[i].kind)
                fprintf(out, "%s\"%s%s\"", i ? ", " : "", key_words[k].word,
                        keys->at[i].name ? keys->at[i].name : "");
    fputs("}\n", out);
}

void conf_print_limits(const struct conf_route *r, FILE *out)
{
    for (size_t i = 0; i < r->nlimits; i++) {
        const struct conf_limit *l = &r->limits[i];
        fputs("  limit {\n", out);
        conf_print(limit_section(), l, out, 4);
        print_keys(&l->keys, out);
        conf_print_cidrs("exempt", l->exempt, l->nexempt, 4, out);
        for (size_t t = 0; t < l->ntiers; t++) {
            fputs("    tier ", out);
            conf_print_quoted(l->tiers[t].plan, out);
            fputs(" {\n", out);
            conf_print(conf_schema_get(limit_section(), "tier")->section, &l->tiers[t], out, 6);
            fputs("    }\n", out);
        }
        fputs("  }\n", out);
    }
}

void conf_print_concurrency(const struct conf_route *r, FILE *out)
{
    for (size_t i = 0; i < r->nconcurrencies; i++) {
        fputs("  concurrency {\n", out);
        conf_print(concurrency_section(), &r->concurrencies[i], out, 4);
        print_keys(&r->concurrencies[i].keys, out);
        fputs("  }\n", out);
    }
}
