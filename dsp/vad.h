/* Voice activity: a small trained detector over log-mel frames gives a speech probability every
 * 10 ms, about the sound of VAD_DELAY frames before: a word is judged with its next 150 ms heard.
 * endpoint.h turns probabilities into utterances. Any split of the frames gives the same
 * probabilities. One thread at a time; allocates nothing after create.
 */
#ifndef EARSHOT_DSP_VAD_H
#define EARSHOT_DSP_VAD_H

#include <stddef.h>

enum {
    VAD_BINS = 80,  /* log-mel bins, as dsp/logmel.h makes them */
    VAD_DELAY = 15, /* frames */
};

struct vad;

int vad_create(struct vad **out); /* 0 or -ENOMEM */
void vad_destroy(struct vad *v);
void vad_reset(struct vad *v);

/* frames [count, VAD_BINS] -> probability [count], each 0..1, that somebody spoke VAD_DELAY frames
 * before. */
void vad_push(struct vad *v, const float *frames, size_t count, float *probability);

#endif
