/* What the sound server, PulseAudio or PipeWire in its place, can capture from. */
#ifndef EARSHOT_CLI_SOUND_SERVER_H
#define EARSHOT_CLI_SOUND_SERVER_H

#include "base/error.h"

typedef void sound_server_source(void *user, const char *name, const char *description);

/* Calls each with the sources; description is for people. 0, or -errno with the reason: no server,
 * or one that does not answer within some seconds. */
int sound_server_list(sound_server_source *each, void *user, struct error *error);

#endif
