/* state_trace.c: the part of state.h about traces; tracer.h has them. */
#include "gateway/state_internal.h"

#define ROWS_USUAL 100

static struct state_answer answer_with(char *json)
{
    return (struct state_answer){.status = 200, .json = json};
}

struct state_answer state_list_traces(const struct state_view *v, const struct state_ask *ask)
{
    uint64_t max = ROWS_USUAL;
    if (ask->max && (!slice_to_u64(slice_of(ask->max), TRACER_RECENT, &max) || max == 0))
        return state_refuse(400, "max is a number from 1 to 512");
    if (ask->slow && strcmp(ask->slow, "yes") != 0 && strcmp(ask->slow, "no") != 0)
        return state_refuse(400, "slow is yes or no");
    bool slow = ask->slow && strcmp(ask->slow, "yes") == 0;
    return answer_with(tracer_list_json(v->tracer, (size_t)max, slow, ask->filter));
}

struct state_answer state_list_slow(const struct state_view *v, const struct state_ask *ask)
{
    (void)ask;
    return answer_with(tracer_list_json(v->tracer, ROWS_USUAL, true, NULL));
}

struct state_answer state_show_trace(const struct state_view *v, const char *id)
{
    char *json = tracer_show_json(v->tracer, id);
    return json ? answer_with(json) : state_refuse(404, "no such trace is kept");
}

void state_trace_metrics(const struct state_view *v, FILE *out)
{
    struct tracer_stats s;
    tracer_stats(v->tracer, &s);
    state_sample(out, "trace_spans_kept_total", "counter", "Spans of requests that were kept.", s.kept);
    state_sample(out, "trace_spans_exported_total", "counter", "Spans that the collector took.", s.exported);
    state_sample(out, "trace_spans_dropped_total", "counter", "Spans for which there was no room.",
                 s.dropped);
    state_sample(out, "trace_spans_failed_total", "counter", "Spans that the collector refused.", s.failed);
    state_sample(out, "trace_spans_waiting", "gauge", "Spans that wait to be exported.", s.waiting);
    state_sample(out, "trace_exports_total", "counter", "Requests to the collector.", s.exports);
    state_sample(out, "trace_export_errors_total", "counter", "Of them, those that failed.", s.export_errors);
}
