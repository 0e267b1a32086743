/*
 * front.h: the HTTP front end of one worker: libmicrohttpd on the worker's loop.
 *
 * It accepts connections from the listening sockets, lets libmicrohttpd read requests from them, guards what
 * that library lets through (lib/http1.h), makes an exchange of each request and sends its reply. A request
 * whose exchange is parked is suspended in libmicrohttpd and resumed by front_wake.
 *
 * When max_connections are open, the connection that has been idle for longest makes room for a new one; when
 * none is idle, new ones wait in the kernel's queue.
 *
 * Worker's thread only, but for the statistics.
 */
#ifndef GATEWAY_FRONT_H
#define GATEWAY_FRONT_H

#include "gateway/client.h"
#include "gateway/exchange.h"
#include "gateway/listener.h"

struct front;

/* Serve LISTENERS, whose sockets stay the caller's. NULL with err when libmicrohttpd or the loop refuses. */
MUST_USE struct front *front_new(struct worker *w, const struct listener *listeners, size_t n,
                                 struct err *err);

/* Another configuration: limits of clients. The listeners stay as they are. */
void front_configure(struct front *f, const struct conf *conf);

/* Accept what waits in the queues and then nothing more, close idle connections, let the others end with
 * their answer. */
void front_drain(struct front *f);
bool front_is_empty(const struct front *f);

/* Cut what is left. The loop must run on until the handles are closed; then front_free. */
void front_close(struct front *f);
void front_free(struct front *f);

/* Let libmicrohttpd do what it has to do. True when it did anything. */
bool front_turn(struct front *f);

/* libmicrohttpd would go on at once if it were let. */
bool front_is_poked(const struct front *f);
void front_tick(struct front *f, uint64_t now_ns);

/* What the exchange waited for has happened. */
void front_wake(struct exchange *x);

/* Send HEAD, an interim answer, in front of the reply that is not there yet. It is left out where that cannot
 * be done: over TLS, to HTTP/1.0, before the request has ended, or when the client is slow to read. */
void front_send_interim(struct exchange *x, struct slice head);

/* Whether the reply's head was handed to the connection. */
bool front_has_replied(const struct exchange *x);
const struct client_stats *front_stats(const struct front *f);

#endif
