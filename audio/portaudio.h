/* PortAudio's start. On its way it asks JACK's library, which locks a database in memory that all
 * of a user's programs share: who is killed meanwhile leaves it locked, and PortAudio starts in no
 * program any more.
 */
#ifndef EARSHOT_AUDIO_PORTAUDIO_H
#define EARSHOT_AUDIO_PORTAUDIO_H

#include "base/error.h"

enum {
    PORTAUDIO_START_MS = 10000, /* to wait at most; a tenth of a second is usual */
};

/* Until this returns 0, signals that can be blocked do not end a process of one thread. Starts no
 * JACK server. 0 or -errno. -ETIMEDOUT: it goes on, signals stay blocked, and a further call waits
 * on; the error names a database that is open meanwhile. Who ends before that may leave it locked.
 * One thread of a process. */
int portaudio_start(int wait_ms, struct error *error);

#endif
