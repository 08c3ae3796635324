#include "model/sampler.h"

#include <math.h>

uint32_t sampler_next(const struct sampler *s, struct backend *be, float *logits, size_t vocab)
{
    static const float never = -INFINITY;
    for (size_t i = 0; i < s->ban_count; i++) {
        if (s->ban[i] < vocab) {
            be->ops->upload(be, logits + s->ban[i], &never, 1);
        }
    }
    return be->ops->argmax(be, logits, vocab);
}

bool sampler_stops(const struct sampler *s, uint32_t id)
{
    for (size_t i = 0; i < s->stop_count; i++) {
        if (s->stop[i] == id) {
            return true;
        }
    }
    return false;
}
