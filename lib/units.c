/*
 * units.c: see units.h.
 *
 * Every quantity is a number followed by the name of a unit from a table, ordered from the largest unit to
 * the smallest; printing takes the first that divides without rest. Names that are only read (not printed)
 * have their own rows.
 */
#include "lib/units.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

#define SECOND_MS UINT64_C(1000)

static const struct unit times[] = {
    {"d", 86400 * SECOND_MS},
    {"h", 3600 * SECOND_MS},
    {"m", 60 * SECOND_MS},
    {"s", SECOND_MS},
    {"ms", 1},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"g", UINT64_C(1) << 30}, {"m", UINT64_C(1) << 20}, {"k", UINT64_C(1) << 10}, {"", 1}, {NULL, 0},
};

/* Cut the digits off the front of *TEXT. */
static enum units_fault take_number(struct slice *text, uint64_t *number)
{
    size_t digits = 0;
    while (digits < text->len && text->p[digits] >= '0' && text->p[digits] <= '9')
        digits++;
    if (digits == 0)
        return UNITS_NO_NUMBER;
    if (!slice_to_u64((struct slice){text->p, digits}, UINT64_MAX, number))
        return UNITS_TOO_BIG;
    *text = slice_skip(*text, digits);
    return UNITS_OK;
}

static const struct unit *find_unit(const struct unit *units, struct slice name)
{
    for (; units->name; units++)
        if (slice_eq_nocase(slice_of(units->name), name))
            return units;
    return NULL;
}

static enum units_fault scale(uint64_t number, const struct unit *unit, uint64_t *value)
{
    if (!unit)
        return UNITS_BAD_UNIT;
    if (number > UINT64_MAX / unit->factor)
        return UNITS_TOO_BIG;
    *value = number * unit->factor;
    return UNITS_OK;
}

enum units_fault units_parse_time(struct slice text, uint64_t *ms)
{
    uint64_t number;
    enum units_fault fault = take_number(&text, &number);
    if (fault)
        return fault;
    if (text.len == 0 && number != 0)
        return UNITS_NO_UNIT;
    if (text.len == 0)
        return *ms = 0, UNITS_OK;
    return scale(number, find_unit(times, text), ms);
}

enum units_fault units_parse_size(struct slice text, uint64_t *bytes)
{
    uint64_t number;
    enum units_fault fault = take_number(&text, &number);
    if (fault)
        return fault;
    if (text.len == 3 && slice_eq_nocase(slice_skip(text, 1), SLICE("ib")))
        text.len = 1;
    else if (text.len > 0 && (text.p[text.len - 1] | 0x20) == 'b')
        text.len--;
    return scale(number, find_unit(sizes, text), bytes);
}

enum units_fault units_parse_rate(struct slice text, struct units_rate *rate)
{
    uint64_t count, per = 1, per_ms;
    enum units_fault fault = take_number(&text, &count);
    if (fault)
        return fault;
    if (text.len == 0)
        return UNITS_NO_UNIT;
    if (text.p[0] != '/')
        return UNITS_BAD_UNIT;
    text = slice_skip(text, 1);
    fault = take_number(&text, &per);
    if (fault == UNITS_TOO_BIG)
        return fault;
    if (per == 0)
        return UNITS_BAD_UNIT;
    fault = scale(per, find_unit(times, text), &per_ms);
    if (!fault)
        *rate = (struct units_rate){count, per_ms};
    return fault;
}

/* Up to two decimals behind a '.', as hundredths. */
static enum units_fault take_decimals(struct slice *text, unsigned *hundredths)
{
    uint64_t number;
    *hundredths = 0;
    if (text->len == 0 || text->p[0] != '.')
        return UNITS_OK;
    *text = slice_skip(*text, 1);
    size_t before = text->len;
    enum units_fault fault = take_number(text, &number);
    size_t digits = before - text->len;
    if (fault || digits > 2)
        return UNITS_BAD_UNIT;
    *hundredths = (unsigned)number * (digits == 1 ? 10 : 1);
    return UNITS_OK;
}

enum units_fault units_parse_percent(struct slice text, unsigned *hundredths)
{
    uint64_t whole;
    unsigned part;
    enum units_fault fault = take_number(&text, &whole);
    if (!fault)
        fault = take_decimals(&text, &part);
    if (fault)
        return fault;
    if (text.len == 0)
        return UNITS_NO_UNIT;
    if (!slice_eq(text, SLICE("%")))
        return UNITS_BAD_UNIT;
    if (whole > 100 || (whole == 100 && part > 0))
        return UNITS_TOO_BIG;
    *hundredths = (unsigned)whole * 100 + part;
    return UNITS_OK;
}

const char *units_fault_text(enum units_fault f)
{
    switch (f) {
    case UNITS_OK:
        return "fine";
    case UNITS_NO_NUMBER:
        return "does not begin with a number";
    case UNITS_TOO_BIG:
        return "is too big";
    case UNITS_NO_UNIT:
        return "needs a unit";
    case UNITS_BAD_UNIT:
        return "has an unknown unit";
    }
    return "unknown fault";
}

static const char *print(uint64_t value, const struct unit *units, char out[UNITS_TEXT_MAX])
{
    while (units[1].name && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / units->factor, value == 0 ? "" : units->name);
    return out;
}

const char *units_print_time(uint64_t ms, char out[UNITS_TEXT_MAX])
{
    return print(ms, times, out);
}

const char *units_print_size(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    return print(bytes, sizes, out);
}

const char *units_print_rate(struct units_rate rate, char out[UNITS_TEXT_MAX])
{
    char per[UNITS_TEXT_MAX];
    print(rate.per_ms, times, per);
    /* "100/1s" is written "100/s". */
    bool is_one = per[0] == '1' && (per[1] < '0' || per[1] > '9');
    snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "/%.24s", rate.count, per + (is_one ? 1 : 0));
    return out;
}

const char *units_print_percent(unsigned hundredths, char out[UNITS_TEXT_MAX])
{
    unsigned whole = hundredths / 100, part = hundredths % 100;
    if (part == 0)
        snprintf(out, UNITS_TEXT_MAX, "%u%%", whole);
    else if (part % 10 == 0)
        snprintf(out, UNITS_TEXT_MAX, "%u.%u%%", whole, part / 10);
    else
        snprintf(out, UNITS_TEXT_MAX, "%u.%02u%%", whole, part);
    return out;
}
