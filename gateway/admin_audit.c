/* admin_audit.c: see admin_audit.h. */
#include "gateway/admin_audit.h"

#include <inttypes.h>

#include "lib/clock.h"

#define QUIET_NS CLOCK_SECOND_NS

void admin_audit_escape(const char *text, struct buf *out)
{
    size_t shown = 0;
    for (; *text; text++) {
        bool is_plain = *text > ' ' && *text < 0x7f;
        shown += is_plain ? 1 : 3;
        if (shown > ADMIN_TARGET_SHOWN) {
            buf_add(out, SLICE("..."));
            return;
        }
        if (is_plain)
            buf_add_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

/* "token from 10.0.0.7: POST /servers?... -> 200" */
static void describe(const struct admin_act *act, struct buf *out)
{
    buf_printf(out, "%s from %s: %.16s ", admin_who_name(act->who), act->peer, act->method);
    admin_audit_escape(act->target, out);
    buf_printf(out, " -> %u", act->status);
}

void admin_audit_done(struct admin_audit *a, const struct admin_act *act)
{
    char text[LOG_TEXT_MAX];
    struct buf b;
    a->reads += !act->is_write;
    a->writes += act->is_write;
    if (!act->is_write)
        return;
    buf_init(&b, text, sizeof(text));
    describe(act, &b);
    log_printf(a->log, LOG_INFO, "admin: %.*s", SLICE_ARG(buf_slice(&b)));
}

void admin_audit_refused(struct admin_audit *a, const struct admin_act *act, const char *why, uint64_t now_ns)
{
    char text[LOG_TEXT_MAX];
    struct buf b;
    a->denied++;
    if (!why)
        return;
    if (now_ns < a->quiet_until_ns) {
        a->untold++;
        return;
    }
    buf_init(&b, text, sizeof(text));
    describe(act, &b);
    buf_printf(&b, " %.200s", why);
    if (a->untold > 0)
        buf_printf(&b, " (and %" PRIu64 " more)", a->untold);
    log_printf(a->log, LOG_WARN, "admin: refused %.*s", SLICE_ARG(buf_slice(&b)));
    a->quiet_until_ns = now_ns + QUIET_NS;
    a->untold = 0;
}

void admin_audit_tick(struct admin_audit *a, uint64_t now_ns)
{
    if (a->untold == 0 || now_ns < a->quiet_until_ns)
        return;
    log_printf(a->log, LOG_WARN, "admin: %" PRIu64 " more requests were refused", a->untold);
    a->quiet_until_ns = now_ns + QUIET_NS;
    a->untold = 0;
}

void admin_audit_metrics(const struct admin_audit *a, FILE *out)
{
    fprintf(out,
            "# HELP tollgate_admin_requests_total Requests to the admin port.\n"
            "# TYPE tollgate_admin_requests_total counter\n"
            "tollgate_admin_requests_total{access=\"read\"} %" PRIu64 "\n"
            "tollgate_admin_requests_total{access=\"write\"} %" PRIu64 "\n"
            "tollgate_admin_requests_total{access=\"refused\"} %" PRIu64 "\n"
            "# HELP tollgate_admin_wrong_tokens_total Requests to it with a token that is not known.\n"
            "# TYPE tollgate_admin_wrong_tokens_total counter\n"
            "tollgate_admin_wrong_tokens_total %" PRIu64 "\n",
            a->reads, a->writes, a->denied, a->wrong_tokens);
}
