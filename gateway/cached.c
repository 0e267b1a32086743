/*
 * cached.c: see cached.h.
 *
 * The meta bytes are the struct, the array of fields, and then the text of all of them.
 */
#include "gateway/cached.h"

#include "lib/http_date.h"

#define TAG_MAX 256 /* bytes; longer ones are passed over */

/* ---- tags ---- */

static bool is_known(const struct slice *tags, size_t n, struct slice tag)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(tags[i], tag))
            return true;
    return false;
}

/* Names apart by SEPARATOR and white space. */
static size_t add_tags(struct slice list, char separator, struct slice *tags, size_t n)
{
    while (list.len > 0 && n < OBJECT_TAGS_MAX) {
        size_t len = 0;
        while (len < list.len && list.p[len] != separator)
            len++;
        struct slice tag = slice_trim((struct slice){list.p, len});
        if (tag.len > 0 && tag.len <= TAG_MAX && !is_known(tags, n, tag))
            tags[n++] = tag;
        list = slice_skip(list, len + 1);
    }
    return n;
}

size_t cached_tags(struct http_fields fields, struct slice *tags)
{
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++) {
        if (slice_eq_nocase(fields.at[i].name, SLICE("Surrogate-Key")))
            n = add_tags(fields.at[i].value, ' ', tags, n);
        else if (slice_eq_nocase(fields.at[i].name, SLICE("Cache-Tag")))
            n = add_tags(fields.at[i].value, ',', tags, n);
    }
    return n;
}

/* ---- packing ---- */

static struct slice put(char **at, struct slice s)
{
    struct slice copy = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.p, s.len);
    (*at)[s.len] = '\0';
    *at += s.len + 1;
    return copy;
}

static size_t text_size(struct http_fields fields)
{
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++)
        n += fields.at[i].name.len + fields.at[i].value.len + 2;
    return n;
}

static void fill(struct cached *c, const struct cached_parts *parts, struct http_fields fields)
{
    char *at = (char *)(c + 1) + fields.n * sizeof(struct http_field);
    *c = (struct cached){.kind = parts->kind,
                         .status = parts->status,
                         .version = parts->version,
                         .first = parts->first,
                         .total = parts->total,
                         .life = parts->life,
                         .fields = {(struct http_field *)(void *)(c + 1), fields.n}};
    for (size_t i = 0; i < fields.n; i++) {
        c->fields.at[i].name = put(&at, fields.at[i].name);
        c->fields.at[i].value = put(&at, fields.at[i].value);
    }
    c->vary = put(&at, parts->vary);
    c->variant = put(&at, parts->variant);
    c->validators = http_validators_of(c->fields, parts->answered_ms / 1000);
}

struct object *cached_new(struct object_store *store, const struct cached_parts *parts)
{
    struct http_field space[CACHED_FIELDS_MAX + 1];
    struct http_fields fields = parts->fields;
    struct slice tags[OBJECT_TAGS_MAX];
    char date[HTTP_DATE_LEN + 1];
    if (fields.n > CACHED_FIELDS_MAX)
        return NULL;
    if (parts->kind == CACHED_ANSWER && !http_find(fields, SLICE("Date"))) {
        http_date_format(parts->answered_ms / 1000, date);
        if (fields.n > 0)
            memcpy(space, fields.at, fields.n * sizeof(*space));
        space[fields.n] = (struct http_field){SLICE("Date"), {date, HTTP_DATE_LEN}};
        fields = (struct http_fields){space, fields.n + 1};
    }
    const struct object_init init = {
        .key = parts->key,
        .meta_len = sizeof(struct cached) + fields.n * sizeof(struct http_field) + text_size(fields) +
                    parts->vary.len + parts->variant.len + 2,
        .body = parts->body,
        .tags = tags,
        .ntags = cached_tags(fields, tags),
        .since = parts->since,
    };
    struct object *o = object_new(store, &init);
    if (o)
        fill(o->meta, parts, fields);
    return o;
}

struct object *cached_with_body(struct object_store *store, const struct object *o, struct object_body *body)
{
    const struct cached *c = cached_of(o);
    const struct cached_parts parts = {.kind = c->kind,
                                       .version = c->version,
                                       .key = o->key,
                                       .status = c->status,
                                       .first = c->first,
                                       .total = c->total,
                                       .life = c->life,
                                       .answered_ms = c->validators.date_s * 1000,
                                       .fields = c->fields,
                                       .vary = c->vary,
                                       .variant = c->variant,
                                       .body = body,
                                       .since = o->since};
    struct object *whole = cached_new(store, &parts);
    if (!whole)
        return NULL;
    object_set_note(whole, object_note(o));
    atomic_store_explicit(&whole->is_stale, object_is_stale(o), memory_order_relaxed);
    return whole;
}

/* ---- fields ---- */

struct http_fields cached_without(struct http_fields fields, struct slice name, struct http_field *out)
{
    size_t n = 0;
    for (size_t i = 0; i < fields.n && n < CACHED_FIELDS_MAX; i++)
        if (!slice_eq_nocase(fields.at[i].name, name))
            out[n++] = fields.at[i];
    return (struct http_fields){out, n};
}

/* The field NAME of what is stored stays when NEW comes. An answer without Date was made when it came (RFC
 * 9110, 6.6.1): what is stored is no longer as old as its own Date says. */
static bool is_kept(struct slice name, struct http_fields new)
{
    bool is_date = name.len == 4 && slice_eq_nocase(name, SLICE("Date"));
    return !is_date && (!http_cache_updates(name) || !http_find(new, name));
}

struct http_fields cached_merge(struct http_fields old, struct http_fields new, struct http_field *out)
{
    size_t n = 0;
    for (size_t i = 0; i < old.n && n < CACHED_FIELDS_MAX; i++)
        if (is_kept(old.at[i].name, new))
            out[n++] = old.at[i];
    for (size_t i = 0; i < new.n &&n < CACHED_FIELDS_MAX; i++)
        if (http_cache_updates(new.at[i].name))
            out[n++] = new.at[i];
    return (struct http_fields){out, n};
}
