/* deadline.c: see deadline.h. */
#include "gateway/deadline.h"

#include "lib/clock.h"

#define MS        UINT64_C(1000000)
#define GRPC      SLICE("grpc-timeout")
#define GRPC_MAX  99999999                         /* eight digits */
#define ASKED_MAX (UINT64_C(7) * 24 * 3600 * 1000) /* ms; more means nothing */

/* "250m": 1 to 8 digits and a unit; ns. False when it is not that. */
static bool parse_grpc(struct slice s, uint64_t *ns)
{
    static const struct {
        char unit;
        uint64_t ns;
    } units[] = {
        {'H', 3600 * 1000 * MS}, {'M', 60 * 1000 * MS}, {'S', 1000 * MS}, {'m', MS}, {'u', 1000}, {'n', 1}};
    uint64_t n;
    if (s.len < 2 || s.len > 9 || !slice_to_u64((struct slice){s.p, s.len - 1}, GRPC_MAX, &n))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].unit == s.p[s.len - 1])
            return *ns = n * units[i].ns, true;
    return false;
}

static const char *field_name(const struct exchange *x)
{
    return x->forward.conf->timeout.deadline_header;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

uint64_t deadline_of(const struct exchange *x)
{
    uint64_t begin = x->record.begin_ns, asked;
    uint32_t total_ms = x->forward.conf->timeout.total_ms;
    uint64_t due = total_ms ? begin + total_ms * MS : 0;
    if (!x->peer_is_trusted)
        return due;
    const struct http_field *f = field_name(x) ? http_find(x->fields, slice_of(field_name(x))) : NULL;
    if (f && slice_to_u64(f->value, ASKED_MAX, &asked))
        due = sooner(due, begin + asked * MS);
    f = http_find(x->fields, GRPC);
    if (f && parse_grpc(f->value, &asked))
        due = sooner(due, begin + asked);
    return due;
}

bool deadline_owns(const struct exchange *x, struct slice name)
{
    const char *own = field_name(x);
    if (name.len == GRPC.len && x->forward.total_due_ns && slice_eq_nocase(name, GRPC))
        return true;
    return own && slice_eq_nocase(name, slice_of(own));
}

void deadline_add(const struct exchange *x, struct buf *b)
{
    uint64_t due = x->forward.total_due_ns, now = clock_now_ns();
    if (due == 0)
        return;
    uint64_t left_ms = due > now + MS ? (due - now) / MS : 1;
    if (field_name(x)) {
        buf_add(b, slice_of(field_name(x)));
        buf_add(b, SLICE(": "));
        buf_add_u64(b, left_ms);
        buf_add(b, SLICE("\r\n"));
    }
    if (http_find(x->fields, GRPC)) {
        buf_add(b, SLICE("grpc-timeout: "));
        buf_add_u64(b, left_ms < GRPC_MAX ? left_ms : GRPC_MAX);
        buf_add(b, SLICE("m\r\n"));
    }
}
