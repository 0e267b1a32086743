/*
 * easy.h: easy handles of libcurl, as all of ours are.
 *
 *     CURL *easy = easy_new();
 *     if (!easy || !easy_set_trust(easy, true, conf->ca_file)) ...
 *     curl_easy_setopt(easy, CURLOPT_URL, url);
 *
 * libcurl is made for programs that a user runs: it looks into the environment for a proxy, would fetch from
 * whatever a URL's scheme says, and uses signals. A new handle here does none of that:
 *     - http and https only; redirects are not followed, and passwords not looked for in .netrc;
 *     - no proxy, whatever the environment says;
 *     - no signals, and a name server that hangs does not hold up the end of a handle.
 * Everything else is the caller's. A handle is owned and used by one thread, and freed by curl_easy_cleanup.
 */
#ifndef GATEWAY_EASY_H
#define GATEWAY_EASY_H

#include <curl/curl.h>
#include <stdbool.h>

#include "lib/check.h"

/* NULL: memory is short. */
MUST_USE CURL *easy_new(void);

/* Whose certificates are believed: VERIFY: those of CA_FILE (PEM; NULL: the system's), and for the name in
 * the URL; otherwise anybody's. False: memory is short, and CA_FILE is not heeded: do not connect. */
MUST_USE bool easy_set_trust(CURL *easy, bool verify, const char *ca_file);

/* What we show when asked who we are, PEM; CERT_FILE may be NULL: nothing. */
void easy_set_certificate(CURL *easy, const char *cert_file, const char *key_file);

#endif
