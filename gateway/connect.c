/* connect.c: see connect.h. */
#include "gateway/connect.h"

#include <stdio.h>
#include <string.h>

#include "gateway/easy.h"

/* Without its authorities it trusts nobody. */
static bool set_tls(CURL *easy, const struct conf_tls *tls)
{
    easy_set_certificate(easy, tls->cert_file, tls->key_file);
    return easy_set_trust(easy, tls->verify, tls->ca_file);
}

/* Where to: a URL for libcurl, and for TLS the name in the URL with the address beside it. */
static bool set_address(CURL *easy, const struct endpoint *e, struct curl_slist **connect_to)
{
    const char *name = e->tls_conf.server_name ? e->tls_conf.server_name : e->host;
    bool v6 = e->address && strchr(e->address, ':');
    bool name_v6 = name && strchr(name, ':');
    char url[512], to[512];
    if (e->unix_path)
        snprintf(url, sizeof(url), "http://localhost/");
    else if (e->tls)
        snprintf(url, sizeof(url), name_v6 ? "https://[%s]:%u/" : "https://%s:%u/", name, e->port);
    else
        snprintf(url, sizeof(url), v6 ? "http://[%s]:%u/" : "http://%s:%u/", e->address, e->port);
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK)
        return false;
    if (e->unix_path)
        return curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, e->unix_path) == CURLE_OK;
    if (!e->tls)
        return true;
    snprintf(to, sizeof(to), v6 ? "::[%s]:%u" : "::%s:%u", e->address, e->port);
    *connect_to = curl_slist_append(NULL, to);
    return *connect_to && curl_easy_setopt(easy, CURLOPT_CONNECT_TO, *connect_to) == CURLE_OK;
}

bool connect_setup(CURL *easy, const struct endpoint *e, uint32_t connect_ms, struct curl_slist **connect_to)
{
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 1L << 30);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    return (!e->tls || set_tls(easy, &e->tls_conf)) && set_address(easy, e, connect_to);
}

enum reason connect_reason(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return REASON_CONNECT_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return REASON_TLS_FAILED;
    default:
        return REASON_CONNECT_FAILED;
    }
}
