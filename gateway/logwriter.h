/*
 * logwriter.h: a file of lines, written by a thread of its own, so that a slow disk or a full pipe stalls
 * nobody.
 *
 *     struct logwriter *w = logwriter_new("stdout", conf->log.queue, &err);
 *
 *     struct logwriter_stream *s = logwriter_stream_new(w);     // one for each worker
 *     logwriter_stream_line(s, line);                           // for each request: a copy into a block
 *     logwriter_stream_flush(s);                                // every 50 ms or so
 *     logwriter_stream_free(s);                                 // hands over what is left
 *
 *     logwriter_reopen(w);                                      // the file was moved away
 *     logwriter_stop(w, 2000);
 *
 * Lines are collected in blocks of 32 KB; full ones are handed to the writer, and at a flush those that are
 * not. Lines of one stream stay in order, and no line is torn or mixed with another one. On a pipe, whole
 * lines are written in pieces of at most PIPE_BUF bytes, so that they do not mix with those of other
 * processes either (a longer line may).
 *
 * The bound: QUEUE lines of 1 KB, as memory (256 KB at least): text that waits for the writer never takes
 * more, and each stream holds one block besides. When it is reached, lines are dropped and counted. No call
 * but stop ever waits. A line that could not be written because the descriptor failed is dropped and counted
 * as well, and the next one is tried again.
 */
#ifndef GATEWAY_LOGWRITER_H
#define GATEWAY_LOGWRITER_H

#include <stdint.h>

#include "lib/err.h"

struct logwriter;
struct logwriter_stream;

/* TARGET: "stdout", "stderr" or a path, whose file is made with mode 0640 and appended to. NULL with err. */
MUST_USE struct logwriter *logwriter_new(const char *target, size_t queue, struct err *err);

/* The same for a descriptor, blocking or not, which is lent until stop. */
MUST_USE struct logwriter *logwriter_new_fd(int fd, size_t queue, struct err *err);

/*
 * When no stream is left and nobody calls logwriter_line any more: write what waits, for at most WITHIN_MS
 * (and a second more where a write hangs), drop the rest, free the writer. The lines dropped in all its life.
 */
uint64_t logwriter_stop(struct logwriter *w, unsigned within_ms);

/* Any thread: open the path anew. When that fails, the old file stays. Nothing happens to stdout and stderr.
 */
void logwriter_reopen(struct logwriter *w);

/* Any thread. */
uint64_t logwriter_dropped(const struct logwriter *w);
uint64_t logwriter_errors(const struct logwriter *w); /* writes and openings that failed */
size_t logwriter_waiting(const struct logwriter *w);  /* bytes of memory that wait for the writer */

/* Any thread: one line, for those who write seldom. LINE has no line end; it is copied. */
void logwriter_line(struct logwriter *w, struct slice line);

/* A stream belongs to one thread. NULL: out of memory. */
MUST_USE struct logwriter_stream *logwriter_stream_new(struct logwriter *w);
void logwriter_stream_free(struct logwriter_stream *s);
void logwriter_stream_line(struct logwriter_stream *s, struct slice line);

/* Hand over what there is. What the writer has no room for is kept for the next time. */
void logwriter_stream_flush(struct logwriter_stream *s);

#endif
