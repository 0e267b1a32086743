/*
 * unwind.c: see unwind.h.
 *
 * Tried and dropped: frame pointers (-fno-omit-frame-pointer), for Debian's libraries have none, so that a
 * walk that passes through libmicrohttpd or libcurl ends there or, worse, goes on wrongly; libunwind and
 * backtrace(), which ask the loader under its lock and allocate when they meet a library for the first time.
 */
#include "lib/unwind.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/unwind_cfi.h"

#define WINDOW 1024 /* bytes of stack that are fetched at once */
#define PAGE   4096

/* A piece of the thread's own stack. */
struct window {
    pid_t pid;
    uintptr_t at;
    size_t len;
    uint8_t bytes[WINDOW];
};

static bool read_word(void *ctx, uintptr_t address, uint64_t *word)
{
    struct window *w = ctx;
    if (address < w->at || w->len < sizeof(*word) || address - w->at > w->len - sizeof(*word)) {
        size_t in_page = PAGE - address % PAGE; /* the next one may not be there */
        size_t want = in_page < sizeof(*word) ? sizeof(*word) : in_page < WINDOW ? in_page : WINDOW;
        struct iovec here = {w->bytes, want}, there = {(void *)address, want};
        long n = syscall(SYS_process_vm_readv, w->pid, &here, 1, &there, 1, 0);
        w->at = address;
        w->len = n > 0 ? (size_t)n : 0;
        if (w->len < sizeof(*word))
            return false;
    }
    memcpy(word, w->bytes + (address - w->at), sizeof(*word));
    return true;
}

static bool apply(const struct cfi_machine *m, const struct cfi_rule *rule, uint64_t frame, uint64_t *value)
{
    uint64_t address;
    switch (rule->kind) {
    case CFI_SAME:
        return true;
    case CFI_UNDEFINED:
        *value = 0;
        return true;
    case CFI_AT:
        return m->read(m->ctx, frame + (uint64_t)rule->value, value);
    case CFI_IS:
        *value = frame + (uint64_t)rule->value;
        return true;
    case CFI_REGISTER:
        if ((uint64_t)rule->value >= CFI_REGISTERS)
            return false;
        *value = m->registers[rule->value];
        return true;
    case CFI_EXPRESSION:
        return cfi_evaluate(m, rule, &frame, &address) && m->read(m->ctx, address, value);
    case CFI_VALUE_EXPRESSION:
        return cfi_evaluate(m, rule, &frame, value);
    }
    return false;
}

static bool frame_of(const struct cfi_machine *m, const struct cfi_row *row, uint64_t *frame)
{
    if (row->frame.kind == CFI_VALUE_EXPRESSION)
        return cfi_evaluate(m, &row->frame, NULL, frame);
    *frame = m->registers[row->base] + (uint64_t)row->frame.value;
    return row->frame.kind == CFI_REGISTER;
}

/* From a function's registers to its caller's. False: the end of the stack, or of what is known. */
static bool step(const struct modules *all, struct window *w, uint64_t registers[CFI_REGISTERS],
                 bool *is_exact)
{
    struct cfi_function f;
    struct cfi_row row;
    uint64_t frame, caller[CFI_REGISTERS];
    const struct cfi_machine m = {registers, read_word, w};
    /* A call may be its function's last instruction: what is behind it belongs to another one. */
    uintptr_t pc = registers[CFI_RA] - !*is_exact;
    const struct module *module = modules_find(all, pc);
    if (!module || !cfi_find(module, pc, &f) || !cfi_row_at(&f, pc, &row) || !frame_of(&m, &row, &frame))
        return false;
    memcpy(caller, registers, sizeof(caller));
    if (row.rules[CFI_RA].kind == CFI_SAME)
        return false;
    caller[CFI_SP] = frame;
    for (unsigned i = 0; i < CFI_REGISTERS; i++)
        if (!apply(&m, &row.rules[i], frame, &caller[i]))
            return false;
    bool goes_up = f.is_signal || caller[CFI_SP] > registers[CFI_SP];
    memcpy(registers, caller, sizeof(caller));
    *is_exact = f.is_signal;
    return goes_up && registers[CFI_RA] != 0;
}

#if defined(__x86_64__)

static void take_registers(const ucontext_t *c, uint64_t registers[CFI_REGISTERS])
{
    static const int order[CFI_REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                             REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                             REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (unsigned i = 0; i < CFI_REGISTERS; i++)
        registers[i] = (uint64_t)c->uc_mcontext.gregs[order[i]];
}

size_t unwind_walk(const struct modules *all, const void *context, uintptr_t *at, size_t max)
{
    uint64_t registers[CFI_REGISTERS];
    struct window w;
    bool is_exact = true;
    size_t n = 0;
    w.pid = getpid();
    w.at = 0;
    w.len = 0;
    take_registers(context, registers);
    while (n < max) {
        at[n++] = registers[CFI_RA];
        if (!step(all, &w, registers, &is_exact))
            break;
    }
    return n;
}

#elif defined(__aarch64__)

size_t unwind_walk(const struct modules *all, const void *context, uintptr_t *at, size_t max)
{
    (void)all, (void)step, (void)read_word;
    if (max == 0)
        return 0;
    at[0] = ((const ucontext_t *)context)->uc_mcontext.pc;
    return 1;
}

#else
#error "where does this processor keep the address of the next instruction?"
#endif

uintptr_t unwind_function(const struct modules *all, uintptr_t pc)
{
    struct cfi_function f;
    const struct module *m = modules_find(all, pc);
    return m && cfi_find(m, pc, &f) ? f.begin : 0;
}
