/*
 * conf_files.h: the files that a configuration names. Used by the conf_*.c files only. Blocking; pure but for
 * the file system.
 */
#ifndef GATEWAY_CONF_FILES_H
#define GATEWAY_CONF_FILES_H

#include <sys/types.h>

#include "gateway/conf_report.h"
#include "lib/arena.h"

/* A file as it was read. */
struct conf_file {
    char *text; /* from malloc; not NUL-terminated */
    size_t len;
    dev_t device; /* with the inode: which file it is, whatever its name */
    ino_t inode;
};

#define CONF_FILE_MAX (4 << 20) /* bytes */

/* False with the reason: it is missing, a directory, too big, ... */
MUST_USE bool conf_file_read(const char *path, struct conf_file *out, struct conf_why *why);

/* PATH as it is meant in a file named BASE: relative to its directory. NULL when memory is short. */
MUST_USE char *conf_file_beside(struct arena *arena, const char *base, const char *path);

/* The same, made absolute, so that it means the same from anywhere. */
MUST_USE char *conf_file_absolute(struct arena *arena, const char *base, const char *path);

/* Whether PATH is a file that can be read. */
MUST_USE bool conf_file_check(const char *path, struct conf_why *why);

#endif
