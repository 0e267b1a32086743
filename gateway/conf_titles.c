/* conf_titles.c: a list; see conf_titles.h. A few thousand routes are the most that is seen. */
#include "gateway/conf_titles.h"

#include <stdlib.h>

struct conf_title {
    struct conf_title *older;
    const struct conf_option *option;
    int place;
    char text[];
};

int conf_titles_add(struct conf_titles *t, const struct conf_option *option, const char *title, int place)
{
    for (const struct conf_title *one = t->newest; one; one = one->older)
        if (one->option == option && strcmp(one->text, title) == 0)
            return one->place;
    size_t size = strlen(title) + 1;
    struct conf_title *one = malloc(sizeof(*one) + size);
    if (!one)
        return -1;
    *one = (struct conf_title){t->newest, option, place};
    memcpy(one->text, title, size);
    t->newest = one;
    return 0;
}

void conf_titles_free(struct conf_titles *t)
{
    while (t->newest) {
        struct conf_title *older = t->newest->older;
        free(t->newest);
        t->newest = older;
    }
}
