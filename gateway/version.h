/* version.h: which Tollgate this is. Constant, any thread. */
#ifndef GATEWAY_VERSION_H
#define GATEWAY_VERSION_H

extern const char version_number[];   /* "0.1.0" */
extern const char version_revision[]; /* of the source: a short commit id, or "unknown" */

#endif
