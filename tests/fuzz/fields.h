/* fields.h: header fields out of a fuzzer's input. */
#ifndef TESTS_FUZZ_FIELDS_H
#define TESTS_FUZZ_FIELDS_H

#include "lib/http.h"

#define FIELDS 32

/* Lines "Name: value" up to an empty one, at most FIELDS; what is no field is passed over, as a parser would
 * have refused it. */
static inline struct http_fields take_fields(struct slice *rest, struct http_field *at)
{
    struct http_fields f = {at, 0};
    while (rest->len > 0) {
        ptrdiff_t end = slice_find(*rest, '\n');
        struct slice line = {rest->p, end < 0 ? rest->len : (size_t)end};
        *rest = slice_skip(*rest, line.len + 1);
        if (line.len == 0)
            break;
        ptrdiff_t colon = slice_find(line, ':');
        if (colon <= 0 || f.n == FIELDS)
            continue;
        struct http_field field = {{line.p, (size_t)colon}, slice_trim(slice_skip(line, (size_t)colon + 1))};
        if (http_is_token(field.name) && http_is_field_value(field.value))
            at[f.n++] = field;
    }
    return f;
}

#endif
