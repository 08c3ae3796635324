/* XDG folders with /earshot behind them, made where they are needed. */
#include "daemon/places.h"

#include "base/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Joins three parts; 0 or -ENAMETOOLONG. */
static int join(char *path, size_t capacity, const char *a, const char *b, const char *c)
{
    int n = snprintf(path, capacity, "%s%s%s", a, b, c);
    return n >= 0 && (size_t)n < capacity ? 0 : -ENAMETOOLONG;
}

int places_model(const char *argument, const char *configured, char *path, size_t capacity,
                 struct error *error)
{
    const char *given = argument && *argument ? argument : NULL;
    const char *named = getenv("EARSHOT_MODEL");
    if (!given && !(named && *named) && configured && *configured)
        given = configured;
    if (!given && paths_default_model(path, capacity))
        return error_set(error, -ENOENT, "no model: %s is not there", path);
    int rc = given ? paths_expand(given, path, capacity) : 0;
    if (rc == -ENOENT)
        return error_set(error, rc, "%s: $HOME is not set", given);
    return rc ? error_set(error, rc, "%s: the path is too long", given) : 0;
}

bool places_is_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t length = strlen(name);
    return length >= 1 && length <= 64 && strspn(name, allowed) == length;
}

/* A file of the state directory, which is made if missing. */
static int state_file(const char *name, const char *suffix, char *path, size_t capacity,
                      struct error *error)
{
    int rc = paths_state(path, capacity);
    if (rc == 0)
        rc = paths_make_folders(path);
    if (rc)
        return error_set(error, rc, "no directory to save in: %s", strerror(-rc));
    size_t used = strlen(path);
    if (join(path + used, capacity - used, "/", name, suffix))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    return 0;
}

int places_saved_state(const char *name, char *path, size_t capacity, struct error *error)
{
    if (!places_is_name(name))
        return error_set(error, -EINVAL, "a name has 1 to 64 of A-Z a-z 0-9 _ -");
    return state_file(name, ".state", path, capacity, error);
}

int places_recordings(const char *configured, char *path, size_t capacity, struct error *error)
{
    int rc = *configured ? join(path, capacity, configured, "", "")
                         : state_file("recordings", "", path, capacity, error);
    if (rc)
        return *configured ? error_set(error, rc, "%s: the path is too long", configured) : rc;
    rc = paths_make_folders(path);
    return rc ? error_set(error, rc, "%s: %s", path, strerror(-rc)) : 0;
}
