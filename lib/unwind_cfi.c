/*
 * unwind_cfi.c: see unwind_cfi.h.
 *
 * A function is found by a search in .eh_frame_hdr, whose table the linker has sorted; its instructions are
 * run from the function's beginning to the instruction that is asked about. Only the encodings that the
 * linkers of ELF systems write are read.
 */
#include "lib/unwind_cfi.h"

#include <string.h>

#define ENCODING_TABLE 0x3b /* signed, four bytes, from the beginning of the header */
#define ENCODING_COUNT 0x03 /* unsigned, four bytes */
#define ENCODING_PCREL 0x10
#define ENCODING_OMIT  0xff
#define NESTING_MAX    4 /* rows that are remembered at once */
#define STACK_MAX      16

/* ---- bytes ---- */

struct reader {
    const uint8_t *p, *end;
    bool failed;
};

static uint64_t take(struct reader *r, size_t n)
{
    uint64_t v = 0;
    if (r->failed || (size_t)(r->end - r->p) < n) {
        r->failed = true;
        return 0;
    }
    memcpy(&v, r->p, n);
    r->p += n;
    return v;
}

static int64_t take_signed(struct reader *r, size_t n)
{
    unsigned unused = 64 - 8 * (unsigned)n;
    return (int64_t)(take(r, n) << unused) >> unused;
}

static uint64_t take_uleb(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; !r->failed; shift += 7) {
        uint64_t byte = take(r, 1);
        if (shift < 64)
            v |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return v;
}

static int64_t take_sleb(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; !r->failed;) {
        uint64_t byte = take(r, 1);
        if (shift < 64)
            v |= (byte & 0x7f) << shift;
        shift += 7;
        if (byte & 0x80)
            continue;
        if ((byte & 0x40) && shift < 64)
            v |= ~UINT64_C(0) << shift;
        break;
    }
    return (int64_t)v;
}

static const uint8_t *skip(struct reader *r, uint64_t n)
{
    const uint8_t *at = r->p;
    if (r->failed || n > (size_t)(r->end - r->p))
        r->failed = true;
    else
        r->p += n;
    return at;
}

static uint64_t take_encoded(struct reader *r, unsigned encoding)
{
    uintptr_t base = (encoding & 0x70) == ENCODING_PCREL ? (uintptr_t)r->p : 0;
    switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
        return base + take(r, 8);
    case 0x02:
        return base + take(r, 2);
    case 0x03:
        return base + take(r, 4);
    case 0x0a:
        return base + (uint64_t)take_signed(r, 2);
    case 0x0b:
        return base + (uint64_t)take_signed(r, 4);
    default:
        r->failed = true;
        return 0;
    }
}

/* ---- functions ---- */

/* An entry of .eh_frame at P: what is behind its length. */
static struct reader open_entry(const struct module *m, const uint8_t *p)
{
    struct reader r = {m->readable, m->readable_end, p < m->readable || p >= m->readable_end};
    if (r.failed)
        return r;
    r.p = p;
    uint64_t len = take(&r, 4);
    if (len > (size_t)(r.end - r.p))
        r.failed = true;
    else
        r.end = r.p + len;
    return r;
}

static void take_augmentation(struct reader *r, const char *letters, struct cfi_function *f)
{
    take_uleb(r);
    for (; *letters && !r->failed; letters++)
        switch (*letters) {
        case 'R':
            f->encoding = (unsigned)take(r, 1);
            break;
        case 'P':
            take_encoded(r, (unsigned)take(r, 1) & 0x0f);
            break;
        case 'L':
            take(r, 1);
            break;
        case 'S':
            f->is_signal = true;
            break;
        default:
            r->failed = true;
        }
}

static bool read_common(const struct module *m, const uint8_t *p, struct cfi_function *f)
{
    struct reader r = open_entry(m, p);
    uint64_t id = take(&r, 4), version = take(&r, 1);
    const char *letters = (const char *)r.p;
    while (take(&r, 1) != 0 && !r.failed)
        continue;
    f->code_align = (int64_t)take_uleb(&r);
    f->data_align = take_sleb(&r);
    uint64_t ra = version == 1 ? take(&r, 1) : take_uleb(&r);
    if (r.failed || id != 0 || (version != 1 && version != 3) || ra != CFI_RA)
        return false;
    if (letters[0] == 'z') {
        struct reader inside = r;
        const uint8_t *behind = (skip(&r, take_uleb(&r)), r.p);
        take_augmentation(&inside, letters + 1, f);
        r.failed |= inside.failed || inside.p > behind;
    } else if (letters[0] != '\0') {
        return false;
    }
    f->common = r.p;
    f->common_end = r.end;
    return !r.failed;
}

static bool read_function(const struct module *m, const uint8_t *p, struct cfi_function *f)
{
    struct reader r = open_entry(m, p);
    const uint8_t *at = r.p;
    uint64_t back = take(&r, 4);
    if (r.failed || back == 0 || back > (size_t)(at - m->readable) || !read_common(m, at - back, f))
        return false;
    f->begin = take_encoded(&r, f->encoding);
    f->end = f->begin + take_encoded(&r, f->encoding & 0x0f);
    skip(&r, take_uleb(&r));
    f->own = r.p;
    f->own_end = r.end;
    return !r.failed;
}

static int64_t entry_of(const uint8_t *table, size_t i, size_t part)
{
    int32_t v;
    memcpy(&v, table + i * 8 + part * 4, sizeof(v));
    return v;
}

bool cfi_find(const struct module *m, uintptr_t pc, struct cfi_function *f)
{
    struct reader r = {m->unwind, m->readable_end, m->unwind == NULL};
    if (r.failed)
        return false;
    uint64_t version = take(&r, 1), frame = take(&r, 1), count = take(&r, 1), table = take(&r, 1);
    if (version != 1 || count != ENCODING_COUNT || table != ENCODING_TABLE || frame == ENCODING_OMIT)
        return false;
    take_encoded(&r, (unsigned)frame);
    uint64_t n = take(&r, 4);
    if (r.failed || n > (size_t)(r.end - r.p) / 8)
        return false;
    int64_t wanted = (int64_t)(pc - (uintptr_t)m->unwind);
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_of(r.p, middle, 0) <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    *f = (struct cfi_function){0};
    return low > 0 && read_function(m, m->unwind + entry_of(r.p, low - 1, 1), f) && pc >= f->begin &&
           pc < f->end;
}

/* ---- rows ---- */

struct run {
    struct reader r;
    const struct cfi_function *f;
    struct cfi_row *row;
    const struct cfi_row *initial; /* NULL: these are the common instructions */
    uintptr_t at, pc;
    struct cfi_row saved[NESTING_MAX];
    unsigned nsaved;
};

static void set(struct run *x, uint64_t reg, enum cfi_kind kind, int64_t value)
{
    if (reg < CFI_REGISTERS)
        x->row->rules[reg] = (struct cfi_rule){.kind = kind, .value = value};
}

static struct cfi_rule take_expression(struct run *x, enum cfi_kind kind)
{
    uint64_t len = take_uleb(&x->r);
    const uint8_t *expr = skip(&x->r, len);
    return (struct cfi_rule){.kind = kind, .len = (uint32_t)len, .expr = expr};
}

static void set_expression(struct run *x, enum cfi_kind kind)
{
    uint64_t reg = take_uleb(&x->r);
    struct cfi_rule rule = take_expression(x, kind);
    if (reg < CFI_REGISTERS)
        x->row->rules[reg] = rule;
}

static void restore(struct run *x, uint64_t reg)
{
    if (!x->initial)
        x->r.failed = true;
    else if (reg < CFI_REGISTERS)
        x->row->rules[reg] = x->initial->rules[reg];
}

static void set_base(struct run *x, uint64_t reg)
{
    x->row->base = (unsigned)reg;
    x->row->frame.kind = CFI_REGISTER;
    x->r.failed |= reg >= CFI_REGISTERS;
}

static void remember(struct run *x)
{
    if (x->nsaved == NESTING_MAX)
        x->r.failed = true;
    else
        x->saved[x->nsaved++] = *x->row;
}

static void recall(struct run *x)
{
    if (x->nsaved == 0)
        x->r.failed = true;
    else
        *x->row = x->saved[--x->nsaved];
}

/* Instructions whose number is the whole byte, those about registers. */
static void step_register(struct run *x, unsigned op)
{
    struct reader *r = &x->r;
    int64_t align = x->f->data_align;
    uint64_t reg = take_uleb(r);
    switch (op) {
    case 0x05: /* offset_extended */
        set(x, reg, CFI_AT, (int64_t)take_uleb(r) * align);
        break;
    case 0x06: /* restore_extended */
        restore(x, reg);
        break;
    case 0x07: /* undefined */
        set(x, reg, CFI_UNDEFINED, 0);
        break;
    case 0x08: /* same_value */
        set(x, reg, CFI_SAME, 0);
        break;
    case 0x09: /* register */
        set(x, reg, CFI_REGISTER, (int64_t)take_uleb(r));
        break;
    case 0x0c: /* def_cfa */
        set_base(x, reg);
        x->row->frame.value = (int64_t)take_uleb(r);
        break;
    case 0x0d: /* def_cfa_register */
        set_base(x, reg);
        break;
    case 0x11: /* offset_extended_sf */
        set(x, reg, CFI_AT, take_sleb(r) * align);
        break;
    case 0x12: /* def_cfa_sf */
        set_base(x, reg);
        x->row->frame.value = take_sleb(r) * align;
        break;
    case 0x14: /* val_offset */
        set(x, reg, CFI_IS, (int64_t)take_uleb(r) * align);
        break;
    case 0x15: /* val_offset_sf */
        set(x, reg, CFI_IS, take_sleb(r) * align);
        break;
    default:
        r->failed = true;
    }
}

static void step_other(struct run *x, unsigned op)
{
    struct reader *r = &x->r;
    uint64_t align = (uint64_t)x->f->code_align;
    switch (op) {
    case 0x00: /* nop */
        break;
    case 0x01: /* set_loc */
        x->at = take_encoded(r, x->f->encoding);
        break;
    case 0x02: /* advance_loc1, 2, 4 */
    case 0x03:
        x->at += take(r, op - 1) * align;
        break;
    case 0x04:
        x->at += take(r, 4) * align;
        break;
    case 0x0a: /* remember_state */
        remember(x);
        break;
    case 0x0b: /* restore_state */
        recall(x);
        break;
    case 0x0e: /* def_cfa_offset */
        x->row->frame.value = (int64_t)take_uleb(r);
        break;
    case 0x0f: /* def_cfa_expression */
        x->row->frame = take_expression(x, CFI_VALUE_EXPRESSION);
        break;
    case 0x10: /* expression */
        set_expression(x, CFI_EXPRESSION);
        break;
    case 0x13: /* def_cfa_offset_sf */
        x->row->frame.value = take_sleb(r) * x->f->data_align;
        break;
    case 0x16: /* val_expression */
        set_expression(x, CFI_VALUE_EXPRESSION);
        break;
    case 0x2e: /* GNU_args_size */
        take_uleb(r);
        break;
    default:
        step_register(x, op);
    }
}

/* Run until the instruction that is asked about, or the end. */
static bool run(struct run *x)
{
    while (!x->r.failed && x->r.p < x->r.end && x->at <= x->pc) {
        unsigned op = (unsigned)take(&x->r, 1), low = op & 0x3f;
        switch (op >> 6) {
        case 1: /* advance_loc */
            x->at += low * (uint64_t)x->f->code_align;
            break;
        case 2: /* offset */
            set(x, low, CFI_AT, (int64_t)take_uleb(&x->r) * x->f->data_align);
            break;
        case 3: /* restore */
            restore(x, low);
            break;
        default:
            step_other(x, low);
        }
    }
    return !x->r.failed;
}

bool cfi_row_at(const struct cfi_function *f, uintptr_t pc, struct cfi_row *row)
{
    struct cfi_row initial;
    struct run x;
    *row = (struct cfi_row){0};
    x.r = (struct reader){f->common, f->common_end, false};
    x.f = f;
    x.row = row;
    x.initial = NULL;
    x.at = x.pc = 0;
    x.nsaved = 0;
    if (!run(&x))
        return false;
    initial = *row;
    x.r = (struct reader){f->own, f->own_end, false};
    x.initial = &initial;
    x.at = f->begin;
    x.pc = pc;
    return run(&x);
}

/* ---- expressions ---- */

struct evaluation {
    struct reader r;
    const struct cfi_machine *m;
    uint64_t stack[STACK_MAX];
    unsigned n;
};

static void push(struct evaluation *e, uint64_t v)
{
    if (e->n == STACK_MAX)
        e->r.failed = true;
    else
        e->stack[e->n++] = v;
}

static uint64_t pop(struct evaluation *e)
{
    if (e->n == 0) {
        e->r.failed = true;
        return 0;
    }
    return e->stack[--e->n];
}

static void fetch(struct evaluation *e)
{
    uint64_t word = 0;
    if (!e->m->read(e->m->ctx, pop(e), &word))
        e->r.failed = true;
    push(e, word);
}

static uint64_t combine(unsigned op, uint64_t a, uint64_t b)
{
    switch (op) {
    case 0x1a: /* and */
        return a & b;
    case 0x1c: /* minus */
        return a - b;
    case 0x21: /* or */
        return a | b;
    case 0x22: /* plus */
        return a + b;
    case 0x24: /* shl */
        return b < 64 ? a << b : 0;
    case 0x25: /* shr */
        return b < 64 ? a >> b : 0;
    default: /* ge, the one that is left */
        return (int64_t)a >= (int64_t)b;
    }
}

static void step_expression(struct evaluation *e, unsigned op)
{
    struct reader *r = &e->r;
    if (op >= 0x30 && op <= 0x4f) { /* lit0.. */
        push(e, op - 0x30);
    } else if (op >= 0x70 && op < 0x70 + CFI_REGISTERS) { /* breg0.. */
        int64_t offset = take_sleb(r);
        push(e, e->m->registers[op - 0x70] + (uint64_t)offset);
    } else if (op == 0x06) { /* deref */
        fetch(e);
    } else if (op == 0x08 || op == 0x0a || op == 0x0c) { /* const1u, 2u, 4u */
        push(e, take(r, (size_t)1 << ((op - 0x08) / 2)));
    } else if (op == 0x09 || op == 0x0b || op == 0x0d) { /* const1s, 2s, 4s */
        push(e, (uint64_t)take_signed(r, (size_t)1 << ((op - 0x09) / 2)));
    } else if (op == 0x23) { /* plus_uconst */
        uint64_t v = pop(e);
        push(e, v + take_uleb(r));
    } else if (op == 0x1a || op == 0x1c || op == 0x21 || op == 0x22 || op == 0x24 || op == 0x25 ||
               op == 0x2a) {
        uint64_t b = pop(e), a = pop(e);
        push(e, combine(op, a, b));
    } else {
        r->failed = true;
    }
}

bool cfi_evaluate(const struct cfi_machine *m, const struct cfi_rule *expression, const uint64_t *first,
                  uint64_t *value)
{
    struct evaluation e;
    e.r = (struct reader){expression->expr, expression->expr + expression->len, false};
    e.m = m;
    e.n = 0;
    if (first)
        push(&e, *first);
    while (!e.r.failed && e.r.p < e.r.end)
        step_expression(&e, (unsigned)take(&e.r, 1));
    *value = pop(&e);
    return !e.r.failed;
}
