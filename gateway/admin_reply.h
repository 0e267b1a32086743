/*
 * admin_reply.h: answers of the admin port's pages.
 *
 *     return admin_reply(c, 200, "application/json", text);
 *     return admin_refuse(c, 404, "there is no such backend", NULL);
 *
 * Nothing is kept by whoever gets it but the files of the binary, which have an entity tag and are asked for
 * again by it. All give what a handler of libmicrohttpd returns: MHD_NO, which ends the connection, when
 * memory is too short even to say so.
 *
 * The thread of the admin port only.
 */
#ifndef GATEWAY_ADMIN_REPLY_H
#define GATEWAY_ADMIN_REPLY_H

#include <microhttpd.h>

#include "lib/slice.h"

/* One more header field of an answer. */
struct admin_field {
    const char *name, *value; /* value is NULL: none */
};

/* The text is copied. */
enum MHD_Result admin_reply(struct MHD_Connection *c, unsigned status, const char *type, const char *text);

/* A problem+json; MORE may be NULL. */
enum MHD_Result admin_refuse(struct MHD_Connection *c, unsigned status, const char *detail,
                             const struct admin_field *more);

/* 503: memory is short. Needs none of its own for the text. */
enum MHD_Result admin_refuse_short(struct MHD_Connection *c);

/* The file of that name (assets.h), or 304 to a client that has it. */
enum MHD_Result admin_reply_asset(struct MHD_Connection *c, const char *name);

/* Takes R, which may be NULL: then memory was short. MORE may be NULL. */
enum MHD_Result admin_queue(struct MHD_Connection *c, unsigned status, struct MHD_Response *r,
                            const struct admin_field *more);

/* The value of a header field of the request, lent; empty when there is none. */
struct slice admin_header(struct MHD_Connection *c, const char *name);

#endif
