/* The history on disk, for who wants it kept over restarts: a text file, a line an utterance. It is
 * only ever appended to, and replaced as a whole when it has twice the lines that the history
 * holds. Main thread.
 *
 *     id <tab> start µs <tab> end µs <tab> text <tab> reply        \t, \n and \\ stand for
 * themselves
 *
 * A line with the id of an earlier one takes its place: so a reply comes in.
 */
#ifndef EARSHOT_DAEMON_HISTORY_FILE_H
#define EARSHOT_DAEMON_HISTORY_FILE_H

#include "base/error.h"
#include "daemon/history.h"

struct history_file;

/* Reads what is there into h, which must outlive it and be empty; lines that are damaged are left
 * out and counted in *damaged. path is made when there is none, for its owner alone. What is not a
 * regular file is refused. 0 or -errno; *out is set too where path can be read but not written
 * now: as after an error of history_file_write. */
int history_file_open(struct history_file **out, const char *path, struct history *h,
                      size_t *damaged, struct error *error);
void history_file_close(struct history_file *f); /* writes what could not be written, if it can */

/* Writes entry i of h, which is new or has changed. On an error (a full disk) the file is as it
 * was, and the next call that succeeds writes all of h. 0 or -errno. */
int history_file_write(struct history_file *f, size_t i);

#endif
