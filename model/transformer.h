/* The layers of encoders that look both ways (Whisper's, WavLM's): every row attends to every row
 * it is given with and, where a past is kept, to the last rows of the runs before. Weights are
 * bound as blocks.N.* and belong to the encoder's bind. The layers are const once they are bound;
 * a run moves a state of them, which belongs to the backend's thread and to an encoder's memory.
 */
#ifndef EARSHOT_MODEL_TRANSFORMER_H
#define EARSHOT_MODEL_TRANSFORMER_H

#include "model/bind.h"
#include "model/encoder.h"
#include "model/past.h"

#include <stdbool.h>
#include <stddef.h>

struct transformer_config {
    size_t dim, layers, heads, ffn; /* heads divides dim */
    size_t max_rows;                /* of a run */
    size_t past;                    /* rows of earlier runs that a run sees */
    bool norm_first;                /* norms before attention and feed-forward, or after */
    bool key_bias;
    size_t buckets;      /* of relative positions (T5's, log-spaced); 0: none */
    size_t max_distance; /* from there on all distances are one bucket */
    float eps;
};

struct transformer {
    struct transformer_config config;
    struct backend *be;
    bool exact;                       /* attends in float32, as F32 weights ask for */
    struct transformer_layer *layers; /* [layers], owned */
    float *relative;                  /* [heads, 2 max_rows - 1] */
};

struct transformer_state {
    const struct transformer *transformer;
    size_t fork_rows;
    struct transformer_past *pasts; /* [layers], or [1] that serves all where none is kept */
    float *norm, *query, *mixed;    /* [max_rows, dim] */
    float *key, *value;             /* [max_rows, dim], of a layer's run; NULL without halves */
    float *wide;                    /* [at most TRANSFORMER_WIDE_ROWS, ffn] */
    float *gate_input;              /* [max_rows * heads, 2] */
    float *gate;                    /* [max_rows, heads] */
};

/* Reads dim, layers, heads and ffn from earshot.encoder.*. */
int transformer_read_config(struct transformer_config *c, const struct bind *b,
                            struct error *error);

/* Binds through b, which must outlive it. Relative positions (buckets) and a past do
 * not go together. On failure call finish as well. */
int transformer_init(struct transformer *t, struct bind *b, const struct transformer_config *c,
                     struct error *error);
void transformer_finish(struct transformer *t); /* takes a zeroed one too */

/* Through m, which tells whether there was room and must outlive it. fork_rows: that a fork of it
 * adds to the past at most. is_fork: its past will be lent, and has no memory of its own. */
void transformer_state_init(struct transformer_state *s, const struct transformer *t,
                            struct memory *m, size_t fork_rows, bool is_fork);
void transformer_forget(struct transformer_state *s); /* the past */
/* The past of a state of the same layers, with room for its fork_rows, until that one runs again.
 * False: there is no such room. */
bool transformer_lend_past(struct transformer_state *fork, struct transformer_state *from);

/* In place: x [rows, dim], rows <= max_rows. The first `kept` rows become part of the past, and e's
 * tap is shown every layer's output of them; the others come again. */
void transformer_run(struct transformer_state *s, const struct encoder_state *e, float *x,
                     size_t rows, size_t kept);

/* The bucket of a key that stands distance rows after its query (before it: negative). */
size_t transformer_bucket(long distance, size_t buckets, size_t max_distance);

#endif
