/* The models of this machine: model files in the user's folder, and the installed default. One
 * thread.
 */
#ifndef EARSHOT_MODELS_SHELF_H
#define EARSHOT_MODELS_SHELF_H

#include "base/error.h"
#include "models/index.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shelf_model {
    char name[INDEX_NAME_MAX + 1];
    char path[PATH_MAX];
    uint64_t bytes;
    bool own; /* in the user's folder, and may be deleted */
};

struct shelf {
    struct shelf_model *models; /* [count], by name */
    size_t count;
};

/* 0 or -errno. */
int shelf_open(struct shelf *shelf, struct error *error);
void shelf_close(struct shelf *shelf);
const struct shelf_model *shelf_find(const struct shelf *shelf, const char *name); /* or NULL */

/* The path that NAME.gguf has or is to have in the user's folder, which is made. 0 or -errno. */
int shelf_place(const char *name, char path[PATH_MAX], struct error *error);
/* The folder in which what becomes a model is fetched, beside it. 0 or -errno. */
int shelf_work(const char *name, char path[PATH_MAX], struct error *error);

#endif
