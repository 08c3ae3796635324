/* Where the configuration comes from: a file, and over it the command line. Read at the start and
 * whenever somebody asks for it again. Main thread.
 */
#ifndef EARSHOT_DAEMON_SETTINGS_H
#define EARSHOT_DAEMON_SETTINGS_H

#include "daemon/config.h"

struct settings {
    const char *config;                 /* a file; NULL: the one that is there, if any */
    const char *source, *backend, *bus; /* of the command line, NULL: not said */
    const char *model;                  /* for places_model() */
};

/* 0, or -errno with a message that names file, line, key and value; c is then half overwritten. */
int settings_read(const struct settings *s, struct config *c, struct error *error);

#endif
