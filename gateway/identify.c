/* identify.c: see identify.h. */
#include "gateway/identify.h"

#include "gateway/front.h"
#include "gateway/worker.h"

#define REQUEST_ID_MAX 128

static bool is_id_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("._~+/=:@-", c));
}

static bool is_sane_id(struct slice s)
{
    if (s.len == 0 || s.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_id_char(s.p[i]))
            return false;
    return true;
}

static bool new_id(struct exchange *x)
{
    char *text = arena_alloc(&x->arena, 33);
    if (!text)
        return false;
    struct buf b;
    buf_init(&b, text, 33);
    buf_add_hex(&b, random_next(&x->worker->random), 16);
    buf_add_hex(&b, random_next(&x->worker->random), 16);
    text[32] = '\0';
    x->record.request_id = (struct slice){text, 32};
    return true;
}

static bool set_request_id(struct exchange *x)
{
    struct slice name = SLICE("X-Request-Id");
    const struct http_field *f = http_find(x->fields, name);
    if (!f || !is_sane_id(f->value) || http_count(x->fields, name) != 1)
        return new_id(x);
    bool ok = true;
    x->record.request_id = arena_slice(&x->arena, f->value, &ok);
    return ok;
}

/* The addresses of X-Forwarded-For from the right, as long as they are trusted; one that is none ends the
 * walk. */
static void walk_forwarded_for(struct exchange *x, const struct conf *conf)
{
    for (size_t i = x->fields.n; i-- > 0;) {
        const struct http_field *f = &x->fields.at[i];
        if (!slice_eq_nocase(f->name, SLICE("X-Forwarded-For")))
            continue;
        struct slice rest = f->value;
        while (rest.len > 0) {
            size_t begin = rest.len;
            while (begin > 0 && rest.p[begin - 1] != ',')
                begin--;
            struct ip ip;
            if (!ip_parse(slice_trim((struct slice){rest.p + begin, rest.len - begin}), &ip))
                return;
            x->record.client_ip = ip;
            if (!cidr_any_has(conf->trusted_proxies, conf->ntrusted, &ip))
                return;
            rest.len = begin > 0 ? begin - 1 : 0;
        }
    }
}

static struct slice value_of(const struct exchange *x, struct slice name)
{
    const struct http_field *f = http_find(x->fields, name);
    return f ? f->value : (struct slice){"", 0};
}

enum step_result identify_run(struct exchange *x)
{
    const struct conf *conf = exchange_conf(x);
    x->record.client_ip = x->peer_ip;
    x->peer_is_trusted =
        conf->ntrusted > 0 && cidr_any_has(conf->trusted_proxies, conf->ntrusted, &x->peer_ip);
    if (x->peer_is_trusted)
        walk_forwarded_for(x, conf);
    x->record.user_agent = value_of(x, SLICE("User-Agent"));
    x->record.referer = value_of(x, SLICE("Referer"));
    tracing_identify(x);
    if (!set_request_id(x)) {
        exchange_fail(x, REASON_OVERLOADED);
        return STEP_REPLY;
    }
    return STEP_PASS;
}
