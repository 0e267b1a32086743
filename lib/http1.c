/* http1.c: the words of http1.h; the parser is in http1_response.c, requests are in http1_request.c and
 * http1_raw.c. */
#include "lib/http1.h"

const char *http1_fault_text(enum http1_fault fault)
{
    switch (fault) {
    case HTTP1_OK:
        return "no fault";
    case HTTP1_MORE:
        return "head is not complete";
    case HTTP1_BAD_START_LINE:
        return "malformed start line";
    case HTTP1_BAD_VERSION:
        return "version is not HTTP/1.0 or HTTP/1.1";
    case HTTP1_BAD_METHOD:
        return "method is not a token";
    case HTTP1_BAD_TARGET:
        return "bad byte in the request target";
    case HTTP1_BAD_LINE_END:
        return "line does not end with CRLF";
    case HTTP1_FOLDED:
        return "folded header line";
    case HTTP1_BAD_NAME:
        return "malformed field name";
    case HTTP1_BAD_VALUE:
        return "control byte in a field value";
    case HTTP1_TOO_MANY_FIELDS:
        return "too many header fields";
    case HTTP1_BAD_LENGTH:
        return "malformed or conflicting Content-Length";
    case HTTP1_BAD_CODING:
        return "Transfer-Encoding is not exactly chunked, or may not be here";
    case HTTP1_TWO_FRAMINGS:
        return "Content-Length together with Transfer-Encoding";
    case HTTP1_BAD_HOST:
        return "missing, repeated or malformed Host";
    case HTTP1_BAD_EXPECT:
        return "expectation other than 100-continue";
    case HTTP1_PARSED_WRONGLY:
        return "header fields are not what was sent";
    }
    return "unknown fault";
}
