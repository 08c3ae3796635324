/* The models of this machine: model files in the user's folder, what is being fetched into it, and
 * the installed default. One thread.
 */
#ifndef EARSHOT_MODELS_SHELF_H
#define EARSHOT_MODELS_SHELF_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shelf_kind {
    SHELF_OWN,       /* in the user's folder, and may be deleted */
    SHELF_INSTALLED, /* the default model */
    SHELF_BEGUN,     /* the folder of what was fetched so far */
};

struct shelf_model {
    enum shelf_kind kind;
    char name[NAME_MAX + 1];
    char path[PATH_MAX];
    uint64_t bytes;
};

struct shelf {
    struct shelf_model *models; /* [count], by name */
    size_t count;
};

/* 0 or -errno. */
int shelf_open(struct shelf *shelf, struct error *error);
void shelf_close(struct shelf *shelf);
/* The model of a name that is here, or else NULL. */
const struct shelf_model *shelf_find(const struct shelf *shelf, const char *name);
/* What was begun of it, or NULL. */
const struct shelf_model *shelf_begun(const struct shelf *shelf, const char *name);

/* Whether a path leads to the model's file, by whatever way. */
bool shelf_is(const struct shelf_model *model, const char *path);

/* The path that NAME.gguf has or is to have in the user's folder, which is made. 0 or -errno. */
int shelf_place(const char *name, char path[PATH_MAX], struct error *error);
/* The folder in which what becomes a model is fetched, beside it. 0 or -errno. */
int shelf_work(const char *name, char path[PATH_MAX], struct error *error);

#endif
