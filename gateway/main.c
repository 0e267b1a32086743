/* main.c: the command line. Each command is a row of the table; what it does lies elsewhere. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/command.h"
#include "gateway/control.h"
#include "gateway/demo.h"
#include "gateway/follow.h"
#include "gateway/redis_check.h"
#include "gateway/top.h"

struct options {
    const char *conf;
    const char *listen;
    const char *name; /* NULL: not given */
    const char *attributes;
    bool resolve;
    bool json;
};

static int run(const struct options *o)
{
    return control_run(o->conf);
}

static int check(const struct options *o)
{
    return command_check(o->conf, o->resolve);
}

static int dump(const struct options *o)
{
    return command_dump(o->conf);
}

static int healthcheck(const struct options *o)
{
    return command_healthcheck(o->conf);
}

static int redis_check(const struct options *o)
{
    return command_redis_check(o->conf, o->json);
}

static int demo(const struct options *o)
{
    return demo_run(o->listen, o->name ? o->name : "demo");
}

static int make_key(const struct options *o)
{
    return command_make_key(o->name, o->attributes);
}

static int version(const struct options *o)
{
    (void)o;
    return command_version();
}

static int help(const struct options *o);

static const struct command {
    const char *name;
    int (*run)(const struct options *o);
    const char *what;
    int (*run_alone)(int argc, char **argv); /* it has options of its own; stands before them */
} commands[] = {
    {"run", run, "serve (the default)", NULL},
    {"check", check, "test the configuration; --resolve also looks the servers' names up", NULL},
    {"dump", dump, "print the effective configuration", NULL},
    {"healthcheck", healthcheck, "ask the running gateway's admin port; exit 0 when it is alive", NULL},
    {"top", NULL, "a screen of what the running gateway does (-b: as text)", top_run},
    {"tail", NULL, "follow the requests of the running gateway (-f status=5xx)", follow_run},
    {"redis-check", redis_check, "look at the Redis nodes; exit 0 when all can be used (--json)", NULL},
    {"demo", demo, "a small backend to try things with (--listen ADDRESS --name NAME)", NULL},
    {"make-key", make_key, "a new API key (--name WHO --attributes \"plan=gold\")", NULL},
    {"version", version, "version, build and libraries (also -V)", NULL},
    {"help", help, "this text", NULL},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int help(const struct options *o)
{
    (void)o;
    printf("usage: tollgate [COMMAND] [-c FILE]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].what);
    printf("\n  -c FILE      configuration (default " COMMAND_CONF ")\n"
           "  -t           the same as check\n\n"
           "Signals: HUP loads the configuration again, TERM and QUIT drain, USR1 opens the logs again.\n");
    return EXIT_SUCCESS;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int misuse(const char *what)
{
    fprintf(stderr, "tollgate: %s; `tollgate help` lists the commands\n", what);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"conf", required_argument, NULL, 'c'},       {"check", no_argument, NULL, 't'},
        {"version", no_argument, NULL, 'V'},          {"help", no_argument, NULL, 'h'},
        {"listen", required_argument, NULL, 'l'},     {"name", required_argument, NULL, 'n'},
        {"resolve", no_argument, NULL, 'r'},          {"json", no_argument, NULL, 'j'},
        {"attributes", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0},
    };
    struct options o = {.conf = COMMAND_CONF, .listen = "127.0.0.1:9000", .attributes = ""};
    const char *name = "run";
    int c;
    const struct command *alone = argc > 1 ? find(argv[1]) : NULL;
    if (alone && alone->run_alone)
        return alone->run_alone(argc - 1, argv + 1);
    while ((c = getopt_long(argc, argv, "c:tVh", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o.conf = optarg;
            break;
        case 't':
            name = "check";
            break;
        case 'V':
            name = "version";
            break;
        case 'h':
            name = "help";
            break;
        case 'l':
            o.listen = optarg;
            break;
        case 'n':
            o.name = optarg;
            break;
        case 'a':
            o.attributes = optarg;
            break;
        case 'r':
            o.resolve = true;
            break;
        case 'j':
            o.json = true;
            break;
        default:
            return misuse("unknown option");
        }
    }
    if (optind < argc)
        name = argv[optind++];
    const struct command *command = find(name);
    if (command && command->run_alone)
        return misuse("this command comes first, and its options after it");
    if (!command || optind < argc)
        return misuse(command ? "too many arguments" : "unknown command");
    return command->run(&o);
}
