/* command.c: see command.h. */
#include "gateway/command.h"

#include <curl/curl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "gateway/conf.h"
#include "gateway/easy.h"
#include "gateway/version.h"

#define HEALTH_TIMEOUT_MS 2000L

struct conf *command_load(const char *path)
{
    struct conf_mistakes mistakes;
    struct conf *conf = conf_load(path, &mistakes);
    for (size_t i = 0; i < mistakes.n; i++)
        fprintf(stderr, "%s\n", mistakes.at[i]);
    conf_mistakes_free(&mistakes);
    return conf;
}

static void look_up(const struct conf_server *s)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (!s->host)
        return;
    int failed = getaddrinfo(s->host, NULL, &hints, &found);
    if (failed)
        fprintf(stderr, "%s:%d: warning: cannot resolve %s: %s\n", s->where.file, s->where.line, s->host,
                gai_strerror(failed));
    else
        freeaddrinfo(found);
}

int command_check(const char *conf_path, bool resolve)
{
    struct conf *conf = command_load(conf_path);
    if (!conf)
        return EXIT_FAILURE;
    for (size_t i = 0; resolve && i < conf->nbackends; i++)
        for (size_t j = 0; j < conf->backends[i].nservers; j++)
            look_up(&conf->backends[i].servers[j]);
    printf("%s: good: %zu listeners, %zu backends, %zu routes\n", conf_path, conf->nlistens, conf->nbackends,
           conf->nroutes);
    conf_free(conf);
    return EXIT_SUCCESS;
}

int command_dump(const char *conf_path)
{
    struct conf *conf = command_load(conf_path);
    if (!conf)
        return EXIT_FAILURE;
    conf_dump(conf, stdout);
    conf_free(conf);
    return EXIT_SUCCESS;
}

/* An address to connect to where the port listens on all. */
static void health_url(const struct conf_listen *l, char *url, size_t size)
{
    const char *host = l->host;
    if (l->unix_path)
        host = "localhost";
    else if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    snprintf(url, size, strchr(host, ':') ? "http://[%s]:%u/healthz" : "http://%s:%u/healthz", host,
             l->unix_path ? 80 : l->port);
}

static size_t drop(char *p, size_t size, size_t n, void *ctx)
{
    (void)p, (void)ctx;
    return size * n;
}

static long ask(const struct conf_listen *l)
{
    long status = 0;
    char url[256];
    CURL *easy = easy_new();
    if (!easy)
        return 0;
    health_url(l, url, sizeof(url));
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, HEALTH_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    if (l->unix_path)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, l->unix_path);
    if (curl_easy_perform(easy) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return status;
}

int command_healthcheck(const char *conf_path)
{
    struct conf *conf = command_load(conf_path);
    if (!conf)
        return EXIT_FAILURE;
    if (!conf->admin.listen.address) {
        fprintf(stderr, "tollgate: %s has no admin port to ask\n", conf_path);
        conf_free(conf);
        return EXIT_FAILURE;
    }
    long status = ask(&conf->admin.listen);
    conf_free(conf);
    if (status == 200)
        return EXIT_SUCCESS;
    fprintf(stderr,
            status ? "tollgate: the admin port answers %ld\n" : "tollgate: the admin port does not answer\n",
            status);
    return EXIT_FAILURE;
}

int command_make_key(const char *name, const char *attributes)
{
    char key[API_KEY_TEXT], space[4096];
    struct buf line;
    buf_init(&line, space, sizeof(space));
    if (!name || !api_keys_generate(slice_of(name), slice_of(attributes), key, &line)) {
        fprintf(stderr,
                "tollgate: make-key needs --name WHO (letters, digits and ._@:-), and --attributes as "
                "name=value without white space in the values\n");
        return 2;
    }
    printf("# The key, which is shown this once:\n# %s\n%.*s\n", key,
           SLICE_ARG(slice_trim(buf_slice(&line))));
    return EXIT_SUCCESS;
}

int command_version(void)
{
    printf("tollgate %s (%s)\nlibmicrohttpd %s, %s, libuv %s\n", version_number, version_revision,
           MHD_get_version(), curl_version(), uv_version_string());
    return EXIT_SUCCESS;
}
