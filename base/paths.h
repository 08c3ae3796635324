/* Where things are found when nobody says: what is installed, the default model. */
#ifndef EARSHOT_BASE_PATHS_H
#define EARSHOT_BASE_PATHS_H

#include <stddef.h>

/* The path of something installed, seen from the running program's folder: "../share/earshot" is
 * beside "bin". So an installation can be moved as a whole. 0 or -errno. */
int paths_installed(const char *relative, char *path, size_t capacity);

/* $EARSHOT_MODEL if it is set, else the first that exists of $XDG_DATA_HOME/earshot/NAME, the
 * installed NAME, and assets/NAME of the source tree this was built from, NAME being
 * earshot-en-tiny.gguf. Returns 0, or -ENOENT with the last place looked at in path. */
int paths_default_model(char *path, size_t capacity);

#endif
