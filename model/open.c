/* Tries the backends in turn, and takes apart what did not become whole. */
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

/* On a backend that is there. What broke it is told, not what could not be done afterwards. */
static int load(struct opened *o, const char *path, const struct encoder_options *encoder,
                const struct model_watch *watch, struct error *error)
{
    int rc = model_load(&o->model, path, o->backend, encoder, watch, error);
    if (rc == 0)
        rc = hearing_create(&o->hearing, o->model, error);
    int broken = o->backend->ops->status(o->backend, rc < 0 ? error : NULL);
    return rc < 0 && broken < 0 ? broken : rc;
}

int model_open(struct opened *o, const char *path, const char *backend, int threads,
               const struct encoder_options *encoder, const struct model_watch *watch,
               struct error *error)
{
    *o = (struct opened){0};
    int rc = backend_create(&o->backend, backend, threads, needed(path), o->why, error);
    if (rc < 0)
        return rc;
    rc = load(o, path, encoder, watch, error);
    if (rc == 0)
        return 0;
    bool again = strcmp(backend, "auto") == 0 && !is_cpu(o->backend);
    model_close(o);
    if (!again)
        return rc;
    struct error first = *error;
    rc = model_open(o, path, "cpu", threads, encoder, watch, error);
    snprintf(o->why, BACKEND_WHY_MAX, "%.250s", first.message);
    return rc;
}

void model_close(struct opened *o)
{
    hearing_destroy(o->hearing);
    model_destroy(o->model);
    if (o->backend)
        o->backend->ops->destroy(o->backend);
    *o = (struct opened){0};
}
