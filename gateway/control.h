/*
 * control.h: the process: it starts the workers and looks after them.
 *
 * The control thread is the main thread: a libuv loop with the signals, the resolver and the admin port. It
 * loads the configuration, opens the listening sockets, starts the log writer and the workers, and then only
 * sends messages.
 *
 *     HUP        load the file again; a bad one changes nothing
 *     TERM, QUIT drain: accept nothing more, finish what is under way, at most drain_timeout; a second one
 * ends at once INT        end at once as soon as idle: as TERM USR1       open the log files again
 */
#ifndef GATEWAY_CONTROL_H
#define GATEWAY_CONTROL_H

#include "lib/check.h"

/* Run until a signal ends it; the exit status. Mistakes go to stderr. */
MUST_USE int control_run(const char *conf_path);

#endif
