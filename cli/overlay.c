/* earshot overlay: the caption window is a program of its own, in a package of its own, so that a
 * server needs no GTK. It takes this process's place. */
#include "cli/client_commands.h"
#include "cli/offline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* The program beside this one, if it is there. */
static void start_beside(char **arguments)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof PROGRAM);
    if (size <= 0)
        return;
    path[size] = '\0';
    char *folder_end = strrchr(path, '/');
    strcpy(folder_end + 1, PROGRAM);
    execv(path, arguments);
}

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
    start_beside(arguments);
    execvp(PROGRAM, arguments);
    error_print("earshot %s: " PROGRAM ": %s; it comes with the package earshot-desktop",
                c->command, strerror(errno));
    return EXIT_FAILED;
}
