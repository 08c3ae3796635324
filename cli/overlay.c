/* earshot overlay: the caption window is a program of its own, in a package of its own, so that a
 * server needs no GTK. It takes this process's place. */
#include "cli/beside.h"
#include "cli/client_commands.h"
#include "cli/offline.h"

#include <stdio.h>
#include <string.h>

#define PROGRAM "earshot-overlay"

const struct bus_client_option client_overlay_options[] = {
    {"way", "WAY", "how it stays on top; without it the first that works"},
    {"how", NULL, "show the ways, which one is taken, and why others are not"},
    {"toggle", NULL, "end the one that is shown, if there is one"},
    {NULL},
};

enum {
    OPTION_WAY, /* in the order above */
    OPTION_HOW,
    OPTION_TOGGLE,
    ARGUMENTS_MAX = 8,
};

int client_overlay(struct bus_client *c)
{
    char *arguments[ARGUMENTS_MAX] = {PROGRAM, "--bus", (char *)c->bus};
    size_t count = 3;
    if (c->given[OPTION_HOW])
        arguments[count++] = "--how";
    if (c->given[OPTION_TOGGLE])
        arguments[count++] = "--toggle";
    if (c->given[OPTION_WAY]) {
        arguments[count++] = "--way";
        arguments[count++] = (char *)c->given[OPTION_WAY];
    }
    int rc = beside_become(PROGRAM, arguments);
    error_print("earshot %s: " PROGRAM ": %s; it comes with the package earshot-desktop",
                c->command, strerror(-rc));
    return EXIT_FAILED;
}
