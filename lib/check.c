/* check.c: what a broken invariant does. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "tollgate: broken invariant at %s:%d: %s\n", file, line, what);
    abort();
}
