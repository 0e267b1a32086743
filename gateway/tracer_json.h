/*
 * tracer_json.h: traces as JSON to be looked at, and what all JSON of traces is made with; a part of the
 * tracer.
 *
 *     struct tracer_json j = {0};
 *     cJSON *o = tracer_json_object(&j, NULL, NULL);
 *     tracer_json_text(&j, o, "path", path);
 *     cJSON *list = tracer_json_array(&j, o, "spans");
 *     tracer_json_number(&j, tracer_json_object(&j, list, NULL), "status", 200);
 *     char *text = tracer_json_print(&j, o);              // takes o; NULL when anything of it failed
 *
 * Failure (memory) is sticky. Text comes from clients: what is not UTF-8 is replaced. Names must be static.
 * Owned by one thread.
 */
#ifndef GATEWAY_TRACER_JSON_H
#define GATEWAY_TRACER_JSON_H

#include <cjson/cJSON.h>

#include "gateway/tracer.h"

struct tracer_json {
    bool failed;
};

/* Within PARENT: its member NAME, or its next element when it is an array. Without a parent: on its own. */
cJSON *tracer_json_object(struct tracer_json *j, cJSON *parent, const char *name);
cJSON *tracer_json_array(struct tracer_json *j, cJSON *parent, const char *name);

void tracer_json_text(struct tracer_json *j, cJSON *parent, const char *name, struct slice text);
void tracer_json_number(struct tracer_json *j, cJSON *parent, const char *name, double number);
void tracer_json_bool(struct tracer_json *j, cJSON *parent, const char *name, bool value);

/* As hex digits; a span 0 is null. */
void tracer_json_trace_id(struct tracer_json *j, cJSON *parent, const char *name, struct trace_id id);
void tracer_json_span_id(struct tracer_json *j, cJSON *parent, const char *name, uint64_t id);

/* Text from malloc, without spaces; takes ROOT. */
char *tracer_json_print(struct tracer_json *j, cJSON *root);

/* When a span ended, were it still open or its clock wrong: never before it began. */
uint64_t trace_span_end_ns(const struct trace *t, const struct span *s);

/* See tracer_list_json and tracer_show_json. TRACES: newest first; their order may be changed. */
char *tracer_json_list(struct trace **traces, size_t n, size_t max, bool slow);
char *tracer_json_show(const struct trace *t);

#endif
