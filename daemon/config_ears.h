/* The section [ears] of earshot.conf, whose keys are the names of ears. */
#ifndef EARSHOT_DAEMON_CONFIG_EARS_H
#define EARSHOT_DAEMON_CONFIG_EARS_H

#include "daemon/config.h"

#define CONFIG_EARS "ears" /* the section */

/* A line of it. 0, or -EINVAL with a message. */
int config_ears_set(struct config *c, const char *name, const char *source, struct error *error);

/* The section with its lines, or with its help and none. */
void config_ears_print(const struct config *c, bool help, FILE *out);

#endif
