/* Where things are found when nobody says: what is installed, the default model. */
#ifndef EARSHOT_BASE_PATHS_H
#define EARSHOT_BASE_PATHS_H

#include <stddef.h>

/* The path of something installed, seen from the running program's folder: "../share/earshot" is
 * beside "bin". So an installation can be moved as a whole. 0 or -errno. */
int paths_installed(const char *relative, char *path, size_t capacity);

/* The value of a variable that names a directory. NULL: it is not set, or not to a path that begins
 * with "/", which the XDG base directory specification has ignored. */
const char *paths_variable(const char *name);

/* The path with $HOME for a "~" that is all of it or before its first "/". 0, -ENAMETOOLONG, or
 * -ENOENT: it begins so and there is no $HOME. */
int paths_expand(const char *given, char *path, size_t capacity);

/* Where a configuration file of the user's has its place: $XDG_CONFIG_HOME/earshot/NAME,
 * ~/.config/earshot/NAME where that is not set. 0, -ENAMETOOLONG, or -ENOENT: there is no $HOME. */
int paths_user_place(const char *name, char *path, size_t capacity);
/* That file, if it is there. 0 or -ENOENT. */
int paths_user_config(const char *name, char *path, size_t capacity);
/* That one, else the installed one, /etc/earshot/NAME for a program in /usr/bin. 0 or -ENOENT. */
int paths_config(const char *name, char *path, size_t capacity);

/* What a user has installed alone: $XDG_DATA_HOME/earshot/NAME or ~/.local/share/earshot/NAME,
 * which need not be there. 0, -ENAMETOOLONG, or -ENOENT: there is no $HOME. */
int paths_user_data(const char *name, char *path, size_t capacity);
/* A file of share/earshot of this installation, or else of the source tree that this was built
 * from. 0, or -ENOENT with the last place looked at in path. */
int paths_data(const char *name, const char *in_tree, char *path, size_t capacity);

/* Where what is kept from one start to the next is: $STATE_DIRECTORY, $XDG_STATE_HOME/earshot or
 * ~/.local/state/earshot, which need not be there. 0, -ENAMETOOLONG, or -ENOENT: there is no $HOME
 * either. */
int paths_state(char *path, size_t capacity);
/* A folder, and what is above it, for their owner alone; as it was at the end. 0 or -errno. */
int paths_make_folders(char *path);

#define PATHS_MODELS "models"            /* the folder of fetched ones, of the user's data */
#define PATHS_MODEL_SUFFIX ".gguf"       /* behind a model's name */
#define PATHS_DEFAULT_MODEL "earshot-en" /* the default one's name */

/* The first that exists of $XDG_DATA_HOME/earshot/NAME, the installed NAME, and assets/NAME of the
 * source tree this was built from, NAME being earshot-en.gguf. Returns 0, or -ENOENT with the last
 * place looked at in path. */
int paths_own_model(char *path, size_t capacity);
/* A model by its name: that one, or one that was fetched. 0 or -ENOENT. */
int paths_named_model(const char *name, char *path, size_t capacity);
/* $EARSHOT_MODEL if it is set, else the first. */
int paths_default_model(char *path, size_t capacity);

#endif
