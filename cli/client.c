/* The client's commands: the list, their options and their help. */
#include "cli/client.h"

#include "cli/client_commands.h"
#include "cli/command.h"
#include "cli/offline.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

static const struct command {
    const char *name, *words, *help;
    int words_min, words_max;
    int (*run)(struct bus_client *c);
    const struct bus_client_option *options; /* NULL: none of its own */
    bool local;                              /* works without the daemon */
} commands[] = {
    {"captions", "", "show live captions", 0, 0, client_captions, client_captions_options},
    {"history", "", "show what was said", 0, 0, client_history, client_history_options},
    {"status", "", "show what the daemon is doing, its microphone and delays", 0, 0, client_status,
     client_status_options},
    {"ask", "TEXT...", "ask the assistant; prints its reply", 1, 10000, client_ask,
     client_ask_options},
    {"listen", "", "begin a turn now (push to talk); prints its id", 0, 0, client_listen,
     client_listen_options},
    {"finish", "", "end the turn", 0, 0, client_finish},
    {"cancel", "", "drop the turn, and any reply", 0, 0, client_cancel},
    {"mute", "", "close the microphone", 0, 0, client_mute},
    {"unmute", "", "open it again", 0, 0, client_unmute},
    {"reset", "", "forget the conversation", 0, 0, client_reset},
    {"save", "NAME", "save the conversation under a name", 1, 1, client_save},
    {"restore", "NAME", "continue a saved conversation", 1, 1, client_restore},
    {"states", "", "list the saved conversations", 0, 0, client_states, client_states_options},
    {"run", "", "run programs when their sentences are said", 0, 0, client_run, client_run_options},
    {"type", "", "type what is said into the window that has the focus", 0, 0, client_type,
     client_type_options},
    {"keys", "", "give keys to talk, mute and show captions, whatever has the focus", 0, 0,
     client_keys, client_keys_options},
    {"overlay", "", "show captions in a window above all others", 0, 0, client_overlay,
     client_overlay_options},
    {"notify", "", "show replies as desktop notifications", 0, 0, client_notify},
    {"speak", "", "say replies aloud", 0, 0, client_speak, client_speak_options},
    {"ears", "", "list, add and remove ears beside the microphone's", 0, 0, client_ears,
     client_ears_options},
    {"reload", "", "read the configuration again", 0, 0, client_reload},
    {"devices", "", "list the microphones", 0, 0, client_devices, client_devices_options,
     .local = true},
    {"record", "FILE.opus", "record a microphone into a file", 1, 1, client_record,
     client_record_options, .local = true},
};

void client_usage(FILE *out, bool local)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].local == local)
            fprintf(out, "  earshot %-11s %-14s %s\n", commands[i].name, commands[i].words,
                    commands[i].help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static size_t count_options(const struct command *command)
{
    size_t count = 0;
    while (command->options && command->options[count].name)
        count++;
    return count;
}

static void usage(const struct command *command, FILE *out)
{
    fprintf(out, "Usage: earshot %s [OPTION]...%s%s\n", command->name, *command->words ? " " : "",
            command->words);
}

static void print_option(const char *name, const char *value, const char *help)
{
    char left[48];
    snprintf(left, sizeof left, "--%s%s%s", name, value ? " " : "", value ? value : "");
    printf("  %-22s %s\n", left, help);
}

static int help(const struct command *command)
{
    usage(command, stdout);
    printf("%c%s.\n\n", toupper((unsigned char)command->help[0]), command->help + 1);
    for (size_t i = 0; i < count_options(command); i++)
        print_option(command->options[i].name, command->options[i].value, command->options[i].help);
    if (!command->local)
        print_option("ear", "NAME", "an ear beside the microphone's, as earshot ears lists them");
    if (!command->local)
        print_option("bus", "BUS", "the D-Bus to use: session (default), system or an address");
    print_option("help", NULL, "show this help");
    return EXIT_DONE;
}

enum {
    OPTION_FIRST = 256, /* what getopt_long returns for a command's first option */
};

/* longs: [BUS_CLIENT_OPTIONS_MAX + 4] */
static void list_options(const struct command *command, struct option *longs)
{
    for (size_t i = 0; i < count_options(command); i++) {
        const struct bus_client_option *o = &command->options[i];
        *longs++ = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                   OPTION_FIRST + (int)i};
    }
    if (!command->local) {
        *longs++ = (struct option){"ear", required_argument, NULL, 'e'};
        *longs++ = (struct option){"bus", required_argument, NULL, 'b'};
    }
    *longs++ = (struct option){"help", no_argument, NULL, 'h'};
    *longs = (struct option){NULL, 0, NULL, 0};
}

int client_command(int argc, char **argv)
{
    struct option longs[BUS_CLIENT_OPTIONS_MAX + 4];
    const struct command *command = find_command(argv[0]);
    if (!command) {
        error_print("earshot: no command \"%s\"; see earshot --help", argv[0]);
        return EXIT_USAGE;
    }
    struct bus_client c = {.command = command->name, .bus = "session"};
    list_options(command, longs);
    argv[0] = command_title(command->name);
    for (int option; (option = getopt_long(argc, argv, "+h", longs, NULL)) != -1;) {
        if (option == 'h')
            return help(command);
        if (option == 'b')
            c.bus = optarg;
        else if (option == 'e' && !bus_client_choose(&c, optarg))
            return EXIT_USAGE;
        else if (option == 'e')
            continue;
        else if (option >= OPTION_FIRST)
            c.given[option - OPTION_FIRST] = optarg ? optarg : "";
        else {
            usage(command, stderr);
            return EXIT_USAGE;
        }
    }
    c.words = argv + optind;
    c.word_count = argc - optind;
    if (c.word_count > command->words_max)
        error_print("earshot %s: unexpected argument \"%s\"", command->name,
                    c.words[command->words_max]);
    if (c.word_count < command->words_min || c.word_count > command->words_max) {
        usage(command, stderr);
        return EXIT_USAGE;
    }
    int status = command->run(&c);
    bus_client_finish(&c);
    return status;
}
