/* admin_client.c: see admin_client.h. */
#include "gateway/admin_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/command.h"
#include "gateway/conf.h"
#include "gateway/easy.h"
#include "lib/buf.h"

#define CONNECT_MS 2000L
#define TOTAL_MS   5000L
#define SILENCE_S  60L
#define OK         200

struct admin_call {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    struct admin_target target;
    enum admin_state state;
    admin_sink *sink; /* NULL: into the body */
    void *ctx;
    char *body;
    size_t body_len, body_cap;
    long status;
    char error[CURL_ERROR_SIZE];
};

/* ---- which gateway ---- */

static bool complain(const char *what, const char *about)
{
    fprintf(stderr, "tollgate: %s%s\n", what, about);
    return false;
}

static bool copy(char *to, const char *text)
{
    return snprintf(to, ADMIN_TEXT, "%s", text) < ADMIN_TEXT;
}

static bool set_url(struct admin_target *t, const char *url)
{
    struct slice s = slice_of(url), unix_scheme = SLICE("unix:");
    if (slice_starts(s, unix_scheme))
        return copy(t->url, "http://localhost") && copy(t->unix_path, url + unix_scheme.len);
    bool has_scheme = slice_starts(s, SLICE("http://")) || slice_starts(s, SLICE("https://"));
    int len = snprintf(t->url, ADMIN_TEXT, "%s%s", has_scheme ? "" : "http://", url);
    if (len >= ADMIN_TEXT)
        return false;
    while (len > 0 && t->url[len - 1] == '/')
        t->url[--len] = '\0';
    return true;
}

/* An address to connect to where the port listens on all. */
static bool set_listen(struct admin_target *t, const struct conf_listen *l)
{
    const char *host = l->host;
    if (l->unix_path)
        return copy(t->url, "http://localhost") && copy(t->unix_path, l->unix_path);
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    return snprintf(t->url, ADMIN_TEXT, strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host,
                    l->port) < ADMIN_TEXT;
}

static bool set_from_conf(struct admin_target *t, const char *path, bool with_token)
{
    struct conf *conf = command_load(path);
    if (!conf)
        return false;
    bool ok = conf->admin.listen.address ? set_listen(t, &conf->admin.listen)
                                         : complain("there is no admin port in ", path);
    if (ok && with_token && conf->admin.token)
        ok = copy(t->token, conf->admin.token);
    conf_free(conf);
    return ok;
}

bool admin_target_set(struct admin_target *t, const struct admin_ask *ask)
{
    const char *token = ask->token ? ask->token : getenv("TOLLGATE_ADMIN_TOKEN");
    memset(t, 0, sizeof(*t));
    if (token && !copy(t->token, token))
        return complain("the token is too long", "");
    if (ask->url)
        return set_url(t, ask->url) || complain("the URL is too long", "");
    return set_from_conf(t, ask->conf, !token);
}

bool admin_add_parameter(struct buf *b, struct slice name, struct slice value)
{
    char *escaped = curl_easy_escape(NULL, value.len > 0 ? value.p : "", (int)value.len);
    if (!escaped)
        return false;
    buf_add(b, name);
    buf_add_char(b, '=');
    if (value.len > 0) /* for curl, a length of 0 is that of the text */
        buf_add(b, slice_of(escaped));
    curl_free(escaped);
    return !b->failed;
}

/* ---- the request ---- */

static bool keep(struct admin_call *c, struct slice bytes)
{
    size_t want = c->body_len + bytes.len;
    if (want > ADMIN_BODY_MAX)
        return false;
    if (want > c->body_cap) {
        char *more = realloc(c->body, want * 2);
        if (!more)
            return false;
        c->body = more;
        c->body_cap = want * 2;
    }
    memcpy(c->body + c->body_len, bytes.p, bytes.len);
    c->body_len = want;
    return true;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct admin_call *c = ctx;
    struct slice bytes = {p, size * n};
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
    if (c->status != OK || bytes.len == 0)
        return bytes.len;
    if (c->sink)
        c->sink(c->ctx, bytes);
    else if (!keep(c, bytes))
        return 0;
    return bytes.len;
}

static bool set_token(struct admin_call *c)
{
    char field[ADMIN_TEXT + 32];
    if (c->target.token[0] == '\0')
        return true;
    snprintf(field, sizeof(field), "Authorization: Bearer %s", c->target.token);
    return (c->headers = curl_slist_append(NULL, field)) != NULL;
}

struct admin_call *admin_call_new(const struct admin_target *t)
{
    struct admin_call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->target = *t;
    c->multi = curl_multi_init();
    c->easy = easy_new();
    if (!c->multi || !c->easy || !set_token(c)) {
        admin_call_free(c);
        return NULL;
    }
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    if (t->unix_path[0] != '\0')
        curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, t->unix_path);
    return c;
}

static void give_up(struct admin_call *c)
{
    if (c->state == ADMIN_BUSY)
        curl_multi_remove_handle(c->multi, c->easy);
    c->state = ADMIN_IDLE;
}

void admin_call_free(struct admin_call *c)
{
    if (c->multi && c->easy)
        give_up(c);
    curl_easy_cleanup(c->easy);
    if (c->multi)
        curl_multi_cleanup(c->multi);
    curl_slist_free_all(c->headers);
    free(c->body);
    free(c);
}

bool admin_call_start(struct admin_call *c, const char *path, admin_sink *sink, void *ctx)
{
    char *url;
    give_up(c);
    if (asprintf(&url, "%s%s", c->target.url, path) < 0)
        return false;
    c->sink = sink;
    c->ctx = ctx;
    c->body_len = 0;
    c->status = 0;
    c->error[0] = '\0';
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, sink ? 0 : TOTAL_MS);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, sink ? SILENCE_S : 0);
    bool ok = curl_easy_setopt(c->easy, CURLOPT_URL, url) == CURLE_OK &&
              curl_multi_add_handle(c->multi, c->easy) == CURLM_OK;
    free(url);
    if (ok)
        c->state = ADMIN_BUSY;
    return ok;
}

static void end(struct admin_call *c, CURLcode result)
{
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
    curl_multi_remove_handle(c->multi, c->easy);
    c->state = result == CURLE_OK && c->status == OK ? ADMIN_DONE : ADMIN_FAILED;
    if (result == CURLE_OK && c->status == 401)
        snprintf(c->error, sizeof(c->error), "the admin token is wanted (-t, or TOLLGATE_ADMIN_TOKEN)");
    else if (result == CURLE_OK)
        snprintf(c->error, sizeof(c->error), "the answer is %ld", c->status);
    else if (c->error[0] == '\0')
        snprintf(c->error, sizeof(c->error), "%s", curl_easy_strerror(result));
}

static void look(struct admin_call *c)
{
    int n;
    curl_multi_perform(c->multi, &n);
    for (const CURLMsg *m = curl_multi_info_read(c->multi, &n); m; m = curl_multi_info_read(c->multi, &n))
        if (m->msg == CURLMSG_DONE && c->state == ADMIN_BUSY)
            end(c, m->data.result);
}

enum admin_state admin_call_run(struct admin_call *c, int fd, unsigned wait_ms)
{
    struct curl_waitfd other = {.fd = fd, .events = CURL_WAIT_POLLIN};
    if (c->state == ADMIN_BUSY)
        look(c);
    if (c->state == ADMIN_DONE || c->state == ADMIN_FAILED) {
        enum admin_state ended = c->state;
        c->state = ADMIN_IDLE;
        return ended;
    }
    curl_multi_poll(c->multi, &other, fd >= 0, (int)wait_ms, NULL);
    return c->state;
}

struct slice admin_call_body(const struct admin_call *c)
{
    return (struct slice){c->body, c->body_len};
}

const char *admin_call_error(const struct admin_call *c)
{
    return c->error;
}

long admin_call_status(const struct admin_call *c)
{
    return c->status;
}
