/*
 * top.h: `tollgate top`: a screen of what a running gateway does, anew each second.
 *
 *     tollgate top [-c FILE | -a URL] [-t TOKEN] [-i SECONDS] [-b [-n N] [-p PANEL]]
 *
 * It asks GET /status of the admin port (admin_client.h) and shows the differences (top_model.h). When the
 * gateway does not answer it says so and asks again. With -b the screens go to stdout as plain text, N of
 * them (1), each with all panels or the one of -p; a gateway that does not answer then is an error.
 *
 * One thread: between two looks it waits for keys and for the answer at the same time.
 */
#ifndef GATEWAY_TOP_H
#define GATEWAY_TOP_H

#include "lib/check.h"

/* ARGV[0] is the command's name. The exit status; 2: misuse. */
MUST_USE int top_run(int argc, char **argv);

#endif
