/* A model file on the backend that it is asked for, or that suits it, and what hears with it. One
 * thread, which is then the one that uses all three.
 */
#ifndef EARSHOT_MODEL_OPEN_H
#define EARSHOT_MODEL_OPEN_H

#include "kernels/backend.h"
#include "model/encoder.h"
#include "model/hearing.h"

struct opened {
    struct backend *backend;
    struct model *model;
    struct hearing *hearing;
    char why[BACKEND_WHY_MAX]; /* what spoke for the backend, for the log */
};

/* backend: as backend_create has it; with "auto" a GPU that turns out not to hold the model gives
 * way to the CPU. encoder, watch: as model_load. 0, or -errno with nothing open. */
int model_open(struct opened *o, const char *path, const char *backend, int threads,
               const struct encoder_options *encoder, const struct model_watch *watch,
               struct error *error);
void model_close(struct opened *o); /* takes a zeroed one too */

#endif
