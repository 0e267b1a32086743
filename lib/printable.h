/*
 * printable.h: text from outside, made safe for a terminal.
 *
 *     printable_add(&b, slice_of(path));     // "/a\x1b[2J" becomes "/a%1B[2J"
 *
 * A terminal obeys control characters, some of them hidden in bytes above ASCII. What is not a printable
 * ASCII character is written as % and two hexadecimal digits, as URIs do (RFC 3986, 2.1), so that every byte
 * of the output takes one column, whatever the terminal's character set is.
 *
 * Pure; any thread.
 */
#ifndef LIB_PRINTABLE_H
#define LIB_PRINTABLE_H

#include "lib/buf.h"

/* What does not fit into B is cut off, without a failure, and never inside of an escape. */
void printable_add(struct buf *b, struct slice s);

/* The same into TEXT, NUL-terminated; SIZE is at least 1. */
void printable_copy(char *text, size_t size, struct slice s);

#endif
