/* One open capture device, through PortAudio. For the capture process alone: PortAudio may hang
 * whenever the sound server dies, and then only the end of the process helps.
 */
#ifndef EARSHOT_AUDIO_MICROPHONE_H
#define EARSHOT_AUDIO_MICROPHONE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MICROPHONE_NAME_MAX = 256,
};

struct microphone;

struct microphone_choice {
    /* The name of one of PortAudio's devices; or of a source of the sound server, or what people
     * call that. Empty: pipewire, pulse or default, else what PortAudio takes for its default, else
     * the first that opens. "default": that of the sound server, where there is one. */
    const char *device;
    const char *known_as; /* what people called it before; empty: not known */
    bool fallback;        /* while it is not there: as if device were empty */
    int buffer_ms;        /* of audio that can wait to be read */
};

/* Opens and starts, once portaudio_start has been 0. 0 or -errno. There is no way back but the end
 * of the process. */
int microphone_open(struct microphone **out, const struct microphone_choice *choice,
                    struct error *error);

int microphone_rate_hz(const struct microphone *m);
int microphone_channels(const struct microphone *m); /* 1 or 2 */
const char *microphone_name(const struct microphone *m);
/* What people call the source of a sound server that was chosen; empty: none was. */
const char *microphone_known_as(const struct microphone *m);

/* Up to frames interleaved frames: their count, 0 (none yet), or -EIO when the device is dead. */
long microphone_read(struct microphone *m, float *samples, size_t frames);

/* Frames lost since the last call. What the device dropped itself is not counted by PortAudio: a
 * tenth of a second is assumed each time. */
uint64_t microphone_lost(struct microphone *m);

#endif
