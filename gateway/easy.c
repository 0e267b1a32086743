/* easy.c: see easy.h. */
#include "gateway/easy.h"

CURL *easy_new(void)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not NULL, which asks the environment */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    return easy;
}

bool easy_set_trust(CURL *easy, bool verify, const char *ca_file)
{
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    return !ca_file || curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file) == CURLE_OK;
}

void easy_set_certificate(CURL *easy, const char *cert_file, const char *key_file)
{
    if (!cert_file)
        return;
    curl_easy_setopt(easy, CURLOPT_SSLCERT, cert_file);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, key_file);
}
