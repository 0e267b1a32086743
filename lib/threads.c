/* threads.c: see threads.h. */
#include "lib/threads.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t threads_list(pid_t *ids, size_t max)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/task");
    if (!dir)
        return 0;
    for (const struct dirent *e; n < max && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            ids[n++] = (pid_t)strtol(e->d_name, NULL, 10);
    closedir(dir);
    return n;
}

/* The beginning of a file of thread ID, NUL-terminated. */
static bool read_file(pid_t id, const char *name, char *text, size_t cap)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)id, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, cap - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

bool threads_name(pid_t id, char name[THREAD_NAME])
{
    char text[64];
    if (!read_file(id, "comm", text, sizeof(text)))
        return false;
    snprintf(name, THREAD_NAME, "%.*s", (int)strcspn(text, "\n"), text);
    return true;
}

char threads_state(pid_t id)
{
    char text[256];
    if (!read_file(id, "stat", text, sizeof(text)))
        return '\0';
    const char *behind = strrchr(text, ')'); /* of the name, which may have anything in it */
    return behind && behind[1] == ' ' ? behind[2] : '\0';
}
