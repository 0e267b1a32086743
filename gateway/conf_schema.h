/*
 * conf_schema.h: every section and option that a configuration may hold, as tables. Used by the conf_*.c
 * files and their tests.
 *
 * One row says all that is known of an option: its name, type, default, range and the field it fills.
 * Reading, checking, printing and the check that conf/tollgate.conf documents each option go by these rows; a
 * new option is a new row (and, when it has no plain type, a few lines in conf_build.c or conf_route.c and in
 * conf_dump.c).
 *
 * Constant data, readable by any thread.
 */
#ifndef GATEWAY_CONF_SCHEMA_H
#define GATEWAY_CONF_SCHEMA_H

#include "gateway/conf.h"

enum conf_type {
    CONF_TEXT,    /* const char *; min and max bound its length; words[0] stands for NULL */
    CONF_FILE,    /* const char *: a file that can be read; relative to the file it is named in */
    CONF_FLAG,    /* bool: yes or no */
    CONF_WORD,    /* enum: the index of one of `words` */
    CONF_COUNT,   /* uint32_t; words[0] stands for 0 */
    CONF_TIME,    /* uint32_t, milliseconds */
    CONF_SIZE,    /* uint32_t or uint64_t, bytes */
    CONF_PERCENT, /* uint32_t, hundredths of a percent */
    CONF_RATE,    /* struct units_rate; its count is in the range */
    CONF_LIST,    /* const char ** and size_t */
    CONF_SECTION, /* options of its own */
};

struct conf_section;

struct conf_option {
    const char *name;
    enum conf_type type;
    const char *value;                  /* default, as it would be written; NULL: none */
    uint64_t min, max;                  /* of numbers (ms, bytes) and of the length of text */
    const char *const *words;           /* ends with NULL; see the types */
    size_t offset;                      /* of the field in the section's struct */
    size_t size;                        /* of the field; 0: filled in by code of its own */
    size_t count_offset;                /* CONF_LIST: of the field with the number of entries */
    const struct conf_section *section; /* CONF_SECTION */
};

struct conf_section {
    const char *name;
    const char *title; /* what its title says; NULL: it has none */
    bool is_many;      /* may be given several times, with different titles if it has any */
    const struct conf_option *options;
    size_t noptions;
};

/* A section with options is never deeper than this, and has no more options than that. */
#define CONF_DEPTH_MAX   8
#define CONF_OPTIONS_MAX 40

/* The whole file; its name is "". */
extern const struct conf_section conf_schema;

/* NULL when SECTION has no such option. */
const struct conf_option *conf_schema_find(const struct conf_section *section, const char *name);

/* The row of that name, which must exist. */
const struct conf_option *conf_schema_get(const struct conf_section *section, const char *name);

/* The name in SECTION that is nearest to NAME, or NULL. */
const char *conf_schema_nearest(const struct conf_section *section, const char *name);

/* A section anywhere in the file that has an option NAME, or NULL: first below SECTION, then from the top. */
const struct conf_section *conf_schema_home(const struct conf_section *section, const char *name);

#endif
