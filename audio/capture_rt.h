/* The audio thread's part of capture, alone in its file so that a test can list what it calls:
 * arithmetic, the ring and relaxed counters, nothing else.
 */
#ifndef EARSHOT_AUDIO_CAPTURE_RT_H
#define EARSHOT_AUDIO_CAPTURE_RT_H

#include "base/ring.h"

#include <portaudio.h>
#include <stdatomic.h>
#include <stdint.h>

struct capture_rt {
    struct ring *ring; /* interleaved samples; whole frames only */
    size_t channels;
    atomic_uint_fast64_t frames;    /* delivered by the device; writer: the callback */
    atomic_uint_fast64_t lost;      /* of them not in the ring; writer: the callback */
    atomic_uint_fast64_t overflows; /* times the device itself dropped some; writer: the callback */
};

/* A PaStreamCallback; user is a struct capture_rt. RT safe. */
int capture_rt_callback(const void *input, void *output, unsigned long frames,
                        const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags,
                        void *user);

#endif
