/* Sound files as interleaved floats in [-1, 1], over libsndfile: WAV, FLAC, Ogg Vorbis and Opus,
 * MP3 and what else it reads, any rate, any sample format. One thread at a time.
 */
#ifndef EARSHOT_BASE_SOUND_H
#define EARSHOT_BASE_SOUND_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct sound;

/* 0 or -errno; the message names the path and what libsndfile finds wrong. */
int sound_open(struct sound **out, const char *path, struct error *error);
void sound_close(struct sound *s);

int sound_rate_hz(const struct sound *s);
int sound_channels(const struct sound *s);
int64_t sound_frames(const struct sound *s);

/* Reads at most frames frames [frames, channels]; 0 at the end, -EIO when the file is damaged. */
int64_t sound_read(struct sound *s, float *samples, size_t frames);

#endif
