/*     mean_square += (1 - a) (x^2 - mean_square)        peak = max(|x|, a peak)
 *     a = exp(-1 / (0.3 s * 16 kHz))
 */
#include "dsp/level.h"

#include <math.h>

static const float release = 0.99979169f;
/* Under this both are zero: digital silence must not end in denormal numbers, which are slow. */
static const float nothing = 1e-20f;

void level_init(struct level *l)
{
    *l = (struct level){0};
}

void level_push(struct level *l, const float *samples, size_t count)
{
    float mean_square = l->mean_square;
    float peak = l->peak;
    for (size_t i = 0; i < count; i++) {
        float magnitude = fabsf(samples[i]);
        mean_square += (1.0f - release) * (magnitude * magnitude - mean_square);
        peak *= release;
        if (magnitude > peak)
            peak = magnitude;
    }
    l->mean_square = mean_square > nothing ? mean_square : 0.0f;
    l->peak = peak > nothing ? peak : 0.0f;
}

static float decibels(float power)
{
    return power > 1e-12f ? 10.0f * log10f(power) : LEVEL_SILENCE_DB;
}

float level_rms_db(const struct level *l)
{
    return decibels(l->mean_square);
}

float level_peak_db(const struct level *l)
{
    return decibels(l->peak * l->peak);
}
