/*
 * jwks_source.c: see jwks_source.h.
 *
 * The fetcher's lock guards the list of sources, their references and each one's newest set; it is never held
 * over a fetch.
 */
#include "gateway/jwks_source.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/easy.h"
#include "lib/actor.h"
#include "lib/clock.h"
#include "lib/random.h"

#define MS         UINT64_C(1000000)
#define TICK_NS    (100 * MS)
#define BACKOFF_MS 60000

/* What one worker uses. */
struct slot {
    _Alignas(CACHE_LINE) uint32_t version;
    struct jwks *keys;
};

struct jwks_source {
    struct jwks_source *next;
    struct jwks_fetcher *fetcher;
    char *url, *ca_file;
    unsigned refs;            /* under the lock */
    struct jwks *newest;      /* under the lock; counted */
    uint32_t refresh_ms;      /* under the lock */
    _Atomic uint32_t version; /* of the newest; 0: there is none */
    _Atomic uint32_t tries;   /* fetches that ended */
    _Atomic uint64_t due_ns;  /* the next fetch */
    _Atomic uint32_t refetch_ms;
    _Atomic bool is_fetching;
    _Atomic uint64_t fetched_ns; /* the last one began */
    unsigned failures;           /* in a row; the actor's */
    struct slot slots[];         /* each its worker's */
};

struct jwks_fetcher {
    pthread_mutex_t lock;
    struct jwks_source *sources; /* under the lock */
    struct actor *actor;         /* NULL before the first source; under the lock */
    struct log *log;
    unsigned nworkers;
    struct random random; /* the actor's */
};

/* ---- a fetch ---- */

struct body {
    char *text;
    size_t len;
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct body *b = ctx;
    size_t len = size * n;
    if (len > JWKS_TEXT_MAX - b->len)
        return 0;
    memcpy(b->text + b->len, p, len);
    b->len += len;
    return len;
}

static bool set_options(CURL *curl, const struct jwks_source *s, struct body *body)
{
    curl_easy_setopt(curl, CURLOPT_URL, s->url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)JWKS_FETCH_MS);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tollgate");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    return easy_set_trust(curl, true, s->ca_file);
}

static struct jwks *get(const struct jwks_source *s, struct body *body, struct err *err)
{
    long status = 0;
    CURL *curl = easy_new();
    if (!curl || !set_options(curl, s, body)) {
        curl_easy_cleanup(curl);
        return err_set(err, ERR_SELF, "out of memory"), NULL;
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        return err_set(err, ERR_UPSTREAM, "%s", curl_easy_strerror(code)), NULL;
    if (status != 200)
        return err_set(err, ERR_UPSTREAM, "status %ld", status), NULL;
    return jwks_parse((struct slice){body->text, body->len}, NULL, err);
}

static struct jwks *fetch(const struct jwks_source *s, struct err *err)
{
    struct body body = {.text = malloc(JWKS_TEXT_MAX)};
    struct jwks *keys = NULL;
    if (body.text)
        keys = get(s, &body, err);
    else
        err_set(err, ERR_SELF, "out of memory");
    free(body.text);
    return keys;
}

/* ---- the actor ---- */

static uint64_t pause_ns(struct jwks_fetcher *f, const struct jwks_source *s, uint32_t refresh_ms)
{
    uint64_t ms = refresh_ms;
    if (s->failures > 0) {
        uint64_t backoff = s->failures < 7 ? UINT64_C(1000) << (s->failures - 1) : BACKOFF_MS;
        backoff = backoff < BACKOFF_MS ? backoff : BACKOFF_MS;
        ms = backoff < ms ? backoff : ms;
    }
    return ms * MS - random_below(random_next(&f->random), ms / 10 + 1) * MS;
}

static void say(struct jwks_fetcher *f, const struct jwks_source *s, const struct jwks *keys,
                const struct err *err)
{
    char space[512];
    struct buf text;
    buf_init(&text, space, sizeof(space));
    if (keys) {
        log_printf(f->log, LOG_INFO, "%u keys fetched from %s", jwks_count(keys), s->url);
        return;
    }
    err_text(err, &text);
    log_printf(f->log, LOG_WARN, "keys of %s cannot be fetched, %s: %.*s", s->url,
               s->newest ? "the old ones stay" : "their routes answer 503", SLICE_ARG(buf_slice(&text)));
}

/* The actor has a reference. */
static void refresh(struct jwks_fetcher *f, struct jwks_source *s)
{
    struct err err = {0};
    atomic_store(&s->fetched_ns, clock_now_ns());
    atomic_store(&s->is_fetching, true);
    struct jwks *keys = fetch(s, &err), *old = NULL;
    s->failures = keys ? 0 : s->failures + 1;
    say(f, s, keys, &err);
    pthread_mutex_lock(&f->lock);
    if (keys) {
        old = s->newest;
        s->newest = keys;
        atomic_fetch_add(&s->version, 1);
    }
    atomic_store(&s->due_ns, clock_now_ns() + pause_ns(f, s, s->refresh_ms));
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add(&s->tries, 1);
    atomic_store(&s->is_fetching, false);
    jwks_put(old);
}

/* A source whose time has come, with a reference; NULL: none. */
static struct jwks_source *next_due(struct jwks_fetcher *f)
{
    uint64_t now = clock_now_ns();
    pthread_mutex_lock(&f->lock);
    struct jwks_source *s = f->sources;
    while (s && atomic_load(&s->due_ns) > now)
        s = s->next;
    if (s)
        s->refs++;
    pthread_mutex_unlock(&f->lock);
    return s;
}

static void on_tick(void *self, uint64_t now_ns)
{
    struct jwks_fetcher *f = self;
    struct jwks_source *s;
    (void)now_ns;
    while ((s = next_due(f))) {
        refresh(f, s);
        jwks_source_close(s);
    }
}

static void on_message(void *self, struct message *m)
{
    (void)self;
    message_drop(m);
}

/* ---- sources ---- */

static void source_free(struct jwks_source *s)
{
    for (unsigned i = 0; i < s->fetcher->nworkers; i++)
        jwks_put(s->slots[i].keys);
    jwks_put(s->newest);
    free(s->url);
    free(s->ca_file);
    free(s);
}

static struct jwks_source *source_new(struct jwks_fetcher *f, const struct conf_auth *auth)
{
    size_t size = sizeof(struct jwks_source) + f->nworkers * sizeof(struct slot);
    struct jwks_source *s = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!s)
        return NULL;
    memset(s, 0, size);
    s->fetcher = f;
    s->refs = 1;
    s->url = strdup(auth->jwks_url);
    s->ca_file = auth->ca_file ? strdup(auth->ca_file) : NULL;
    if (s->url && (s->ca_file || !auth->ca_file))
        return s;
    source_free(s);
    return NULL;
}

static bool is_of(const struct jwks_source *s, const struct conf_auth *auth)
{
    return strcmp(s->url, auth->jwks_url) == 0 && !s->ca_file == !auth->ca_file &&
           (!s->ca_file || strcmp(s->ca_file, auth->ca_file) == 0);
}

/* Under the lock. */
static struct jwks_source *find_or_make(struct jwks_fetcher *f, const struct conf_auth *auth)
{
    struct jwks_source *s = f->sources;
    while (s && !is_of(s, auth))
        s = s->next;
    if (s) {
        s->refs++;
        return s;
    }
    s = source_new(f, auth);
    if (s) {
        s->next = f->sources;
        f->sources = s;
    }
    return s;
}

struct jwks_source *jwks_source_open(struct jwks_fetcher *f, const struct conf_auth *auth)
{
    const struct actor_setup setup = {
        .name = "jwks", .self = f, .handle = on_message, .tick = on_tick, .tick_ns = TICK_NS, .max = 16};
    pthread_mutex_lock(&f->lock);
    if (!f->actor)
        f->actor = actor_new(&setup, NULL);
    struct jwks_source *s = f->actor ? find_or_make(f, auth) : NULL;
    if (s) {
        s->refresh_ms = auth->refresh_ms;
        atomic_store(&s->refetch_ms, auth->refetch_ms);
    }
    pthread_mutex_unlock(&f->lock);
    return s;
}

void jwks_source_close(struct jwks_source *s)
{
    if (!s)
        return;
    struct jwks_fetcher *f = s->fetcher;
    pthread_mutex_lock(&f->lock);
    bool is_last = --s->refs == 0;
    for (struct jwks_source **at = &f->sources; is_last && *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    pthread_mutex_unlock(&f->lock);
    if (is_last)
        source_free(s);
}

const struct jwks *jwks_source_keys(struct jwks_source *s, unsigned worker)
{
    struct slot *mine = &s->slots[worker];
    if (mine->version == atomic_load_explicit(&s->version, memory_order_acquire))
        return mine->keys;
    struct jwks *old = mine->keys;
    pthread_mutex_lock(&s->fetcher->lock);
    mine->keys = jwks_get(s->newest);
    mine->version = atomic_load(&s->version);
    pthread_mutex_unlock(&s->fetcher->lock);
    jwks_put(old);
    return mine->keys;
}

bool jwks_source_refetch(struct jwks_source *s, uint64_t now_ns)
{
    if (atomic_load(&s->is_fetching))
        return true;
    if (now_ns < atomic_load(&s->fetched_ns) + atomic_load(&s->refetch_ms) * MS)
        return false;
    atomic_store(&s->due_ns, 0);
    return true;
}

uint32_t jwks_source_tries(const struct jwks_source *s)
{
    return atomic_load_explicit(&s->tries, memory_order_acquire);
}

/* ---- life ---- */

struct jwks_fetcher *jwks_fetcher_new(unsigned nworkers, struct log *log)
{
    struct jwks_fetcher *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    pthread_mutex_init(&f->lock, NULL);
    random_seed(&f->random);
    f->nworkers = nworkers;
    f->log = log;
    return f;
}

void jwks_fetcher_free(struct jwks_fetcher *f)
{
    if (!f)
        return;
    while (f->actor && !actor_stop(f->actor, clock_now_ns() + 2 * JWKS_FETCH_MS * MS))
        ;
    if (f->actor)
        actor_free(f->actor);
    CHECK(!f->sources);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
