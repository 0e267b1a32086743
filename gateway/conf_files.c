/*
 * conf_files.c: see conf_files.h.
 *
 * Files are opened without blocking, so that naming a FIFO or a terminal by mistake is an error and not a
 * hang. A file that is read is usually a regular one, but a pipe (a shell's process substitution) serves as
 * well.
 */
#include "gateway/conf_files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The error of the last system call, in words. */
static bool refuse_errno(struct conf_why *why)
{
    char words[128];
    return conf_refuse(why, "%s", strerror_r(errno, words, sizeof(words)));
}

static bool open_file(const char *path, int *fd, struct stat *st, struct conf_why *why)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return refuse_errno(why);
    if (fstat(*fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISFIFO(st->st_mode)))
        return true;
    conf_refuse(why, S_ISDIR(st->st_mode) ? "is a directory" : "is not a regular file");
    close(*fd);
    return false;
}

/* read(), waiting for a pipe to say something. */
static ssize_t read_some(int fd, char *p, size_t size)
{
    for (;;) {
        ssize_t n = read(fd, p, size);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return n;
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        (void)poll(&readable, 1, -1);
    }
}

static bool read_all(int fd, struct conf_file *out, struct conf_why *why)
{
    size_t room = 0;
    for (;;) {
        if (out->len == room) {
            room = room ? 2 * room : 16384;
            char *more = realloc(out->text, room);
            if (!more)
                return conf_refuse(why, "out of memory");
            out->text = more;
        }
        ssize_t n = read_some(fd, out->text + out->len, room - out->len);
        if (n < 0)
            return refuse_errno(why);
        if (n == 0)
            return true;
        out->len += (size_t)n;
        if (out->len > CONF_FILE_MAX)
            return conf_refuse(why, "is bigger than %d bytes", CONF_FILE_MAX);
    }
}

bool conf_file_read(const char *path, struct conf_file *out, struct conf_why *why)
{
    int fd;
    struct stat st;
    *out = (struct conf_file){0};
    if (!open_file(path, &fd, &st, why))
        return false;
    out->device = st.st_dev;
    out->inode = st.st_ino;
    bool ok = read_all(fd, out, why);
    close(fd);
    if (!ok)
        free(out->text);
    return ok;
}

char *conf_file_beside(struct arena *arena, const char *base, const char *path)
{
    const char *slash = strrchr(base, '/');
    if (path[0] == '/' || !slash)
        return arena_dup(arena, slice_of(path));
    return arena_printf(arena, "%.*s%s", (int)(slash - base + 1), base, path);
}

char *conf_file_absolute(struct arena *arena, const char *base, const char *path)
{
    char *beside = conf_file_beside(arena, base, path);
    if (!beside || beside[0] == '/')
        return beside;
    char *cwd = getcwd(NULL, 0);
    char *absolute = cwd ? arena_printf(arena, "%s/%s", cwd, beside) : beside;
    free(cwd);
    return absolute;
}

bool conf_file_check(const char *path, struct conf_why *why)
{
    int fd;
    struct stat st;
    if (!open_file(path, &fd, &st, why))
        return false;
    close(fd);
    return true;
}
