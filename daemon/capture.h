/* A microphone as a source: starts and kills the capture process, reads its packets. */
#ifndef EARSHOT_DAEMON_CAPTURE_H
#define EARSHOT_DAEMON_CAPTURE_H

#include "daemon/sources.h"

/* The option of earshotd that makes it the capture process, with what capture_process takes. */
#define CAPTURE_OPTION "--capture-process"

/* device: which one, as microphone.h has it. */
int capture_create(struct source **out, const char *device, const struct source_options *options,
                   struct error *error);

#endif
