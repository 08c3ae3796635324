/* What moves while one thread hears with a model, for all of its ears together: scratch that holds
 * nothing from one call to the next. What an ear has heard is in states of its own. Thread of the
 * backend; allocates at create only.
 */
#ifndef EARSHOT_MODEL_HEARING_H
#define EARSHOT_MODEL_HEARING_H

#include "model/model.h"

struct hearing {
    const struct model *model;
    struct memory memory;
    struct backbone_scratch *scratch; /* owned */
    struct phones_state *phones;      /* owned; NULL: the model has no such head */
    float *bans;                      /* [vocab]: 0, or -inf for what the model may not say */
    /* Of an ear that hears what would come if nothing followed; NULL where none does. Owned. */
    struct encoder_state *fork_encoder;
    struct adapter_state *fork_adapter;
    bool forked; /* an ear hears with them now */
};

/* The model must outlive it. 0 or -ENOMEM. */
int hearing_create(struct hearing **out, const struct model *model, struct error *error);
void hearing_destroy(struct hearing *h);

/* The likeliest token that the model may say after each row of logits, the lowest id on a tie.
 * logits: backend memory [rows, vocab], overwritten; best: host [rows]. */
void hearing_choose(struct hearing *h, float *logits, size_t rows, uint32_t *best);

#endif
