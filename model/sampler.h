/* Chooses the next token. Greedy now: the largest logit that is not banned. One thread at a time.
 */
#ifndef EARSHOT_MODEL_SAMPLER_H
#define EARSHOT_MODEL_SAMPLER_H

#include "kernels/backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SAMPLER_LIST_MAX = 16,
};

struct sampler {
    uint32_t ban[SAMPLER_LIST_MAX];
    size_t ban_count;
    uint32_t stop[SAMPLER_LIST_MAX];
    size_t stop_count;
    size_t max_tokens; /* of one text */
};

/* logits: backend memory [vocab]; banned ones are overwritten with -inf. */
uint32_t sampler_next(const struct sampler *s, struct backend *be, float *logits, size_t vocab);
bool sampler_stops(const struct sampler *s, uint32_t id);

#endif
