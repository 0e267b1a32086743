/* accept.c: see accept.h. Parts are told apart at commas and semicolons outside of quotes. */
#include "lib/accept.h"

/* Take what comes before the next SEPARATOR that is outside of quotes off *REST, trimmed. False at the end.
 */
static bool next_part(struct slice *rest, char separator, struct slice *part)
{
    bool quoted = false;
    size_t n = 0;
    if (rest->len == 0)
        return false;
    for (; n < rest->len && (quoted || rest->p[n] != separator); n++) {
        if (rest->p[n] == '"')
            quoted = !quoted;
        else if (quoted && rest->p[n] == '\\' && n + 1 < rest->len)
            n++;
    }
    *part = slice_trim((struct slice){rest->p, n});
    *rest = slice_skip(*rest, n + 1);
    return true;
}

/* "1", "0.5", "0.125": thousandths. */
static unsigned quality_of(struct slice text)
{
    unsigned quality = 0, place = ACCEPT_FULL / 10;
    if (text.len == 0 || text.len > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.len > 1 && text.p[1] != '.'))
        return 0;
    for (size_t i = 2; i < text.len; i++, place /= 10) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return 0;
        quality += place * (unsigned)(text.p[i] - '0');
    }
    return text.p[0] == '1' ? ACCEPT_FULL : quality;
}

bool accept_next(struct slice *field, struct accept_part *part)
{
    struct slice element, parameter;
    if (!next_part(field, ',', &element))
        return false;
    *part = (struct accept_part){.name = {"", 0}, .parameters = {"", 0}, .quality = ACCEPT_FULL};
    if (!next_part(&element, ';', &part->name)) {
        part->quality = 0;
        return true;
    }
    part->parameters = element;
    while (next_part(&element, ';', &parameter))
        if (parameter.len >= 2 && slice_eq_nocase((struct slice){parameter.p, 2}, SLICE("q=")))
            part->quality = quality_of(slice_skip(parameter, 2));
    return true;
}

static struct slice unquote(struct slice s)
{
    if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"')
        return (struct slice){s.p + 1, s.len - 2};
    return s;
}

struct slice accept_parameter(const struct accept_part *part, struct slice name)
{
    struct slice rest = part->parameters, parameter;
    while (next_part(&rest, ';', &parameter))
        if (parameter.len > name.len && parameter.p[name.len] == '=' &&
            slice_eq_nocase((struct slice){parameter.p, name.len}, name))
            return unquote(slice_skip(parameter, name.len + 1));
    return (struct slice){NULL, 0};
}

unsigned accept_quality(struct slice field, struct slice name, struct slice any)
{
    struct accept_part part;
    unsigned for_any = 0;
    while (accept_next(&field, &part)) {
        if (slice_eq_nocase(part.name, name))
            return part.quality;
        if (any.len > 0 && slice_eq(part.name, any))
            for_any = part.quality;
    }
    return for_any;
}
