/* Several channels to the one that is heard: their mean, or, where the mean loses the voice, the
 * loudest of them. It loses it where one channel is the other's inverse (a balanced plug in a
 * stereo socket) or where the others are empty (one microphone of two is plugged in).
 * One thread at a time; no allocation.
 */
#ifndef EARSHOT_AUDIO_MIXDOWN_H
#define EARSHOT_AUDIO_MIXDOWN_H

#include <stddef.h>

enum { MIXDOWN_CHANNELS_MAX = 64 };

struct mixdown {
    int channels;
    size_t block, at; /* frames: of a block, and those of this one that are mixed */
    int before, now;  /* a channel, or -1: the mean; a block goes from one to the other */
    /* Of the samples' differences, which knows no hum and no offset; [channels], the mean's last.
     */
    float last[MIXDOWN_CHANNELS_MAX + 1];
    float sum[MIXDOWN_CHANNELS_MAX + 1];   /* of squares, over this block */
    float power[MIXDOWN_CHANNELS_MAX + 1]; /* over a few */
    float peak;                            /* of a block's sum, falling slowly */
};

/* channels 1..MIXDOWN_CHANNELS_MAX. */
void mixdown_init(struct mixdown *m, int rate_hz, int channels);

/* samples [frames, channels], mono [frames]. Any split of the samples gives the same. What is not a
 * number, or no sound, becomes silence: it would stay in the filters behind. */
void mixdown_push(struct mixdown *m, const float *samples, size_t frames, float *mono);

#endif
