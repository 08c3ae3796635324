/* Sound files and streams as interleaved floats in [-1, 1], of any rate and sample format, from
 * files and from pipes: WAV, AIFF, AU, FLAC, MP3, Ogg (Opus, Vorbis, FLAC), what else libsndfile
 * reads, and what FFmpeg reads where its program is installed. From a pipe WAV, AIFF, AU, FLAC,
 * MP3 and Ogg are heard as they come; all else when it has ended. One thread at a time.
 */
#ifndef EARSHOT_AUDIO_SOUND_H
#define EARSHOT_AUDIO_SOUND_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sound;

/* path: "-" is standard input. 0 or -errno; the message names the path and what is wrong. */
int sound_open(struct sound **out, const char *path, struct error *error);
/* The same; when stop_fd becomes readable, a pipe is taken to have ended there. */
int sound_open_until(struct sound **out, const char *path, int stop_fd, struct error *error);
void sound_close(struct sound *s);

/* Of what sound_read gives next. */
int sound_rate_hz(const struct sound *s);
int sound_channels(const struct sound *s);

/* More may come later, as from a pipe or a terminal. */
bool sound_is_live(const struct sound *s);

/* Reads at most frames frames [frames, channels]: as many from a file, as are there from a pipe, at
 * least one. 0 at the end; -EAGAIN: what comes next has another rate or number of channels; -EIO at
 * the end of what could be read, where that is not all: sound_why. */
int64_t sound_read(struct sound *s, float *samples, size_t frames);

/* Why a file was not read to its end, or not as it was written. */
const char *sound_why(const struct sound *s);

#endif
