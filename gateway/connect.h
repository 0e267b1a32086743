/*
 * connect.h: an easy handle of libcurl that only connects: to which address, with which TLS, for how long.
 *
 * Pure set-up of a handle that the caller owns; its thread.
 */
#ifndef GATEWAY_CONNECT_H
#define GATEWAY_CONNECT_H

#include <curl/curl.h>

#include "gateway/endpoint.h"
#include "gateway/reason.h"

/* *CONNECT_TO gets a list that has to live as long as the handle, or stays NULL. False when memory is short
 * or libcurl does not take the address. */
MUST_USE bool connect_setup(CURL *easy, const struct endpoint *e, uint32_t connect_ms,
                            struct curl_slist **connect_to);

/* What a failure to connect is called. */
enum reason connect_reason(CURLcode code);

#endif
