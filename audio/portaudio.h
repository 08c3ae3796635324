/* PortAudio's start. On its way it asks JACK's library, which locks a database in memory that all
 * of a user's programs share: who is killed meanwhile leaves it locked, and PortAudio starts in no
 * program any more.
 */
#ifndef EARSHOT_AUDIO_PORTAUDIO_H
#define EARSHOT_AUDIO_PORTAUDIO_H

#include "base/error.h"

enum {
    PORTAUDIO_START_MS = 4000, /* a tenth of a second is usual */
};

/* Until this returns no signal that can be blocked ends the calling thread. Starts no JACK server.
 * 0 or -errno. -ETIMEDOUT: it goes on, and a further call waits for it; the error says who has the
 * database. One thread of a process. */
int portaudio_start(int wait_ms, struct error *error);

#endif
