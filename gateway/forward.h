/*
 * forward.h: the exchange with a backend.
 *
 * The last step of the path: choose a server, get a connection, send the request as it arrives from the
 * client, read the head of the answer, and then let the front end pull the body. Nothing is buffered whole:
 * request bytes are taken from the client only as fast as the backend takes them, and answer bytes are read
 * only when the client can take them. What a client sends in one turn of the loop goes out together, at the
 * end of the turn at the latest.
 *
 * A try that fails is judged by the backend's circuit breaker, and followed by another one, on another server
 * if there is one, as far as retry of the conf, the retry budget and what is left of the request allow. Apart
 * from that it is sent again on a fresh connection when a kept connection turns out to be closed before any
 * byte of the answer came, and the request may be sent twice: it is idempotent or nothing of it was taken by
 * the connection, and its body, if any, is still at hand (it is while it is smaller than FORWARD_HOLD).
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_FORWARD_H
#define GATEWAY_FORWARD_H

#include "gateway/guard.h"
#include "gateway/upstream.h"
#include "lib/chunked.h"
#include "lib/http1.h"

struct exchange;
struct worker;

#define FORWARD_TRIED_MAX    8           /* servers one request may try */
#define FORWARD_FIELDS_MAX   128         /* header fields of an answer */
#define FORWARD_BUFFER       (16 * 1024) /* the head of an answer has to fit */
#define FORWARD_HOLD         (32 * 1024) /* request bytes that are gathered before they are sent */
#define FORWARD_TRAILERS_MAX 4096        /* bytes of trailer fields of an answer */

enum forward_state {
    FORWARD_IDLE,       /* not begun, or over */
    FORWARD_CONNECTING, /* waits for a connection */
    FORWARD_SENDING,    /* the request is on its way; the answer may begin already */
    FORWARD_WAITING,    /* all is sent, the answer's head is awaited */
    FORWARD_BODY,       /* the answer's body is read on demand */
};

/* A buffer from the worker's pool: the head of an answer and what came with it. */
struct forward_buffer {
    size_t at;   /* first byte that was not handed on */
    size_t have; /* bytes read */
    struct http_field fields[FORWARD_FIELDS_MAX];
    char bytes[FORWARD_BUFFER];
};

/* From the worker's pool: request bytes between the client and the backend. */
struct forward_hold {
    size_t len;  /* bytes taken from the client */
    size_t sent; /* of them */
    char bytes[FORWARD_HOLD];
};

/* The same request on its way to a second server; see forward_hedge.c. */
struct forward_hedge {
    struct upstream_conn *conn; /* NULL: there is none */
    struct endpoint *endpoint;  /* lent by the connection */
    struct slice head;
    size_t sent;
    bool counted; /* in endpoint->in_flight */
    uint64_t begin_ns;
    struct wheel_entry timer; /* until it begins; in the worker's wheel of short times */
};

struct forward {
    enum forward_state state;
    size_t backend; /* index into conf.backends: the route's, or its fallback */
    const struct conf_backend *conf;
    struct guard *guard;          /* of the backend; lent by the snapshot */
    struct breaker_permit permit; /* of the try that is under way */
    bool is_begun;                /* the first try was */
    bool is_inside;               /* of the bulkhead */
    bool is_queued;               /* before it */
    struct forward *queue_next, *queue_prev;
    struct endpoint *endpoint; /* lent by the connection */
    struct upstream_conn *conn;
    struct endpoint *tried[FORWARD_TRIED_MAX]; /* compared only */
    size_t ntried;
    unsigned tries;
    uint64_t hash;
    struct forward_hedge hedge;
    bool counted;   /* in endpoint->in_flight */
    bool was_reset; /* sent again once already */

    /* the request on its way out */
    struct slice head;
    size_t head_sent;
    struct forward_hold *hold; /* body that was taken from the client; NULL: none */
    bool body_gone;            /* some of the body is at hand no more: it cannot be sent again */
    bool body_over;            /* the client has sent all of it */
    uint64_t chunk_left;       /* of the chunk that was announced */
    char frame[32];            /* framing that was not sent yet */
    size_t frame_len, frame_sent;
    struct slice last; /* last chunk and trailers */
    size_t last_sent;
    bool send_broke; /* sending failed: see what the backend said, then give up */
    bool is_marked;  /* to be sent at the end of the turn, and in the worker's list of those */
    struct forward *marked_next, *marked_prev;

    /* the answer */
    struct forward_buffer *buffer;
    struct http1_response answer;
    struct chunked chunked;
    char *trailer_space;
    uint64_t left;     /* of a body with a length */
    bool complete;     /* its last byte was read */
    bool reader_waits; /* the front end wants more */
    bool spoiled;      /* the connection must not be kept */
    unsigned interim;  /* 1xx answers passed over */

    struct wheel_entry deadline;
    uint64_t phase_due_ns; /* of the present wait; 0: none */
    uint64_t total_due_ns; /* of the whole; 0: none */
    uint64_t try_due_ns;   /* of the head of the answer to this try; 0: none */
    enum reason phase_reason;
    char addr[sizeof(((struct endpoint *)0)->text)];
};

/* The undo of the step (path.h has the step itself). May be called more than once. */
void forward_undo(struct exchange *x);

/* Bytes of the client's body: how many were taken. When not all, the exchange is woken once more can be. */
MUST_USE size_t forward_take_body(struct exchange *x, struct slice data);

/* Wake those who wait before a bulkhead, the first first, as long as there is room. Every turn. */
void forward_wake_queue(struct worker *w);

/* Send what was taken in this turn and still waits for more to go out with it. */
void forward_send_marked(struct worker *w);

/* The client's body is over. TRAILERS go out behind a chunked body. */
void forward_end_body(struct exchange *x, struct http_fields trailers);

#define FORWARD_END    (-1)
#define FORWARD_FAILED (-2)

/* The next bytes of the answer's body; 0: none now, the exchange is woken when there are; FORWARD_END;
 * FORWARD_FAILED: the rest will never come. */
MUST_USE ssize_t forward_read(struct exchange *x, char *p, size_t max);

/* The same, for a body that is not read for the client. */
MUST_USE ssize_t forward_pull(struct exchange *x, char *p, size_t max);

/* Whether all of the answer's body was read by that. */
bool forward_is_complete(const struct exchange *x);

/* Ask once more, as if for the first time. */
void forward_anew(struct exchange *x);

/* The trailer fields, complete when forward_read has given FORWARD_END. */
struct http_fields forward_trailers(const struct exchange *x);

#endif
