/* redis_check.c: see redis_check.h. One node after the other, so that none is slow because of the others. */
#include "gateway/redis_check.h"

#include <signal.h>
#include <stdlib.h>

#include "gateway/command.h"
#include "gateway/conf.h"
#include "gateway/redis_report.h"

static int check(const struct conf_redis *conf, bool as_json)
{
    struct redis_probe *probes = calloc(conf->nnodes + 1, sizeof(*probes));
    const struct redis_report report = {conf, probes};
    if (!probes)
        return EXIT_FAILURE;
    for (size_t i = 0; i < conf->nnodes; i++)
        redis_probe(conf, i, &probes[i]);
    bool is_told = as_json ? redis_report_json(&report, stdout) : redis_report_print(&report, stdout);
    bool is_good = redis_report_is_good(&report);
    free(probes);
    return is_told && is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_redis_check(const char *conf_path, bool as_json)
{
    struct conf *conf = command_load(conf_path);
    if (!conf)
        return EXIT_FAILURE;
    int status = EXIT_FAILURE;
    signal(SIGPIPE, SIG_IGN);
    if (conf->redis.enabled)
        status = check(&conf->redis, as_json);
    else
        fprintf(stderr, "tollgate: %s has no section redis\n", conf_path);
    conf_free(conf);
    return status;
}
