/*
 * redis_probe.c: see redis_probe.h.
 *
 * libcurl connects, as it does to backends: names, unix sockets, TLS. Commands and replies go over the
 * connection by hand, with hiredis as the one who writes and reads them. Not hiredis' blocking connection:
 * its timeouts are for each read, so that a node which drips would be waited for without end, and hiredis
 * before 1.0 has no TLS.
 *
 * hiredis makes room for as many elements as a reply announces, before any of them has come; the reader here
 * refuses what is above ELEMENTS_MAX. Since 1.0 it also takes arrays in arrays without end, and frees them by
 * recursion; so the depth has its bound too.
 */
#include "gateway/redis_probe.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/easy.h"
#include "lib/clock.h"

#define ELEMENTS_MAX 8192
#define DEPTH_MAX    6
#define REPLY_MAX    (1 << 20) /* bytes */
#define WORDS_MAX    3

/* hiredis 1.0 counts elements by another type. */
#if HIREDIS_MAJOR < 1
typedef int elements_count;
#else
typedef size_t elements_count;
#endif

struct probe {
    const struct conf_redis *conf;
    const struct conf_redis_node *node;
    struct redis_probe *out;
    uint64_t until_ns;
    CURL *easy;
    char peer[INET6_ADDRSTRLEN]; /* of a connection that libcurl has closed again */
    struct curl_slist *connect_to;
    redisReader *reader;
    redisReplyObjectFunctions functions;
    redisReplyObjectFunctions usual;
};

/* ---- texts ---- */

static void put_clean(char *out, size_t size, struct slice text)
{
    size_t n = text.len < size - 1 ? text.len : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text.p[i] < ' ' || text.p[i] >= 0x7f ? '?' : text.p[i]);
    out[n] = '\0';
}

/* Always false. WHAT is ours, TEXT is the node's. */
static bool fail(struct probe *p, enum probe_state state, const char *what, struct slice text)
{
    struct redis_probe *o = p->out;
    int n = snprintf(o->why, sizeof(o->why), "%s%s", what, text.len ? ": " : "");
    o->state = state;
    put_clean(o->why + n, sizeof(o->why) - (size_t)n, text);
    return false;
}

const char *probe_state_name(enum probe_state state)
{
    static const char *const names[] = {
        [PROBE_OK] = "ok",
        [PROBE_NO_ADDRESS] = "no address",
        [PROBE_NO_CONNECTION] = "no connection",
        [PROBE_NO_TLS] = "no TLS",
        [PROBE_LATE] = "late",
        [PROBE_NO_LOGIN] = "no login",
        [PROBE_NO_DATABASE] = "no database",
        [PROBE_LOADING] = "loading",
        [PROBE_REFUSED] = "refuses",
        [PROBE_NO_REDIS] = "no Redis",
    };
    return names[state];
}

/* ---- connecting ---- */

static uint32_t left_ms(const struct probe *p)
{
    uint64_t now = clock_now_ns();
    return now < p->until_ns ? (uint32_t)((p->until_ns - now) / CLOCK_MILLISECOND_NS) + 1 : 0;
}

static bool set_tls(CURL *easy, const struct conf_redis_tls *tls)
{
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L); /* it is no HTTP */
    easy_set_certificate(easy, tls->cert_file, tls->key_file);
    return easy_set_trust(easy, tls->verify, tls->ca_file);
}

/* A URL for libcurl, which goes by its scheme for TLS and by its name for what to verify. */
static bool set_address(struct probe *p)
{
    char url[512], to[512];
    const struct conf_redis_node *n = p->node;
    const struct conf_redis_tls *tls = &p->conf->tls;
    const char *host = n->unix_path ? "localhost" : n->host;
    const char *name = tls->enabled && !n->unix_path && tls->server_name ? tls->server_name : host;
    const char *scheme = tls->enabled && !n->unix_path ? "https" : "http";
    snprintf(url, sizeof(url), strchr(name, ':') ? "%s://[%s]:%u/" : "%s://%s:%u/", scheme, name, n->port);
    if (n->unix_path)
        return curl_easy_setopt(p->easy, CURLOPT_URL, "http://localhost/") == CURLE_OK &&
               curl_easy_setopt(p->easy, CURLOPT_UNIX_SOCKET_PATH, n->unix_path) == CURLE_OK;
    snprintf(to, sizeof(to), strchr(host, ':') ? "::[%s]:%u" : "::%s:%u", host, n->port);
    p->connect_to = curl_slist_append(NULL, to);
    return p->connect_to && curl_easy_setopt(p->easy, CURLOPT_CONNECT_TO, p->connect_to) == CURLE_OK &&
           curl_easy_setopt(p->easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool refuse_connect(struct probe *p, CURLcode code, const char *text)
{
    long number = 0;
    curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_RESOLVE_HOST)
        return fail(p, PROBE_NO_ADDRESS, "its name does not resolve", slice_of(""));
    if (code == CURLE_OPERATION_TIMEDOUT && p->conf->tls.enabled && p->out->address[0])
        return fail(p, PROBE_NO_TLS, "no TLS comes in time", slice_of(""));
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fail(p, PROBE_LATE, "it does not take a connection in time", slice_of(""));
    if (code != CURLE_COULDNT_CONNECT)
        return fail(p, p->conf->tls.enabled ? PROBE_NO_TLS : PROBE_NO_CONNECTION, "cannot connect",
                    slice_of(text[0] ? text : curl_easy_strerror(code)));
    return fail(p, PROBE_NO_CONNECTION, "cannot connect", slice_of(number ? strerror((int)number) : text));
}

/* libcurl 8 tells an address only when TLS was there too: so it is asked for here, before it is gone. */
static int close_socket(void *ctx, curl_socket_t fd)
{
    struct probe *p = ctx;
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer;
        if (peer.ss_family == AF_INET)
            inet_ntop(AF_INET, &v4->sin_addr, p->peer, sizeof(p->peer));
        else if (peer.ss_family == AF_INET6)
            inet_ntop(AF_INET6, &v6->sin6_addr, p->peer, sizeof(p->peer));
    }
    return close(fd);
}

/* Where the node was found. */
static void note_address(struct probe *p)
{
    const char *ip = p->peer;
    struct redis_probe *o = p->out;
    char *told = NULL;
    if (curl_easy_getinfo(p->easy, CURLINFO_PRIMARY_IP, &told) == CURLE_OK && told && told[0])
        ip = told;
    if (p->node->unix_path)
        put_clean(o->address, sizeof(o->address), slice_of(p->node->name));
    else if (ip[0])
        snprintf(o->address, sizeof(o->address), strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, p->node->port);
}

static bool connect_node(struct probe *p)
{
    char text[CURL_ERROR_SIZE] = "";
    uint32_t within_ms = p->conf->connect_ms < PROBE_MS ? p->conf->connect_ms : PROBE_MS;
    curl_easy_setopt(p->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(p->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)within_ms);
    curl_easy_setopt(p->easy, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(p->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(p->easy, CURLOPT_CLOSESOCKETDATA, p);
    bool has_tls = p->conf->tls.enabled && !p->node->unix_path;
    if ((has_tls && !set_tls(p->easy, &p->conf->tls)) || !set_address(p))
        return fail(p, PROBE_NO_CONNECTION, "out of memory", slice_of(""));
    CURLcode code = curl_easy_perform(p->easy);
    curl_easy_setopt(p->easy, CURLOPT_ERRORBUFFER, NULL);
    note_address(p);
    return code == CURLE_OK || refuse_connect(p, code, text);
}

/* ---- commands and replies ---- */

/* hiredis' own, but for what announces too much. */
static void *make_array(const redisReadTask *task, elements_count n)
{
    const struct probe *p = task->privdata;
    int depth = 1;
    for (const redisReadTask *t = task->parent; t; t = t->parent)
        depth++;
    return n > ELEMENTS_MAX || depth > DEPTH_MAX ? NULL : p->usual.createArray(task, n);
}

static bool make_reader(struct probe *p)
{
    p->reader = redisReaderCreate();
    if (!p->reader)
        return false;
    p->usual = p->functions = *p->reader->fn;
    p->functions.createArray = make_array;
    p->reader->fn = &p->functions;
    p->reader->privdata = p;
    return true;
}

static bool wait_for(struct probe *p, short events, const char *command)
{
    curl_socket_t fd = -1;
    curl_easy_getinfo(p->easy, CURLINFO_ACTIVESOCKET, &fd);
    struct pollfd one = {.fd = fd, .events = events};
    uint32_t ms = left_ms(p);
    int n = ms ? poll(&one, 1, (int)ms) : 0;
    if (n == 0)
        return fail(p, PROBE_LATE, "no answer in time", slice_of(command));
    return n > 0 || errno == EINTR || fail(p, PROBE_NO_CONNECTION, "poll", slice_of(strerror(errno)));
}

static bool send_all(struct probe *p, const char *bytes, size_t len, const char *command)
{
    while (len > 0) {
        size_t n = 0;
        CURLcode code = curl_easy_send(p->easy, bytes, len, &n);
        if (code == CURLE_OK) {
            bytes += n;
            len -= n;
        } else if (code != CURLE_AGAIN) {
            return fail(p, PROBE_NO_CONNECTION, "the connection breaks", slice_of(command));
        } else if (!wait_for(p, POLLOUT, command)) {
            return false;
        }
    }
    return true;
}

/* What has come, into the reader; *TAKEN counts it. */
static bool receive(struct probe *p, size_t *taken, const char *command)
{
    char bytes[16384];
    size_t n = 0;
    CURLcode code = curl_easy_recv(p->easy, bytes, sizeof(bytes), &n);
    if (code == CURLE_AGAIN)
        return wait_for(p, POLLIN, command);
    if (code != CURLE_OK || n == 0)
        return fail(p, PROBE_NO_CONNECTION, "it ends the connection", slice_of(command));
    *taken += n;
    if (*taken > REPLY_MAX)
        return fail(p, PROBE_NO_REDIS, "an answer is too long", slice_of(command));
    return redisReaderFeed(p->reader, bytes, n) == REDIS_OK ||
           fail(p, PROBE_NO_REDIS, "an answer makes no sense", slice_of(command));
}

/* The caller frees it. NULL: why not is said. */
static redisReply *read_reply(struct probe *p, const char *command)
{
    void *reply = NULL;
    size_t taken = 0;
    while (redisReaderGetReply(p->reader, &reply) == REDIS_OK) {
        if (reply)
            return reply;
        if (left_ms(p) == 0) { /* nor one that comes drop by drop */
            fail(p, PROBE_LATE, "no answer in time", slice_of(command));
            return NULL;
        }
        if (!receive(p, &taken, command))
            return NULL;
    }
    fail(p, PROBE_NO_REDIS, "an answer makes no sense", slice_of(command));
    return NULL;
}

/* A command of N words. As read_reply. */
static redisReply *ask(struct probe *p, int n, const char *const words[WORDS_MAX])
{
    char *bytes = NULL;
    const char *argv[WORDS_MAX];
    for (int i = 0; i < n; i++)
        argv[i] = words[i];
    int len = redisFormatCommandArgv(&bytes, n, argv, NULL);
    if (len < 0) {
        fail(p, PROBE_NO_CONNECTION, "out of memory", slice_of(words[0]));
        return NULL;
    }
    bool is_sent = send_all(p, bytes, (size_t)len, words[0]);
    redisFreeCommand(bytes);
    return is_sent ? read_reply(p, words[0]) : NULL;
}

static struct slice text_of(const redisReply *r)
{
    bool has_text =
        r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS || r->type == REDIS_REPLY_ERROR;
    return has_text && r->str ? (struct slice){r->str, r->len} : slice_of("");
}

/* ---- getting in ---- */

/* What an error means for whoever wants to use the node. */
static enum probe_state state_of(struct slice error, enum probe_state usual)
{
    if (slice_starts(error, SLICE("LOADING")))
        return PROBE_LOADING;
    if (slice_starts(error, SLICE("NOAUTH")) || slice_starts(error, SLICE("WRONGPASS")) ||
        slice_starts(error, SLICE("NOPERM")))
        return PROBE_NO_LOGIN;
    return usual;
}

/* A command that has to be answered by GOOD. */
static bool demand(struct probe *p, int n, const char *const words[WORDS_MAX], struct slice good,
                   enum probe_state otherwise)
{
    redisReply *r = ask(p, n, words);
    if (!r)
        return false;
    struct slice text = text_of(r);
    bool ok = r->type == REDIS_REPLY_STATUS && slice_eq(text, good);
    if (!ok && r->type == REDIS_REPLY_ERROR)
        fail(p, state_of(text, otherwise), words[0], text);
    else if (!ok)
        fail(p, PROBE_NO_REDIS, "an answer makes no sense", slice_of(words[0]));
    freeReplyObject(r);
    return ok;
}

static bool get_in(struct probe *p)
{
    char number[16];
    const struct conf_redis *c = p->conf;
    const char *const auth[WORDS_MAX] = {"AUTH", c->username ? c->username : c->password, c->password};
    const char *const select[WORDS_MAX] = {"SELECT", number};
    snprintf(number, sizeof(number), "%u", (unsigned)c->database);
    return (!c->password || demand(p, c->username ? 3 : 2, auth, SLICE("OK"), PROBE_NO_LOGIN)) &&
           (c->database == 0 || demand(p, 2, select, SLICE("OK"), PROBE_NO_DATABASE));
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* As many as half of the time that is left allows, at least one. */
static bool ping(struct probe *p)
{
    static const char *const words[WORDS_MAX] = {"PING"};
    uint32_t took[PROBE_PINGS];
    size_t n = 0;
    uint64_t now = clock_now_ns(), enough = now + left_ms(p) * CLOCK_MILLISECOND_NS / 2;
    for (; n < PROBE_PINGS && (n == 0 || now < enough); n++) {
        uint64_t begin = clock_now_ns();
        if (!demand(p, 1, words, SLICE("PONG"), PROBE_REFUSED))
            return false;
        now = clock_now_ns();
        took[n] = (uint32_t)((now - begin) / 1000);
    }
    qsort(took, n, sizeof(took[0]), compare_u32);
    p->out->median_us = took[n / 2];
    p->out->max_us = took[n - 1];
    return true;
}

/* ---- what it says ---- */

#define TEXT(member)   offsetof(struct redis_probe, member), sizeof(((struct redis_probe *)0)->member)
#define NUMBER(member) offsetof(struct redis_probe, member), 0

static const struct {
    const char *name;
    size_t offset;
    size_t room; /* of a text; 0: a number */
} facts[] = {
    {"redis_version", TEXT(redis_version)},
    {"valkey_version", TEXT(valkey_version)},
    {"redis_mode", TEXT(mode)},
    {"server_mode", TEXT(mode)},
    {"role", TEXT(role)},
    {"maxmemory_policy", TEXT(policy)},
    {"used_memory", NUMBER(used_memory)},
    {"maxmemory", NUMBER(maxmemory)},
    {"evicted_keys", NUMBER(evicted)},
    {"connected_clients", NUMBER(clients)},
};

static void take_fact(struct slice name, struct slice value, struct redis_probe *out)
{
    uint64_t number;
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        char *field = (char *)out + facts[i].offset;
        if (!slice_eq(name, slice_of(facts[i].name)))
            continue;
        if (facts[i].room)
            put_clean(field, facts[i].room, value);
        else if (slice_to_u64(value, PROBE_UNKNOWN - 1, &number))
            memcpy(field, &number, sizeof(number));
    }
}

void redis_probe_read_info(struct slice text, struct redis_probe *out)
{
    while (text.len > 0) {
        ptrdiff_t end = slice_find(text, '\n');
        struct slice line = {text.p, end < 0 ? text.len : (size_t)end};
        line.len -= line.len > 0 && line.p[line.len - 1] == '\r';
        ptrdiff_t colon = slice_find(line, ':');
        if (colon > 0)
            take_fact((struct slice){line.p, (size_t)colon}, slice_trim(slice_skip(line, (size_t)colon + 1)),
                      out);
        text = slice_skip(text, end < 0 ? text.len : (size_t)end + 1);
    }
}

static void take_info(struct redis_probe *o, const redisReply *r)
{
    if (r->type == REDIS_REPLY_STRING)
        redis_probe_read_info(text_of(r), o);
    else
        put_clean(o->info_error, sizeof(o->info_error),
                  r->type == REDIS_REPLY_ERROR ? text_of(r) : slice_of("an answer that makes no sense"));
}

static void take_size(struct redis_probe *o, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER && r->integer >= 0)
        o->keys = (uint64_t)r->integer;
}

static bool number_at(const redisReply *array, size_t i, uint64_t max, uint64_t *n)
{
    return slice_to_u64(text_of(array->element[i]), max, n);
}

/* OUR_US is when it was asked. */
static void take_time(struct redis_probe *o, const redisReply *r, int64_t our_us)
{
    uint64_t seconds, us;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        !number_at(r, 0, UINT32_MAX * UINT64_C(16), &seconds) || !number_at(r, 1, 999999, &us))
        return;
    o->has_clock = true;
    o->ahead_us = (int64_t)(seconds * 1000000 + us) - our_us;
}

/* Pairs of a gateway's name and the fingerprint of its nodes. */
static void take_rings(struct redis_probe *o, const redisReply *r, uint64_t fingerprint)
{
    char ours[17];
    snprintf(ours, sizeof(ours), "%016" PRIx64, fingerprint);
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        struct slice theirs = text_of(r->element[i + 1]);
        struct probe_stranger *s = &o->strangers[o->nstrangers];
        o->gateways++;
        if (slice_eq(theirs, slice_of(ours)) || o->nstrangers == PROBE_STRANGERS_MAX)
            continue;
        put_clean(s->gateway, sizeof(s->gateway), text_of(r->element[i]));
        put_clean(s->fingerprint, sizeof(s->fingerprint), theirs);
        o->nstrangers++;
    }
}

static bool look(struct probe *p)
{
    char key[128];
    static const char *const plain[][WORDS_MAX] = {{"INFO"}, {"DBSIZE"}, {"TIME"}};
    const char *const rings[WORDS_MAX] = {"HGETALL", key};
    snprintf(key, sizeof(key), "%s:rings", p->conf->prefix);
    for (size_t i = 0; i < 4; i++) {
        int64_t begin_us = clock_wall_us();
        redisReply *r = ask(p, i < 3 ? 1 : 2, i < 3 ? plain[i] : rings);
        if (!r)
            return false;
        if (i == 0)
            take_info(p->out, r);
        else if (i == 1)
            take_size(p->out, r);
        else if (i == 2)
            take_time(p->out, r, begin_us + (clock_wall_us() - begin_us) / 2);
        else
            take_rings(p->out, r, conf_redis_fingerprint(p->conf));
        freeReplyObject(r);
    }
    return true;
}

void redis_probe(const struct conf_redis *conf, size_t node, struct redis_probe *out)
{
    struct probe p = {.conf = conf, .node = &conf->nodes[node], .out = out};
    *out = (struct redis_probe){.used_memory = PROBE_UNKNOWN,
                                .maxmemory = PROBE_UNKNOWN,
                                .evicted = PROBE_UNKNOWN,
                                .clients = PROBE_UNKNOWN,
                                .keys = PROBE_UNKNOWN};
    p.until_ns = clock_now_ns() + PROBE_MS * CLOCK_MILLISECOND_NS;
    p.easy = easy_new();
    if (!p.easy || !make_reader(&p))
        fail(&p, PROBE_NO_CONNECTION, "out of memory", slice_of(""));
    else if (connect_node(&p) && get_in(&p) && ping(&p) && look(&p))
        out->state = PROBE_OK;
    if (p.reader)
        redisReaderFree(p.reader);
    curl_easy_cleanup(p.easy);
    curl_slist_free_all(p.connect_to);
}
