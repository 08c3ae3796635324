/* The conversations that SaveState has written: files of one folder, NAME.state. Any thread. */
#ifndef EARSHOT_DAEMON_SAVED_STATES_H
#define EARSHOT_DAEMON_SAVED_STATES_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SAVED_STATES_LAST "last" /* of [text] resume: the daemon's own */

struct saved_state {
    char name[65];
    uint64_t bytes;
    int64_t saved_us; /* since 1970 */
};

/* Those of a folder by their names; free it. *count is 0 where there is no folder. 0 or -errno. */
int saved_states_list(const char *folder, struct saved_state **out, size_t *count,
                      struct error *error);

/* Whether a file of so many bytes may be written to path: all of its folder, without the one that
 * it replaces and the daemon's own, then have at most most_bytes. 0 or -EDQUOT. */
int saved_states_check_room(const char *path, uint64_t bytes, uint64_t most_bytes,
                            struct error *error);

#endif
