/* The commands that talk to the daemon, and the list of capture devices. */
#ifndef EARSHOT_CLI_CLIENT_H
#define EARSHOT_CLI_CLIENT_H

#include <stdbool.h>
#include <stdio.h>

/* argv[0] is the command's name. Returns an exit code: 0 done, 1 failed, 2 usage. */
int client_command(int argc, char **argv);

/* A line for each command that works without the daemon, or for each of the others. */
void client_usage(FILE *out, bool local);

#endif
