/* A microphone as a source (PortAudio). PortAudio fixes its list of devices when it is initialised,
 * so every start initialises it and every stop terminates it. Front-end thread but for create.
 */
#ifndef EARSHOT_DAEMON_CAPTURE_H
#define EARSHOT_DAEMON_CAPTURE_H

#include "daemon/sources.h"

/* device: its exact name; empty: pipewire, pulse or default, else what PortAudio takes for its
 * default, else the first that opens. */
int capture_create(struct source **out, const char *device, int buffer_ms, struct error *error);

#endif
