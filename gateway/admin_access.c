/*
 * admin_access.c: see admin_access.h.
 *
 * What was given is copied into a field of the tokens' size and all of it compared with both tokens, so that
 * neither the place of the first difference nor a token's length shows in the time.
 */
#include "gateway/admin_access.h"

#include <stdio.h>

#include "gateway/conf_address.h"
#include "lib/check.h"

static const struct admin_denial_info denials[] = {
    [ADMIN_ALLOWED] = {200, "", NULL},
    [ADMIN_DENIED_TOKEN_MISSING] = {401, "a token is wanted, as Authorization: Bearer TOKEN",
                                    "Bearer realm=\"tollgate\""},
    [ADMIN_DENIED_TOKEN_WRONG] = {401, "this token is not known",
                                  "Bearer realm=\"tollgate\", error=\"invalid_token\""},
    [ADMIN_DENIED_RIGHT] = {403, "this token is for reading only",
                            "Bearer realm=\"tollgate\", error=\"insufficient_scope\", scope=\"write\""},
    [ADMIN_DENIED_HOST] = {403,
                           "without a token, Host has to be localhost, 127.0.0.1, [::1] or the admin port's "
                           "own address",
                           NULL},
    [ADMIN_DENIED_ORIGIN] = {403, "not from pages of other sites", NULL},
};

const struct admin_denial_info *admin_denial_info(enum admin_denial d)
{
    return &denials[d];
}

const char *admin_who_name(enum admin_who who)
{
    static const char *const names[] = {[ADMIN_UNKNOWN] = "nobody",
                                        [ADMIN_NO_TOKEN] = "no token",
                                        [ADMIN_READER] = "read token",
                                        [ADMIN_WRITER] = "token"};
    return names[who];
}

/* ---- tokens ---- */

static void fill(char field[ADMIN_TOKEN_ROOM], struct slice text)
{
    memset(field, 0, ADMIN_TOKEN_ROOM);
    if (text.len > 0 && text.len < ADMIN_TOKEN_ROOM)
        memcpy(field, text.p, text.len);
}

static bool is_equal(const char a[ADMIN_TOKEN_ROOM], const char b[ADMIN_TOKEN_ROOM])
{
    unsigned char differs = 0;
    for (size_t i = 0; i < ADMIN_TOKEN_ROOM; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

static enum admin_who who_is(const struct admin_access *a, struct slice authorization)
{
    char given[ADMIN_TOKEN_ROOM];
    const struct slice scheme = SLICE("Bearer ");
    if (a->token[0] == '\0' && a->read_token[0] == '\0')
        return ADMIN_NO_TOKEN;
    bool is_bearer = authorization.len > scheme.len &&
                     slice_eq_nocase((struct slice){authorization.p, scheme.len}, scheme);
    fill(given, is_bearer ? slice_trim(slice_skip(authorization, scheme.len)) : (struct slice){0});
    bool is_writer = is_equal(given, a->token), is_reader = is_equal(given, a->read_token);
    if (given[0] == '\0') /* which a token that is not configured would equal */
        return ADMIN_UNKNOWN;
    return is_writer ? ADMIN_WRITER : is_reader ? ADMIN_READER : ADMIN_UNKNOWN;
}

bool admin_access_renew(struct admin_access *a, const struct conf_admin *conf)
{
    const struct admin_access old = *a;
    _Static_assert(CONF_TOKEN_MAX < ADMIN_TOKEN_ROOM, "every token fits, with a NUL");
    fill(a->token, slice_of(conf->token));
    fill(a->read_token, slice_of(conf->read_token));
    return !is_equal(a->token, old.token) || !is_equal(a->read_token, old.read_token);
}

void admin_access_init(struct admin_access *a, const struct conf_admin *conf)
{
    *a = (struct admin_access){.is_loopback = conf->listen.host && conf_listen_is_local(&conf->listen)};
    if (conf->listen.host)
        snprintf(a->host, sizeof(a->host), strchr(conf->listen.host, ':') ? "[%s]" : "%s", conf->listen.host);
    admin_access_renew(a, conf);
}

/* ---- other sites ---- */

/* Host without its port; empty when what follows the name is no port. */
static struct slice name_of(struct slice host)
{
    size_t n = 0;
    uint64_t port;
    if (host.len > 0 && host.p[0] == '[')
        while (n < host.len && host.p[n] != ']')
            n++;
    while (n < host.len && host.p[n] != ':')
        n++;
    bool is_whole = n == host.len || slice_to_u64(slice_skip(host, n + 1), UINT16_MAX, &port);
    return is_whole ? (struct slice){host.p, n} : (struct slice){0};
}

/* HTTP/1.0 needs no Host, and no browser leaves it out. */
static bool is_own_host(const struct admin_access *a, struct slice host)
{
    const struct slice own[] = {SLICE("localhost"), SLICE("127.0.0.1"), SLICE("[::1]"), slice_of(a->host)};
    struct slice name = name_of(host);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (slice_eq_nocase(name, own[i]))
            return true;
    return host.len == 0;
}

static bool is_foreign(const struct admin_caller *c)
{
    struct slice own = {0};
    for (size_t i = 0; i + 3 <= c->origin.len && own.len == 0; i++)
        if (memcmp(c->origin.p + i, "://", 3) == 0)
            own = slice_skip(c->origin, i + 3);
    return c->origin.len > 0 && (own.len == 0 || !slice_eq_nocase(own, c->host));
}

enum admin_denial admin_access_check(const struct admin_access *a, enum admin_right wanted,
                                     const struct admin_caller *caller, enum admin_who *who)
{
    *who = who_is(a, caller->authorization);
    if (wanted == ADMIN_OPEN)
        return ADMIN_ALLOWED;
    if (*who == ADMIN_NO_TOKEN && a->is_loopback && !is_own_host(a, caller->host))
        return ADMIN_DENIED_HOST;
    if (is_foreign(caller))
        return ADMIN_DENIED_ORIGIN;
    if (*who == ADMIN_UNKNOWN)
        return caller->authorization.len > 0 ? ADMIN_DENIED_TOKEN_WRONG : ADMIN_DENIED_TOKEN_MISSING;
    return wanted == ADMIN_WRITE && *who == ADMIN_READER ? ADMIN_DENIED_RIGHT : ADMIN_ALLOWED;
}
