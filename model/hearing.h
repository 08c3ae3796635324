/* What moves while one thread hears with a model, for all of its ears together: scratch that holds
 * nothing from one call to the next. What an ear has heard is in states of its own. Thread of the
 * backend; allocates at create only.
 */
#ifndef EARSHOT_MODEL_HEARING_H
#define EARSHOT_MODEL_HEARING_H

#include "model/model.h"

struct hearing {
    const struct model *model;
    struct backbone_scratch *scratch; /* owned */
};

/* The model must outlive it. 0 or -ENOMEM. */
int hearing_create(struct hearing **out, const struct model *model, struct error *error);
void hearing_destroy(struct hearing *h);

#endif
