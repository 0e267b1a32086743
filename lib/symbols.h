/*
 * symbols.h: the names of functions, by address.
 *
 *     struct symbols *s = symbols_new(modules, &err);
 *     struct symbol f = symbols_find(s, pc);         // f.name: "exchange_run", or "libz.so.1+0x2a40"
 *     symbols_free(s);
 *
 * Names come from the symbol table of the module's file, static functions included; from the table of what it
 * exports where it was stripped. A function that neither names is called by its module and where in it it
 * begins, or where PC is when that is not known either; code of no module is "0x" and its address. A file
 * that is not the one that is loaded any more (its build id differs) names nothing.
 *
 * Reads files: not for threads that may not wait. One thread; names live as long as the table.
 *
 * Source: ELF (System V ABI).
 */
#ifndef LIB_SYMBOLS_H
#define LIB_SYMBOLS_H

#include "lib/modules.h"

struct symbols;

struct symbol {
    const char *name;
    const struct module *module; /* NULL: none */
};

/* ALL is lent until symbols_free. NULL with err. */
MUST_USE struct symbols *symbols_new(const struct modules *all, struct err *err);
void symbols_free(struct symbols *s);

/* For a caller, PC is an address within its call: one before where it goes on. */
struct symbol symbols_find(struct symbols *s, uintptr_t pc);

#endif
