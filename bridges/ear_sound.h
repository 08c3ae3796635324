/* What an ear hears: 16 kHz, mono, in packets of 20 ms, from a microphone or from standard input.
 * One thread, which waits.
 */
#ifndef EARSHOT_BRIDGES_EAR_SOUND_H
#define EARSHOT_BRIDGES_EAR_SOUND_H

#include "base/error.h"

#include <stdint.h>

enum {
    EAR_RATE_HZ = 16000,
    EAR_PACKET = 320, /* samples */
};

struct ear_sound;

/* device: as microphone.h has it; "-": standard input, signed 16-bit samples of this machine's byte
 * order. 0, or -errno with a message; a microphone that did not open leaves only the end of the
 * process. */
int ear_sound_open(struct ear_sound **out, const char *device, struct error *error);
void ear_sound_close(struct ear_sound *s);
const char *ear_sound_name(const struct ear_sound *s);

/* The next packet, when it is its time: 1; 0: standard input has ended, or a signal came; -errno
 * with a message: the microphone is dead. */
int ear_sound_read(struct ear_sound *s, int16_t packet[EAR_PACKET], struct error *error);

#endif
