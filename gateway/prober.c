/*
 * prober.c: see prober.h.
 *
 * A message holds one backend's targets; they replace those that it had. A target that was there before goes
 * on as it was, with the check that may be under way. Targets hold a reference to their endpoint and to the
 * snapshot whose configuration they follow.
 */
#include "gateway/prober.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "gateway/connect.h"
#include "gateway/easy.h"
#include "lib/clock.h"
#include "lib/mailbox.h"
#include "lib/random.h"
#include "lib/threads.h"

#define MS          UINT64_C(1000000)
#define WAIT_MAX_MS 1000
#define MAIL_MAX    65536

/* An endpoint that is checked. */
struct target {
    struct target *next;
    struct prober *prober;
    struct snapshot *snapshot; /* counted; owner of conf */
    const struct conf_backend *conf;
    struct endpoint *endpoint; /* counted */
    uint64_t due_ns;
    bool is_kept; /* while targets are replaced */

    /* of the check under way */
    CURL *easy; /* NULL: none */
    struct curl_slist *connect_to, *headers;
    char *body; /* when there is something to match */
    size_t body_len;
};

struct prober {
    pthread_t thread;
    struct mailbox *mailbox;
    struct log *log;
    CURLM *multi;
    struct target *targets;
    unsigned running;
    struct random random;
};

struct change {
    struct message base; /* first */
    struct snapshot *snapshot;
    bool is_whole; /* of all backends: what other snapshots had goes */
    size_t backend;
    size_t n;
    struct endpoint_list *lists[]; /* counted; NULL: none */
};

/* ---- a check ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct target *t = ctx;
    size_t len = size * n, room = PROBE_BODY - t->body_len;
    if (!t->body)
        return 0; /* the status is enough: end it here */
    size_t take = len < room ? len : room;
    memcpy(t->body + t->body_len, p, take);
    t->body_len += take;
    return take;
}

static bool set_http(struct target *t)
{
    const struct conf_health *h = &t->conf->health;
    char host[300];
    snprintf(host, sizeof(host), "Host: %s", h->host ? h->host : t->endpoint->host_field);
    t->headers = curl_slist_append(NULL, host);
    t->body = h->match ? malloc(PROBE_BODY) : NULL;
    if (!t->headers || (h->match && !t->body))
        return false;
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 0L);
    curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, h->path);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "tollgate-health");
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    return curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t) == CURLE_OK;
}

static void end_check(struct target *t)
{
    if (!t->easy)
        return;
    curl_multi_remove_handle(t->prober->multi, t->easy);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->connect_to);
    curl_slist_free_all(t->headers);
    free(t->body);
    t->easy = NULL;
    t->connect_to = t->headers = NULL;
    t->body = NULL;
    t->body_len = 0;
    t->prober->running--;
}

static bool begin_check(struct target *t)
{
    const struct conf_health *h = &t->conf->health;
    t->easy = easy_new();
    if (!t->easy)
        return false;
    t->prober->running++;
    bool ok = connect_setup(t->easy, t->endpoint, h->timeout_ms, &t->connect_to);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)h->timeout_ms);
    curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    if (ok && h->kind == HEALTH_HTTP)
        ok = set_http(t);
    if (ok && curl_multi_add_handle(t->prober->multi, t->easy) == CURLM_OK)
        return true;
    end_check(t);
    return false;
}

/* ---- what it says ---- */

static bool has_text(const struct target *t, const char *text)
{
    return t->body && memmem(t->body, t->body_len, text, strlen(text)) != NULL;
}

/* Whether the server is well; WHY otherwise. */
static bool judge(const struct target *t, CURLcode code, char *why, size_t size)
{
    long status = 0;
    const struct conf_health *h = &t->conf->health;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    bool was_cut = code == CURLE_WRITE_ERROR && status > 0; /* by on_body, which had enough */
    if (code != CURLE_OK && !was_cut) {
        snprintf(why, size, "%s", curl_easy_strerror(code));
        return false;
    }
    if (h->kind == HEALTH_TCP)
        return true;
    if (!conf_faults_have_status(&h->ok, (unsigned)status)) {
        snprintf(why, size, "status %ld", status);
        return false;
    }
    if (h->match && !has_text(t, h->match)) {
        snprintf(why, size, "its answer has no \"%.64s\"", h->match);
        return false;
    }
    return true;
}

static void tell(const struct target *t, enum ejection_event event, const char *why)
{
    if (event == EJECTION_NOTHING)
        return;
    log_printf(t->prober->log, event == EJECTION_DOWN ? LOG_WARN : LOG_INFO,
               "backend %s: server %s is %s by its health checks%s%s", t->conf->name, t->endpoint->text,
               event == EJECTION_DOWN ? "down" : "up", why[0] ? ": " : "", why);
}

static void finish(struct target *t, CURLcode code)
{
    char why[128] = "";
    struct prober *p = t->prober;
    struct endpoint *e = t->endpoint;
    uint64_t now = clock_now_ns(), interval = t->conf->health.interval_ms * MS;
    bool is_well = judge(t, code, why, sizeof(why));
    end_check(t);
    t->due_ns = now + interval * 9 / 10 + random_below(random_next(&p->random), interval / 5 + 1);
    tell(t, ejection_probe(&e->fitness->pool, &e->fit, now, is_well), why);
}

static void finish_all(struct prober *p)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(p->multi, &left))) {
        struct target *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(t, code);
    }
}

/* Begin what is due. Gives the time of the next one. */
static uint64_t begin_due(struct prober *p)
{
    uint64_t now = clock_now_ns(), next = now + WAIT_MAX_MS * MS;
    for (struct target *t = p->targets; t; t = t->next) {
        if (t->easy)
            continue;
        if (t->due_ns <= now && p->running < PROBES_AT_ONCE && !begin_check(t))
            t->due_ns = now + WAIT_MAX_MS * MS; /* memory is short: no fault of the server */
        if (!t->easy && t->due_ns > now && t->due_ns < next)
            next = t->due_ns;
    }
    return next;
}

/* ---- targets ---- */

static void target_free(struct target *t)
{
    end_check(t);
    endpoint_put(t->endpoint);
    snapshot_put(t->snapshot);
    free(t);
}

/* Nobody asks it any more: it is well again until requests say otherwise. */
static void let_go(struct target *t)
{
    struct endpoint *e = t->endpoint;
    uint64_t now = clock_now_ns();
    enum ejection_event event = EJECTION_NOTHING;
    while (ejection_view(&e->fit, now).is_down && event != EJECTION_UP)
        event = ejection_probe(&e->fitness->pool, &e->fit, now, true);
    tell(t, event, "they have ended");
    target_free(t);
}

static struct target *find(struct prober *p, const struct endpoint *e, const char *backend)
{
    struct target *t = p->targets;
    while (t && !(t->endpoint == e && strcmp(t->conf->name, backend) == 0))
        t = t->next;
    return t;
}

/* A target that is there follows the new configuration from its next check on. */
static void want(struct prober *p, struct snapshot *s, const struct conf_backend *conf, struct endpoint *e)
{
    struct target *t = find(p, e, conf->name);
    if (!t) {
        t = calloc(1, sizeof(*t));
        if (!t)
            return;
        t->prober = p;
        t->endpoint = endpoint_get(e);
        t->snapshot = snapshot_get(s);
        t->next = p->targets;
        p->targets = t;
    }
    t->is_kept = true;
    if (t->snapshot != s) {
        end_check(t);
        t->due_ns = 0;
        snapshot_put(t->snapshot);
        t->snapshot = snapshot_get(s);
    }
    t->conf = conf;
}

static void take(void *ctx, struct message *m)
{
    struct prober *p = ctx;
    const struct change *c = (const struct change *)m;
    const struct conf *conf = c->snapshot->conf;
    for (struct target *t = p->targets; t; t = t->next)
        t->is_kept = !c->is_whole && t->conf != &conf->backends[c->backend];
    for (size_t i = 0; i < c->n; i++) {
        const struct conf_backend *b = &conf->backends[c->is_whole ? i : c->backend];
        for (size_t j = 0; b->health.enabled && c->lists[i] && j < c->lists[i]->n; j++)
            want(p, c->snapshot, b, c->lists[i]->at[j].endpoint);
    }
    for (struct target **at = &p->targets, *t; (t = *at) != NULL;) {
        if (t->is_kept) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        let_go(t);
    }
    message_drop(m);
}

/* ---- messages ---- */

static void change_free(struct message *m)
{
    struct change *c = (struct change *)m;
    for (size_t i = 0; i < c->n; i++)
        if (c->lists[i])
            endpoint_list_put(c->lists[i]);
    snapshot_put(c->snapshot);
    free(c);
}

static bool send_change(struct prober *p, const struct change *what, struct endpoint_list *const *lists)
{
    struct change *c = calloc(1, sizeof(*c) + what->n * sizeof(c->lists[0]));
    if (!c)
        return false;
    *c = *what;
    c->base.free = change_free;
    snapshot_get(c->snapshot);
    for (size_t i = 0; i < c->n; i++)
        c->lists[i] = lists[i] ? endpoint_list_get(lists[i]) : NULL;
    if (mailbox_send(p->mailbox, &c->base))
        return true;
    change_free(&c->base);
    return false;
}

bool prober_follow(struct prober *p, struct snapshot *s, struct endpoint_list *const *lists)
{
    return send_change(p, &(struct change){.snapshot = s, .is_whole = true, .n = s->conf->nbackends}, lists);
}

bool prober_change(struct prober *p, struct snapshot *s, size_t backend, struct endpoint_list *list)
{
    return send_change(p, &(struct change){.snapshot = s, .backend = backend, .n = 1}, &list);
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    struct prober *p = arg;
    int running;
    pthread_setname_np(pthread_self(), "prober");
    while (!mailbox_is_closed(p->mailbox)) {
        uint64_t next = begin_due(p), now = clock_now_ns();
        struct curl_waitfd mail = {.fd = mailbox_fd(p->mailbox), .events = CURL_WAIT_POLLIN};
        curl_multi_perform(p->multi, &running);
        int wait_ms = next > now ? (int)((next - now) / MS) + 1 : 0;
        curl_multi_poll(p->multi, &mail, 1, wait_ms, NULL);
        curl_multi_perform(p->multi, &running);
        finish_all(p);
        mailbox_drain(p->mailbox, take, p, 64);
    }
    return NULL;
}

static bool start_thread(struct prober *p)
{
    sigset_t all, old;
    threads_signals(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = failed;
    return failed == 0;
}

struct prober *prober_new(struct log *log, struct err *err)
{
    struct prober *p = calloc(1, sizeof(*p));
    if (p) {
        random_seed(&p->random);
        p->log = log;
        p->mailbox = mailbox_new(MAIL_MAX);
        p->multi = curl_multi_init();
        if (p->mailbox && p->multi && start_thread(p))
            return p;
        if (p->multi)
            curl_multi_cleanup(p->multi);
        if (p->mailbox)
            mailbox_free(p->mailbox);
        free(p);
    }
    err_sys(err, ERR_SELF, errno, "prober");
    return NULL;
}

void prober_free(struct prober *p)
{
    if (!p)
        return;
    mailbox_close(p->mailbox);
    pthread_join(p->thread, NULL);
    for (struct target *t = p->targets, *next; t; t = next) {
        next = t->next;
        target_free(t);
    }
    curl_multi_cleanup(p->multi);
    mailbox_free(p->mailbox);
    free(p);
}
