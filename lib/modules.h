/*
 * modules.h: the program and the shared libraries that are loaded, by address.
 *
 *     struct modules *all = modules_new(&err);
 *     const struct module *m = modules_find(all, pc);      // NULL: no code that is known
 *     printf("%s+0x%lx", m->name, pc - m->bias);
 *     modules_free(all);
 *
 * The list is that of the moment it was made, and never changes: modules_find may be called by any thread,
 * and within a signal handler. The libraries in it cannot be unloaded before modules_free. What is loaded
 * later is not in it.
 *
 * Source: ELF (System V ABI), Linux Standard Base 5.0 (.eh_frame_hdr).
 */
#ifndef LIB_MODULES_H
#define LIB_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define MODULE_BUILD_ID_MAX 32 /* bytes */

struct module {
    char *path;                             /* of its file; "/proc/self/exe" of the program itself */
    const char *name;                       /* the last part of the path, for people */
    uintptr_t bias;                         /* what addresses in the file differ by in memory */
    uintptr_t begin, end;                   /* of its code in memory */
    uint64_t file_offset;                   /* of `begin` */
    const uint8_t *unwind;                  /* .eh_frame_hdr in memory; NULL: it has none */
    const uint8_t *readable, *readable_end; /* the segment that has it, and .eh_frame with it */
    uint8_t build_id[MODULE_BUILD_ID_MAX];
    size_t build_id_len; /* 0: it has none */
    void *pin;           /* keeps it loaded */
};

struct modules;

/* NULL with err: memory is short. */
MUST_USE struct modules *modules_new(struct err *err);

/* One more user, who calls modules_free too. */
struct modules *modules_get(struct modules *all);
void modules_free(struct modules *all);

/* The one whose code has PC. Async-signal-safe. */
const struct module *modules_find(const struct modules *all, uintptr_t pc);

size_t modules_count(const struct modules *all);
const struct module *modules_at(const struct modules *all, size_t i);

/* The build id among the notes of a file or of memory. 0: none. */
size_t modules_build_id(const uint8_t *notes, size_t len, uint8_t id[MODULE_BUILD_ID_MAX]);

#endif
