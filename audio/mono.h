/* A sound file as everything behind it wants it, 16 kHz and mono, whatever it is, also where its
 * parts are of different rates. One thread at a time.
 */
#ifndef EARSHOT_AUDIO_MONO_H
#define EARSHOT_AUDIO_MONO_H

#include "audio/sound.h"

struct mono;

/* Takes the sound, also on failure. The message has no path. 0 or -errno. */
int mono_create(struct mono **out, struct sound *sound, struct error *error);
void mono_destroy(struct mono *m);

/* At most count samples, at least one, as sound_read; 0 at the end, -EIO: mono_why. */
int64_t mono_read(struct mono *m, float *samples, size_t count);
const char *mono_why(const struct mono *m);
bool mono_is_live(const struct mono *m);

#endif
