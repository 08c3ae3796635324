/* A folder that several daemons of one user may have at the same time, each on a bus of its own.
 * Each holds a shared lock on the folder itself (flock), so that nothing is left of it in the
 * folder. Where the file system has no locks everyone is first and alone. One thread.
 */
#ifndef EARSHOT_DAEMON_FOLDER_LOCK_H
#define EARSHOT_DAEMON_FOLDER_LOCK_H

#include <limits.h>
#include <stdbool.h>

struct folder_lock {
    char path[PATH_MAX];
    int fd;     /* -1: the folder was not there yet */
    bool first; /* when it was opened nobody else had it */
};

/* The folder need not be there yet; when it is made anew, the lock moves to it. */
void folder_lock_init(struct folder_lock *l, const char *path);
void folder_lock_finish(struct folder_lock *l);

/* Nobody else had the folder when we came, or all others are gone. */
bool folder_lock_is_first(struct folder_lock *l);

/* True: nobody else has it, and nobody who comes goes on before folder_lock_leave. */
bool folder_lock_enter(struct folder_lock *l);
void folder_lock_leave(struct folder_lock *l);

#endif
