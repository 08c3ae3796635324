/* Packets of a stream into samples: PCM as it is, Opus decoded to 16 kHz mono. What is missing
 * between two packets is made up where it is short. docs/streams.md has the packet's layout.
 * Single-threaded, without an operating system; allocates at create only.
 */
#ifndef EARSHOT_DAEMON_STREAM_DECODER_H
#define EARSHOT_DAEMON_STREAM_DECODER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_HEADER = 8,         /* bytes: the position */
    STREAM_PAYLOAD = 65536,    /* bytes at most */
    STREAM_CONCEALED_MS = 100, /* what is missing and no longer is made up */
};

enum stream_codec {
    STREAM_S16,
    STREAM_F32,
    STREAM_OPUS,
};

struct stream_format {
    enum stream_codec codec;
    uint32_t rate_hz;  /* 0: 16000, or 48000 for Opus */
    uint32_t channels; /* of PCM; Opus says it itself */
};

struct stream_format stream_format_default(void); /* s16, mono */
/* 0, or -EINVAL with a message that names what is out of its range. */
int stream_format_check(struct stream_format *f, struct error *error);

/* What a packet gave. */
struct stream_audio {
    const float *samples; /* [frames, channels], valid until the next packet */
    size_t frames;        /* 0: the packet was dropped */
    uint64_t gap;         /* frames missing before them */
    uint64_t concealed;   /* of the frames, made up: the first ones */
};

struct stream_decoder;

/* The format has been checked. 0 or -ENOMEM. */
int stream_decoder_create(struct stream_decoder **out, const struct stream_format *f);
void stream_decoder_destroy(struct stream_decoder *d);

int stream_decoder_rate_hz(const struct stream_decoder *d); /* of the samples */
int stream_decoder_channels(const struct stream_decoder *d);

/* packet: STREAM_HEADER bytes and a payload; any bytes at all are survived. */
void stream_decoder_push(struct stream_decoder *d, const void *packet, size_t size,
                         struct stream_audio *out);
/* The same, but for the samples, which are old ones: nothing is decoded. */
void stream_decoder_skip(struct stream_decoder *d, const void *packet, size_t size,
                         struct stream_audio *out);

#endif
