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

#define MODEL_NAME "earshot-en.gguf"

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

/* What snprintf has returned for a path. */
static bool is_there(int length, const char *path, size_t capacity)
{
    return length >= 0 && (size_t)length < capacity && access(path, F_OK) == 0;
}

int paths_user_config(const char *name, char *path, size_t capacity)
{
    const char *folder = paths_variable("XDG_CONFIG_HOME");
    const char *home = folder ? NULL : paths_variable("HOME");
    int n = -1;
    if (folder)
        n = snprintf(path, capacity, "%s/earshot/%s", folder, name);
    else if (home)
        n = snprintf(path, capacity, "%s/.config/earshot/%s", home, name);
    return is_there(n, path, capacity) ? 0 : -ENOENT;
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

int paths_default_model(char *path, size_t capacity)
{
    const char *named = getenv("EARSHOT_MODEL");
    if (named && *named) {
        if (paths_expand(named, path, capacity))
            snprintf(path, capacity, "%s", named);
        return is_readable(path) ? 0 : -ENOENT;
    }
    const char *data = paths_variable("XDG_DATA_HOME");
    const char *home = paths_variable("HOME");
    if (data)
        snprintf(path, capacity, "%s/earshot/" MODEL_NAME, data);
    else
        snprintf(path, capacity, "%s/.local/share/earshot/" MODEL_NAME, home ? home : "");
    if (is_readable(path))
        return 0;
    if (paths_installed(EARSHOT_DATA_FROM_BIN "/" MODEL_NAME, path, capacity) == 0 &&
        is_readable(path))
        return 0;
#ifdef EARSHOT_SOURCE_DIR
    snprintf(path, capacity, "%s", EARSHOT_SOURCE_DIR "/assets/" MODEL_NAME);
    if (is_readable(path))
        return 0;
#endif
    return -ENOENT;
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
