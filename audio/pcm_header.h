/* The headers of WAV (RIFF, RIFX, RF64), AIFF, AIFF-C and AU, up to the first sample. */
#ifndef EARSHOT_AUDIO_PCM_HEADER_H
#define EARSHOT_AUDIO_PCM_HEADER_H

#include "audio/input.h"

#include <stdint.h>

enum pcm_coding {
    PCM_NONE, /* something else, as ADPCM */
    PCM_U8,
    PCM_S8,
    PCM_S16,
    PCM_S24,
    PCM_S32,
    PCM_F32,
    PCM_F64,
    PCM_ALAW,
    PCM_ULAW,
};

#define PCM_UNKNOWN UINT64_MAX

struct pcm_header {
    enum pcm_coding coding;
    bool big_endian;
    bool chunks; /* they may follow the samples */
    uint32_t channels, rate_hz;
    uint64_t bytes; /* of samples; PCM_UNKNOWN: the header was never finished, or never knew */
};

/* Reads up to the first sample. 0; -ENOTSUP: no such header; -ENODATA: it is cut short; -errno. */
int pcm_header_read(struct pcm_header *h, struct input *in);

/* Bytes of a sample; 0 for PCM_NONE. */
size_t pcm_sample_size(enum pcm_coding coding);

#endif
