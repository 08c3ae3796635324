/* Keeps one sample in `factor` of what fits under half of the new rate: a low-pass, and nothing
 * between its outputs is computed. Streaming; one thread at a time; allocates at create only.
 */
#ifndef EARSHOT_AUDIO_DECIMATE_H
#define EARSHOT_AUDIO_DECIMATE_H

#include <stddef.h>

struct decimate;

/* factor 2..64. 0, -EINVAL or -ENOMEM. */
int decimate_create(struct decimate **out, int factor);
void decimate_destroy(struct decimate *d);
void decimate_reset(struct decimate *d);

/* Output n is at the place of input n * factor. Writes at most decimate_bound(d, count) samples to
 * out and returns how many. */
size_t decimate_push(struct decimate *d, const float *samples, size_t count, float *out);

/* The outputs that still waited for input, which is taken for silence (bound: decimate_bound(d, 0)
 * samples). Resets. */
size_t decimate_flush(struct decimate *d, float *out);
size_t decimate_bound(const struct decimate *d, size_t count);

#endif
