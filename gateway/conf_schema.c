/*
 * conf_schema.c: the tables of conf_schema.h.
 *
 * Inner sections stand above the ones that hold them. Ranges are as wide as makes sense for somebody: the
 * upper ends keep a slip of the hand (`10d` for `10s`) from being taken for an intention.
 */
#include "gateway/conf_schema.h"

#include "lib/nearest.h"

#define FIELD(type, member)                                                                                  \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LIST(type, member, count)                                                                            \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member),                     \
    .count_offset = offsetof(struct type, count)
#define OWN_CODE    .size = 0 /* no plain field: see conf_build.c, conf_redis.c and conf_route.c */
#define ROWS(table) table, sizeof(table) / sizeof((table)[0])

/* Times in milliseconds, sizes in bytes. */
#define SECOND   UINT64_C(1000)
#define HOUR     (3600 * SECOND)
#define DAY      (24 * HOUR)
#define KB       UINT64_C(1024)
#define TB       (KB * KB * KB * KB)
#define TEXT_MAX (64 * KB)

static const char *const word_off[] = {"off", NULL};
static const char *const word_auto[] = {"auto", NULL};
static const char *const word_stdout[] = {"stdout", "off", NULL};
static const char *const word_stderr[] = {"stderr", NULL};
static const char *const log_formats[] = {"json", "combined", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const tracing_parents[] = {"all", "trusted", "none", NULL};
static const char *const health_kinds[] = {"http", "tcp", NULL};
static const char *const priorities[] = {"low", "normal", "high", "critical", NULL};
static const char *const limit_modes[] = {"enforce", "shadow", NULL};
static const char *const limit_scopes[] = {"gateway", "cluster", "cluster-exact", NULL};
static const char *const limit_downs[] = {"share", "open", "closed", NULL};
static const char *const breaker_shares[] = {"off", "open", "cautious", NULL};
static const char *const cache_queries[] = {"as_is", "sorted", "none", NULL};
static const char *const cache_compressions[] = {"off", "zstd", NULL};
static const char *const balances[] = {"round_robin", "least_conn", "p2c", "hash", NULL};

/* ---- listen, admin, client, log ---- */

static const struct conf_option listen_tls_rows[] = {
    {"certificate", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_listen, tls_cert)},
    {"key", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_listen, tls_key)},
};
static const struct conf_section listen_tls = {"tls", NULL, false, ROWS(listen_tls_rows)};

static const struct conf_option listen_rows[] = {
    {"tls", CONF_SECTION, .section = &listen_tls},
};
static const struct conf_section listen_section = {"listen", "an address", true, ROWS(listen_rows)};

static const struct conf_option admin_rows[] = {
    {"token", CONF_TEXT, NULL, 1, CONF_TOKEN_MAX, OWN_CODE},
    {"token_file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_admin, token_file)},
    {"read_token", CONF_TEXT, NULL, 1, CONF_TOKEN_MAX, OWN_CODE},
    {"read_token_file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_admin, read_token_file)},
};
static const struct conf_section admin_section = {"admin", "an address", false, ROWS(admin_rows)};

static const struct conf_option client_rows[] = {
    {"head_timeout", CONF_TIME, "10s", 100, HOUR, FIELD(conf_client, head_timeout_ms)},
    {"idle_timeout", CONF_TIME, "75s", SECOND, DAY, FIELD(conf_client, idle_timeout_ms)},
    {"max_head", CONF_SIZE, "8k", 4 * KB, 64 * KB, FIELD(conf_client, max_head)},
    {"max_fields", CONF_COUNT, "100", 1, 1000, FIELD(conf_client, max_fields)},
    {"max_connections", CONF_COUNT, "10000", 1, 1000000, FIELD(conf_client, max_connections)},
};
static const struct conf_section client_section = {"client", NULL, false, ROWS(client_rows)};

static const struct conf_option log_rows[] = {
    {"access", CONF_TEXT, "stdout", 1, 4 * KB, .words = word_stdout},
    {"error", CONF_TEXT, "stderr", 1, 4 * KB, .words = word_stderr},
    {"format", CONF_WORD, "json", .words = log_formats, FIELD(conf_log, format)},
    {"level", CONF_WORD, "info", .words = log_levels, FIELD(conf_log, level)},
    {"queue", CONF_COUNT, "16384", 16, 1048576, FIELD(conf_log, queue)},
    {"mask_query", CONF_LIST, .min = 1, .max = KB, LIST(conf_log, mask_query, nmask_query)},
};
static const struct conf_section log_section = {"log", NULL, false, ROWS(log_rows)};

/* ---- who may use a route ---- */

static const struct conf_option api_keys_rows[] = {
    {"file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_auth, file)},
    {"header", CONF_TEXT, "X-API-Key", 1, 128, .words = word_off, FIELD(conf_auth, header)},
    {"query", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, query)},
    {"realm", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, realm)},
    {"forward", CONF_FLAG, "no", FIELD(conf_auth, forward)},
};
static const struct conf_section api_keys_section = {"api_keys", "its name", true, ROWS(api_keys_rows)};

static const struct conf_option users_rows[] = {
    {"file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_auth, file)},
    {"realm", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, realm)},
    {"forward", CONF_FLAG, "no", FIELD(conf_auth, forward)},
};
static const struct conf_section users_section = {"users", "its name", true, ROWS(users_rows)};

static const struct conf_option jwt_rows[] = {
    {"jwks_file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_auth, jwks_file)},
    {"jwks_url", CONF_TEXT, NULL, 1, 4 * KB, FIELD(conf_auth, jwks_url)},
    {"public_key_file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_auth, key_file)},
    {"secret_file", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_auth, secret_file)},
    {"ca", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_auth, ca_file)},
    {"refresh", CONF_TIME, "10m", SECOND, 7 * DAY, FIELD(conf_auth, refresh_ms)},
    {"refetch", CONF_TIME, "10s", 1, DAY, FIELD(conf_auth, refetch_ms)},
    {"algorithms", CONF_LIST, .min = 1, .max = 16, LIST(conf_auth, algorithms, nalgorithms)},
    {"issuer", CONF_LIST, .min = 1, .max = KB, LIST(conf_auth, issuers, nissuers)},
    {"audience", CONF_LIST, .min = 1, .max = KB, LIST(conf_auth, audiences, naudiences)},
    {"require", CONF_LIST, .min = 1, .max = KB, LIST(conf_auth, required, nrequired)},
    {"require_exp", CONF_FLAG, "yes", FIELD(conf_auth, require_exp)},
    {"type", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, type)},
    {"leeway", CONF_TIME, "30s", 0, HOUR, FIELD(conf_auth, leeway_ms)},
    {"max_age", CONF_TIME, "0", 0, 7 * DAY, FIELD(conf_auth, max_age_ms)},
    {"header", CONF_TEXT, "Authorization", 1, 128, .words = word_off, FIELD(conf_auth, header)},
    {"cookie", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, cookie)},
    {"claim_header", CONF_LIST, .min = 1, .max = KB},
    {"realm", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, realm)},
    {"forward", CONF_FLAG, "yes", FIELD(conf_auth, forward)},
};
static const struct conf_section jwt_section = {"jwt", "its name", true, ROWS(jwt_rows)};

static const struct conf_option auth_request_rows[] = {
    {"backend", CONF_TEXT, NULL, 1, KB, OWN_CODE},
    {"path", CONF_TEXT, "/", 1, 4 * KB, FIELD(conf_auth, path)},
    {"copy", CONF_LIST, .min = 1, .max = 128, LIST(conf_auth, copied, ncopied)},
    {"consumer", CONF_TEXT, NULL, 1, 128, FIELD(conf_auth, consumer)},
    {"timeout", CONF_TIME, "1s", 1, HOUR, FIELD(conf_auth, timeout_ms)},
};
static const struct conf_section auth_request_section = {"auth_request", "its name", true,
                                                         ROWS(auth_request_rows)};

/* ---- backend ---- */

static const struct conf_option server_rows[] = {
    {"weight", CONF_COUNT, "1", 1, 1000, FIELD(conf_server, weight)},
    {"backup", CONF_FLAG, "no", FIELD(conf_server, is_backup)},
};
static const struct conf_section server_section = {"server", "a URL", true, ROWS(server_rows)};

static const struct conf_option timeout_rows[] = {
    {"connect", CONF_TIME, "1s", 1, HOUR, FIELD(conf_timeout, connect_ms)},
    {"first_byte", CONF_TIME, "15s", 1, DAY, FIELD(conf_timeout, first_byte_ms)},
    {"between_bytes", CONF_TIME, "1m", 1, DAY, FIELD(conf_timeout, between_bytes_ms)},
    {"total", CONF_TIME, "0", 0, 7 * DAY, FIELD(conf_timeout, total_ms)},
    {"deadline_header", CONF_TEXT, "X-Request-Timeout-Ms", 1, 128, .words = word_off,
     FIELD(conf_timeout, deadline_header)},
};
static const struct conf_section timeout_section = {"timeout", NULL, false, ROWS(timeout_rows)};

static const struct conf_option keepalive_rows[] = {
    {"max_idle", CONF_COUNT, "64", 0, 100000, FIELD(conf_keepalive, max_idle)},
    {"idle", CONF_TIME, "1m", 100, DAY, FIELD(conf_keepalive, idle_ms)},
    {"max_requests", CONF_COUNT, "10000", 0, UINT32_MAX, FIELD(conf_keepalive, max_requests)},
};
static const struct conf_section keepalive_section = {"keepalive", NULL, false, ROWS(keepalive_rows)};

static const struct conf_option backend_tls_rows[] = {
    {"verify", CONF_FLAG, "yes", FIELD(conf_tls, verify)},
    {"ca", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_tls, ca_file)},
    {"certificate", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_tls, cert_file)},
    {"key", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_tls, key_file)},
    {"server_name", CONF_TEXT, NULL, 1, 253, FIELD(conf_tls, server_name)},
};
static const struct conf_section backend_tls = {"tls", NULL, false, ROWS(backend_tls_rows)};

#define PERCENT 100 /* in hundredths of a percent */

static const struct conf_option breaker_rows[] = {
    {"enabled", CONF_FLAG, "yes", FIELD(conf_breaker, enabled)},
    {"failure_ratio", CONF_PERCENT, "50%", 1, 100 * PERCENT, FIELD(conf_breaker, failure_ratio)},
    {"min_requests", CONF_COUNT, "20", 1, 1000000, FIELD(conf_breaker, min_requests)},
    {"consecutive", CONF_COUNT, "0", 0, 1000000, FIELD(conf_breaker, consecutive)},
    {"slow", CONF_TIME, "0", 0, HOUR, FIELD(conf_breaker, slow_ms)},
    {"slow_ratio", CONF_PERCENT, "100%", 1, 100 * PERCENT, FIELD(conf_breaker, slow_ratio)},
    {"window", CONF_TIME, "10s", SECOND, HOUR, FIELD(conf_breaker, window_ms)},
    {"open_for", CONF_TIME, "5s", 10, HOUR, FIELD(conf_breaker, open_ms)},
    {"open_max", CONF_TIME, "1m", 10, DAY, FIELD(conf_breaker, open_max_ms)},
    {"half_open_probes", CONF_COUNT, "3", 1, 10000, FIELD(conf_breaker, half_open_probes)},
    {"close_after", CONF_COUNT, "3", 1, 10000, FIELD(conf_breaker, close_after)},
    {"failure", CONF_LIST, .min = 1, .max = 32},
    {"share", CONF_WORD, "off", .words = breaker_shares, FIELD(conf_breaker, share)},
};
static const struct conf_section breaker_section = {"breaker", NULL, false, ROWS(breaker_rows)};

static const struct conf_option retry_rows[] = {
    {"attempts", CONF_COUNT, "3", 1, 8, FIELD(conf_retry, attempts)},
    {"on", CONF_LIST, .min = 1, .max = 32},
    {"non_idempotent", CONF_FLAG, "no", FIELD(conf_retry, non_idempotent)},
    {"budget", CONF_PERCENT, "20%", 0, 100 * PERCENT, FIELD(conf_retry, budget)},
    {"budget_min", CONF_COUNT, "10", 0, 1000000, FIELD(conf_retry, budget_min)},
    {"per_try", CONF_TIME, "0", 0, DAY, FIELD(conf_retry, per_try_ms)},
};
static const struct conf_section retry_section = {"retry", NULL, false, ROWS(retry_rows)};

static const struct conf_option eject_rows[] = {
    {"failures", CONF_COUNT, "5", 0, 1000000, FIELD(conf_eject, failures)},
    {"for", CONF_TIME, "10s", 10, DAY, FIELD(conf_eject, for_ms)},
    {"max", CONF_TIME, "5m", 10, DAY, FIELD(conf_eject, max_ms)},
    {"share", CONF_PERCENT, "50%", 0, 100 * PERCENT, FIELD(conf_eject, share)},
};
static const struct conf_section eject_section = {"eject", NULL, false, ROWS(eject_rows)};

static const struct conf_option health_rows[] = {
    {"kind", CONF_WORD, "http", .words = health_kinds, FIELD(conf_health, kind)},
    {"path", CONF_TEXT, "/", 1, 4 * KB, FIELD(conf_health, path)},
    {"host", CONF_TEXT, NULL, 1, 261, FIELD(conf_health, host)},
    {"status", CONF_LIST, .min = 1, .max = 32},
    {"match", CONF_TEXT, NULL, 1, KB, FIELD(conf_health, match)},
    {"interval", CONF_TIME, "5s", 10, HOUR, FIELD(conf_health, interval_ms)},
    {"timeout", CONF_TIME, "1s", 10, HOUR, FIELD(conf_health, timeout_ms)},
    {"rise", CONF_COUNT, "2", 1, 1000, FIELD(conf_health, rise)},
    {"fall", CONF_COUNT, "3", 1, 1000, FIELD(conf_health, fall)},
};
static const struct conf_section health_section = {"health", NULL, false, ROWS(health_rows)};

static const struct conf_option bulkhead_rows[] = {
    {"max", CONF_COUNT, "0", 0, 1000000, FIELD(conf_bulkhead, max)},
    {"adaptive", CONF_FLAG, "no", FIELD(conf_bulkhead, adaptive)},
    {"per_server", CONF_COUNT, "0", 0, 1000000, FIELD(conf_bulkhead, per_server)},
    {"queue", CONF_COUNT, "0", 0, 1000000, FIELD(conf_bulkhead, queue)},
    {"queue_timeout", CONF_TIME, "1s", 1, HOUR, FIELD(conf_bulkhead, queue_ms)},
};
static const struct conf_section bulkhead_section = {"bulkhead", NULL, false, ROWS(bulkhead_rows)};

static const struct conf_option backend_rows[] = {
    {"server", CONF_SECTION, .section = &server_section},
    {"balance", CONF_WORD, "round_robin", .words = balances, FIELD(conf_backend, balance)},
    {"hash", CONF_TEXT, "ip", 1, KB, OWN_CODE},
    {"timeout", CONF_SECTION, .section = &timeout_section},
    {"keepalive", CONF_SECTION, .section = &keepalive_section},
    {"tls", CONF_SECTION, .section = &backend_tls},
    {"max_connections", CONF_COUNT, "1024", 1, 1000000, FIELD(conf_backend, max_connections)},
    {"fail_timeout", CONF_TIME, "10s", 0, HOUR, FIELD(conf_backend, fail_timeout_ms)},
    {"breaker", CONF_SECTION, .section = &breaker_section},
    {"retry", CONF_SECTION, .section = &retry_section},
    {"eject", CONF_SECTION, .section = &eject_section},
    {"health", CONF_SECTION, .section = &health_section},
    {"bulkhead", CONF_SECTION, .section = &bulkhead_section},
    {"slow_start", CONF_TIME, "0", 0, HOUR, FIELD(conf_backend, slow_start_ms)},
    {"panic_threshold", CONF_PERCENT, "0%", 0, 100 * PERCENT, FIELD(conf_backend, panic_threshold)},
};
static const struct conf_section backend_section = {"backend", "its name", true, ROWS(backend_rows)};

/* ---- route ---- */

static const struct conf_option respond_rows[] = {
    {"status", CONF_COUNT, "200", 200, 599, FIELD(conf_route, status)},
    {"body", CONF_TEXT, "", 0, TEXT_MAX, FIELD(conf_route, body)},
    {"content_type", CONF_TEXT, "text/plain", 1, KB, FIELD(conf_route, content_type)},
};
static const struct conf_section respond_section = {"respond", NULL, false, ROWS(respond_rows)};

static const struct conf_option redirect_rows[] = {
    {"to", CONF_TEXT, NULL, 1, 4 * KB, FIELD(conf_route, location)},
    {"status", CONF_COUNT, "308", 300, 399, FIELD(conf_route, status)},
};
static const struct conf_section redirect_section = {"redirect", NULL, false, ROWS(redirect_rows)};

static const struct conf_option edit_rows[] = {
    {"set", CONF_LIST, .min = 1, .max = 8 * KB},
    {"add", CONF_LIST, .min = 1, .max = 8 * KB},
    {"remove", CONF_LIST, .min = 1, .max = KB},
};
static const struct conf_section request_header_section = {"request_header", NULL, false, ROWS(edit_rows)};
static const struct conf_section response_header_section = {"response_header", NULL, false, ROWS(edit_rows)};

static const struct conf_option tier_rows[] = {
    {"rate", CONF_RATE, NULL, 1, 1000000000, FIELD(conf_tier, rate)},
    {"burst", CONF_COUNT, "0", 0, 1000000000, FIELD(conf_tier, burst)},
};
static const struct conf_section tier_section = {"tier", "a plan", true, ROWS(tier_rows)};

static const struct conf_option limit_rows[] = {
    {"name", CONF_TEXT, NULL, 1, 255, FIELD(conf_limit, name)},
    {"rate", CONF_RATE, NULL, 1, 1000000000, FIELD(conf_limit, rate)},
    {"burst", CONF_COUNT, "0", 0, 1000000000, FIELD(conf_limit, burst)},
    {"cost", CONF_COUNT, "1", 1, 1000000, FIELD(conf_limit, cost)},
    {"key", CONF_LIST, .min = 1, .max = KB},
    {"ipv4_prefix", CONF_COUNT, "32", 1, 32, FIELD(conf_limit, keys.v4_prefix)},
    {"ipv6_prefix", CONF_COUNT, "64", 1, 128, FIELD(conf_limit, keys.v6_prefix)},
    {"exempt", CONF_LIST, .min = 1, .max = KB},
    {"tier", CONF_SECTION, .section = &tier_section},
    {"mode", CONF_WORD, "enforce", .words = limit_modes, FIELD(conf_limit, mode)},
    {"delay", CONF_TIME, "0", 0, HOUR, FIELD(conf_limit, delay_ms)},
    {"scope", CONF_WORD, "gateway", .words = limit_scopes, FIELD(conf_limit, scope)},
    {"when_down", CONF_WORD, "share", .words = limit_downs, FIELD(conf_limit, when_down)},
};
static const struct conf_section limit_section = {"limit", NULL, true, ROWS(limit_rows)};

static const struct conf_option concurrency_rows[] = {
    {"name", CONF_TEXT, NULL, 1, 255, FIELD(conf_concurrency, name)},
    {"max", CONF_COUNT, NULL, 1, 65535, FIELD(conf_concurrency, max)},
    {"queue", CONF_COUNT, "0", 0, 65535, FIELD(conf_concurrency, queue)},
    {"wait", CONF_TIME, "1s", 1, HOUR, FIELD(conf_concurrency, wait_ms)},
    {"key", CONF_LIST, .min = 1, .max = KB},
    {"ipv4_prefix", CONF_COUNT, "32", 1, 32, FIELD(conf_concurrency, keys.v4_prefix)},
    {"ipv6_prefix", CONF_COUNT, "64", 1, 128, FIELD(conf_concurrency, keys.v6_prefix)},
    {"mode", CONF_WORD, "enforce", .words = limit_modes, FIELD(conf_concurrency, mode)},
};
static const struct conf_section concurrency_section = {"concurrency", NULL, true, ROWS(concurrency_rows)};

static const struct conf_option cors_rows[] = {
    {"origins", CONF_LIST, .min = 1, .max = KB, LIST(conf_cors, origins, norigins)},
    {"methods", CONF_LIST, .min = 1, .max = 64, LIST(conf_cors, methods, nmethods)},
    {"headers", CONF_LIST, .min = 1, .max = 128, LIST(conf_cors, headers, nheaders)},
    {"expose", CONF_LIST, .min = 1, .max = 128, LIST(conf_cors, exposed, nexposed)},
    {"credentials", CONF_FLAG, "no", FIELD(conf_cors, credentials)},
    {"max_age", CONF_TIME, "10m", 0, DAY, FIELD(conf_cors, max_age_ms)},
};
static const struct conf_section cors_section = {"cors", NULL, false, ROWS(cors_rows)};

static const struct conf_option cache_rows[] = {
    {"ttl", CONF_TIME, "0", 0, 30 * DAY, FIELD(conf_cache, ttl_ms)},
    {"negative_ttl", CONF_TIME, "0", 0, 30 * DAY, FIELD(conf_cache, negative_ttl_ms)},
    {"heuristic", CONF_FLAG, "yes", FIELD(conf_cache, heuristic)},
    {"stale_while_revalidate", CONF_TIME, "0", 0, 30 * DAY, FIELD(conf_cache, stale_while_revalidate_ms)},
    {"stale_if_error", CONF_TIME, "0", 0, 30 * DAY, FIELD(conf_cache, stale_if_error_ms)},
    {"stale_if_unreachable", CONF_TIME, "1d", 0, 30 * DAY, FIELD(conf_cache, stale_if_unreachable_ms)},
    {"share_cookies", CONF_FLAG, "no", FIELD(conf_cache, share_cookies)},
    {"client_directives", CONF_FLAG, "yes", FIELD(conf_cache, client_directives)},
    {"max_object", CONF_SIZE, "1m", 1, TB, FIELD(conf_cache, max_object)},
    {"shared", CONF_FLAG, "yes", FIELD(conf_cache, shared)},
    {"shared_max", CONF_SIZE, "1m", 1, 64 * KB *KB, FIELD(conf_cache, shared_max)},
    {"compress", CONF_WORD, "off", .words = cache_compressions, FIELD(conf_cache, compress)},
    {"status", CONF_LIST, .min = 1, .max = 16},
    {"query", CONF_WORD, "as_is", .words = cache_queries, FIELD(conf_cache, query)},
    {"keep", CONF_LIST, .min = 1, .max = KB, LIST(conf_cache, keep, nkeep)},
    {"ignore", CONF_LIST, .min = 1, .max = KB, LIST(conf_cache, ignore, nignore)},
    {"header", CONF_LIST, .min = 1, .max = KB, LIST(conf_cache, headers, nheaders)},
    {"cookie", CONF_LIST, .min = 1, .max = KB, LIST(conf_cache, cookies, ncookies)},
    {"targeted", CONF_LIST, .min = 1, .max = 128, LIST(conf_cache, targeted, ntargeted)},
    {"purge", CONF_LIST, .min = 1, .max = KB},
};
static const struct conf_section cache_section = {"cache", NULL, false, ROWS(cache_rows)};

static const struct conf_option fallback_rows[] = {
    {"backend", CONF_TEXT, NULL, 1, KB, OWN_CODE},
    {"status", CONF_COUNT, "503", 200, 599, FIELD(conf_fallback, status)},
    {"body", CONF_TEXT, "", 0, TEXT_MAX, FIELD(conf_fallback, body)},
    {"content_type", CONF_TEXT, "text/plain", 1, KB, FIELD(conf_fallback, content_type)},
};
static const struct conf_section fallback_section = {"fallback", NULL, false, ROWS(fallback_rows)};

static const struct conf_option hedge_rows[] = {
    {"after", CONF_TIME, "0", 0, HOUR, FIELD(conf_hedge, after_ms)},
};
static const struct conf_section hedge_section = {"hedge", NULL, false, ROWS(hedge_rows)};

static const struct conf_option route_rows[] = {
    {"path", CONF_TEXT, NULL, 1, 4 * KB, FIELD(conf_route, path)},
    {"host", CONF_LIST, .min = 1, .max = 255, LIST(conf_route, hosts, nhosts)},
    {"method", CONF_LIST, .min = 1, .max = 64, LIST(conf_route, methods, nmethods)},
    {"header", CONF_LIST, .min = 1, .max = 8 * KB},
    {"encoded_slash", CONF_FLAG, "no", FIELD(conf_route, encoded_slash)},
    {"backend", CONF_TEXT, NULL, 1, KB, OWN_CODE},
    {"respond", CONF_SECTION, .section = &respond_section},
    {"redirect", CONF_SECTION, .section = &redirect_section},
    {"strip_prefix", CONF_TEXT, NULL, 1, 4 * KB, FIELD(conf_route, strip_prefix)},
    {"add_prefix", CONF_TEXT, NULL, 1, 4 * KB, FIELD(conf_route, add_prefix)},
    {"rewrite", CONF_TEXT, NULL, 1, 4 * KB, FIELD(conf_route, rewrite)},
    {"upstream_host", CONF_TEXT, "pass", 1, 261, OWN_CODE},
    {"request_header", CONF_SECTION, .section = &request_header_section},
    {"response_header", CONF_SECTION, .section = &response_header_section},
    {"allow", CONF_LIST, .min = 1, .max = KB},
    {"deny", CONF_LIST, .min = 1, .max = KB},
    {"cors", CONF_SECTION, .section = &cors_section},
    {"auth", CONF_LIST, .min = 1, .max = KB},
    {"scope", CONF_LIST, .min = 1, .max = KB, LIST(conf_route, scopes, nscopes)},
    {"limit", CONF_SECTION, .section = &limit_section},
    {"concurrency", CONF_SECTION, .section = &concurrency_section},
    {"cache", CONF_SECTION, .section = &cache_section},
    {"fallback", CONF_SECTION, .section = &fallback_section},
    {"hedge", CONF_SECTION, .section = &hedge_section},
    {"priority", CONF_WORD, "normal", .words = priorities, FIELD(conf_route, priority)},
    {"max_body", CONF_SIZE, "0", 0, TB, FIELD(conf_route, max_body)},
    {"forwarded", CONF_FLAG, "no", FIELD(conf_route, forwarded)},
};
static const struct conf_section route_section = {"route", "its path", true, ROWS(route_rows)};

/* ---- the file ---- */

static const struct conf_option store_rows[] = {
    {"size", CONF_SIZE, "64m", 1024 * KB, TB, FIELD(conf_cache_store, size)},
};
static const struct conf_section store_section = {"cache", NULL, false, ROWS(store_rows)};

static const struct conf_option redis_node_rows[] = {
    {"weight", CONF_COUNT, "1", 1, 1000, FIELD(conf_redis_node, weight)},
};
static const struct conf_section redis_node_section = {"node", "an address", true, ROWS(redis_node_rows)};

static const struct conf_option redis_tls_rows[] = {
    {"verify", CONF_FLAG, "yes", FIELD(conf_redis_tls, verify)},
    {"ca", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_redis_tls, ca_file)},
    {"certificate", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_redis_tls, cert_file)},
    {"key", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_redis_tls, key_file)},
    {"server_name", CONF_TEXT, NULL, 1, 253, FIELD(conf_redis_tls, server_name)},
};
static const struct conf_section redis_tls = {"tls", NULL, false, ROWS(redis_tls_rows)};

static const struct conf_option redis_rows[] = {
    {"nodes", CONF_LIST, .min = 1, .max = 262},
    {"node", CONF_SECTION, .section = &redis_node_section},
    {"username", CONF_TEXT, NULL, 1, 255, FIELD(conf_redis, username)},
    {"password", CONF_TEXT, NULL, 1, 512, OWN_CODE},
    {"database", CONF_COUNT, "0", 0, 1023, FIELD(conf_redis, database)},
    {"prefix", CONF_TEXT, "tollgate", 1, 64, FIELD(conf_redis, prefix)},
    {"connect_timeout", CONF_TIME, "1s", 10, 60 * SECOND, FIELD(conf_redis, connect_ms)},
    {"timeout", CONF_TIME, "50ms", 1, 10 * SECOND, FIELD(conf_redis, command_ms)},
    {"trust", CONF_TIME, "3s", 100, HOUR, FIELD(conf_redis, trust_ms)},
    {"lock_ttl", CONF_TIME, "3s", 100, 600 * SECOND, FIELD(conf_redis, lock_ms)},
    {"lock_wait", CONF_TIME, "30s", 0, 600 * SECOND, FIELD(conf_redis, lock_wait_ms)},
    {"tls", CONF_SECTION, .section = &redis_tls},
};
static const struct conf_section redis_section = {"redis", NULL, false, ROWS(redis_rows)};

static const struct conf_option tracing_rows[] = {
    {"endpoint", CONF_TEXT, NULL, 8, 2 * KB, FIELD(conf_tracing, endpoint)},
    {"sample", CONF_PERCENT, "1%", 0, 10000, FIELD(conf_tracing, sample)},
    {"slow", CONF_TIME, "1s", 0, HOUR, FIELD(conf_tracing, slow_ms)},
    {"parents", CONF_WORD, "all", .words = tracing_parents, FIELD(conf_tracing, parents)},
    {"b3", CONF_FLAG, "no", FIELD(conf_tracing, b3)},
    {"service", CONF_TEXT, "tollgate", 1, 255, FIELD(conf_tracing, service)},
    {"headers", CONF_LIST, .min = 3, .max = 4 * KB},
    {"queue", CONF_COUNT, "8192", 64, 1048576, FIELD(conf_tracing, queue)},
    {"timeout", CONF_TIME, "5s", 100, 60 * SECOND, FIELD(conf_tracing, timeout_ms)},
    {"ca", CONF_FILE, NULL, 1, 4 * KB, FIELD(conf_tracing, ca_file)},
};
static const struct conf_section tracing_section = {"tracing", NULL, false, ROWS(tracing_rows)};

static const struct conf_option root_rows[] = {
    {"workers", CONF_COUNT, "auto", 1, 256, .words = word_auto, FIELD(conf, workers)},
    {"trusted_proxies", CONF_LIST, .min = 1, .max = KB},
    {"allow", CONF_LIST, .min = 1, .max = KB},
    {"deny", CONF_LIST, .min = 1, .max = KB},
    {"limit_buckets", CONF_COUNT, "1000000", 1024, 100000000, FIELD(conf, limit_buckets)},
    {"drain_timeout", CONF_TIME, "30s", 0, HOUR, FIELD(conf, drain_timeout_ms)},
    {"resolve_interval", CONF_TIME, "10s", 100, HOUR, FIELD(conf, resolve_ms)},
    {"shed_lag", CONF_TIME, "0", 0, HOUR, FIELD(conf, shed_lag_ms)},
    {"server_header", CONF_TEXT, "tollgate", 1, 255, .words = word_off, FIELD(conf, server_header)},
    {"listen", CONF_SECTION, .section = &listen_section},
    {"admin", CONF_SECTION, .section = &admin_section},
    {"client", CONF_SECTION, .section = &client_section},
    {"log", CONF_SECTION, .section = &log_section},
    {"cache", CONF_SECTION, .section = &store_section},
    {"redis", CONF_SECTION, .section = &redis_section},
    {"tracing", CONF_SECTION, .section = &tracing_section},
    {"api_keys", CONF_SECTION, .section = &api_keys_section},
    {"users", CONF_SECTION, .section = &users_section},
    {"jwt", CONF_SECTION, .section = &jwt_section},
    {"auth_request", CONF_SECTION, .section = &auth_request_section},
    {"backend", CONF_SECTION, .section = &backend_section},
    {"route", CONF_SECTION, .section = &route_section},
};
const struct conf_section conf_schema = {"", NULL, false, ROWS(root_rows)};

/* ---- looking up ---- */

const struct conf_option *conf_schema_find(const struct conf_section *section, const char *name)
{
    for (size_t i = 0; i < section->noptions; i++)
        if (strcmp(section->options[i].name, name) == 0)
            return &section->options[i];
    return NULL;
}

const struct conf_option *conf_schema_get(const struct conf_section *section, const char *name)
{
    const struct conf_option *o = conf_schema_find(section, name);
    CHECK(o);
    return o;
}

const char *conf_schema_nearest(const struct conf_section *section, const char *name)
{
    const char *names[CONF_OPTIONS_MAX + 1] = {"include"};
    CHECK(section->noptions <= CONF_OPTIONS_MAX);
    for (size_t i = 0; i < section->noptions; i++)
        names[i + 1] = section->options[i].name;
    return nearest(slice_of(name), names, section->noptions + 1);
}

/* SECTION or one below it, whichever has NAME first. */
static const struct conf_section *home_below(const struct conf_section *section, const char *name, int depth)
{
    if (conf_schema_find(section, name))
        return section;
    for (size_t i = 0; i < section->noptions && depth < CONF_DEPTH_MAX; i++) {
        const struct conf_section *below = section->options[i].section;
        const struct conf_section *home = below ? home_below(below, name, depth + 1) : NULL;
        if (home)
            return home;
    }
    return NULL;
}

const struct conf_section *conf_schema_home(const struct conf_section *section, const char *name)
{
    const struct conf_section *home = home_below(section, name, 0);
    return home ? home : home_below(&conf_schema, name, 0);
}
