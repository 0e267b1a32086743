/* limits.c: see limits.h. */
#include "gateway/limits.h"

#include <sys/resource.h>

#define FILES_BESIDE  256                  /* descriptors for everything but connections */
#define MEMORY_BESIDE (UINT64_C(64) << 20) /* bytes for everything but connections */
#define MEMORY_REQUEST                                                                                       \
    (UINT64_C(24) << 10) /* bytes of a request under way: exchange, buffer, backend connection */

static void check_files(const struct conf *conf, struct log *log)
{
    struct rlimit files;
    /* A client's connection and, at worst, one to a backend for each. */
    rlim_t need = (rlim_t)conf->client.max_connections * 2 + FILES_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < need)
        log_printf(log, LOG_WARN, "only %llu files may be open; client.max_connections = %u may need %llu",
                   (unsigned long long)files.rlim_cur, conf->client.max_connections,
                   (unsigned long long)need);
}

/* The smaller of the address space limit and the control group's, or UINT64_MAX. */
static uint64_t memory_limit(void)
{
    struct rlimit space;
    uint64_t limit = UINT64_MAX;
    unsigned long long group;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (f) {
        if (fscanf(f, "%llu", &group) == 1)
            limit = group;
        fclose(f);
    }
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY && space.rlim_cur < limit)
        limit = space.rlim_cur;
    return limit;
}

static void check_memory(const struct conf *conf, struct log *log)
{
    uint64_t each = (uint64_t)conf->client.max_head * 2 + MEMORY_REQUEST;
    uint64_t need = MEMORY_BESIDE + conf->client.max_connections * each;
    uint64_t limit = memory_limit();
    if (limit < need)
        log_printf(log, LOG_WARN,
                   "memory is limited to %llu MB; client.max_connections = %u may need %llu MB",
                   (unsigned long long)(limit >> 20), conf->client.max_connections,
                   (unsigned long long)(need >> 20));
}

void limits_check(const struct conf *conf, struct log *log)
{
    check_files(conf, log);
    check_memory(conf, log);
}
