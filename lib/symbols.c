/*
 * symbols.c: see symbols.h.
 *
 * A module's table is read when its first address is asked for: the headers of the sections, then symbols and
 * strings, each checked against the size of the file. It is kept sorted by address. Names that had to be made
 * up are kept in a list of their own, for there are few.
 */
#include "lib/symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/unwind.h"

#define SECTIONS_MAX 4096
#define TABLE_MAX    (UINT64_C(256) << 20) /* bytes */
#define NOTES_MAX    4096
#define MADE_BUCKETS 1024

struct entry {
    uint64_t begin, size;
    uint32_t name; /* in the strings */
};

struct table {
    bool is_read;
    struct entry *at; /* by address */
    size_t n;
    char *strings;
    size_t strings_len;
};

/* A name that is in no table. */
struct made {
    struct made *next;
    uintptr_t address;
    char text[];
};

struct symbols {
    const struct modules *all;
    struct table *tables; /* by module */
    struct made *made[MADE_BUCKETS];
};

/* ---- files ---- */

struct elf {
    int fd;
    uint64_t size;
    Elf64_Shdr *sections;
    size_t n;
};

/* LEN bytes at OFFSET, from malloc; NULL: the file has no such part. */
static void *read_part(const struct elf *e, uint64_t offset, uint64_t len)
{
    if (len == 0 || len > TABLE_MAX || offset > e->size || len > e->size - offset)
        return NULL;
    char *p = malloc(len);
    for (uint64_t got = 0; p && got < len;) {
        ssize_t n = pread(e->fd, p + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(p);
            return NULL;
        }
        got += (uint64_t)n;
    }
    return p;
}

static bool open_elf(struct elf *e, const char *path)
{
    struct stat st;
    *e = (struct elf){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (e->fd < 0)
        return false;
    e->size = fstat(e->fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    Elf64_Ehdr *h = read_part(e, 0, sizeof(*h));
    if (h && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
        h->e_shentsize == sizeof(Elf64_Shdr) && h->e_shnum > 0 && h->e_shnum <= SECTIONS_MAX) {
        e->n = h->e_shnum;
        e->sections = read_part(e, h->e_shoff, e->n * sizeof(Elf64_Shdr));
    }
    free(h);
    return e->sections != NULL;
}

static void close_elf(struct elf *e)
{
    free(e->sections);
    if (e->fd >= 0)
        close(e->fd);
}

static bool is_loaded_one(const struct elf *e, const struct module *m)
{
    uint8_t id[MODULE_BUILD_ID_MAX];
    if (m->build_id_len == 0)
        return true;
    for (size_t i = 0; i < e->n; i++) {
        const Elf64_Shdr *s = &e->sections[i];
        uint8_t *notes =
            s->sh_type == SHT_NOTE && s->sh_size <= NOTES_MAX ? read_part(e, s->sh_offset, s->sh_size) : NULL;
        size_t len = notes ? modules_build_id(notes, s->sh_size, id) : 0;
        free(notes);
        if (len > 0)
            return len == m->build_id_len && memcmp(id, m->build_id, len) == 0;
    }
    return false;
}

/* The full table, or that of what is exported. */
static const Elf64_Shdr *find_table(const struct elf *e)
{
    const Elf64_Shdr *found = NULL;
    for (size_t i = 0; i < e->n; i++) {
        const Elf64_Shdr *s = &e->sections[i];
        bool fits = s->sh_entsize == sizeof(Elf64_Sym) && s->sh_link < e->n;
        if (fits && (s->sh_type == SHT_SYMTAB || (s->sh_type == SHT_DYNSYM && !found)))
            found = s;
    }
    return found;
}

/* ---- tables ---- */

static size_t underscores(const char *name)
{
    return strspn(name, "_");
}

/* By address; of several names for one, that with the fewest underscores comes first. */
static int compare(const void *a, const void *b, void *strings)
{
    const struct entry *x = a, *y = b;
    const char *text = strings;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    size_t nx = underscores(text + x->name), ny = underscores(text + y->name);
    if (nx != ny)
        return nx < ny ? -1 : 1;
    return strcmp(text + x->name, text + y->name);
}

static void take_symbols(struct table *t, const Elf64_Sym *symbols, size_t n)
{
    t->at = malloc(n * sizeof(t->at[0]));
    for (size_t i = 0; t->at && i < n; i++) {
        const Elf64_Sym *s = &symbols[i];
        unsigned type = ELF64_ST_TYPE(s->st_info);
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF && s->st_value != 0 &&
            s->st_name < t->strings_len)
            t->at[t->n++] = (struct entry){s->st_value, s->st_size, s->st_name};
    }
    if (t->n > 0)
        qsort_r(t->at, t->n, sizeof(t->at[0]), compare, t->strings);
}

static void read_table(struct table *t, const struct module *m)
{
    struct elf e;
    t->is_read = true;
    const Elf64_Shdr *s = open_elf(&e, m->path) && is_loaded_one(&e, m) ? find_table(&e) : NULL;
    if (s) {
        const Elf64_Shdr *strings = &e.sections[s->sh_link];
        Elf64_Sym *symbols = read_part(&e, s->sh_offset, s->sh_size);
        t->strings = read_part(&e, strings->sh_offset, strings->sh_size);
        t->strings_len = t->strings ? strings->sh_size : 0;
        if (t->strings)
            t->strings[t->strings_len - 1] = '\0';
        if (symbols)
            take_symbols(t, symbols, s->sh_size / sizeof(*symbols));
        free(symbols);
    }
    close_elf(&e);
}

/* The name of what is at ADDRESS of the file; FUNCTION: where the function that has it begins, or 0. */
static const char *find_name(const struct table *t, uint64_t address, uint64_t function)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->at[middle].begin <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    uint64_t begin = t->at[low - 1].begin;
    while (low > 1 && t->at[low - 2].begin == begin)
        low--;
    const struct entry *e = &t->at[low - 1];
    return address - begin < e->size || begin == function ? t->strings + e->name : NULL;
}

/* ---- names that are made up ---- */

static const char *make(struct symbols *s, const struct module *m, uintptr_t address)
{
    char text[128];
    struct made **bucket = &s->made[(address >> 2) % MADE_BUCKETS];
    for (const struct made *x = *bucket; x; x = x->next)
        if (x->address == address)
            return x->text;
    if (m)
        snprintf(text, sizeof(text), "%.96s+0x%lx", m->name, (unsigned long)(address - m->bias));
    else
        snprintf(text, sizeof(text), "0x%lx", (unsigned long)address);
    struct made *x = malloc(sizeof(*x) + strlen(text) + 1);
    if (!x)
        return "unknown";
    x->address = address;
    memcpy(x->text, text, strlen(text) + 1);
    x->next = *bucket;
    *bucket = x;
    return x->text;
}

struct symbol symbols_find(struct symbols *s, uintptr_t pc)
{
    const struct module *m = modules_find(s->all, pc);
    uintptr_t function = unwind_function(s->all, pc);
    struct symbol found = {.module = m};
    if (m) {
        struct table *t = &s->tables[m - modules_at(s->all, 0)];
        if (!t->is_read)
            read_table(t, m);
        found.name = find_name(t, pc - m->bias, function ? function - m->bias : 0);
    }
    if (!found.name)
        found.name = make(s, m, function ? function : pc);
    return found;
}

/* ---- life ---- */

struct symbols *symbols_new(const struct modules *all, struct err *err)
{
    struct symbols *s = calloc(1, sizeof(*s));
    if (s) {
        s->all = all;
        s->tables = calloc(modules_count(all) + 1, sizeof(s->tables[0]));
        if (s->tables)
            return s;
        free(s);
    }
    err_sys(err, ERR_SELF, ENOMEM, "symbols");
    return NULL;
}

void symbols_free(struct symbols *s)
{
    for (size_t i = 0; i < modules_count(s->all); i++) {
        free(s->tables[i].at);
        free(s->tables[i].strings);
    }
    for (size_t i = 0; i < MADE_BUCKETS; i++)
        for (struct made *x = s->made[i], *next; x; x = next) {
            next = x->next;
            free(x);
        }
    free(s->tables);
    free(s);
}
