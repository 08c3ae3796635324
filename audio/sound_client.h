/* What a sound server is told of this process, which opens one of PortAudio's devices: the server's
 * ALSA plug-ins, which those devices are, read it from the environment. Before any thread.
 */
#ifndef EARSHOT_AUDIO_SOUND_CLIENT_H
#define EARSHOT_AUDIO_SOUND_CLIENT_H

#include "audio/sound_sources.h"

#include <sys/types.h>

#define SOUND_CLIENT_NAME "Earshot"
#define SOUND_CLIENT_ID "org.earshot.Earshot1"
#define SOUND_CLIENT_ICON "org.earshot.Earshot"
#define SOUND_CLIENT_DAEMON "earshot.daemon" /* the process that what is captured is for */

/* Mixers show Earshot, and its icon, for what the process captures. daemon: 0: none. */
void sound_client_introduce(pid_t daemon);

/* PortAudio's devices of a sound server capture from this source; NULL: from its default. */
void sound_client_choose(const struct sound_source *source);

#endif
