/* fleet_news.c: the part of fleet.h about what is announced. */
#include "gateway/fleet_internal.h"

#include "gateway/cache_share.h"
#include "gateway/cached.h"

#define VERSION_DIGITS 16
#define GROUP_DIGITS   8
#define HEAD           (1 + FLEET_ID)

void fleet_announcement(const struct fleet *f, enum fleet_topic topic, const struct object_key *key,
                        uint64_t version, struct buf *b)
{
    buf_printf(b, "%c%s", topic, f->id);
    if (topic == FLEET_STORED)
        buf_printf(b, "%016llx", (unsigned long long)version);
    buf_printf(b, "%08zx", key->group_len);
    buf_add(b, key->text);
}

bool fleet_parse(struct slice payload, struct fleet_parts *parts)
{
    if (payload.len < HEAD)
        return false;
    *parts = (struct fleet_parts){
        (enum fleet_topic)payload.p[0], {payload.p + 1, FLEET_ID}, slice_skip(payload, HEAD)};
    return true;
}

bool fleet_digits(struct slice *text, size_t len, uint64_t *value)
{
    *value = 0;
    if (text->len < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text->p[i];
        unsigned digit = c >= '0' && c <= '9' ? c - 48u : c >= 'a' && c <= 'f' ? c - 87u : 16;
        if (digit > 15)
            return false;
        *value = *value << 4 | digit;
    }
    *text = slice_skip(*text, len);
    return true;
}

/* ---- objects ---- */

static bool read_key(struct slice text, struct object_key *key)
{
    uint64_t group_len;
    if (!fleet_digits(&text, GROUP_DIGITS, &group_len) || group_len == 0 || group_len > text.len)
        return false;
    *key = (struct object_key){text, (size_t)group_len};
    return true;
}

/* Whoever waits for the key may look again. */
static void wake_waiting(struct fleet *f, const struct object_key *key)
{
    struct worker *const *workers = atomic_load_explicit(&f->workers, memory_order_acquire);
    for (unsigned i = 0; workers && i < f->nworkers; i++)
        cache_share_post_news(workers[i], key->text);
}

/* Another gateway has stored a later object than what is in memory here. */
static void take_stored(struct fleet *f, struct slice text)
{
    uint64_t version;
    struct object_key key;
    if (!fleet_digits(&text, VERSION_DIGITS, &version) || !read_key(text, &key))
        return;
    struct object *o = object_store_find(f->setup.store, &key);
    if (o && cached_of(o)->version != version)
        object_store_drop(f->setup.store, o);
    object_put(o);
    wake_waiting(f, &key);
}

static void take_released(struct fleet *f, struct slice text)
{
    struct object_key key;
    if (read_key(text, &key))
        wake_waiting(f, &key);
}

/* ---- breakers ---- */

static void take_breaker(struct fleet *f, struct slice text)
{
    uint64_t open_ms;
    if (fleet_digits(&text, 16, &open_ms) && text.len > 0 && f->setup.breaker_opened)
        f->setup.breaker_opened(f->setup.ctx, text, open_ms);
}

/* ---- all ---- */

void fleet_news(struct fleet_node *node, struct slice channel, struct slice payload)
{
    struct fleet *f = node->fleet;
    struct fleet_parts parts;
    uint64_t number;
    atomic_fetch_add_explicit(&f->heard, 1, memory_order_relaxed);
    if (slice_eq(channel, slice_of(f->answers))) {
        if (fleet_digits(&payload, 16, &number))
            fleet_take_answer(f, number);
        return;
    }
    if (!fleet_parse(payload, &parts))
        return;
    bool is_own = slice_eq(parts.sender, slice_of(f->id));
    if (parts.topic == FLEET_PURGE)
        fleet_follow_purge(node, parts.sender, parts.text);
    else if (is_own)
        return;
    else if (parts.topic == FLEET_STORED)
        take_stored(f, parts.text);
    else if (parts.topic == FLEET_RELEASED)
        take_released(f, parts.text);
    else if (parts.topic == FLEET_BREAKER)
        take_breaker(f, parts.text);
}
