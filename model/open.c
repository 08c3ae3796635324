#include "model/open.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    OPEN_ROOM_MB = 768, /* on a GPU beside the weights: its library, scratch, states and rows */
};

/* What a GPU must have free. A file that is not there is told of by who reads it. */
static size_t needed(const char *path)
{
    struct stat file;
    size_t size = stat(path, &file) == 0 ? (size_t)file.st_size : 0;
    return size + size / 16 + ((size_t)OPEN_ROOM_MB << 20);
}

static bool is_cpu(const struct backend *be)
{
    return strncmp(be->ops->name, "cpu", 3) == 0;
}

int model_open(struct model **model, struct backend **be, const char *path, const char *backend,
               int threads, const struct encoder_options *encoder, const struct model_watch *watch,
               char why[BACKEND_WHY_MAX], struct error *error)
{
    *model = NULL;
    *be = NULL;
    int r = backend_create(be, backend, threads, needed(path), why, error);
    if (r < 0) {
        return r;
    }
    r = model_load(model, path, *be, encoder, watch, error);
    if (r == 0) {
        return 0;
    }
    bool again = strcmp(backend, "auto") == 0 && !is_cpu(*be);
    (*be)->ops->destroy(*be);
    *be = NULL;
    if (!again) {
        return r;
    }
    struct error first = *error;
    r = model_open(model, be, path, "cpu", threads, encoder, watch, why, error);
    snprintf(why, BACKEND_WHY_MAX, "%.250s", first.message);
    return r;
}
