/* The recurrent state of the backbone: constant size, whatever has been heard. Copying it is a
 * fork. Per layer: the last ln1 row [dim], S [heads, N, N] (fp32, rows: value, columns: key), the
 * last ln2 row [dim]. One or several slots: a slot holds a conversation, a hearing or a fork of
 * one, and who has which is the caller's. Belongs to the thread that uses the backend.
 */
#ifndef EARSHOT_MODEL_STATE_H
#define EARSHOT_MODEL_STATE_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/memory.h"

#include <stddef.h>
#include <stdint.h>

struct state_shape {
    size_t layers, dim, heads, head_size;
};

struct state {
    struct backend *backend;
    struct memory memory; /* of all that follows */
    struct state_shape shape;
    size_t slots;
    float *att_shift; /* [layers, slots, dim] */
    float *wkv;       /* [layers, slots, heads, N, N] */
    float *ffn_shift; /* [layers, slots, dim] */
    float *moves;     /* [slots]: 0 for one that the step under way leaves as it is */
    uint64_t *rows;   /* host [slots]: rows and tokens that each took in since its reset */
};

/* Empty slots. 0 or -ENOMEM. */
int state_create(struct state **out, struct backend *be, const struct state_shape *shape,
                 size_t slots);
void state_destroy(struct state *s);
void state_reset(struct state *s); /* all slots */
void state_reset_slot(struct state *s, size_t slot);
void state_copy(struct state *dst, const struct state *src); /* same backend, shape, slots */
/* A slot becomes a copy of one of another state, or of its own. */
void state_copy_slot(struct state *dst, size_t to, const struct state *src, size_t from);

/* File: magic "EARSHOTS", version, fingerprint of the model, shape, rows, checksum (FNV-1a, 64
 * bits), floats; the layout is in state.c.
 * save is atomic. load checks everything before it touches s; the message names the path and what
 * is wrong (magic, version, model, shape, size, checksum). Of one slot, like all below. */
int state_save(const struct state *s, uint64_t fingerprint, const char *path, struct error *error);
int state_load(struct state *s, uint64_t fingerprint, const char *path, struct error *error);
/* The same in memory, for fuzzing and streams: bytes needed, encode, decode. Memory is aligned for
 * floats. */
size_t state_bytes(const struct state *s);
void state_encode(const struct state *s, uint64_t fingerprint, void *out);
int state_decode(struct state *s, uint64_t fingerprint, const void *data, size_t size,
                 struct error *error);

#endif
