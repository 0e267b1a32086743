/* profile_report.c: see profile_report.h. */
#include "lib/profile_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pprof.h"
#include "lib/symbols.h"

/* A caller's address is behind its call, which may be its function's end: one before it is within. */
static uintptr_t place_of(const struct profile_stack *s, size_t i)
{
    return i == 0 ? s->at[0] : s->at[i] - 1;
}

/* ---- folded ---- */

/* A thread's name may have anything in it. */
static void print_thread(FILE *out, const char *name)
{
    for (; *name; name++) {
        bool is_plain = (unsigned char)*name > ' ' && *name != ';' && (unsigned char)*name < 0x7f;
        fputc(is_plain ? *name : '_', out);
    }
}

static void print_all(FILE *out, const struct profile *p, struct symbols *names)
{
    for (const struct profile_stack *s = profile_stacks(p); s; s = s->next) {
        print_thread(out, s->thread);
        for (size_t i = s->n; i-- > 0;)
            fprintf(out, ";%s", symbols_find(names, place_of(s, i)).name);
        fprintf(out, " %" PRIu64 "\n", s->count);
    }
    uint64_t lost = profile_totals(p).lost;
    if (lost > 0)
        fprintf(out, "lost %" PRIu64 "\n", lost);
}

char *profile_report_folded(const struct profile *p, size_t *len)
{
    char *text = NULL;
    struct symbols *names = symbols_new(profile_modules(p), NULL);
    FILE *out = names ? open_memstream(&text, len) : NULL;
    if (out)
        print_all(out, p, names);
    if (names)
        symbols_free(names);
    bool failed = !out || ferror(out);
    if (out && fclose(out) != 0)
        failed = true;
    if (!failed)
        return text;
    free(text);
    return NULL;
}

/* ---- pprof ---- */

/* The program first. */
static void add_mappings(struct pprof *out, const struct modules *all, uint64_t *numbers)
{
    for (int own = 1; own >= 0; own--)
        for (size_t i = 0; i < modules_count(all); i++) {
            const struct module *m = modules_at(all, i);
            if ((strcmp(m->path, "/proc/self/exe") == 0) != own)
                continue;
            numbers[i] = pprof_mapping(out, &(struct pprof_mapping){.begin = m->begin,
                                                                    .end = m->end,
                                                                    .file_offset = m->file_offset,
                                                                    .path = own ? m->name : m->path,
                                                                    .build_id = m->build_id,
                                                                    .build_id_len = m->build_id_len});
        }
}

static void add_samples(struct pprof *out, const struct profile *p, struct symbols *names,
                        const uint64_t *mappings)
{
    uint64_t places[UNWIND_MAX];
    const struct modules *all = profile_modules(p);
    for (const struct profile_stack *s = profile_stacks(p); s; s = s->next) {
        for (size_t i = 0; i < s->n; i++) {
            struct symbol f = symbols_find(names, place_of(s, i));
            uint64_t mapping = f.module ? mappings[f.module - modules_at(all, 0)] : 0;
            places[i] = pprof_location(out, place_of(s, i), mapping, f.name);
        }
        pprof_sample(out, &(struct pprof_sample){
                              .locations = places, .n = s->n, .count = s->count, .thread = s->thread});
    }
}

char *profile_report_pprof(const struct profile *p, size_t *len)
{
    char lost[64], *bytes = NULL;
    struct profile_totals totals = profile_totals(p);
    struct modules *all = profile_modules(p);
    struct symbols *names = symbols_new(all, NULL);
    uint64_t *mappings = calloc(modules_count(all) + 1, sizeof(*mappings));
    struct pprof *out = pprof_new(totals.period_ns);
    if (names && mappings && out) {
        add_mappings(out, all, mappings);
        add_samples(out, p, names, mappings);
        snprintf(lost, sizeof(lost), "samples without a stack: %" PRIu64, totals.lost);
        pprof_comment(out, lost);
        bytes = pprof_finish(out, totals.begin_us, totals.duration_ns, len);
    }
    if (out)
        pprof_free(out);
    free(mappings);
    if (names)
        symbols_free(names);
    return bytes;
}
