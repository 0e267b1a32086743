/*
 * redis_socket.c: see redis_socket.h.
 *
 * OpenSSL is not told to read ahead: what it has not given us still lies in the socket, as long as we ask for
 * a whole record (16 KB) at a time, so that a level-triggered poll tells of it.
 */
#include "gateway/redis_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_S  30
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_COUNT   3

struct redis_tls {
    SSL_CTX *context;
    bool is_verified;
    char server_name[256]; /* empty: the node's host */
};

/* ---- settings of TLS ---- */

static const char *openssl_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    return words ? words : "no reason given";
}

/* A key with a password would be asked for at the terminal. */
static int no_password(char *buf, int size, int for_writing, void *ctx)
{
    (void)buf, (void)size, (void)for_writing, (void)ctx;
    return -1;
}

static bool load_trust(SSL_CTX *c, const struct conf_redis_tls *conf, struct err *err)
{
    bool is_loaded = conf->ca_file ? SSL_CTX_load_verify_locations(c, conf->ca_file, NULL) == 1
                                   : SSL_CTX_set_default_verify_paths(c) == 1;
    if (!is_loaded)
        err_set(err, ERR_SELF, "%s: %s", conf->ca_file ? conf->ca_file : "trust of the system",
                openssl_words());
    return is_loaded;
}

static bool load_identity(SSL_CTX *c, const struct conf_redis_tls *conf, struct err *err)
{
    const char *key = conf->key_file ? conf->key_file : conf->cert_file;
    if (!conf->cert_file)
        return true;
    if (SSL_CTX_use_certificate_chain_file(c, conf->cert_file) != 1) {
        err_set(err, ERR_SELF, "%s: %s", conf->cert_file, openssl_words());
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1) {
        err_set(err, ERR_SELF, "%s: %s", key, openssl_words());
        return false;
    }
    return true;
}

struct redis_tls *redis_tls_new(const struct conf_redis_tls *conf, struct err *err)
{
    struct redis_tls *t = calloc(1, sizeof(*t));
    ERR_clear_error();
    SSL_CTX *c = t ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (!c) {
        err_set(err, ERR_SELF, "out of memory");
        free(t);
        return NULL;
    }
    t->context = c;
    t->is_verified = conf->verify;
    snprintf(t->server_name, sizeof(t->server_name), "%s", conf->server_name ? conf->server_name : "");
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(c, no_password);
    SSL_CTX_set_verify(c, conf->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if ((conf->verify && !load_trust(c, conf, err)) || !load_identity(c, conf, err)) {
        err_add(err, "TLS to Redis");
        redis_tls_free(t);
        return NULL;
    }
    return t;
}

void redis_tls_free(struct redis_tls *t)
{
    if (t)
        SSL_CTX_free(t->context);
    free(t);
}

/* ---- connecting ---- */

static void say(struct redis_socket *s, const char *what, const char *why)
{
    snprintf(s->why, sizeof(s->why), "%s: %s", what, why);
}

static bool fail(struct redis_socket *s, const char *what)
{
    say(s, what, strerror(errno));
    return false;
}

static bool connect_unix(struct redis_socket *s, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path)) {
        say(s, "connect", "the path is too long");
        return false;
    }
    memcpy(addr.sun_path, path, strlen(path));
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return fail(s, "socket");
    return connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || fail(s, "connect");
}

static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                   {SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
                   {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
                   {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT}};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static bool connect_tcp(struct redis_socket *s, const struct redis_place *place)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", place->port);
    if (getaddrinfo(place->address, port, &hints, &found) != 0) {
        say(s, place->address, "not a numeric address");
        return false;
    }
    bool is_begun = false;
    s->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) {
        fail(s, "socket");
    } else {
        set_options(s->fd);
        is_begun = connect(s->fd, found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS;
        if (!is_begun)
            fail(s, "connect");
    }
    freeaddrinfo(found);
    return is_begun;
}

/* The name to ask for and to verify. Numbers are verified as such and are no server names (RFC 6066, 3). */
static bool set_name(const struct redis_tls *t, SSL *ssl, const char *name)
{
    unsigned char number[sizeof(struct in6_addr)];
    bool is_number = inet_pton(AF_INET, name, number) == 1 || inet_pton(AF_INET6, name, number) == 1;
    if (!is_number && SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    if (!t->is_verified)
        return true;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return is_number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
                     : SSL_set1_host(ssl, name) == 1;
}

static bool add_tls(struct redis_socket *s, const struct redis_place *place)
{
    const struct redis_tls *t = place->tls;
    const char *name = t->server_name[0] ? t->server_name : place->host ? place->host : place->address;
    ERR_clear_error();
    s->tls = SSL_new(t->context);
    if (s->tls && SSL_set_fd(s->tls, s->fd) == 1 && set_name(t, s->tls, name)) {
        SSL_set_connect_state(s->tls);
        return true;
    }
    say(s, "TLS", openssl_words());
    return false;
}

bool redis_socket_connect(struct redis_socket *s, const struct redis_place *place)
{
    *s = (struct redis_socket){.fd = -1, .wants_write = true};
    bool is_unix = place->address[0] == '/';
    bool is_begun = is_unix ? connect_unix(s, place->address)
                            : connect_tcp(s, place) && (!place->tls || add_tls(s, place));
    if (!is_begun)
        redis_socket_close(s);
    return is_begun;
}

const char *redis_socket_fault(struct redis_socket *s)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error)
        say(s, s->is_open ? "connection" : "connect", strerror(error));
    else
        say(s, "connection", "unusable");
    return s->why;
}

/* ---- TLS ---- */

/* What a call of OpenSSL that gave N has come to: 0: it has to be made again later, -1: it is over. */
static int tls_wait(struct redis_socket *s, int n)
{
    int error = errno;
    long verified = SSL_get_verify_result(s->tls);
    switch (SSL_get_error(s->tls, n)) {
    case SSL_ERROR_WANT_READ:
        s->wants_write = false;
        return 0;
    case SSL_ERROR_WANT_WRITE:
        s->wants_write = true;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        say(s, "TLS", "closed by the node");
        return -1;
    default:
        break;
    }
    if (!s->is_open && verified != X509_V_OK && SSL_get_verify_mode(s->tls) != SSL_VERIFY_NONE)
        say(s, "TLS", X509_verify_cert_error_string(verified));
    else if (ERR_peek_last_error() == 0 && error != 0)
        say(s, "TLS", strerror(error));
    else
        say(s, "TLS", ERR_peek_last_error() ? openssl_words() : "closed by the node");
    return -1;
}

static enum redis_opening shake_hands(struct redis_socket *s)
{
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(s->tls);
    if (n != 1)
        return tls_wait(s, n) == 0 ? REDIS_SOCKET_WAIT : REDIS_SOCKET_FAILED;
    s->is_open = true;
    s->wants_write = false;
    return REDIS_SOCKET_OPEN;
}

/* ---- open ---- */

enum redis_opening redis_socket_open(struct redis_socket *s)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        say(s, "connect", strerror(error ? error : errno));
        return REDIS_SOCKET_FAILED;
    }
    if (s->tls)
        return shake_hands(s);
    s->is_open = true;
    s->wants_write = false;
    return REDIS_SOCKET_OPEN;
}

static ssize_t tls_result(struct redis_socket *s, int n)
{
    if (n <= 0)
        return tls_wait(s, n);
    s->wants_write = false;
    return n;
}

static ssize_t plain_result(struct redis_socket *s, ssize_t n, const char *what)
{
    if (n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return n >= 0 ? n : 0;
    fail(s, what);
    return -1;
}

ssize_t redis_socket_read(struct redis_socket *s, char *p, size_t len)
{
    if (s->tls) {
        ERR_clear_error();
        errno = 0;
        return tls_result(s, SSL_read(s->tls, p, len < INT32_MAX ? (int)len : INT32_MAX));
    }
    ssize_t n = recv(s->fd, p, len, 0);
    if (n == 0 && len > 0) {
        say(s, "connection", "closed by the node");
        return -1;
    }
    return plain_result(s, n, "read");
}

ssize_t redis_socket_write(struct redis_socket *s, struct slice bytes)
{
    if (s->tls) {
        ERR_clear_error();
        errno = 0;
        return tls_result(s, SSL_write(s->tls, bytes.p, bytes.len < INT32_MAX ? (int)bytes.len : INT32_MAX));
    }
    return plain_result(s, send(s->fd, bytes.p, bytes.len, MSG_NOSIGNAL), "write");
}

void redis_socket_close(struct redis_socket *s)
{
    if (s->tls) {
        ERR_clear_error();
        if (s->is_open)
            (void)SSL_shutdown(s->tls); /* says goodbye, waits for nothing */
        SSL_free(s->tls);
    }
    if (s->fd >= 0)
        close(s->fd);
    s->tls = NULL;
    s->fd = -1;
    s->is_open = false;
    ERR_clear_error();
}
