/* A model file on the backend that it is asked for, or that suits it. One thread, which is then the
 * one that uses both.
 */
#ifndef EARSHOT_MODEL_OPEN_H
#define EARSHOT_MODEL_OPEN_H

#include "kernels/backend.h"
#include "model/encoder.h"
#include "model/model.h"

/* backend: as backend_create has it; with "auto" a GPU that turns out not to hold the model gives
 * way to the CPU. why: what spoke for the backend, for the log. encoder, watch: as model_load. 0 or
 * -errno. */
int model_open(struct model **model, struct backend **be, const char *path, const char *backend,
               int threads, const struct encoder_options *encoder, const struct model_watch *watch,
               char why[BACKEND_WHY_MAX], struct error *error);

#endif
