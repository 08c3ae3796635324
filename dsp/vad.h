/* Voice activity: a small trained detector over log-mel frames gives a speech probability every
 * 10 ms; endpoint.h turns probabilities into utterances. Streaming: any split of the frames gives
 * the same probabilities. One thread at a time; allocates nothing after init.
 */
#ifndef EARSHOT_DSP_VAD_H
#define EARSHOT_DSP_VAD_H

#include <stddef.h>

enum {
    VAD_BINS = 80, /* log-mel bins, as dsp/logmel.h makes them */
};

struct vad;

int vad_create(struct vad **out); /* 0 or -ENOMEM */
void vad_destroy(struct vad *v);
void vad_reset(struct vad *v);

/* frames [count, VAD_BINS] -> probability [count], each 0..1, that somebody speaks. */
void vad_push(struct vad *v, const float *frames, size_t count, float *probability);

#endif
