/*
 * intake.h: requests as libmicrohttpd reads them, from their first line to the end of their body.
 *
 * The callbacks that the front end gives to libmicrohttpd. Each guards what that library lets through, feeds
 * the request's exchange, and hands over its reply when there is one (reply.h). CTX is the worker.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_INTAKE_H
#define GATEWAY_INTAKE_H

#include <microhttpd.h>

/* The request line has come: gives the exchange, which libmicrohttpd keeps for the others as *REQUEST. */
void *intake_target(void *ctx, const char *raw, struct MHD_Connection *mhd);

/* The head, the parts of the body, the end of the request; again whenever it was parked and resumed. */
enum MHD_Result intake_request(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *body, size_t *body_len, void **request);

/* The request is over, well or not. */
void intake_completed(void *ctx, struct MHD_Connection *mhd, void **request,
                      enum MHD_RequestTerminationCode how);

#endif
