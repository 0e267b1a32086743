/*
 * conf_bind.c: see conf_bind.h.
 *
 * Numbers of all kinds take one way: text to uint64_t by the type, the range of the row, then a store by the
 * size of the field. Defaults go the same way as what is written, so a default out of its range is a broken
 * invariant.
 */
#include "gateway/conf_bind.h"

#include <inttypes.h>

#include "gateway/conf_files.h"
#include "lib/nearest.h"
#include "lib/units.h"

/* ---- memory ---- */

void *conf_array(struct conf_load *load, size_t n, size_t size)
{
    size_t bytes = (n + 1) * size;
    void *p = arena_alloc(load->arena, bytes);
    if (p)
        memset(p, 0, bytes);
    load->report->is_short |= !p;
    return p;
}

const char *conf_copy(struct conf_load *load, struct slice s)
{
    const char *copy = arena_dup(load->arena, s);
    load->report->is_short |= !copy;
    return copy ? copy : "";
}

static void store(const struct conf_option *o, void *base, const void *value)
{
    memcpy((char *)base + o->offset, value, o->size);
}

static void store_number(const struct conf_option *o, void *base, uint64_t n)
{
    uint32_t narrow = (uint32_t)n;
    bool flag = n != 0;
    if (o->type == CONF_FLAG)
        store(o, base, &flag);
    else if (o->size == sizeof(narrow))
        store(o, base, &narrow);
    else
        store(o, base, &n);
}

static uint64_t number_of(const struct conf_option *o, const void *base)
{
    const char *field = (const char *)base + o->offset;
    uint64_t wide;
    uint32_t narrow;
    bool flag;
    if (o->type == CONF_FLAG)
        return memcpy(&flag, field, sizeof(flag)), flag;
    if (o->size == sizeof(narrow))
        return memcpy(&narrow, field, sizeof(narrow)), narrow;
    return memcpy(&wide, field, sizeof(wide)), wide;
}

static struct units_rate rate_of(const struct conf_option *o, const void *base)
{
    struct units_rate rate;
    memcpy(&rate, (const char *)base + o->offset, sizeof(rate));
    return rate;
}

static const char *text_of(const struct conf_option *o, const void *base)
{
    const char *text;
    memcpy(&text, (const char *)base + o->offset, sizeof(text));
    return text;
}

/* ---- numbers ---- */

static const char *number_words(const struct conf_option *o, uint64_t n, char out[UNITS_TEXT_MAX])
{
    if (o->type == CONF_TIME)
        return units_print_time(n, out);
    if (o->type == CONF_SIZE)
        return units_print_size(n, out);
    if (o->type == CONF_PERCENT)
        return units_print_percent((unsigned)n, out);
    snprintf(out, UNITS_TEXT_MAX, "%" PRIu64, n);
    return out;
}

static bool refuse_range(const struct conf_option *o, const char *text, struct conf_why *why)
{
    char min[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];
    bool has_word = o->type == CONF_COUNT && o->words;
    return conf_refuse(why, "%.80s is out of range: %s to %s%s%s", text, number_words(o, o->min, min),
                       number_words(o, o->max, max), has_word ? ", or " : "", has_word ? o->words[0] : "");
}

static bool refuse_number(const struct conf_option *o, const char *text, enum units_fault fault,
                          struct conf_why *why)
{
    static const char *const examples[] = {[CONF_COUNT] = "a whole number",
                                           [CONF_TIME] = "a time such as 500ms, 10s, 5m, 2h or 1d",
                                           [CONF_SIZE] = "a size such as 512, 16k, 10m or 1g",
                                           [CONF_PERCENT] = "a percentage such as 50% or 0.5%",
                                           [CONF_RATE] = "a rate such as 10/s, 100/m or 1000/10m"};
    if (fault == UNITS_TOO_BIG)
        return refuse_range(o, text, why);
    if (fault == UNITS_NO_UNIT)
        return conf_refuse(why, "'%.80s' needs a unit: %s", text, examples[o->type]);
    return conf_refuse(why, "'%.80s' is not %s", text, examples[o->type]);
}

static enum units_fault parse_percent(struct slice text, uint64_t *n)
{
    unsigned hundredths = 0;
    enum units_fault fault = units_parse_percent(text, &hundredths);
    *n = hundredths;
    return fault;
}

static bool bind_rate(const struct conf_option *o, const char *text, void *base, struct conf_why *why)
{
    struct units_rate rate;
    enum units_fault fault = units_parse_rate(slice_of(text), &rate);
    if (fault)
        return refuse_number(o, text, fault, why);
    if (rate.count < o->min || rate.count > o->max)
        return refuse_range(o, text, why);
    store(o, base, &rate);
    return true;
}

static bool parse_number(const struct conf_option *o, const char *text, uint64_t *n, struct conf_why *why)
{
    enum units_fault fault = UNITS_OK;
    struct slice s = slice_of(text);
    if (o->type == CONF_COUNT && o->words && strcmp(text, o->words[0]) == 0)
        return *n = 0, true;
    if (o->type == CONF_TIME)
        fault = units_parse_time(s, n);
    else if (o->type == CONF_SIZE)
        fault = units_parse_size(s, n);
    else if (o->type == CONF_PERCENT)
        fault = parse_percent(s, n);
    else if (!slice_to_u64(s, UINT64_MAX, n))
        fault = strspn(text, "0123456789") == s.len && s.len > 0 ? UNITS_TOO_BIG : UNITS_BAD_UNIT;
    if (fault)
        return refuse_number(o, text, fault, why);
    return (*n >= o->min && *n <= o->max) || refuse_range(o, text, why);
}

/* ---- words ---- */

static bool parse_flag(const char *text, uint64_t *n, struct conf_why *why)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0)
            return *n = i % 2, true;
    return conf_refuse(why, "'%.80s' is neither yes nor no", text);
}

static bool parse_word(const struct conf_option *o, const char *text, uint64_t *n, struct conf_why *why)
{
    char all[160] = "";
    size_t used = 0;
    for (*n = 0; o->words[*n]; ++*n) {
        if (strcmp(text, o->words[*n]) == 0)
            return true;
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", *n ? ", " : "", o->words[*n]);
        CHECK(used < sizeof(all));
    }
    const char *meant = nearest(slice_of(text), o->words, *n);
    return conf_refuse(why, "'%.80s' is none of %s%s%s%s", text, all, meant ? "; did you mean '" : "",
                       meant ? meant : "", meant ? "'?" : "");
}

/* ---- text ---- */

static bool check_length(const struct conf_option *o, const char *text, struct conf_why *why)
{
    size_t len = strlen(text);
    if (len < o->min)
        return conf_refuse(why, "is empty");
    if (len > o->max)
        return conf_refuse(why, "is longer than %" PRIu64 " bytes", o->max);
    return true;
}

static bool bind_text(struct conf_load *load, const struct conf_option *o, const char *text, void *base,
                      struct conf_why *why)
{
    bool is_none = o->words && strcmp(text, o->words[0]) == 0;
    if (!check_length(o, text, why))
        return false;
    const char *copy = is_none ? NULL : conf_copy(load, slice_of(text));
    store(o, base, &copy);
    return true;
}

static bool bind_file(struct conf_load *load, const struct conf_option *o, const struct conf_value *v,
                      void *base, struct conf_why *why)
{
    struct conf_why reason;
    if (!check_length(o, v->text, why))
        return false;
    const char *path =
        conf_file_absolute(load->arena, conf_report_where(load->report, v->place).file, v->text);
    if (!path) {
        load->report->is_short = true;
        return true;
    }
    store(o, base, &path);
    return conf_file_check(path, &reason) || conf_refuse(why, "cannot read %.200s: %.80s", path, reason.text);
}

/* ---- lists ---- */

const char **conf_texts(struct conf_load *load, const struct conf_node *node, const struct conf_option *o,
                        size_t *n, int **places)
{
    struct conf_why why;
    size_t count = node ? conf_node_count(node, o->name) : 0;
    const char **texts = conf_array(load, count, sizeof(*texts));
    if (places)
        *places = conf_array(load, count, sizeof(**places));
    *n = 0;
    if (!texts || (places && !*places))
        return texts;
    for (size_t i = 0; i < count; i++) {
        const struct conf_value *v = conf_node_value(node, o->name, i);
        if (v->is_broken)
            continue;
        if (!check_length(o, v->text, &why)) {
            conf_mistake(load->report, v->place, "%s: a value %s", o->name, why.text);
            continue;
        }
        if (places)
            (*places)[*n] = v->place;
        texts[(*n)++] = conf_copy(load, slice_of(v->text));
    }
    return texts;
}

static void bind_list(struct conf_load *load, const struct conf_node *node, const struct conf_option *o,
                      void *base)
{
    size_t n;
    const char **texts = conf_texts(load, node, o, &n, NULL);
    store(o, base, &texts);
    memcpy((char *)base + o->count_offset, &n, sizeof(n));
}

/* ---- sections ---- */

static bool bind_value(struct conf_load *load, const struct conf_option *o, const struct conf_value *v,
                       void *base, struct conf_why *why)
{
    uint64_t n = 0;
    bool ok;
    if (o->type == CONF_TEXT)
        return bind_text(load, o, v->text, base, why);
    if (o->type == CONF_FILE)
        return bind_file(load, o, v, base, why);
    if (o->type == CONF_RATE)
        return bind_rate(o, v->text, base, why);
    if (o->type == CONF_FLAG)
        ok = parse_flag(v->text, &n, why);
    else if (o->type == CONF_WORD)
        ok = parse_word(o, v->text, &n, why);
    else
        ok = parse_number(o, v->text, &n, why);
    if (ok)
        store_number(o, base, n);
    return ok;
}

static void bind_default(struct conf_load *load, const struct conf_option *o, void *base)
{
    struct conf_why why;
    const struct conf_value v = {.text = o->value};
    if (o->value)
        CHECK(bind_value(load, o, &v, base, &why));
    else
        memset((char *)base + o->offset, 0, o->size);
}

void conf_bind(struct conf_load *load, const struct conf_node *node, const struct conf_section *section,
               void *base)
{
    struct conf_why why;
    for (size_t i = 0; i < section->noptions; i++) {
        const struct conf_option *o = &section->options[i];
        if (o->size == 0)
            continue;
        if (o->type == CONF_LIST) {
            bind_list(load, node, o, base);
            continue;
        }
        const struct conf_value *v = node ? conf_node_value(node, o->name, 0) : NULL;
        bind_default(load, o, base);
        if (v && !v->is_broken && !bind_value(load, o, v, base, &why))
            conf_mistake(load->report, v->place, "%s: %s", o->name, why.text);
    }
}

const struct conf_node *conf_only(const struct conf_node *node, const char *name)
{
    return node ? conf_node_section(node, name, 0) : NULL;
}

const char *conf_text(struct conf_load *load, const struct conf_node *node, const struct conf_option *o,
                      int *place, bool *is_given)
{
    struct conf_why why;
    const struct conf_value *v = node ? conf_node_value(node, o->name, 0) : NULL;
    *is_given = v != NULL;
    *place = v ? v->place : node ? conf_node_title(node).place : 1;
    if (!v)
        return o->value;
    if (v->is_broken)
        return NULL;
    if (!check_length(o, v->text, &why)) {
        conf_mistake(load->report, v->place, "%s: %s", o->name, why.text);
        return NULL;
    }
    return v->text;
}

/* ---- printing ---- */

/* What quotes would change is escaped, and so is "${", which would name a variable. */
void conf_print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\r')
            fputs("\\r", out);
        else if (*text == '\t')
            fputs("\\t", out);
        else if (*text == '"' || *text == '\\' || (*text == '$' && text[1] == '{'))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void print_list(const struct conf_option *o, const void *base, FILE *out)
{
    size_t n;
    const char **texts;
    memcpy(&texts, (const char *)base + o->offset, sizeof(texts));
    memcpy(&n, (const char *)base + o->count_offset, sizeof(n));
    fputc('{', out);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "", out);
        conf_print_quoted(texts[i], out);
    }
    fputc('}', out);
}

static void print_value(const struct conf_option *o, const void *base, FILE *out)
{
    char number[UNITS_TEXT_MAX];
    const char *text;
    switch (o->type) {
    case CONF_TEXT:
    case CONF_FILE:
        text = text_of(o, base);
        if (text)
            conf_print_quoted(text, out);
        else
            fputs(o->words[0], out);
        break;
    case CONF_FLAG:
        fputs(number_of(o, base) ? "yes" : "no", out);
        break;
    case CONF_WORD:
        fputs(o->words[number_of(o, base)], out);
        break;
    case CONF_LIST:
        print_list(o, base, out);
        break;
    case CONF_RATE:
        fputs(units_print_rate(rate_of(o, base), number), out);
        break;
    default:
        fputs(number_words(o, number_of(o, base), number), out);
    }
}

void conf_print(const struct conf_section *section, const void *base, FILE *out, int indent)
{
    for (size_t i = 0; i < section->noptions; i++) {
        const struct conf_option *o = &section->options[i];
        bool is_text = o->type == CONF_TEXT || o->type == CONF_FILE;
        if (o->size == 0 || (is_text && !text_of(o, base) && !o->words) ||
            (o->type == CONF_RATE && rate_of(o, base).per_ms == 0))
            continue;
        fprintf(out, "%*s%s = ", indent, "", o->name);
        print_value(o, base, out);
        fputc('\n', out);
    }
}
