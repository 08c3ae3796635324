/* The memory of a state, in the backend and on the host: made piece by piece when the state is
 * created, released with one call, half made or whole. The first failure is kept, and nothing is
 * made after it, so that a constructor asks once, at its end. Backend thread only.
 */
#ifndef EARSHOT_MODEL_MEMORY_H
#define EARSHOT_MODEL_MEMORY_H

#include "base/error.h"
#include "kernels/backend.h"

#include <stdbool.h>
#include <stddef.h>

struct memory {
    struct backend *backend;
    struct memory_item *items; /* [count], owned */
    size_t count, capacity;
    bool failed;
};

void memory_init(struct memory *m, struct backend *be);
void memory_finish(struct memory *m); /* takes a zeroed one too */

/* Zeroed, or NULL after a failure: floats [rows, dim] of the backend, as calloc of the host. */
float *memory_rows(struct memory *m, size_t rows, size_t dim);
void *memory_host(struct memory *m, size_t count, size_t size);
/* The backend's own scratch for calls of so many rows. */
void memory_reserve(struct memory *m, size_t rows);

/* 0, or -ENOMEM with a message that says what there is no memory for. */
int memory_check(const struct memory *m, const char *what, struct error *error);

#endif
