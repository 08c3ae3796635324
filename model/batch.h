/* Conversations side by side: `slots` states that one step moves together, each by a row of what is
 * heard, by a token, or not at all. A slot may hold a conversation, a hearing or a fork of one: who
 * has which, and when a step is due, is the caller's. Up to BACKEND_FEW_ROWS slots, each gets the
 * same bits as alone. Belongs to the thread that uses the backend; allocates at create only.
 */
#ifndef EARSHOT_MODEL_BATCH_H
#define EARSHOT_MODEL_BATCH_H

#include "base/error.h"
#include "model/backbone.h"
#include "model/sampler.h"

#include <stddef.h>
#include <stdint.h>

enum turn_type {
    TURN_REST,  /* the slot stays as it is */
    TURN_TOKEN, /* it takes token */
    TURN_ROW,   /* it takes row */
};

struct turn {
    enum turn_type type;
    uint32_t token;
    const float *row; /* backend memory [dim], as the adapter makes it */
};

struct batch;

/* All slots empty. d: what is never chosen; it must outlive the batch, as the scratch must. 0,
 * -EINVAL for more slots than a pass of it has rows, or -ENOMEM. */
int batch_create(struct batch **out, struct backbone_scratch *scratch, const struct decoding *d,
                 size_t slots, struct error *error);
void batch_destroy(struct batch *b);

/* turns: [slots]. next: host [slots], the likeliest tokens after what each slot took in, of those
 * that rest anything; NULL where nobody wants any, which spares the product that gives them. */
void batch_step(struct batch *b, const struct turn *turns, uint32_t *next);

void batch_reset(struct batch *b, size_t slot);                         /* empty */
void batch_fork(struct batch *b, size_t to, size_t from);               /* one slot as another */
void batch_put(struct batch *b, size_t slot, const struct state *from); /* of one stream */
void batch_take(const struct batch *b, size_t slot, struct state *to);

#endif
