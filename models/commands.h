/* The commands of earshot model. Each gets its own arguments (argv[0] is the command) and returns
 * an exit code: 0 done, 1 something failed, which is said on stderr, 2 usage.
 */
#ifndef EARSHOT_MODELS_COMMANDS_H
#define EARSHOT_MODELS_COMMANDS_H

#include "base/error.h"

#include <limits.h>

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

int command_list(int argc, char **argv);
int command_get(int argc, char **argv);
int command_use(int argc, char **argv);
int command_remove(int argc, char **argv);
int command_convert(int argc, char **argv);

/* Prints "earshot model: message" on stderr and returns EXIT_FAILED. */
int command_fail(const struct error *error);

/* The path of the model that earshotd takes by itself, or by its configuration; "": it has none. 0
 * or -errno. */
int command_current(char path[PATH_MAX], struct error *error);

#endif
