/* A microphone as 16 kHz mono, for programs of their own. One thread; like the microphone it has no
 * way back but the end of the process.
 */
#ifndef EARSHOT_AUDIO_PICKUP_H
#define EARSHOT_AUDIO_PICKUP_H

#include "audio/resample.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct pickup;

/* device: as microphone.h has it, the one that the daemon would have where it is empty; buffer_ms:
 * of audio that can wait. What ALSA and JACK complain of is not shown. 0 or -errno with a message.
 */
int pickup_open(struct pickup **out, const char *device, int buffer_ms, struct error *error);
void pickup_close(struct pickup *p); /* its memory; the device stays open */

const char *pickup_name(const struct pickup *p);
/* Whether the device, or we, have lost some since the last call. */
bool pickup_has_lost(struct pickup *p);

/* What is there, 50 ms at most: *samples until the next call, their count; 0: nothing new yet; -EIO
 * with a message: the microphone is dead. */
long pickup_read(struct pickup *p, const float **samples, struct error *error);
/* What is still being resampled. */
size_t pickup_flush(struct pickup *p, const float **samples);

#endif
