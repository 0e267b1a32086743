/*
 * pprof.h: a profile as the tool pprof reads it: profile.proto, compressed with gzip.
 *
 *     struct pprof *p = pprof_new(period_ns);
 *     uint64_t mapping = pprof_mapping(p, &(struct pprof_mapping){...});
 *     uint64_t place = pprof_location(p, pc, mapping, "exchange_run");
 *     pprof_sample(p, &(struct pprof_sample){.locations = places, .n = n, .count = 3, .thread = "worker-0"});
 *     void *bytes = pprof_finish(p, begin_us, duration_ns, &len);     // gives; NULL: memory was short
 *     pprof_free(p);
 *
 * Its two values are the number of samples, and the CPU time that they stand for. Failure is sticky, and told
 * at the end. One thread.
 *
 * Source: github.com/google/pprof, proto/profile.proto; Protocol Buffers: Encoding; RFC 1952.
 */
#ifndef LIB_PPROF_H
#define LIB_PPROF_H

#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"

struct pprof;

struct pprof_mapping {
    uint64_t begin, end, file_offset;
    const char *path;
    const uint8_t *build_id;
    size_t build_id_len;
};

struct pprof_sample {
    const uint64_t *locations; /* the innermost first */
    size_t n;
    uint64_t count;
    const char *thread;
};

/* PERIOD_NS of CPU time between samples. NULL: out of memory. */
MUST_USE struct pprof *pprof_new(uint64_t period_ns);
void pprof_free(struct pprof *p);

/* Its number, for locations. The program's own is the first. */
uint64_t pprof_mapping(struct pprof *p, const struct pprof_mapping *m);

/* An address and the function that has it; the same again for an address that is there. MAPPING 0: none. */
uint64_t pprof_location(struct pprof *p, uint64_t address, uint64_t mapping, const char *function);
void pprof_sample(struct pprof *p, const struct pprof_sample *s);

/* A line for whoever reads it. */
void pprof_comment(struct pprof *p, const char *text);

/* Gives the file, from malloc. */
MUST_USE void *pprof_finish(struct pprof *p, int64_t begin_us, uint64_t duration_ns, size_t *len);

#endif
