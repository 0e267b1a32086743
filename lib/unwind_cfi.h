/*
 * unwind_cfi.h: call frame information, as compilers write it into .eh_frame: where a function's caller left
 * its registers. The inside of unwind.h; nobody else includes it.
 *
 * Everything here only reads memory of a module that stays loaded, within its segment, and its own arguments:
 * async-signal-safe. What is malformed or unknown is false, never a fault.
 *
 * Source: DWARF 5, 6.4 (call frame information) and 2.5 (expressions); Linux Standard Base 5.0, 10.6.
 */
#ifndef LIB_UNWIND_CFI_H
#define LIB_UNWIND_CFI_H

#include "lib/modules.h"

/* Registers of x86-64 by their DWARF numbers; the last one is where the caller goes on. */
#define CFI_REGISTERS 17
#define CFI_SP        7
#define CFI_RA        16

enum cfi_kind {
    CFI_SAME, /* the caller has the value that the function has */
    CFI_UNDEFINED,
    CFI_AT,               /* in memory, VALUE behind the frame's address */
    CFI_IS,               /* the frame's address and VALUE */
    CFI_REGISTER,         /* in register VALUE */
    CFI_EXPRESSION,       /* in memory, where the expression says */
    CFI_VALUE_EXPRESSION, /* what the expression says */
};

struct cfi_rule {
    enum cfi_kind kind;
    uint32_t len;  /* of the expression */
    int64_t value; /* or, for the frame's address: what is added to the register */
    const uint8_t *expr;
};

/* What holds at one instruction. */
struct cfi_row {
    struct cfi_rule frame; /* CFI_REGISTER: `base` and its value; CFI_VALUE_EXPRESSION */
    unsigned base;
    struct cfi_rule rules[CFI_REGISTERS];
};

struct cfi_function {
    uintptr_t begin, end;
    bool is_signal; /* the kernel built the frame: its caller was interrupted, and called nothing */
    int64_t code_align, data_align;
    unsigned encoding;
    const uint8_t *common, *common_end; /* instructions of all functions of its kind */
    const uint8_t *own, *own_end;       /* and its own */
};

/* The function of M that has PC. */
MUST_USE bool cfi_find(const struct module *m, uintptr_t pc, struct cfi_function *f);
MUST_USE bool cfi_row_at(const struct cfi_function *f, uintptr_t pc, struct cfi_row *row);

/* Word of memory at ADDRESS. */
typedef bool cfi_read_fn(void *ctx, uintptr_t address, uint64_t *word);

struct cfi_machine {
    const uint64_t *registers; /* CFI_REGISTERS of them */
    cfi_read_fn *read;
    void *ctx;
};

/* The value of an expression; HAS_FIRST: FIRST lies on its stack at the beginning. */
MUST_USE bool cfi_evaluate(const struct cfi_machine *m, const struct cfi_rule *expression,
                           const uint64_t *first, uint64_t *value);

#endif
