// needs: gateway/conf.c gateway/conf_*.c gateway/router_pattern.c
// libs: -lconfuse -lpcre2-8 -lcjson -lcrypto -lcrypt
/*
 * fuzz_conf.c: any bytes as a configuration.
 *
 * What has to hold: there is a configuration or a mistake, never both and never none; each message is one
 * printable line that says where; what is accepted can be printed, and that loads again and prints the same.
 */
#include "gateway/conf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same variables everywhere. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return unsetenv("NOPE") || setenv("EMPTY", "", 1) || setenv("HOST", "users", 1) ||
           setenv("TRICK", "\"{}\\${HOST}", 1);
}

static void check_messages(const struct conf_mistakes *m)
{
    for (size_t i = 0; i < m->n; i++) {
        CHECK(strncmp(m->at[i], "out of memory", 13) != 0);
        CHECK(strchr(m->at[i], ':') || strstr(m->at[i], "more mistakes"));
        for (const char *p = m->at[i]; *p; p++)
            CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
    }
}

/* "file:line: warning: ...": what follows could say anything. The file's own name has no colon. */
static bool is_warning(const char *text)
{
    const char *colon = strchr(text, ':');
    colon = colon ? strchr(colon + 1, ':') : NULL;
    return colon && strncmp(colon, ": warning: ", 11) == 0;
}

static bool has_mistake(const struct conf_mistakes *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (!is_warning(m->at[i]))
            return true;
    return false;
}

/* Text as a file that conf_load can open. */
static struct conf *load(const char *text, size_t len)
{
    char path[64];
    struct conf_mistakes m;
    int fd = memfd_create("conf", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct conf *c = conf_load(path, &m);
    check_messages(&m);
    CHECK(has_mistake(&m) == (c == NULL));
    conf_mistakes_free(&m);
    close(fd);
    return c;
}

static char *dump(const struct conf *c, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    CHECK(f);
    conf_dump(c, f);
    CHECK(fclose(f) == 0);
    return text;
}

/* Files that are there are not what is tested; with patterns there could be many. */
static bool may_include(const uint8_t *data, size_t size)
{
    return memmem(data, size, "inc", 3) != NULL; /* the rest could come from a variable's default */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len, again_len;
    if (may_include(data, size) &&
        (memchr(data, '*', size) || memchr(data, '?', size) || memchr(data, '[', size)))
        return 0;
    struct conf *c = load((const char *)data, size);
    if (!c)
        return 0;
    char *text = dump(c, &len);
    struct conf *second = load(text, len);
    CHECK(second);
    char *again = dump(second, &again_len);
    CHECK(len == again_len && memcmp(text, again, len) == 0);
    free(text);
    free(again);
    conf_free(c);
    conf_free(second);
    return 0;
}
