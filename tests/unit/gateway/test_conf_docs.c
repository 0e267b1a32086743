/*
 * test_conf_docs.c: conf/tollgate.conf loads as it is and documents every option of the schema.
 *
 * An option is documented when it stands in its section (commented out or not) right below a comment that
 * says something about it, with the words "Default X" when the schema has a default. Nothing is documented
 * that the schema does not have.
 */
#include "gateway/conf.h"
#include "gateway/conf_schema.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <unistd.h>

#define LINE_ROOM  512
#define PATH_ROOM  128
#define SEEN_MAX   512
#define ABOUT_ROOM 4096

/* An option as the file documents it. */
struct documented {
    char path[PATH_ROOM]; /* "backend.timeout.connect" */
    char *about;          /* the comment above, as one line */
};

struct reading {
    struct documented seen[SEEN_MAX];
    size_t n;
    char path[PATH_ROOM];   /* of the section that is open */
    char about[ABOUT_ROOM]; /* the comment so far */
};

/* The tests run from anywhere in the tree. */
static FILE *open_conf(const char *name)
{
    char path[256];
    const char *const roots[] = {".", "..", "../..", "../../..", "../../../.."};
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        snprintf(path, sizeof(path), "%s/conf/%s", roots[i], name);
        FILE *f = fopen(path, "r");
        if (f)
            return f;
    }
    ck_abort_msg("conf/%s is not there: run this from the top of the tree", name);
    return NULL;
}

static void see(struct reading *r, const char *name)
{
    ck_assert_uint_lt(r->n, SEEN_MAX);
    struct documented *d = &r->seen[r->n++];
    ck_assert_int_lt(snprintf(d->path, sizeof(d->path), "%s%s%s", r->path, r->path[0] ? "." : "", name),
                     PATH_ROOM);
    d->about = strdup(r->about);
    ck_assert_ptr_nonnull(d->about);
    r->about[0] = '\0';
}

/* "name = ...", "name {", "name "title" {": what begins a line of configuration. */
static bool is_statement(const char *line, char *name, bool *is_section)
{
    size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (len == 0 || len >= 64)
        return false;
    memcpy(name, line, len);
    name[len] = '\0';
    const char *rest = line + len + strspn(line + len, " ");
    size_t end = strlen(rest);
    *is_section = (rest[0] == '{' && rest[1] == '\0') ||
                  (rest[0] == '"' && end > 2 && strcmp(rest + end - 2, " {") == 0);
    bool is_empty_section = rest[0] == '"' && end > 3 && strcmp(rest + end - 3, "{ }") == 0;
    return *is_section || is_empty_section || strncmp(rest, "= ", 2) == 0;
}

static void leave_section(struct reading *r)
{
    char *dot = strrchr(r->path, '.');
    *(dot ? dot : r->path) = '\0';
}

static void read_line(struct reading *r, char *line)
{
    char name[64];
    bool is_section, is_comment = false;
    line += strspn(line, " ");
    while (line[0] == '#' && (line[1] == ' ' || line[1] == '\0')) {
        is_comment = true;
        line += line[1] ? 2 : 1;
        line += strspn(line, " ");
    }
    if (is_statement(line, name, &is_section)) {
        see(r, name);
        if (is_section)
            strcpy(r->path, r->seen[r->n - 1].path);
    } else if (strcmp(line, "}") == 0) {
        leave_section(r);
    } else if (is_comment && line[0]) {
        ck_assert_uint_lt(strlen(r->about) + strlen(line) + 2, sizeof(r->about));
        strcat(strcat(r->about, line), " ");
    } else {
        r->about[0] = '\0';
    }
}

static void read_conf(struct reading *r)
{
    char line[LINE_ROOM];
    FILE *f = open_conf("tollgate.conf");
    bool is_introduction = true; /* up to the first rule */
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        is_introduction &= strncmp(line, "# ----", 6) != 0;
        if (!is_introduction && strncmp(line, "# ----", 6) != 0)
            read_line(r, line);
    }
    ck_assert_str_eq(r->path, "");
    fclose(f);
}

static void free_reading(struct reading *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->seen[i].about);
    free(r);
}

/* The first place where PATH is documented with some words. */
static const struct documented *find(const struct reading *r, const char *path)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->seen[i].path, path) == 0 && r->seen[i].about[0])
            return &r->seen[i];
    return NULL;
}

static void check_option(const struct reading *r, const struct conf_option *o, const char *path)
{
    char want[128];
    const struct documented *d = find(r, path);
    ck_assert_msg(d != NULL, "conf/tollgate.conf does not document %s", path);
    ck_assert_msg(strlen(d->about) >= 10, "%s: \"%s\" is too little", path, d->about);
    if (!o->value || o->value[0] == '\0')
        return;
    snprintf(want, sizeof(want), "Default %s. ", o->value);
    ck_assert_msg(strstr(d->about, want) != NULL, "%s: \"%s\" does not say \"%s\"", path, d->about, want);
}

static size_t check_section(const struct reading *r, const struct conf_section *section, const char *prefix)
{
    size_t n = 0;
    ck_assert_uint_le(section->noptions, CONF_OPTIONS_MAX);
    for (size_t i = 0; i < section->noptions; i++) {
        const struct conf_option *o = &section->options[i];
        char path[PATH_ROOM];
        snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] ? "." : "", o->name);
        check_option(r, o, path);
        n += 1 + (o->section ? check_section(r, o->section, path) : 0);
    }
    return n;
}

START_TEST(every_option_is_documented)
{
    struct reading *r = calloc(1, sizeof(*r));
    ck_assert_ptr_nonnull(r);
    read_conf(r);
    ck_assert_uint_ge(check_section(r, &conf_schema, ""), 70);
    free_reading(r);
}
END_TEST

static bool is_known(const char *path)
{
    char copy[PATH_ROOM];
    const struct conf_section *section = &conf_schema;
    const struct conf_option *o = NULL;
    strcpy(copy, path);
    for (char *rest = copy, *name = strsep(&rest, "."); name; name = strsep(&rest, ".")) {
        o = section ? conf_schema_find(section, name) : NULL;
        section = o ? o->section : NULL;
    }
    return o != NULL;
}

START_TEST(nothing_unknown_is_documented)
{
    struct reading *r = calloc(1, sizeof(*r));
    ck_assert_ptr_nonnull(r);
    read_conf(r);
    for (size_t i = 0; i < r->n; i++)
        ck_assert_msg(is_known(r->seen[i].path), "%s is no option", r->seen[i].path);
    free_reading(r);
}
END_TEST

static const char *const files[] = {"tollgate.conf", "demo.conf"};

/* By its descriptor: wherever open_conf found it. */
START_TEST(the_files_load_as_they_are)
{
    char path[64];
    struct conf_mistakes m;
    FILE *f = open_conf(files[_i]);
    snprintf(path, sizeof(path), "/dev/fd/%d", fileno(f));
    struct conf *c = conf_load(path, &m);
    ck_assert_msg(c != NULL, "%s", m.n ? m.at[0] : "?");
    ck_assert_msg(m.n == 0, "%s", m.n ? m.at[0] : "?");
    ck_assert_uint_ge(c->nroutes, 4);
    conf_free(c);
    conf_mistakes_free(&m);
    fclose(f);
}
END_TEST

static Suite *conf_docs_suite(void)
{
    Suite *s = suite_create("conf_docs");
    TCase *t = tcase_create("conf_docs");
    tcase_add_test(t, every_option_is_documented);
    tcase_add_test(t, nothing_unknown_is_documented);
    tcase_add_loop_test(t, the_files_load_as_they_are, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(conf_docs_suite)
