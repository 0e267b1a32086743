/*
 * conf_reader.h: a file and what it includes, brought into a text that libConfuse can read. Used by conf.c
 * only.
 *
 * libConfuse stops at the first option it does not know, lets a section replace another one with the same
 * title, an option its earlier value, and counts a comment as three lines. So the structure is checked
 * before: the result holds only options that the schema has, each once, without comments, variables or
 * includes, and line N of it is place N of the report. Everything that was left out has been reported.
 *
 * A section's title is written "PLACE:TITLE", which keeps titles apart and tells where the section began. A
 * title or value that is broken (and reported) is the text CONF_BROKEN. Where something was left out that
 * could have been what a section must have, the section holds the option CONF_GAPS, so that nothing is called
 * missing that only was not understood.
 */
#ifndef GATEWAY_CONF_READER_H
#define GATEWAY_CONF_READER_H

#include "gateway/conf_report.h"
#include "lib/arena.h"

#define CONF_BROKEN "\x01"
#define CONF_GAPS   "@"

/* Names of files go into ARENA. Gives the text, NUL-terminated, to be freed with free(); it is empty when the
 * file cannot be read (reported), and NULL when memory is short (REPORT says so). */
MUST_USE char *conf_read(const char *path, struct arena *arena, struct conf_report *report);

#endif
