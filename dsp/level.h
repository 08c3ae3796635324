/* A level meter: RMS and peak of 16 kHz samples with a 300 ms release, in dB full scale. */
#ifndef EARSHOT_DSP_LEVEL_H
#define EARSHOT_DSP_LEVEL_H

#include <stddef.h>

#define LEVEL_SILENCE_DB (-120.0f)

struct level {
    float mean_square; /* smoothed */
    float peak;        /* decaying maximum of |sample| */
};

void level_init(struct level *l);
void level_push(struct level *l, const float *samples, size_t count);
float level_rms_db(const struct level *l);  /* LEVEL_SILENCE_DB at least */
float level_peak_db(const struct level *l); /* LEVEL_SILENCE_DB at least */

#endif
