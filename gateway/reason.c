/*
 * reason.c: the table of reasons; see reason.h.
 *
 * Error types are those of RFC 9209, 2.3. Where a request never came as far as a backend, http_request_error
 * says that the answer is the gateway's and not the origin's.
 */
#include "gateway/reason.h"

#include "lib/check.h"

#define CLIENT "http_request_error"

static const struct reason_info reasons[REASONS] = {
    [REASON_NONE] = {"none", 200, NULL, "Nothing went wrong"},

    [REASON_BAD_REQUEST] = {"bad_request", 400, CLIENT, "The request is malformed"},
    [REASON_BAD_FRAMING] = {"bad_framing", 400, CLIENT,
                            "The length of the request is ambiguous or not allowed"},
    [REASON_BAD_TARGET] = {"bad_target", 400, CLIENT, "The request target is malformed or not allowed"},
    [REASON_BAD_HOST] = {"bad_host", 400, CLIENT, "The Host field is missing, repeated or malformed"},
    [REASON_METHOD_REFUSED] = {"method_refused", 501, "http_request_denied", "The method is not supported"},
    [REASON_METHOD_NOT_ALLOWED] = {"method_not_allowed", 405, CLIENT, "The method is not allowed here"},
    [REASON_BODY_TOO_LARGE] = {"body_too_large", 413, CLIENT, "The request body is too large"},
    [REASON_URI_TOO_LONG] = {"uri_too_long", 414, CLIENT, "The request target is too long"},
    [REASON_HEAD_TOO_LARGE] = {"head_too_large", 431, CLIENT, "The request header is too large"},
    [REASON_EXPECT_REFUSED] = {"expect_refused", 417, CLIENT, "The expectation cannot be met"},
    [REASON_VERSION_REFUSED] = {"version_refused", 505, CLIENT, "The version of HTTP is not supported"},
    [REASON_CLIENT_TIMEOUT] = {"client_timeout", 408, CLIENT, "The request took too long to arrive"},
    [REASON_CLIENT_GONE] = {"client_gone", 499, NULL, "The client left before the answer was complete"},
    [REASON_NO_ROUTE] = {"no_route", 404, "destination_not_found", "No route matches the request"},
    [REASON_UNAUTHORIZED] = {"unauthorized", 401, "http_request_denied", "A credential is needed"},
    [REASON_FORBIDDEN] = {"forbidden", 403, "http_request_denied", "This is not allowed"},
    [REASON_CONCURRENCY] = {"too_many_at_once", 429, "http_request_denied",
                            "Too many requests are under way"},
    [REASON_NOT_CACHED] = {"not_cached", 504, CLIENT, "Only a stored answer was wanted, and there is none"},
    [REASON_LIMITED] = {"limited", 429, "http_request_denied", "There were too many requests"},

    [REASON_NO_SERVER] = {"no_server", 503, "destination_unavailable",
                          "No server of the backend is available"},
    [REASON_CONNECT_FAILED] = {"connect_failed", 502, "connection_refused",
                               "The backend could not be reached"},
    [REASON_CONNECT_TIMEOUT] = {"connect_timeout", 504, "connection_timeout",
                                "The backend could not be reached in time"},
    [REASON_TLS_FAILED] = {"tls_failed", 502, "tls_protocol_error",
                           "No secure connection to the backend could be made"},
    [REASON_UPSTREAM_RESET] = {"upstream_reset", 502, "connection_terminated",
                               "The backend closed the connection before it answered"},
    [REASON_UPSTREAM_MALFORMED] = {"upstream_malformed", 502, "http_protocol_error",
                                   "The answer of the backend is not valid"},
    [REASON_UPSTREAM_TIMEOUT] = {"upstream_timeout", 504, "connection_read_timeout",
                                 "The backend did not answer in time"},
    [REASON_UPSTREAM_TRUNCATED] = {"upstream_truncated", 502, "http_response_incomplete",
                                   "The answer of the backend ended early"},
    [REASON_TOTAL_TIMEOUT] = {"total_timeout", 504, "http_response_timeout", "The request took too long"},

    [REASON_BREAKER_OPEN] = {"breaker_open", 503, "destination_unavailable",
                             "The backend keeps failing and is given time to recover"},
    [REASON_BULKHEAD_FULL] = {"bulkhead_full", 503, "connection_limit_reached",
                              "Too many requests are under way to the backend"},

    [REASON_LIMIT_UNAVAILABLE] = {"limit_unavailable", 503, "proxy_internal_response",
                                  "Limits cannot be checked now"},
    [REASON_AUTH_UNAVAILABLE] = {"auth_unavailable", 503, "proxy_internal_response",
                                 "Credentials cannot be checked now"},
    [REASON_OVERLOADED] = {"overloaded", 503, "proxy_internal_response", "The gateway is overloaded"},
    [REASON_DRAINING] = {"draining", 503, "proxy_internal_response", "The gateway is shutting down"},
    [REASON_INTERNAL] = {"internal", 500, "proxy_internal_error", "The gateway failed"},
};

const struct reason_info *reason_info(enum reason r)
{
    CHECK((unsigned)r < REASONS);
    return &reasons[r];
}
