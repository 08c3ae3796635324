/* earshot: the client of the daemon, and the offline tools. */
#include "base/core_dump.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/offline.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"transcribe", command_transcribe,
     "FILE...        print the words in sound files, one line per file"},
    {"dump", command_dump, "--stage S ...  write what one stage computes, as .npy"},
    {"model", command_model, "info|list|...  show, list, fetch and use models"},
    {"bench", command_bench, "[FILE]         measure how fast this machine runs the model"},
};

static void usage(FILE *to)
{
    fprintf(to, "earshot " EARSHOT_VERSION ": local speech to text\n\n"
                "Without the daemon (COMMAND --help shows the options):\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(to, "  earshot %-11s %s\n", commands[i].name, commands[i].help);
    client_usage(to, true);
    fprintf(to, "\nWith the daemon, earshotd, over D-Bus:\n");
    client_usage(to, false);
}

/* What getopt begins its errors with. */
char *command_title(const char *name)
{
    static char title[64];
    snprintf(title, sizeof title, "earshot %s", name);
    return title;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "-h") || !strcmp(name, "--help") || !strcmp(name, "help")) {
        usage(stdout);
        return EXIT_DONE;
    }
    if (!strcmp(name, "--version")) {
        puts("earshot " EARSHOT_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        argv[1] = command_title(name);
        return commands[i].run(argc - 1, argv + 1);
    }
    return client_command(argc - 1, argv + 1);
}

/* Whatever a command printed, it is done only if that has arrived. */
int main(int argc, char **argv)
{
    core_dump_forbid();
    const char *command = argc > 1 ? argv[1] : "";
    int code = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "earshot %s: the output cannot be written\n", command);
    return code ? code : EXIT_FAILED;
}
