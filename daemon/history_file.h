/* The history on disk, for who wants it kept over restarts: a text file, a line an utterance. It is
 * only ever appended to, and replaced as a whole when it has twice the lines that the history
 * holds, and nobody else has its folder. Main thread.
 *
 *     id <tab> start µs <tab> end µs <tab> text <tab> reply
 *
 * \t, \n and \\ stand for themselves. A line has five fields, as an earlier version takes one of
 * six for damaged, and rewrites the file without it; of a sixth the confidence is read.
 *
 * A line with the id of an earlier one takes its place: so a reply comes in. Lines may come in any
 * order: several daemons of a user append to one file, and none knows the texts of the others.
 */
#ifndef EARSHOT_DAEMON_HISTORY_FILE_H
#define EARSHOT_DAEMON_HISTORY_FILE_H

#include "base/error.h"
#include "daemon/folder_lock.h"
#include "daemon/history.h"

struct history_file;

/* What somebody else has done to the file since it was written last. */
enum history_file_fate {
    HISTORY_FILE_WHOLE,
    HISTORY_FILE_GONE,    /* deleted, or another is in its place */
    HISTORY_FILE_CHANGED, /* cut or written over */
};

/* Reads what is there into h, which must outlive it, as lock must, and be empty; lines that are
 * damaged are left out and counted in *damaged. path and its folder, which is the lock's, are made
 * when there are none, for their owner alone. 0 or -errno; but for -ENOMEM there is a file then
 * too, which every write tries to open again. */
int history_file_open(struct history_file **out, const char *path, struct folder_lock *lock,
                      struct history *h, size_t *damaged, struct error *error);
void history_file_close(struct history_file *f); /* writes what could not be written, if it can */

/* Writes entry i of h, which is new or has changed. A file that is no longer whole is made anew of
 * what it has and what h has. On an error (a full disk) the file is as it was, and the next call
 * that succeeds writes what is missing. 0 or -errno. */
int history_file_write(struct history_file *f, size_t i, enum history_file_fate *fate);

#endif
