/* RWKV-7. Equations and the paper's letters are explained at the top of backbone.c.
 * T rows at once and one at a time are one call. The backbone is const once it is loaded. What it
 * has heard is a state (state.h); the rows of a pass are scratch, which any states of a thread
 * share. Thread of the backend; allocates at load and create only.
 */
#ifndef EARSHOT_MODEL_BACKBONE_H
#define EARSHOT_MODEL_BACKBONE_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"
#include "model/state.h"

#include <stddef.h>
#include <stdint.h>

struct backbone;
struct backbone_scratch;

int backbone_load(struct backbone **out, const struct gguf *g, struct backend *be,
                  struct error *error);
void backbone_destroy(struct backbone *b);

const struct state_shape *backbone_state_shape(const struct backbone *b);
size_t backbone_dim(const struct backbone *b);
size_t backbone_vocab(const struct backbone *b);
struct backend *backbone_backend(const struct backbone *b);

/* max_rows: the most rows one internal pass takes; longer calls are cut into passes. The backbone
 * must outlive it. 0 or -ENOMEM. */
int backbone_scratch_create(struct backbone_scratch **out, const struct backbone *b,
                            size_t max_rows, struct error *error);
void backbone_scratch_destroy(struct backbone_scratch *t);
const struct backbone *backbone_scratch_of(const struct backbone_scratch *t);
size_t backbone_scratch_max_rows(const struct backbone_scratch *t);

/* Into one slot of a state, rows [count, dim] (backend memory, in the place of embeddings: ln0 is
 * applied here). logits: backend memory [vocab] for the last row, or NULL. */
void backbone_push_rows(struct backbone_scratch *t, struct state *s, size_t slot, const float *rows,
                        size_t count, float *logits);
/* The same for token ids (host). */
void backbone_push_tokens(struct backbone_scratch *t, struct state *s, size_t slot,
                          const uint32_t *ids, size_t count, float *logits);
/* A token into each of the first slots of a state, ids: host [slots], at most BACKEND_FEW_ROWS:
 * each gets the bits that it gets alone. logits: backend memory [slots, vocab]. */
void backbone_step_tokens(struct backbone_scratch *t, struct state *s, const uint32_t *ids,
                          size_t slots, float *logits);
/* Rows [count, dim], to each of which the embedding of a token is added, the same to all: what
 * aligned captions hear. logits: backend memory [count, vocab], those after each row. */
void backbone_push_heard(struct backbone_scratch *t, struct state *s, size_t slot,
                         const float *rows, size_t count, uint32_t id, float *logits);

enum intake_type {
    INTAKE_NOTHING, /* the slot stays as it is */
    INTAKE_TOKEN,
    INTAKE_ROW,
    INTAKE_HEARD, /* a row and, added to it, the embedding of a token */
};

/* What a slot takes in a step. */
struct intake {
    enum intake_type type;
    uint32_t token;
    const float *row; /* backend memory [dim], as the adapter makes it */
};

/* One step moves all slots of a state, at most as many as a pass has rows. Up to BACKEND_FEW_ROWS
 * slots, each gets the bits that it gets alone. intakes: host [slots]. logits: backend memory
 * [slots, vocab], those of a slot that takes nothing anything; or NULL, which spares the product
 * that gives them. */
void backbone_step(struct backbone_scratch *t, struct state *s, const struct intake *intakes,
                   float *logits);

#endif
