#include "base/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MODEL_NAME "earshot-en-tiny.gguf"

static int is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

int paths_default_model(char *path, size_t capacity)
{
    const char *named = getenv("EARSHOT_MODEL");
    if (named && *named) {
        snprintf(path, capacity, "%s", named);
        return is_readable(path) ? 0 : -ENOENT;
    }
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (data && *data)
        snprintf(path, capacity, "%s/earshot/" MODEL_NAME, data);
    else
        snprintf(path, capacity, "%s/.local/share/earshot/" MODEL_NAME, home ? home : "");
    if (is_readable(path))
        return 0;
    snprintf(path, capacity, "%s", EARSHOT_SOURCE_DIR "/assets/" MODEL_NAME);
    if (is_readable(path))
        return 0;
    snprintf(path, capacity, "%s", EARSHOT_DATA_DIR "/" MODEL_NAME);
    return is_readable(path) ? 0 : -ENOENT;
}
