/* wire.c: see wire.h. All reading goes through the buffer of struct wire; writing does not. */
#include "tests/soak/wire.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SEND_BLOCK   16384u
#define SLOW_PIECES  12u
#define SLOW_WAIT_NS 5000000
#define LINE_MAX_LEN 1024u

void wire_init(struct wire *w, int fd)
{
    struct timeval wait = {.tv_sec = WIRE_TIMEOUT_S};
    int on = 1;
    w->fd = fd;
    w->at = w->end = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void wire_close(struct wire *w, bool is_reset)
{
    struct linger hard = {.l_onoff = 1};
    if (w->fd < 0)
        return;
    if (is_reset)
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(w->fd);
    w->fd = -1;
}

bool wire_has_rest(const struct wire *w)
{
    return w->at < w->end;
}

bool wire_wait(const struct wire *w, int wait_ms)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    return wire_has_rest(w) || poll(&p, 1, wait_ms) > 0;
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = SLOW_WAIT_NS}, NULL);
}

/* Read more; only called when all that had come was used, or to add to it. */
static enum wire_result fill(struct wire *w)
{
    if (w->at == w->end)
        w->at = w->end = 0;
    ssize_t n;
    do
        n = recv(w->fd, w->buf + w->end, sizeof(w->buf) - w->end, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        w->end += (size_t)n;
    if (n < 0 && errno == EAGAIN)
        return WIRE_TIMEOUT;
    return n > 0 ? WIRE_OK : WIRE_CUT;
}

static enum wire_result next_byte(struct wire *w, char *c)
{
    if (w->at == w->end) {
        enum wire_result r = fill(w);
        if (r != WIRE_OK)
            return r;
    }
    *c = (char)w->buf[w->at++];
    return WIRE_OK;
}

enum wire_result wire_read_head(struct wire *w, struct head *h)
{
    unsigned line_len = 0;
    for (h->len = 0; h->len < HEAD_MAX;) {
        char c;
        enum wire_result r = next_byte(w, &c);
        if (r != WIRE_OK)
            return r == WIRE_CUT && h->len == 0 ? WIRE_END : r;
        if (c == '\0' || (c == '\n' && (h->len == 0 || h->text[h->len - 1] != '\r')))
            return WIRE_NONSENSE;
        h->text[h->len++] = c;
        if (c == '\n' && line_len == 1 && h->len > 2) {
            h->text[h->len] = '\0';
            return WIRE_OK;
        }
        line_len = c == '\n' ? 0 : line_len + 1;
    }
    return WIRE_NONSENSE;
}

unsigned head_field(const struct head *h, const char *name, char *value, size_t size)
{
    size_t n = strlen(name);
    unsigned found = 0;
    for (const char *line = strstr(h->text, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':')
            continue;
        const char *from = line + 3 + n + strspn(line + 3 + n, " \t");
        if (found++ == 0)
            snprintf(value, size, "%.*s", (int)strcspn(from, "\r"), from);
    }
    return found;
}

static bool digits_only(const char *text)
{
    return *text && strlen(text) < 19 && strspn(text, "0123456789") == strlen(text);
}

bool head_framing(const struct head *h, enum framing *framing, uint64_t *size, enum framing otherwise)
{
    char length[64], coding[64];
    unsigned lengths = head_field(h, "Content-Length", length, sizeof(length));
    unsigned codings = head_field(h, "Transfer-Encoding", coding, sizeof(coding));
    if (lengths + codings > 1 || (lengths && !digits_only(length)) ||
        (codings && strcasecmp(coding, "chunked") != 0))
        return false;
    *framing = lengths ? LENGTH : codings ? CHUNKED : otherwise;
    *size = lengths ? strtoull(length, NULL, 10) : 0;
    return true;
}

/* Take up to MOST bytes of body from the wire. */
static enum wire_result take(struct wire *w, struct body *b, uint64_t most)
{
    while (most > 0) {
        if (b->has_stop && b->moved >= b->stop_at)
            return WIRE_STOPPED;
        enum wire_result r = w->at == w->end ? fill(w) : WIRE_OK;
        if (r != WIRE_OK)
            return r;
        size_t n = w->end - w->at;
        if (n > most)
            n = (size_t)most;
        if (!b->is_unchecked && !stream_same(b->seed, b->moved, w->buf + w->at, n))
            b->is_wrong = true;
        w->at += n;
        b->moved += n;
        most -= n;
        if (b->is_slow && b->moved / 4096 < SLOW_PIECES)
            pause_a_little();
    }
    return WIRE_OK;
}

static enum wire_result read_line(struct wire *w, char *line)
{
    for (size_t n = 0; n < LINE_MAX_LEN; n++) {
        enum wire_result r = next_byte(w, line + n);
        if (r != WIRE_OK)
            return r;
        if (line[n] == '\n') {
            if (n == 0 || line[n - 1] != '\r')
                return WIRE_NONSENSE;
            line[n - 1] = '\0';
            return WIRE_OK;
        }
    }
    return WIRE_NONSENSE;
}

static enum wire_result read_trailers(struct wire *w, struct body *b)
{
    char line[LINE_MAX_LEN + 1];
    for (;;) {
        enum wire_result r = read_line(w, line);
        if (r != WIRE_OK || !*line)
            return r;
        if (strncasecmp(line, "X-Trail:", 8) == 0) {
            b->got_trailers = true;
            if (strtoull(line + 8, NULL, 10) != b->seed)
                b->is_wrong = true;
        }
    }
}

static enum wire_result read_chunks(struct wire *w, struct body *b)
{
    char line[LINE_MAX_LEN + 1];
    for (;;) {
        enum wire_result r = read_line(w, line);
        if (r != WIRE_OK)
            return r;
        char *end;
        uint64_t n = strtoull(line, &end, 16);
        if (!isxdigit((unsigned char)*line) || (*end && *end != ';'))
            return WIRE_NONSENSE;
        if (n == 0)
            return read_trailers(w, b);
        if ((r = take(w, b, n)) != WIRE_OK)
            return r;
        if ((r = read_line(w, line)) != WIRE_OK)
            return r;
        if (*line)
            return WIRE_NONSENSE;
    }
}

enum wire_result wire_read_body(struct wire *w, struct body *b)
{
    switch (b->framing) {
    case NO_BODY:
        return WIRE_OK;
    case LENGTH:
        return take(w, b, b->size);
    case CHUNKED:
        return read_chunks(w, b);
    case UNTIL_CLOSE:
        break;
    }
    enum wire_result r = take(w, b, UINT64_MAX);
    return r == WIRE_CUT ? WIRE_OK : r;
}

static bool send_all(struct wire *w, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(w->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool wire_send(struct wire *w, const void *bytes, size_t n, bool is_slow)
{
    const char *from = bytes;
    size_t piece = is_slow ? n / SLOW_PIECES + 1 : n;
    for (size_t at = 0; at < n; at += piece) {
        if (!send_all(w, from + at, piece < n - at ? piece : n - at))
            return false;
        if (is_slow)
            pause_a_little();
    }
    return true;
}

static enum wire_result send_last_chunk(struct wire *w, const struct body *b)
{
    char text[96];
    int n = b->has_trailers ? snprintf(text, sizeof(text), "0\r\nX-Trail: %" PRIu64 "\r\n\r\n", b->seed)
                            : snprintf(text, sizeof(text), "0\r\n\r\n");
    return send_all(w, text, (size_t)n) ? WIRE_OK : WIRE_CUT;
}

/* Bytes of the next chunk: mostly large, sometimes tiny. */
static size_t chunk_size(struct rng *r)
{
    return rng_chance(r, 1500) ? 1 + rng_below(r, 16) : 1 + rng_below(r, SEND_BLOCK);
}

enum wire_result wire_send_body(struct wire *w, struct body *b)
{
    char block[SEND_BLOCK + 64];
    struct rng r = {b->seed + 1};
    uint64_t end = b->has_stop && b->stop_at < b->size ? b->stop_at : b->size;
    while (b->moved < end) {
        size_t n = b->framing == CHUNKED ? chunk_size(&r) : SEND_BLOCK;
        bool is_slow = b->is_slow && b->moved < SLOW_PIECES * 64;
        if (is_slow && n > 64)
            n = 64;
        if (n > end - b->moved)
            n = (size_t)(end - b->moved);
        size_t at = 0;
        if (b->framing == CHUNKED)
            at = (size_t)snprintf(block, 64, b->has_extensions ? "%zx;soak=\"yes\"\r\n" : "%zx\r\n", n);
        stream_fill(b->seed, b->moved, (unsigned char *)block + at, n);
        at += n;
        if (b->framing == CHUNKED) {
            memcpy(block + at, "\r\n", 2);
            at += 2;
        }
        if (!send_all(w, block, at))
            return WIRE_CUT;
        b->moved += n;
        if (is_slow)
            pause_a_little();
    }
    if (b->has_stop)
        return WIRE_STOPPED;
    return b->framing == CHUNKED ? send_last_chunk(w, b) : WIRE_OK;
}

enum wire_result wire_expect_end(struct wire *w)
{
    char c;
    enum wire_result r = next_byte(w, &c);
    return r == WIRE_CUT ? WIRE_OK : r == WIRE_OK ? WIRE_NONSENSE : r;
}
