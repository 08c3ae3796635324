/* Whisper's log-mel recipe, streaming: 16 kHz, n_fft 400 (periodic Hann), hop 160, centred with
 * reflect padding, power spectrum, Slaney mel filters 0..8 kHz, log10(max(x, 1e-10)), (x + 4) / 4.
 * Without the window-wide maximum clamp, which a stream cannot know. Frames = floor(samples / 160).
 * An utterance under 160 samples has no frame; one up to 200 is mirrored again and again.
 * Any split gives bit-identical frames. One thread at a time; allocates at create.
 */
#ifndef EARSHOT_DSP_LOGMEL_H
#define EARSHOT_DSP_LOGMEL_H

#include <stddef.h>

enum {
    LOGMEL_HOP = 160,   /* samples a frame */
    LOGMEL_WINDOW = 400 /* samples */
};

struct logmel;

int logmel_create(struct logmel **out, int bins); /* bins 1..128; 0, -EINVAL or -ENOMEM */
void logmel_destroy(struct logmel *m);
void logmel_reset(struct logmel *m);                            /* a new utterance */
void logmel_copy(struct logmel *to, const struct logmel *from); /* of as many bins */

/* Consumes count samples; writes whole frames [frames, bins], at most logmel_bound(count), and
 * returns how many. */
size_t logmel_push(struct logmel *m, const float *samples, size_t count, float *frames);

/* The last frames of an utterance, which reach into the right padding (bound: logmel_bound(0)).
 * Resets. */
size_t logmel_flush(struct logmel *m, float *frames);
size_t logmel_bound(size_t samples); /* frames */

/* log10 of mel power to the scale above and back is (x + 4) / 4 and 4 x - 4. */

#endif
