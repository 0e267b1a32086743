/*
 * password.c: see password.h.
 *
 * crypt_r of libxcrypt does the hashing. Users are sorted by name and found by halves: what that tells about
 * names by its time drowns in the hash that follows for every name, known or not.
 *
 * For an unknown name the hash of some other user is computed, always the same one for the same name, so that
 * a name that is not there behaves like a user in every way, also in a file with hashes of several costs.
 * Which one it is depends on a secret seed.
 *
 * The cache is a table of sets of 8 places; the oldest place of a set makes room.
 */
#include "lib/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define HASH_MAX    256 /* bytes of a hash's text */
#define SEED_BYTES  32
#define TAG_BYTES   32
#define WAYS        8
#define ROUNDS_MAX  1000000  /* SHA-crypt: about a second */
#define BCRYPT_MAX  14       /* its cost: about a second */
#define YESCRYPT_ON "789ABC" /* its cost: at most 128 MB */

struct user {
    struct slice name;
    const char *hash; /* with NUL */
    unsigned line;
};

struct password_users {
    _Atomic uint32_t refs;
    char *text;
    struct user *users;
    size_t n, room;
    unsigned char seed[SEED_BYTES];
};

struct parser {
    struct password_users *set;
    struct buf *faults;
    unsigned line;
    bool failed;
};

static void fault(struct parser *p, const char *what)
{
    p->failed = true;
    buf_printf(p->faults, "line %u: %s\n", p->line, what);
}

/* ---- reading ---- */

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* What is behind the last '$' has LEN characters of crypt's alphabet; so does the salt, and the cost is no
 * more. */
static bool is_shaped(const char *hash, size_t len)
{
    const char *last = strrchr(hash, '$');
    return last && strlen(last + 1) == len &&
           hash[strspn(hash, "$=,./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

static const char *judge_bcrypt(const char *hash)
{
    if (strlen(hash) != 60 || !is_shaped(hash, 53))
        return "the bcrypt hash is malformed";
    return atoi(hash + 4) > BCRYPT_MAX ? "the bcrypt hash costs too much" : NULL;
}

static const char *judge_sha(const char *hash)
{
    if (!is_shaped(hash, hash[1] == '5' ? 43 : 86))
        return "the SHA-crypt hash is malformed";
    return starts(hash + 3, "rounds=") && atol(hash + 10) > ROUNDS_MAX ? "the SHA-crypt hash costs too much"
                                                                       : NULL;
}

static const char *judge_yescrypt(const char *hash)
{
    if (!is_shaped(hash, 43))
        return "the yescrypt hash is malformed";
    return hash[3] != 'j' || hash[4] == '\0' || !strchr(YESCRYPT_ON, hash[4])
               ? "the yescrypt hash costs too much"
               : NULL;
}

/* NULL, or why this is no hash to trust. */
static const char *judge(const char *hash)
{
    const char *why = NULL;
    if (starts(hash, "$2a$") || starts(hash, "$2b$") || starts(hash, "$2y$"))
        why = judge_bcrypt(hash);
    else if (starts(hash, "$5$") || starts(hash, "$6$"))
        why = judge_sha(hash);
    else if (starts(hash, "$y$"))
        why = judge_yescrypt(hash);
    else if (starts(hash, "$1$") || starts(hash, "$apr1$"))
        why = "MD5 is too fast a hash for passwords: use htpasswd -B";
    else if (starts(hash, "{SHA}") || starts(hash, "{SSHA}"))
        why = "SHA-1 is too fast a hash for passwords: use htpasswd -B";
    else if (strlen(hash) == 13)
        why = "DES is too weak a hash for passwords: use htpasswd -B";
    else
        why = "the password is plain text or its hash is not known: use htpasswd -B";
    int salt = crypt_checksalt(hash); /* "legacy" is said of SHA-256 and $2a$ too, which are slow enough */
    bool is_usable = salt == CRYPT_SALT_OK || salt == CRYPT_SALT_METHOD_LEGACY;
    return why || is_usable ? why : "the hash is malformed";
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return s.len > 0 && s.len <= PASSWORD_USER_MAX;
}

static void add_user(struct parser *p, struct slice name, const char *hash)
{
    struct password_users *u = p->set;
    if (u->n == u->room) {
        size_t room = u->room > 0 ? u->room * 2 : 64;
        struct user *more = u->n < PASSWORD_USERS ? realloc(u->users, room * sizeof(*more)) : NULL;
        if (!more) {
            fault(p, "there are too many users");
            return;
        }
        u->users = more;
        u->room = room;
    }
    u->users[u->n++] = (struct user){name, hash, p->line};
}

/* LINE has a NUL behind it, in place of its end. */
static void read_line(struct parser *p, struct slice line)
{
    if (line.len == 0 || line.p[0] == '#')
        return;
    ptrdiff_t colon = slice_find(line, ':');
    struct slice name = {line.p, colon > 0 ? (size_t)colon : 0};
    if (!is_name(name) || memchr(line.p, '\0', line.len)) {
        fault(p, "is not user:hash");
        return;
    }
    const char *hash = line.p + colon + 1;
    const char *why = strlen(hash) > HASH_MAX ? "the hash is too long" : judge(hash);
    if (why)
        fault(p, why);
    else
        add_user(p, name, hash);
}

static void read_text(struct parser *p, char *text, size_t len)
{
    for (size_t begin = 0, end; begin < len; begin = end + 1) {
        const char *newline = memchr(text + begin, '\n', len - begin);
        end = newline ? (size_t)(newline - text) : len;
        struct slice line = slice_trim((struct slice){text + begin, end - begin});
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        text[(size_t)(line.p - text) + line.len] = '\0';
        p->line++;
        read_line(p, line);
    }
}

static int compare(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.p, b.p, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    const struct user *x = a, *y = b;
    int order = compare(x->name, y->name);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static void put_in_order(struct parser *p)
{
    struct password_users *u = p->set;
    if (u->n > 0)
        qsort(u->users, u->n, sizeof(*u->users), by_name);
    for (size_t i = 1; i < u->n; i++)
        if (slice_eq(u->users[i - 1].name, u->users[i].name)) {
            p->line = u->users[i].line;
            fault(p, "this user is there already");
        }
}

struct password_users *password_parse(struct slice text, struct buf *faults)
{
    struct password_users *u = calloc(1, sizeof(*u));
    struct parser p = {.set = u, .faults = faults};
    if (u) {
        atomic_init(&u->refs, 1);
        u->text = calloc(1, text.len + 1);
    }
    if (!u || !u->text || getrandom(u->seed, sizeof(u->seed), 0) != sizeof(u->seed)) {
        buf_printf(faults, "no memory for users\n");
        password_put(u);
        return NULL;
    }
    if (text.len > 0)
        memcpy(u->text, text.p, text.len);
    read_text(&p, u->text, text.len);
    put_in_order(&p);
    if (!p.failed)
        return u;
    password_put(u);
    return NULL;
}

struct password_users *password_get(struct password_users *u)
{
    /* Relaxed: who has a reference to give away keeps the set alive. */
    atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
    return u;
}

void password_put(struct password_users *u)
{
    /* Release: what was read is read before the count falls; acquire: whoever frees comes after all others.
     */
    if (!u || atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(u->text);
    free(u->users);
    free(u);
}

size_t password_count(const struct password_users *u)
{
    return u->n;
}

/* ---- checking ---- */

/* The user; or some other one, and *IS_KNOWN false. NULL only when there is no user at all. */
static const struct user *find(const struct password_users *u, struct slice name, bool *is_known)
{
    unsigned char tag[TAG_BYTES];
    uint64_t number = 0;
    size_t low = 0, high = u->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(u->users[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *is_known = low < u->n && slice_eq(u->users[low].name, name);
    if (HMAC(EVP_sha256(), u->seed, SEED_BYTES, (const unsigned char *)name.p, name.len, tag, NULL))
        memcpy(&number, tag, sizeof(number));
    if (u->n == 0)
        return NULL;
    return &u->users[*is_known ? low : (size_t)(number % u->n)];
}

/* Not so for any user: too long, or with a NUL, at which crypt would end. */
static bool is_sane(const struct password_login *l)
{
    return l->user.len > 0 && l->user.len <= PASSWORD_USER_MAX && l->password.len > 0 &&
           l->password.len <= PASSWORD_MAX && !memchr(l->password.p, '\0', l->password.len);
}

bool password_check(const struct password_users *u, const struct password_login *login)
{
    char password[PASSWORD_MAX + 1];
    bool is_known;
    if (!is_sane(login))
        return false; /* tells nothing: it depends on what the client sent only */
    const struct user *user = find(u, login->user, &is_known);
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!user || !data) {
        free(data);
        return false;
    }
    memcpy(password, login->password.p, login->password.len);
    password[login->password.len] = '\0';
    const char *hash = crypt_r(password, user->hash, data);
    size_t len = strlen(user->hash);
    bool is_equal = hash && strlen(hash) == len && CRYPTO_memcmp(hash, user->hash, len) == 0;
    OPENSSL_cleanse(password, sizeof(password));
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return is_known && is_equal;
}

/* ---- the cache ---- */

struct place {
    uint64_t end_ns; /* 0: free */
    unsigned char tag[TAG_BYTES];
};

struct password_cache {
    uint64_t ttl_ns;
    size_t sets; /* a power of two */
    unsigned char seed[SEED_BYTES];
    struct place places[]; /* WAYS for each set */
};

struct password_cache *password_cache_new(size_t entries, uint64_t ttl_ns)
{
    size_t sets = 1;
    while (sets * WAYS < entries && sets < SIZE_MAX / 2 / WAYS / sizeof(struct place))
        sets *= 2;
    struct password_cache *c = calloc(1, sizeof(*c) + sets * WAYS * sizeof(struct place));
    if (!c || getrandom(c->seed, sizeof(c->seed), 0) != sizeof(c->seed)) {
        free(c);
        return NULL;
    }
    c->sets = sets;
    c->ttl_ns = ttl_ns;
    return c;
}

void password_cache_free(struct password_cache *c)
{
    if (c)
        OPENSSL_cleanse(c->seed, sizeof(c->seed));
    free(c);
}

static void add_part(struct buf *b, struct slice part)
{
    buf_add_hex(b, part.len, 8); /* a length before each part: none can be taken for a piece of another */
    buf_add(b, part);
}

/* False for an unknown user too, after the same work. */
static bool make_tag(const struct password_cache *c, const struct password_users *u,
                     const struct password_login *l, unsigned char tag[TAG_BYTES])
{
    char memory[PASSWORD_USER_MAX + PASSWORD_MAX + HASH_MAX + 3 * 16];
    struct buf b;
    bool is_known;
    const struct user *user = is_sane(l) ? find(u, l->user, &is_known) : NULL;
    if (!user)
        return false;
    buf_init(&b, memory, sizeof(memory));
    add_part(&b, l->user);
    add_part(&b, l->password);
    add_part(&b, slice_of(user->hash));
    bool ok = !b.failed && HMAC(EVP_sha256(), c->seed, SEED_BYTES, (unsigned char *)memory, b.len, tag, NULL);
    OPENSSL_cleanse(memory, sizeof(memory));
    return ok && is_known;
}

static size_t set_of(const struct password_cache *c, const unsigned char *tag)
{
    uint64_t first;
    memcpy(&first, tag, sizeof(first));
    return (size_t)(first & (c->sets - 1)) * WAYS;
}

bool password_cached(const struct password_cache *c, const struct password_users *u,
                     const struct password_login *login, uint64_t now_ns)
{
    unsigned char tag[TAG_BYTES];
    if (!make_tag(c, u, login, tag))
        return false;
    bool found = false;
    const struct place *set = &c->places[set_of(c, tag)];
    for (unsigned i = 0; i < WAYS; i++)
        found |= set[i].end_ns > now_ns && CRYPTO_memcmp(set[i].tag, tag, TAG_BYTES) == 0;
    return found;
}

void password_remember(struct password_cache *c, const struct password_users *u,
                       const struct password_login *login, uint64_t now_ns)
{
    unsigned char tag[TAG_BYTES];
    if (!make_tag(c, u, login, tag))
        return;
    struct place *set = &c->places[set_of(c, tag)], *best = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].end_ns > 0 && CRYPTO_memcmp(set[i].tag, tag, TAG_BYTES) == 0) {
            best = &set[i];
            break;
        }
        if (set[i].end_ns < best->end_ns)
            best = &set[i];
    }
    best->end_ns = now_ns + c->ttl_ns;
    memcpy(best->tag, tag, TAG_BYTES);
}
