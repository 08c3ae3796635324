/* Where things are: the model, the configuration, saved conversations. Any thread. */
#ifndef EARSHOT_DAEMON_PLACES_H
#define EARSHOT_DAEMON_PLACES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The model file: `argument` (a command line's, may be NULL or empty), else $EARSHOT_MODEL, else
 * `configured` (may be NULL or empty), else the default one. 0, -ENOENT or -ENAMETOOLONG. */
int places_model(const char *argument, const char *configured, char *path, size_t capacity,
                 struct error *error);

/* The file of a saved conversation, in $STATE_DIRECTORY or $XDG_STATE_HOME/earshot, which is made
 * if missing. Names are 1..64 of A-Z a-z 0-9 _ -. 0, -EINVAL for another name, or -errno. */
int places_saved_state(const char *name, char *path, size_t capacity, struct error *error);

bool places_is_name(const char *name); /* of such a conversation */

/* The directory of recordings, which is made if missing: `configured`, else one in the same place.
 * 0 or -errno. */
int places_recordings(const char *configured, char *path, size_t capacity, struct error *error);

#endif
