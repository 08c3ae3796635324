/* The keys of earshot.conf: where each value goes in struct config, and what it may be. One table:
 * reading, printing, comparing and the help all come from it.
 */
#ifndef EARSHOT_DAEMON_CONFIG_KEYS_H
#define EARSHOT_DAEMON_CONFIG_KEYS_H

#include "daemon/config.h"

#include <stddef.h>

enum config_type {
    CONFIG_TEXT,
    CONFIG_CHOICE,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_FLOAT,
    CONFIG_U32,
    CONFIG_U64, /* all of them */
};

struct config_key {
    const char *section, *name;
    enum config_type type;
    size_t offset;       /* in struct config */
    double min, max;     /* INT, FLOAT and U32 */
    const char *choices; /* CHOICE: words between spaces */
    const char *help;    /* lines */
    const char *restart; /* its full name, where a change waits for the next start */
    const char *path;    /* TEXT: what is behind this is a path; NULL: none */
    /* TEXT; NULL: all are right */
    int (*check)(const char *value, struct error *error);
};

/* A text of this key, checked, into field (of CONFIG_TEXT_MAX bytes); where a path begins with ~/,
 * it gets the home directory. 0 or -EINVAL. */
int config_set_text(const struct config_key *k, const char *value, char *field,
                    struct error *error);

extern const struct config_key config_keys[];
extern const size_t config_key_count; /* at most CONFIG_NAMES_MAX */

#endif
