/* What a format implements, for audio/sound alone. */
#ifndef EARSHOT_AUDIO_DECODER_H
#define EARSHOT_AUDIO_DECODER_H

#include "audio/input.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct decoder;

struct decoder_ops {
    /* samples [frames, channels]; the frames that there are, 0 at the end, or -EAGAIN: rate_hz or
     * channels changed. What is wrong with the file is blamed, and reading goes on behind it. */
    int64_t (*read)(struct decoder *d, float *samples, size_t frames);
    void (*destroy)(struct decoder *d);
};

/* The first member of a format's own struct. */
struct decoder {
    const struct decoder_ops *ops;
    int rate_hz, channels;
    struct error why; /* the first thing that is wrong with the file; empty: nothing */
};

/* Each reads the input from its begin. 0; -ENOTSUP: the format is right, but holds what this one
 * does not decode; or -errno; with a message without the path. The input outlives the decoder. */
int pcm_create(struct decoder **out, struct input *in, struct error *error); /* WAV, AIFF, AU */
int flac_create(struct decoder **out, struct input *in, struct error *error);
int mp3_create(struct decoder **out, struct input *in, struct error *error);
int ogg_create(struct decoder **out, struct input *in, struct error *error);
int sndfile_create(struct decoder **out, struct input *in, struct error *error);
int ffmpeg_create(struct decoder **out, struct input *in, struct error *error);

__attribute__((format(printf, 2, 3))) void decoder_blame(struct decoder *d, const char *format,
                                                         ...);

enum { DECODER_CHANNELS_MAX = 64 };

/* Samples that were decoded and wait to be read. */
struct pending {
    float *samples; /* [capacity], owned */
    size_t capacity, begin, end;
};

/* Room for count samples behind those that wait; NULL: no memory. */
float *pending_room(struct pending *p, size_t count);
/* Moves what waits to samples; the frames. */
int64_t pending_take(struct pending *p, float *samples, size_t frames, int channels);

#endif
