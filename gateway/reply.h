/*
 * reply.h: the reply on its way to the client, through libmicrohttpd.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include <microhttpd.h>

#include "gateway/exchange.h"

/* Before 0.9.76 libmicrohttpd's parser lets much through that has to be refused here. */
#define LIBRARY_IS_LENIENT (MHD_VERSION < 0x00097600)

/* The framing of chunked requests is out of our sight. Before 0.9.76 malformed trailers can hide a request,
 * and 1.0.1 counts lines with chunk extensions one byte short: no other request may follow a chunked one on
 * its connection. */
#define CHUNKS_ARE_UNSAFE (MHD_VERSION < 0x01000200)

/* Queue x->reply on its connection; from an access handler, before or after the request's body. */
enum MHD_Result reply_send(struct exchange *x);

/* In the middle of a request's body libmicrohttpd takes no reply: write a short one straight to the socket,
 * as far as it takes it at once. False when it could not be written whole. */
bool reply_write(struct exchange *x);

#endif
