/* Where things are found when nobody says: the default model. */
#ifndef EARSHOT_BASE_PATHS_H
#define EARSHOT_BASE_PATHS_H

#include <stddef.h>

/* $EARSHOT_MODEL if it is set, else the first that exists of $XDG_DATA_HOME/earshot/NAME,
 * assets/NAME of the source tree this was built from, and the installed NAME, NAME being
 * earshot-en-tiny.gguf. Returns 0, or -ENOENT with the last place looked at in path. */
int paths_default_model(char *path, size_t capacity);

#endif
