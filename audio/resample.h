/* Any rate and channel count to 16 kHz mono, streaming: a filter for multiples, else libsamplerate.
 * One thread at a time. Allocates at create only.
 */
#ifndef EARSHOT_AUDIO_RESAMPLE_H
#define EARSHOT_AUDIO_RESAMPLE_H

#include <stddef.h>

enum {
    RESAMPLE_RATE_HZ = 16000,
    RESAMPLE_MICROPHONE_HZ = 48000, /* what a microphone is asked for first: the cheapest here */
};

struct resample;

/* rate_hz 4000..384000, channels 1..64. Returns 0, -EINVAL or -ENOMEM. */
int resample_create(struct resample **out, int rate_hz, int channels);
void resample_destroy(struct resample *r);
void resample_reset(struct resample *r);

/* Consumes frames interleaved frames [frames, channels], in [-1, 1], mixed to mono as mixdown.h
 * has it;
 * writes at most resample_bound(r, frames) samples to out and returns how many. */
size_t resample_push(struct resample *r, const float *samples, size_t frames, float *out);

/* The samples still inside, at the end of the stream (bound: resample_bound(r, 0)). Resets. */
size_t resample_flush(struct resample *r, float *out);
size_t resample_bound(const struct resample *r, size_t frames);

#endif
