/*
 * modules.c: see modules.h.
 *
 * The loader is asked once, under its own lock; then every library is opened anew without loading it, which
 * only counts one more user. One that has gone in between is left out. The program itself and the kernel's
 * own page of code stay anyway.
 */
#include "lib/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define PROGRAM "/proc/self/exe"

struct modules {
    _Atomic unsigned refs;
    size_t n, cap;
    bool failed;
    struct module *at; /* by address */
};

static uint32_t read_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

size_t modules_build_id(const uint8_t *notes, size_t len, uint8_t id[MODULE_BUILD_ID_MAX])
{
    while (len >= 12) {
        size_t name = ((size_t)read_u32(notes) + 3) & ~(size_t)3, desc = read_u32(notes + 4);
        size_t whole = 12 + name + ((desc + 3) & ~(size_t)3);
        if (whole > len)
            return 0;
        bool is_it = read_u32(notes + 8) == NT_GNU_BUILD_ID && name == 4 && memcmp(notes + 12, "GNU", 4) == 0;
        if (is_it && desc <= MODULE_BUILD_ID_MAX) {
            memcpy(id, notes + 12 + name, desc);
            return desc;
        }
        notes += whole;
        len -= whole;
    }
    return 0;
}

static void take_code(struct module *m, const ElfW(Phdr) * h)
{
    uintptr_t begin = m->bias + h->p_vaddr, end = begin + h->p_memsz;
    if (m->end == 0) {
        m->begin = begin;
        m->file_offset = h->p_offset;
    }
    m->end = end;
}

static void take_notes(struct module *m, const ElfW(Phdr) * h)
{
    if (m->build_id_len == 0)
        m->build_id_len = modules_build_id((const uint8_t *)(m->bias + h->p_vaddr), h->p_memsz, m->build_id);
}

/* The segment that the table lies in bounds all that is read of it. */
static void find_readable(struct module *m, const struct dl_phdr_info *info)
{
    for (size_t i = 0; m->unwind && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        const uint8_t *begin = (const uint8_t *)(m->bias + h->p_vaddr);
        if (h->p_type == PT_LOAD && m->unwind >= begin && m->unwind < begin + h->p_filesz) {
            m->readable = begin;
            m->readable_end = begin + h->p_filesz;
            return;
        }
    }
    m->unwind = NULL;
}

static bool add(struct modules *all, const struct module *m)
{
    if (all->n == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 64;
        struct module *at = realloc(all->at, cap * sizeof(*at));
        if (!at)
            return false;
        all->at = at;
        all->cap = cap;
    }
    all->at[all->n++] = *m;
    return true;
}

static int on_module(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    struct modules *all = ctx;
    struct module m = {.bias = info->dlpi_addr};
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X))
            take_code(&m, h);
        else if (h->p_type == PT_NOTE)
            take_notes(&m, h);
        else if (h->p_type == PT_GNU_EH_FRAME)
            m.unwind = (const uint8_t *)(m.bias + h->p_vaddr);
    }
    find_readable(&m, info);
    if (m.end == 0)
        return 0;
    m.path = strdup(info->dlpi_name[0] ? info->dlpi_name : PROGRAM);
    if (m.path && add(all, &m))
        return 0;
    free(m.path);
    all->failed = true;
    return 1;
}

static int compare(const void *a, const void *b)
{
    const struct module *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static bool stays_anyway(const struct module *m)
{
    return strcmp(m->path, PROGRAM) == 0 || m->bias == getauxval(AT_SYSINFO_EHDR);
}

static void pin_all(struct modules *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct module m = all->at[i];
        m.pin = stays_anyway(&m) ? NULL : dlopen(m.path, RTLD_LAZY | RTLD_NOLOAD);
        if (m.pin || stays_anyway(&m))
            all->at[kept++] = m;
        else
            free(m.path);
    }
    all->n = kept;
}

/* The program is named after its file. */
static void name_all(struct modules *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct module *m = &all->at[i];
        bool is_program = strcmp(m->path, PROGRAM) == 0;
        const char *path = is_program ? program_invocation_name : m->path;
        const char *slash = strrchr(path, '/');
        m->name = slash ? slash + 1 : path;
    }
}

struct modules *modules_new(struct err *err)
{
    struct modules *all = calloc(1, sizeof(*all));
    if (all)
        atomic_init(&all->refs, 1);
    if (all)
        dl_iterate_phdr(on_module, all);
    if (!all || all->failed) {
        err_sys(err, ERR_SELF, ENOMEM, "list the loaded libraries");
        if (all)
            modules_free(all);
        return NULL;
    }
    pin_all(all);
    name_all(all);
    qsort(all->at, all->n, sizeof(all->at[0]), compare);
    return all;
}

struct modules *modules_get(struct modules *all)
{
    atomic_fetch_add_explicit(&all->refs, 1, memory_order_relaxed);
    return all;
}

void modules_free(struct modules *all)
{
    /* Acquire and release: what the other users did is over before the last one frees. */
    if (atomic_fetch_sub_explicit(&all->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < all->n; i++) {
        if (all->at[i].pin)
            dlclose(all->at[i].pin);
        free(all->at[i].path);
    }
    free(all->at);
    free(all);
}

const struct module *modules_find(const struct modules *all, uintptr_t pc)
{
    size_t low = 0, high = all->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (all->at[middle].begin <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && pc < all->at[low - 1].end ? &all->at[low - 1] : NULL;
}

size_t modules_count(const struct modules *all)
{
    return all->n;
}

const struct module *modules_at(const struct modules *all, size_t i)
{
    return &all->at[i];
}
