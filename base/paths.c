/* Beside the program, in the build tree, or where the system installs; XDG variables before
 * their defaults. */
#include "base/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_NAME PATHS_DEFAULT_MODEL PATHS_MODEL_SUFFIX

static int is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

/* Takes the last component off; 0 or -ENOENT. */
static int ascend(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    return 0;
}

int paths_installed(const char *relative, char *path, size_t capacity)
{
    ssize_t n = readlink("/proc/self/exe", path, capacity - 1);
    if (n < 0)
        return -errno;
    path[n] = '\0';
    int rc = ascend(path);
    for (; !rc && strncmp(relative, "../", 3) == 0; relative += 3)
        rc = ascend(path);
    size_t used = strlen(path);
    if (!rc && snprintf(path + used, capacity - used, "/%s", relative) >= (int)(capacity - used))
        rc = -ENAMETOOLONG;
    return rc;
}

const char *paths_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value == '/' ? value : NULL;
}

int paths_expand(const char *given, char *path, size_t capacity)
{
    bool at_home = *given == '~' && (!given[1] || given[1] == '/');
    const char *home = at_home ? paths_variable("HOME") : "";
    if (!home)
        return -ENOENT;
    int n = snprintf(path, capacity, "%s%s", home, given + at_home);
    return n >= 0 && (size_t)n < capacity ? 0 : -ENAMETOOLONG;
}

/* NAME in the folder that a variable names, else in one below the home directory. */
static int user_path(const char *variable, const char *below_home, const char *name, char *path,
                     size_t capacity)
{
    const char *folder = paths_variable(variable), *below = "";
    if (!folder) {
        folder = paths_variable("HOME");
        below = below_home;
    }
    if (!folder)
        return -ENOENT;
    int n = snprintf(path, capacity, "%s%s/earshot/%s", folder, below, name);
    return n >= 0 && (size_t)n < capacity ? 0 : -ENAMETOOLONG;
}

int paths_user_place(const char *name, char *path, size_t capacity)
{
    return user_path("XDG_CONFIG_HOME", "/.config", name, path, capacity);
}

int paths_user_config(const char *name, char *path, size_t capacity)
{
    bool there = paths_user_place(name, path, capacity) == 0 && access(path, F_OK) == 0;
    return there ? 0 : -ENOENT;
}

int paths_user_data(const char *name, char *path, size_t capacity)
{
    return user_path("XDG_DATA_HOME", "/.local/share", name, path, capacity);
}

int paths_config(const char *name, char *path, size_t capacity)
{
    char relative[128];
    if (paths_user_config(name, path, capacity) == 0)
        return 0;
    snprintf(relative, sizeof relative, EARSHOT_SYSCONF_FROM_BIN "/earshot/%s", name);
    bool there = paths_installed(relative, path, capacity) == 0 && access(path, F_OK) == 0;
    return there ? 0 : -ENOENT;
}

int paths_data(const char *name, const char *in_tree, char *path, size_t capacity)
{
    char relative[128];
    snprintf(relative, sizeof relative, EARSHOT_DATA_FROM_BIN "/%s", name);
    if (paths_installed(relative, path, capacity) == 0 && is_readable(path))
        return 0;
#ifdef EARSHOT_SOURCE_DIR
    int n = snprintf(path, capacity, EARSHOT_SOURCE_DIR "/%s", in_tree);
    if (n >= 0 && (size_t)n < capacity && is_readable(path))
        return 0;
#else
    (void)in_tree;
#endif
    return -ENOENT;
}

int paths_own_model(char *path, size_t capacity)
{
    if (paths_user_data(MODEL_NAME, path, capacity) == 0 && is_readable(path))
        return 0;
    return paths_data(MODEL_NAME, "assets/" MODEL_NAME, path, capacity);
}

int paths_named_model(const char *name, char *path, size_t capacity)
{
    char file[256];
    int n = snprintf(file, sizeof file, PATHS_MODELS "/%s" PATHS_MODEL_SUFFIX, name);
    if (n < (int)sizeof file && paths_user_data(file, path, capacity) == 0 && is_readable(path))
        return 0;
    return strcmp(name, PATHS_DEFAULT_MODEL) == 0 ? paths_own_model(path, capacity) : -ENOENT;
}

int paths_default_model(char *path, size_t capacity)
{
    const char *named = getenv("EARSHOT_MODEL");
    if (!named || !*named)
        return paths_own_model(path, capacity);
    if (paths_expand(named, path, capacity))
        snprintf(path, capacity, "%s", named);
    return is_readable(path) ? 0 : -ENOENT;
}

int paths_state(char *path, size_t capacity)
{
    const char *base = paths_variable("STATE_DIRECTORY"), *below = "";
    if (!base && (base = paths_variable("XDG_STATE_HOME")))
        below = "/earshot";
    if (!base && (base = paths_variable("HOME")))
        below = "/.local/state/earshot";
    if (!base)
        return -ENOENT;
    return snprintf(path, capacity, "%s%s", base, below) < (int)capacity ? 0 : -ENAMETOOLONG;
}

int paths_make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        *p = '/';
        if (failed)
            return -errno;
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -errno : 0;
}
