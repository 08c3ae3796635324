/* The largest is taken away first, so that no sum overflows. */
#include "model/log_softmax.h"

#include <math.h>

void log_softmax(float *logs, const float *logits, size_t classes)
{
    static const float never = -1e9f;
    float most = -INFINITY;
    float sum = 0.0f;
    for (size_t i = 0; i < classes; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < classes; i++)
        sum += expf(logits[i] - most);
    float log_sum = logf(sum);
    for (size_t i = 0; i < classes; i++) {
        float value = logits[i] - most - log_sum;
        logs[i] = isfinite(value) ? value : never;
    }
}
