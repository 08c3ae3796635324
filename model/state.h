/* The recurrent state of the backbone: constant size, whatever has been heard. Copying it is a
 * fork. Per layer: the last ln1 row [dim], S [heads, N, N] (fp32, rows: value, columns: key), the
 * last ln2 row [dim]. Belongs to the thread that uses the backend.
 */
#ifndef EARSHOT_MODEL_STATE_H
#define EARSHOT_MODEL_STATE_H

#include "base/error.h"
#include "kernels/backend.h"

#include <stddef.h>
#include <stdint.h>

struct state_shape {
    size_t layers, dim, heads, head_size;
};

struct state {
    struct backend *backend;
    struct state_shape shape;
    size_t streams;     /* that move together; 1 but for batches */
    float *att_shift;   /* [layers, streams, dim] */
    float *wkv;         /* [layers, streams, heads, N, N] */
    float *ffn_shift;   /* [layers, streams, dim] */
    const float *moves; /* [streams], not owned: 0 for a stream that pushes leave as it is; NULL:
                           all move */
    uint64_t rows;      /* rows and tokens of each taken in since the last reset */
};

/* Empty. 0 or -ENOMEM. */
int state_create(struct state **out, struct backend *be, const struct state_shape *shape);
int state_create_batch(struct state **out, struct backend *be, const struct state_shape *shape,
                       size_t streams);
void state_destroy(struct state *s);
void state_reset(struct state *s);
void state_copy(struct state *dst, const struct state *src); /* same backend, shape, streams */
/* One stream of a batch out of another state, or into it; rows stays as it is. */
void state_copy_stream(struct state *dst, size_t to, const struct state *src, size_t from);

/* File: magic "EARSHOTS", version, fingerprint of the model, shape, rows, checksum (FNV-1a, 64
 * bits), floats; the layout is in state.c.
 * save is atomic. load checks everything before it touches s; the message names the path and what
 * is wrong (magic, version, model, shape, size, checksum). Of one stream, like all below. */
int state_save(const struct state *s, uint64_t fingerprint, const char *path, struct error *error);
int state_load(struct state *s, uint64_t fingerprint, const char *path, struct error *error);
/* The same in memory, for fuzzing and streams: bytes needed, encode, decode. Memory is aligned for
 * floats. */
size_t state_bytes(const struct state *s);
void state_encode(const struct state *s, uint64_t fingerprint, void *out);
int state_decode(struct state *s, uint64_t fingerprint, const void *data, size_t size,
                 struct error *error);

#endif
