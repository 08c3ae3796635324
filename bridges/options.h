/* A bridge's options: a table of them, read from a file's section and from the command line, which
 * wins. One thread.
 */
#ifndef EARSHOT_BRIDGES_OPTIONS_H
#define EARSHOT_BRIDGES_OPTIONS_H

#include "base/error.h"

struct bridge_option {
    const char *name;  /* without the dashes, and the key in the file; NULL ends a table */
    const char *value; /* what help calls its value */
    const char *help;
    /* 0 or -errno with a message. A list is set once for each of its words. */
    int (*set)(void *settings, const char *value, struct error *error);
    int is_list; /* words with spaces between them; the option may be given several times */
};

struct bridge_program {
    const char *name;                    /* "earshot-wyoming" */
    const char *section;                 /* of SECTION.conf, too */
    const char *summary;                 /* a line for --help */
    const struct bridge_option *options; /* without config, help and version, which all have */
};

/* Reads --config FILE, else $XDG_CONFIG_HOME/earshot/SECTION.conf, else
 * /etc/earshot/SECTION.conf, if it is there, then argv. -1: go on; else what main() returns, and
 * all is said. */
int options_read(const struct bridge_program *p, int argc, char **argv, void *settings);

/* A whole number from least to most. 0 or -EINVAL with a message that names the option. */
int options_number(const char *name, const char *value, unsigned least, unsigned most,
                   unsigned *out, struct error *error);

#endif
