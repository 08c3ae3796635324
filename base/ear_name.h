/* The names of ears, as the configuration, D-Bus paths and the commands have them. Any thread.
 */
#ifndef EARSHOT_BASE_EAR_NAME_H
#define EARSHOT_BASE_EAR_NAME_H

#include "base/error.h"

enum {
    EAR_NAME_MAX = 32, /* bytes with the NUL */
};

/* Of a to z, 0 to 9 and _ alone. 0, or -EINVAL with what a name is. */
int ear_name_check(const char *name, struct error *error);

#endif
