/* Binds a module's tensors by table: each entry names a tensor, its shape and the field it goes to.
 * Matrices become weights, vectors are uploaded as floats. A bind owns all that it made, so that a
 * module is released with one call, half-built or whole. Backend thread only.
 */
#ifndef EARSHOT_MODEL_BIND_H
#define EARSHOT_MODEL_BIND_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stddef.h>

enum {
    BIND_DIMS = 3,
    BIND_NAME_MAX = 128,
};

struct bind_entry {
    const char *name;        /* after the prefix */
    size_t shape[BIND_DIMS]; /* outermost first, as in PyTorch; unused ones 0 */
    float **vector;          /* either: all values, finite, in backend memory */
    struct weight **matrix;  /* or: [shape[0], the rest], for products */
    struct weight **table;   /* or: the same, for its rows */
};

struct bind {
    const struct gguf *gguf;
    struct backend *backend;
    struct bind_item *items; /* [count], owned: what to release */
    size_t count, capacity;
};

void bind_init(struct bind *b, const struct gguf *g, struct backend *be);
void bind_finish(struct bind *b); /* releases everything; takes a zeroed bind too */

/* Stops at the first tensor that is missing, misshaped, of a type we don't read or not finite, with
 * a message that names it. */
int bind_tensors(struct bind *b, const char *prefix, const struct bind_entry *entries, size_t count,
                 struct error *error);

/* A tensor of the entry's shape (its vector and matrix are not looked at) as `parts` matrices of
 * shape[0] / parts rows each. */
int bind_parts(struct bind *b, const char *prefix, const struct bind_entry *entry, size_t parts,
               struct weight **out, struct error *error);

/* The shape of a tensor of dims dimensions (outermost first), for what no metadata tells. */
int bind_shape(const struct bind *b, const char *prefix, const char *name, size_t dims,
               size_t *shape, struct error *error);

/* Metadata that must lie in least..most. */
int bind_u32(const struct bind *b, const char *key, size_t least, size_t most, size_t *value,
             struct error *error);

/* An array of u32 of which each must lie in least..most; exactly count of them. */
int bind_u32_array(const struct bind *b, const char *key, size_t count, size_t least, size_t most,
                   size_t *values, struct error *error);

/* A tensor as floats in host memory, [count] of them, as it lies in the file. */
int bind_host(const struct bind *b, const char *prefix, const char *name, float *out, size_t count,
              struct error *error);

/* Zeroed backend memory [rows, dim]. */
int bind_alloc(struct bind *b, float **out, size_t rows, size_t dim, struct error *error);

#endif
