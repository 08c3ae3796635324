/* A microphone as a source: starts and kills the capture process, reads its packets. */
#ifndef EARSHOT_DAEMON_CAPTURE_H
#define EARSHOT_DAEMON_CAPTURE_H

#include "daemon/sources.h"

/* The option of earshotd that makes it the capture process: --capture-process DEVICE BUFFER_MS. */
#define CAPTURE_OPTION "--capture-process"

/* device: its exact name, or empty, as microphone_open has it. */
int capture_create(struct source **out, const char *device, int buffer_ms, struct error *error);

#endif
