/*
 * pprof.c: see pprof.h.
 *
 * The message is built as one run of bytes: fields of a message may come in any order, so that a function, a
 * location or a sample is written as soon as it is known, and the strings at the end. A function's number is
 * its name's in the table of strings, and a location's is its address: both are what the format asks for,
 * unique and not 0.
 */
#include "lib/pprof.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/hash.h"

#define INDEX_FIRST 1024 /* places */

/* Fields of messages, by the names of profile.proto. */
enum profile_field {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE,
    PROFILE_MAPPING,
    PROFILE_LOCATION,
    PROFILE_FUNCTION,
    PROFILE_STRING_TABLE,
    PROFILE_TIME_NANOS = 9,
    PROFILE_DURATION_NANOS,
    PROFILE_PERIOD_TYPE,
    PROFILE_PERIOD,
    PROFILE_COMMENT
};
enum value_type_field { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT };
enum sample_field { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum label_field { LABEL_KEY = 1, LABEL_STR };
enum mapping_field {
    MAPPING_ID = 1,
    MAPPING_START,
    MAPPING_LIMIT,
    MAPPING_OFFSET,
    MAPPING_FILENAME,
    MAPPING_BUILD_ID,
    MAPPING_HAS_FUNCTIONS
};
enum location_field { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum line_field { LINE_FUNCTION = 1 };
enum function_field { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME };

/* Bytes that grow. */
struct bytes {
    uint8_t *p;
    size_t len, cap;
    bool failed;
};

struct string {
    char *text;
    bool is_function; /* written as one already */
};

/* Numbers by hash: open addressing, never without a place, and a free one has the number 0. An address is its
 * own hash. */
struct index {
    struct place {
        uint64_t hash;
        uint32_t number;
    } * places;
    size_t n, cap;
};

struct pprof {
    struct bytes out;
    struct bytes part; /* the message that is being built, to be put into `out` with its length */
    struct bytes inner;
    struct string *strings;
    size_t nstrings, strings_cap;
    struct index by_text, by_address;
    uint64_t nmappings;
    uint64_t period_ns;
};

/* ---- bytes ---- */

static void add(struct bytes *b, const void *p, size_t len)
{
    if (b->len + len > b->cap) {
        size_t cap = (b->len + len) * 2 + 256;
        uint8_t *more = realloc(b->p, cap);
        if (!more) {
            b->failed = true;
            return;
        }
        b->p = more;
        b->cap = cap;
    }
    if (len > 0)
        memcpy(b->p + b->len, p, len);
    b->len += len;
}

static void add_varint(struct bytes *b, uint64_t v)
{
    uint8_t text[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        text[n++] = (uint8_t)(v | 0x80);
    text[n++] = (uint8_t)v;
    add(b, text, n);
}

static void add_number(struct bytes *b, unsigned field, uint64_t v)
{
    add_varint(b, field << 3);
    add_varint(b, v);
}

static void add_text(struct bytes *b, unsigned field, const void *p, size_t len)
{
    add_varint(b, field << 3 | 2);
    add_varint(b, len);
    add(b, p, len);
}

/* PART is whole: it becomes a field of OUT, and is empty again. */
static void close_part(struct bytes *out, unsigned field, struct bytes *part)
{
    add_text(out, field, part->p, part->len);
    out->failed |= part->failed;
    part->len = 0;
}

/* ---- indexes ---- */

static bool grow(struct index *x)
{
    struct index larger = {.cap = x->cap ? x->cap * 2 : INDEX_FIRST, .n = x->n};
    larger.places = calloc(larger.cap, sizeof(larger.places[0]));
    if (!larger.places)
        return false;
    for (size_t i = 0; i < x->cap; i++) {
        size_t at = x->places[i].hash % larger.cap;
        if (x->places[i].number == 0)
            continue;
        while (larger.places[at].number != 0)
            at = (at + 1) % larger.cap;
        larger.places[at] = x->places[i];
    }
    free(x->places);
    *x = larger;
    return true;
}

static bool insert(struct index *x, uint64_t hash, uint32_t number)
{
    if (x->n * 2 >= x->cap && !grow(x))
        return false;
    size_t at = hash % x->cap;
    while (x->places[at].number != 0)
        at = (at + 1) % x->cap;
    x->places[at] = (struct place){hash, number};
    x->n++;
    return true;
}

/* ---- strings ---- */

static uint32_t append_string(struct pprof *p, const char *text, uint64_t hash)
{
    if (p->nstrings == p->strings_cap) {
        size_t cap = p->strings_cap ? p->strings_cap * 2 : 256;
        struct string *more = realloc(p->strings, cap * sizeof(*more));
        if (!more)
            return 0;
        p->strings = more;
        p->strings_cap = cap;
    }
    char *copy = strdup(text);
    uint32_t number = (uint32_t)p->nstrings;
    /* Number 0 is the empty string, which is not looked for. */
    if (!copy || (number > 0 && !insert(&p->by_text, hash, number))) {
        free(copy);
        return 0;
    }
    p->strings[p->nstrings++] = (struct string){.text = copy};
    return number;
}

static uint32_t number_of(struct pprof *p, const char *text)
{
    const struct index *x = &p->by_text;
    uint64_t hash = hash_bytes(text, strlen(text), 0);
    if (text[0] == '\0')
        return 0;
    for (size_t at = hash % x->cap; x->places[at].number != 0; at = (at + 1) % x->cap)
        if (x->places[at].hash == hash && strcmp(p->strings[x->places[at].number].text, text) == 0)
            return x->places[at].number;
    uint32_t number = append_string(p, text, hash);
    p->out.failed |= number == 0;
    return number;
}

/* ---- messages ---- */

static void add_value_type(struct pprof *p, unsigned field, const char *type, const char *unit)
{
    add_number(&p->part, VALUE_TYPE_TYPE, number_of(p, type));
    add_number(&p->part, VALUE_TYPE_UNIT, number_of(p, unit));
    close_part(&p->out, field, &p->part);
}

static uint32_t add_function(struct pprof *p, const char *name)
{
    uint32_t number = number_of(p, name);
    if (number == 0 || p->strings[number].is_function)
        return number;
    p->strings[number].is_function = true;
    add_number(&p->part, FUNCTION_ID, number);
    add_number(&p->part, FUNCTION_NAME, number);
    add_number(&p->part, FUNCTION_SYSTEM_NAME, number);
    close_part(&p->out, PROFILE_FUNCTION, &p->part);
    return number;
}

uint64_t pprof_mapping(struct pprof *p, const struct pprof_mapping *m)
{
    char id[2 * 64 + 1] = "";
    for (size_t i = 0; i < m->build_id_len && i < 64; i++) {
        id[2 * i] = "0123456789abcdef"[m->build_id[i] >> 4];
        id[2 * i + 1] = "0123456789abcdef"[m->build_id[i] & 15];
        id[2 * i + 2] = '\0';
    }
    uint32_t path = number_of(p, m->path), build = number_of(p, id);
    add_number(&p->part, MAPPING_ID, ++p->nmappings);
    add_number(&p->part, MAPPING_START, m->begin);
    add_number(&p->part, MAPPING_LIMIT, m->end);
    add_number(&p->part, MAPPING_OFFSET, m->file_offset);
    add_number(&p->part, MAPPING_FILENAME, path);
    add_number(&p->part, MAPPING_BUILD_ID, build);
    add_number(&p->part, MAPPING_HAS_FUNCTIONS, 1);
    close_part(&p->out, PROFILE_MAPPING, &p->part);
    return p->nmappings;
}

/* Whether the location is there already; else it is from now on. */
static bool has_location(struct pprof *p, uint64_t address)
{
    const struct index *x = &p->by_address;
    for (size_t at = address % x->cap; x->places[at].number != 0; at = (at + 1) % x->cap)
        if (x->places[at].hash == address)
            return true;
    p->out.failed |= !insert(&p->by_address, address, 1);
    return false;
}

uint64_t pprof_location(struct pprof *p, uint64_t address, uint64_t mapping, const char *function)
{
    if (has_location(p, address))
        return address;
    uint32_t number = add_function(p, function);
    add_number(&p->part, LOCATION_ID, address);
    if (mapping > 0)
        add_number(&p->part, LOCATION_MAPPING, mapping);
    add_number(&p->part, LOCATION_ADDRESS, address);
    add_number(&p->inner, LINE_FUNCTION, number);
    close_part(&p->part, LOCATION_LINE, &p->inner);
    close_part(&p->out, PROFILE_LOCATION, &p->part);
    return address;
}

void pprof_sample(struct pprof *p, const struct pprof_sample *s)
{
    uint32_t key = number_of(p, "thread"), thread = number_of(p, s->thread);
    for (size_t i = 0; i < s->n; i++)
        add_varint(&p->inner, s->locations[i]);
    close_part(&p->part, SAMPLE_LOCATION, &p->inner);
    add_varint(&p->inner, s->count);
    add_varint(&p->inner, s->count * p->period_ns);
    close_part(&p->part, SAMPLE_VALUE, &p->inner);
    add_number(&p->inner, LABEL_KEY, key);
    add_number(&p->inner, LABEL_STR, thread);
    close_part(&p->part, SAMPLE_LABEL, &p->inner);
    close_part(&p->out, PROFILE_SAMPLE, &p->part);
}

void pprof_comment(struct pprof *p, const char *text)
{
    add_number(&p->out, PROFILE_COMMENT, number_of(p, text));
}

/* ---- life ---- */

void pprof_free(struct pprof *p)
{
    for (size_t i = 0; i < p->nstrings; i++)
        free(p->strings[i].text);
    free(p->strings);
    free(p->by_text.places);
    free(p->by_address.places);
    free(p->out.p);
    free(p->part.p);
    free(p->inner.p);
    free(p);
}

struct pprof *pprof_new(uint64_t period_ns)
{
    struct pprof *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->period_ns = period_ns;
    append_string(p, "", 0);
    if (p->nstrings == 0 || !grow(&p->by_text) || !grow(&p->by_address)) {
        pprof_free(p);
        return NULL;
    }
    add_value_type(p, PROFILE_SAMPLE_TYPE, "samples", "count");
    add_value_type(p, PROFILE_SAMPLE_TYPE, "cpu", "nanoseconds");
    add_value_type(p, PROFILE_PERIOD_TYPE, "cpu", "nanoseconds");
    add_number(&p->out, PROFILE_PERIOD, period_ns);
    return p;
}

static void *compress_all(const struct bytes *b, size_t *len)
{
    z_stream z = {.next_in = b->p, .avail_in = (uInt)b->len};
    if (b->len > UINT32_MAX / 2 || deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    size_t cap = deflateBound(&z, b->len);
    void *out = malloc(cap);
    z.next_out = out;
    z.avail_out = (uInt)cap;
    bool ok = out && deflate(&z, Z_FINISH) == Z_STREAM_END;
    *len = z.total_out;
    deflateEnd(&z);
    if (ok)
        return out;
    free(out);
    return NULL;
}

void *pprof_finish(struct pprof *p, int64_t begin_us, uint64_t duration_ns, size_t *len)
{
    add_number(&p->out, PROFILE_TIME_NANOS, (uint64_t)begin_us * 1000);
    add_number(&p->out, PROFILE_DURATION_NANOS, duration_ns);
    for (size_t i = 0; i < p->nstrings; i++)
        add_text(&p->out, PROFILE_STRING_TABLE, p->strings[i].text, strlen(p->strings[i].text));
    bool failed = p->out.failed || p->part.failed || p->inner.failed;
    return failed ? NULL : compress_all(&p->out, len);
}
