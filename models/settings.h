/* The configuration file as a text, in which one setting is changed and all else stays as it is.
 * One thread.
 */
#ifndef EARSHOT_MODELS_SETTINGS_H
#define EARSHOT_MODELS_SETTINGS_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct settings {
    char path[PATH_MAX]; /* the file that settings_write writes */
    char *text;          /* owned */
};

/* What earshotd reads: the file named, or the user's, or as long as there is none the system's,
 * which is then written as the user's. 0 or -errno. */
int settings_open(struct settings *s, const char *named, struct error *error);
void settings_close(struct settings *s);

/* [model] path; "": the default model. */
void settings_model(const struct settings *s, char *value, size_t capacity);
/* Sets it. -EINVAL: a path that such a file cannot hold. */
int settings_set_model(struct settings *s, const char *value, struct error *error);
/* Readers see the old file or the new one, with the same permissions. */
int settings_write(const struct settings *s, struct error *error);

#endif
