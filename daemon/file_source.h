/* A sound file as a source (audio/mono.h), at its own speed or as fast as it is read. */
#ifndef EARSHOT_DAEMON_FILE_SOURCE_H
#define EARSHOT_DAEMON_FILE_SOURCE_H

#include "daemon/sources.h"

/* "PATH" or "PATH:fast". The file is opened here, so that a bad one is known at once. */
int file_source_create(struct source **out, const char *spec, struct error *error);

#endif
