/*
 * soak.c: nothing is lost: random requests through a proxy, every byte of which is checked at the other end.
 *
 *     soak --port P --origin P[,P...] [--requests 20000] [--seed S] [--threads 16] [--from ID]
 *          [--pid PID] [--reload-pid PID --reload-ms 100] [--repeats 2] [--allow-idle-close] [--no-interim]
 *
 * The proxy on 127.0.0.1:P must forward every path to the ports that this program listens on. Methods, sizes,
 * framings, versions, trailers, Expect, pipelining, and ends that go at any moment are drawn from the seed
 * (plan.c); what may come of each is in client.c. One request can be repeated alone by --from ID --requests 1
 * --threads 1.
 *
 * With --pid the open files of that process and its children must go back to what they were after a warm-up,
 * and its memory is shown. With --reload-pid it is sent SIGHUP all the time. --repeats says how often an
 * idempotent request may reach the origin. --allow-idle-close and --no-interim are for proxies that close
 * kept connections at a reload, or take an interim answer for the final one.
 *
 * Prints counts by category and "N passed, N failed"; exit 1 when any failed, 2 when it could not run.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/client.h"
#include "tests/soak/origin.h"

#define THREADS_MAX     256
#define WARM_UP         200
#define WARM_UP_WAIT_MS 1000
#define FILES_WAIT_MS   15000
#define FILES_CHECK_MS  100

struct options {
    uint16_t port;
    uint16_t origins[8];
    unsigned norigins;
    uint64_t requests, seed, from;
    unsigned threads, repeats;
    pid_t pid, reload_pid;
    unsigned reload_ms;
    bool may_close_idle, has_interim;
};

struct reloader {
    pid_t pid;
    unsigned every_ms;
    unsigned times;
    _Atomic bool must_end;
};

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    if (!d)
        return 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static uint64_t resident_bytes(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Open files and resident memory of a process and all below it. */
static void look_at(pid_t pid, unsigned *files, uint64_t *bytes)
{
    char path[64];
    int child;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    *files += count_entries(path);
    *bytes += resident_bytes(pid);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fscanf(f, "%d", &child) == 1)
        look_at(child, files, bytes);
    if (f)
        fclose(f);
}

static void *reload(void *arg)
{
    struct reloader *r = arg;
    while (!atomic_load(&r->must_end)) {
        kill(r->pid, SIGHUP);
        r->times++;
        sleep_ms(r->every_ms);
    }
    return NULL;
}

static void run_clients(const struct options *o, struct tally *tally)
{
    pthread_t threads[THREADS_MAX];
    struct client *clients = calloc(o->threads, sizeof(*clients));
    if (!clients)
        exit(2);
    for (unsigned i = 0; i < o->threads; i++) {
        clients[i].tally = tally;
        clients[i].port = o->port;
        clients[i].index = i;
        clients[i].stride = o->threads;
        clients[i].may_close_idle = o->may_close_idle;
        clients[i].has_interim = o->has_interim;
        if (pthread_create(&threads[i], NULL, client_run, &clients[i]) != 0)
            exit(2);
    }
    for (unsigned i = 0; i < o->threads; i++)
        pthread_join(threads[i], NULL);
    free(clients);
}

/* Open files once there are at most MOST, or when WAIT_MS have passed. */
static unsigned settled_files(const struct options *o, unsigned most, unsigned wait_ms, uint64_t *bytes)
{
    unsigned files = 0;
    for (unsigned waited = 0; waited < wait_ms; waited += FILES_CHECK_MS) {
        sleep_ms(FILES_CHECK_MS);
        files = 0;
        *bytes = 0;
        look_at(o->pid, &files, bytes);
        if (files <= most)
            break;
    }
    return files;
}

/* A short run with another seed, so that what a proxy opens once and keeps is open. True: it went well. */
static bool warm_up(const struct options *o, struct origin *origin, struct tally *tally, unsigned *files,
                    uint64_t *bytes)
{
    struct options few = *o;
    few.from = 0;
    few.requests = WARM_UP;
    if (!tally_init(tally, o->seed + 1, 0, WARM_UP))
        exit(2);
    tally->repeats_max = o->repeats;
    run_clients(&few, tally);
    bool is_good = tally->failed == 0;
    origin_close_connections(origin);
    tally_fini(tally);
    if (o->pid)
        *files = settled_files(o, 0, WARM_UP_WAIT_MS, bytes);
    return is_good;
}

static bool check_files(const struct options *o, struct origin *origin, unsigned before,
                        uint64_t bytes_before)
{
    uint64_t bytes = 0;
    origin_close_connections(origin);
    unsigned after = settled_files(o, before, FILES_WAIT_MS, &bytes);
    printf("open files of the proxy: %u, then %u; resident memory %.1f MB, then %.1f MB\n", before, after,
           (double)bytes_before / 1e6, (double)bytes / 1e6);
    if (after > before)
        printf("FAILED  the proxy keeps files open\n");
    return after <= before;
}

static struct options parse(int argc, char **argv)
{
    static const struct option longs[] = {
        {"port", required_argument, NULL, 'p'},
        {"origin", required_argument, NULL, 'o'},
        {"requests", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'},
        {"from", required_argument, NULL, 'f'},
        {"pid", required_argument, NULL, 'P'},
        {"reload-pid", required_argument, NULL, 'R'},
        {"reload-ms", required_argument, NULL, 'm'},
        {"allow-idle-close", no_argument, NULL, 'i'},
        {"no-interim", no_argument, NULL, 'x'},
        {"repeats", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {
        .requests = 20000, .seed = 1, .threads = 16, .repeats = 2, .reload_ms = 100, .has_interim = true};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;
        if (c == 'p')
            o.port = (uint16_t)n;
        else if (c == 'o')
            for (char *at = optarg; o.norigins < 8 && *at; at += *at == ',')
                o.origins[o.norigins++] = (uint16_t)strtoul(at, &at, 10);
        else if (c == 'n')
            o.requests = n;
        else if (c == 's')
            o.seed = n;
        else if (c == 't')
            o.threads = (unsigned)n;
        else if (c == 'f')
            o.from = n;
        else if (c == 'P')
            o.pid = (pid_t)n;
        else if (c == 'R')
            o.reload_pid = (pid_t)n;
        else if (c == 'm')
            o.reload_ms = (unsigned)n;
        else if (c == 'r')
            o.repeats = (unsigned)n;
        else if (c == 'i')
            o.may_close_idle = true;
        else if (c == 'x')
            o.has_interim = false;
        else
            exit(2);
    }
    if (!o.port || !o.norigins || !o.requests || o.threads < 1 || o.threads > THREADS_MAX) {
        fprintf(stderr, "soak: --port and --origin are needed; 1 to %d threads\n", THREADS_MAX);
        exit(2);
    }
    return o;
}

/* The run itself, with reloads when asked for. */
static void run(const struct options *o, struct tally *tally)
{
    struct reloader r = {.pid = o->reload_pid, .every_ms = o->reload_ms};
    struct timespec from, to;
    pthread_t thread;
    if (r.pid && pthread_create(&thread, NULL, reload, &r) != 0)
        exit(2);
    clock_gettime(CLOCK_MONOTONIC, &from);
    run_clients(o, tally);
    clock_gettime(CLOCK_MONOTONIC, &to);
    atomic_store(&r.must_end, true);
    if (r.pid) {
        pthread_join(thread, NULL);
        printf("%u reloads\n", r.times);
    }
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
    printf("%" PRIu64 " requests in %.1f s\n", o->requests, seconds);
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct tally tally;
    unsigned files = 0;
    uint64_t bytes = 0;
    signal(SIGPIPE, SIG_IGN);
    struct origin *origin = origin_start(o.origins, o.norigins, &tally);
    if (!origin) {
        perror("soak: the origin cannot listen");
        return 2;
    }
    bool is_good = warm_up(&o, origin, &tally, &files, &bytes);
    if (!tally_init(&tally, o.seed, o.from, o.requests))
        return 2;
    tally.repeats_max = o.repeats;
    run(&o, &tally);
    if (o.pid)
        is_good &= check_files(&o, origin, files, bytes);
    origin_stop(origin);
    is_good &= tally_close(&tally);
    tally_fini(&tally);
    return is_good ? 0 : 1;
}
