/* The daemon's client: one call and an answer, or the signals of `captions`. */
#include "cli/client.h"

#include "cli/offline.h"

#include <dbus/dbus.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <portaudio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BUS_NAME "org.earshot.Earshot1"
#define OBJECT "/org/earshot/Earshot1"
#define INTERFACE "org.earshot.Earshot1.Assistant"

/* Of `earshot ask`: the options of the method, with their D-Bus types. */
static const struct ask_option {
    const char *name, *key;
    int type;
    const char *signature;
} ask_options[] = {
    {"temperature", "temperature", DBUS_TYPE_DOUBLE, "d"},
    {"top-p", "top_p", DBUS_TYPE_DOUBLE, "d"},
    {"top-k", "top_k", DBUS_TYPE_UINT32, "u"},
    {"presence-penalty", "presence_penalty", DBUS_TYPE_DOUBLE, "d"},
    {"frequency-penalty", "frequency_penalty", DBUS_TYPE_DOUBLE, "d"},
    {"penalty-decay", "penalty_decay", DBUS_TYPE_DOUBLE, "d"},
    {"seed", "seed", DBUS_TYPE_UINT64, "t"},
    {"max-tokens", "max_tokens", DBUS_TYPE_UINT32, "u"},
};

enum {
    ANSWER_MS = 10 * 60 * 1000, /* a reply may take its time */
    ASK_OPTIONS = sizeof ask_options / sizeof *ask_options,
    ASK_OPTION_FIRST = 256, /* what getopt_long returns for ask_options[0] */
};

struct client {
    DBusConnection *connection;
    const char *command;
    char **words; /* what follows the options, ends with NULL */
    int word_count;
    DBusBasicValue ask_values[ASK_OPTIONS];
    bool ask_given[ASK_OPTIONS];
};

/* Says why on stderr; EXIT_FAILED. */
static int fail(const struct client *c, DBusError *e)
{
    if (dbus_error_has_name(e, DBUS_ERROR_SERVICE_UNKNOWN) ||
        dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER))
        fprintf(stderr, "earshot %s: the daemon does not run; start earshotd\n", c->command);
    else
        fprintf(stderr, "earshot %s: %s\n", c->command, e->message);
    dbus_error_free(e);
    return EXIT_FAILED;
}

static DBusMessage *new_call(const char *interface, const char *member, DBusMessageIter *args)
{
    DBusMessage *m = dbus_message_new_method_call(BUS_NAME, OBJECT, interface, member);
    dbus_message_iter_init_append(m, args);
    return m;
}

/* Sends and releases the call; NULL with the error. */
static DBusMessage *answer(struct client *c, DBusMessage *call, DBusError *e)
{
    DBusMessage *reply =
        dbus_connection_send_with_reply_and_block(c->connection, call, ANSWER_MS, e);
    dbus_message_unref(call);
    return reply;
}

static void append_string(DBusMessageIter *args, const char *text)
{
    dbus_message_iter_append_basic(args, DBUS_TYPE_STRING, &text);
}

static void append_no_options(DBusMessageIter *args)
{
    DBusMessageIter empty;
    dbus_message_iter_open_container(args, DBUS_TYPE_ARRAY, "{sv}", &empty);
    dbus_message_iter_close_container(args, &empty);
}

static void append_ask_options(DBusMessageIter *args, const struct client *c)
{
    DBusMessageIter array, entry, variant;
    dbus_message_iter_open_container(args, DBUS_TYPE_ARRAY, "{sv}", &array);
    for (size_t i = 0; i < ASK_OPTIONS; i++) {
        const struct ask_option *o = &ask_options[i];
        if (!c->ask_given[i])
            continue;
        dbus_message_iter_open_container(&array, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
        append_string(&entry, o->key);
        dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, o->signature, &variant);
        dbus_message_iter_append_basic(&variant, o->type, &c->ask_values[i]);
        dbus_message_iter_close_container(&entry, &variant);
        dbus_message_iter_close_container(&array, &entry);
    }
    dbus_message_iter_close_container(args, &array);
}

/* A call without arguments and without an answer worth printing. */
static int call_simple(struct client *c, const char *member)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *reply = answer(c, new_call(INTERFACE, member, &args), &e);
    if (!reply)
        return fail(c, &e);
    dbus_message_unref(reply);
    return EXIT_DONE;
}

static int run_finish(struct client *c)
{
    return call_simple(c, "Finish");
}

static int run_cancel(struct client *c)
{
    return call_simple(c, "Cancel");
}

static int run_reset(struct client *c)
{
    return call_simple(c, "Reset");
}

static int run_listen(struct client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *call = new_call(INTERFACE, "Listen", &args);
    append_no_options(&args);
    DBusMessage *reply = answer(c, call, &e);
    dbus_uint64_t id;
    if (!reply || !dbus_message_get_args(reply, &e, DBUS_TYPE_UINT64, &id, DBUS_TYPE_INVALID))
        return fail(c, &e);
    printf("%llu\n", (unsigned long long)id);
    dbus_message_unref(reply);
    return EXIT_DONE;
}

/* Text of others goes to a terminal: control characters become spaces. */
static void print_text(const char *text, FILE *out)
{
    for (const char *p = text; *p; p++)
        fputc((unsigned char)*p < 0x20 || *p == 0x7F ? ' ' : *p, out);
}

/* The words of the command line, joined by spaces; free it. */
static char *join_words(const struct client *c)
{
    size_t size = 1;
    for (int i = 0; i < c->word_count; i++)
        size += strlen(c->words[i]) + 1;
    char *text = calloc(1, size);
    for (int i = 0; text && i < c->word_count; i++) {
        if (i)
            strcat(text, " ");
        strcat(text, c->words[i]);
    }
    return text;
}

static int run_ask(struct client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    char *text = join_words(c);
    if (!text || !dbus_validate_utf8(text, &e)) {
        free(text);
        dbus_error_free(&e);
        fprintf(stderr, "earshot ask: the text is not UTF-8\n");
        return EXIT_FAILED;
    }
    DBusMessage *call = new_call(INTERFACE, "Ask", &args);
    append_string(&args, text);
    append_ask_options(&args, c);
    free(text);
    DBusMessage *reply = answer(c, call, &e);
    if (!reply)
        return fail(c, &e);
    const char *words = "";
    if (dbus_message_iter_init(reply, &args) &&
        dbus_message_iter_get_arg_type(&args) == DBUS_TYPE_STRING)
        dbus_message_iter_get_basic(&args, &words);
    print_text(words, stdout);
    putchar('\n');
    dbus_message_unref(reply);
    return EXIT_DONE;
}

static int set_muted(struct client *c, dbus_bool_t muted)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args, variant;
    DBusMessage *call = new_call(DBUS_INTERFACE_PROPERTIES, "Set", &args);
    append_string(&args, INTERFACE);
    append_string(&args, "Muted");
    dbus_message_iter_open_container(&args, DBUS_TYPE_VARIANT, "b", &variant);
    dbus_message_iter_append_basic(&variant, DBUS_TYPE_BOOLEAN, &muted);
    dbus_message_iter_close_container(&args, &variant);
    DBusMessage *reply = answer(c, call, &e);
    if (!reply)
        return fail(c, &e);
    dbus_message_unref(reply);
    return EXIT_DONE;
}

static int run_mute(struct client *c)
{
    return set_muted(c, TRUE);
}

static int run_unmute(struct client *c)
{
    return set_muted(c, FALSE);
}

static const char *state_name(dbus_uint32_t state)
{
    static const char *const names[] = {
        "unknown", "loading", "idle", "hearing", "thinking", "muted", "failed: no capture device"};
    return state < sizeof names / sizeof *names ? names[state] : names[0];
}

static void print_property(const char *name, DBusMessageIter *variant)
{
    DBusBasicValue value;
    int type = dbus_message_iter_get_arg_type(variant);
    if (type != DBUS_TYPE_STRING && type != DBUS_TYPE_UINT32 && type != DBUS_TYPE_BOOLEAN)
        return;
    dbus_message_iter_get_basic(variant, &value);
    printf("%-8s ", name);
    if (type == DBUS_TYPE_BOOLEAN)
        fputs(value.bool_val ? "yes" : "no", stdout);
    else if (type == DBUS_TYPE_UINT32)
        fputs(state_name(value.u32), stdout);
    else
        print_text(value.str, stdout);
    putchar('\n');
}

static int run_status(struct client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args, array;
    DBusMessage *call = new_call(DBUS_INTERFACE_PROPERTIES, "GetAll", &args);
    append_string(&args, INTERFACE);
    DBusMessage *reply = answer(c, call, &e);
    if (!reply)
        return fail(c, &e);
    if (!dbus_message_has_signature(reply, "a{sv}")) {
        dbus_message_unref(reply);
        dbus_set_error(&e, DBUS_ERROR_FAILED, "a strange answer");
        return fail(c, &e);
    }
    dbus_message_iter_init(reply, &args);
    for (dbus_message_iter_recurse(&args, &array);
         dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&array)) {
        DBusMessageIter entry, variant;
        const char *name;
        dbus_message_iter_recurse(&array, &entry);
        dbus_message_iter_get_basic(&entry, &name);
        dbus_message_iter_next(&entry);
        dbus_message_iter_recurse(&entry, &variant);
        print_property(name, &variant);
    }
    dbus_message_unref(reply);
    return EXIT_DONE;
}

static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10 ? size.ws_col : 80;
}

/* The end of the text that fits into a line. */
static const char *tail(const char *text, size_t columns)
{
    size_t characters = 0;
    for (const char *p = text; *p; p++)
        characters += (*p & 0xC0) != 0x80;
    while (characters >= columns) {
        text++;
        while ((*text & 0xC0) == 0x80)
            text++;
        characters--;
    }
    return text;
}

/* The text of a signal whose arguments end, details apart, with it. */
static const char *signal_text(DBusMessage *m)
{
    DBusMessageIter args;
    const char *text = "";
    if (!dbus_message_iter_init(m, &args))
        return text;
    do {
        if (dbus_message_iter_get_arg_type(&args) == DBUS_TYPE_STRING)
            dbus_message_iter_get_basic(&args, &text);
    } while (dbus_message_iter_next(&args));
    return text;
}

static void show(DBusMessage *m, bool terminal)
{
    bool reply = dbus_message_is_signal(m, INTERFACE, "ReplyCompleted") ||
                 dbus_message_is_signal(m, INTERFACE, "ReplyUpdated");
    bool final = dbus_message_is_signal(m, INTERFACE, "UtteranceCompleted") ||
                 dbus_message_is_signal(m, INTERFACE, "ReplyCompleted");
    bool partial = dbus_message_is_signal(m, INTERFACE, "UtteranceUpdated") ||
                   dbus_message_is_signal(m, INTERFACE, "ReplyUpdated");
    if (!final && !(partial && terminal))
        return;
    const char *text = signal_text(m);
    if (terminal)
        fputs("\r\033[K", stdout);
    if (*text && reply)
        fputs("> ", stdout);
    print_text(final ? text : tail(text, terminal_columns() - 2), stdout);
    if (final && *text)
        putchar('\n');
    fflush(stdout);
}

/* False: the daemon or the bus is gone. */
static bool take_signals(struct client *c, bool terminal)
{
    bool there = true;
    for (DBusMessage *m; (m = dbus_connection_pop_message(c->connection));) {
        const char *name, *old, *new;
        if (dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameOwnerChanged") &&
            dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &old,
                                  DBUS_TYPE_STRING, &new, DBUS_TYPE_INVALID))
            there = there && *new;
        show(m, terminal);
        dbus_message_unref(m);
    }
    return there;
}

static int run_captions(struct client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    dbus_bus_add_match(c->connection,
                       "type='signal',sender='" BUS_NAME "',interface='" INTERFACE "'", &e);
    if (!dbus_error_is_set(&e))
        dbus_bus_add_match(c->connection,
                           "type='signal',sender='org.freedesktop.DBus',"
                           "member='NameOwnerChanged',arg0='" BUS_NAME "'",
                           &e);
    DBusMessage *reply = NULL;
    if (!dbus_error_is_set(&e))
        reply = answer(c, new_call(DBUS_INTERFACE_PEER, "Ping", &args), &e);
    if (!reply)
        return fail(c, &e);
    dbus_message_unref(reply);

    bool terminal = isatty(STDOUT_FILENO);
    take_signals(c, terminal); /* the name may just have appeared */
    while (dbus_connection_read_write(c->connection, -1))
        if (!take_signals(c, terminal))
            break;
    fprintf(stderr, "%searshot captions: the daemon is gone\n", terminal ? "\n" : "");
    return EXIT_FAILED;
}

/* ALSA and JACK complain on stderr about each device that is not there. */
static PaError initialise_quietly(void)
{
    int saved = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (saved >= 0 && nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    PaError rc = Pa_Initialize();
    if (saved >= 0 && nowhere >= 0)
        dup2(saved, STDERR_FILENO);
    close(saved);
    close(nowhere);
    return rc;
}

static int run_devices(struct client *c)
{
    PaError rc = initialise_quietly();
    if (rc != paNoError) {
        fprintf(stderr, "earshot %s: %s\n", c->command, Pa_GetErrorText(rc));
        return EXIT_FAILED;
    }
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
        const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
        if (info->maxInputChannels > 0)
            printf("%s\n", info->name);
    }
    Pa_Terminate();
    return EXIT_DONE;
}

static const struct command {
    const char *name, *words, *help;
    int words_min, words_max;
    int (*run)(struct client *c);
    bool local; /* works without the daemon */
} commands[] = {
    {"captions", "", "what is being said, live", 0, 0, run_captions, false},
    {"status", "", "what the daemon does, and with what", 0, 0, run_status, false},
    {"ask", "TEXT...", "the assistant's reply to a text; -h tells its options", 1, 10000, run_ask,
     false},
    {"listen", "", "begin a turn now; prints its id", 0, 0, run_listen, false},
    {"finish", "", "end the turn", 0, 0, run_finish, false},
    {"cancel", "", "drop the turn and any reply", 0, 0, run_cancel, false},
    {"mute", "", "close the microphone", 0, 0, run_mute, false},
    {"unmute", "", "open it again", 0, 0, run_unmute, false},
    {"reset", "", "forget the conversation", 0, 0, run_reset, false},
    {"devices", "", "the microphones that there are", 0, 0, run_devices, true},
};

void client_usage(FILE *out)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  earshot %-11s %-14s %s\n", commands[i].name, commands[i].words,
                commands[i].help);
    fputs("  each with --bus session, system or an address\n", out);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static DBusConnection *connect_bus(const char *where, DBusError *e)
{
    DBusConnection *connection;
    if (strcmp(where, "session") == 0)
        return dbus_bus_get_private(DBUS_BUS_SESSION, e);
    if (strcmp(where, "system") == 0)
        return dbus_bus_get_private(DBUS_BUS_SYSTEM, e);
    connection = dbus_connection_open_private(where, e);
    if (!connection || dbus_bus_register(connection, e))
        return connection;
    dbus_connection_close(connection);
    dbus_connection_unref(connection);
    return NULL;
}

static int run(const struct command *command, struct client *c, const char *bus)
{
    DBusError e = DBUS_ERROR_INIT;
    if (command->local)
        return command->run(c);
    c->connection = connect_bus(bus, &e);
    if (!c->connection)
        return fail(c, &e);
    dbus_connection_set_exit_on_disconnect(c->connection, FALSE);
    int status = command->run(c);
    dbus_connection_close(c->connection);
    dbus_connection_unref(c->connection);
    return status;
}

static void command_usage(const struct command *command, FILE *out)
{
    bool asks = command->run == run_ask;
    fprintf(out, "Usage: earshot %s [--bus BUS] %s%s\n", command->name, asks ? "[OPTION]... " : "",
            command->words);
}

static int usage_error(const struct command *command)
{
    command_usage(command, stderr);
    return EXIT_USAGE;
}

static int help(const struct command *command)
{
    command_usage(command, stdout);
    printf("%s\n", command->help);
    if (command->run == run_ask)
        fputs("\nHow the words are chosen; what is not given is as in [reply] of earshot.conf:\n"
              "  --temperature X        0 always the likeliest, 1 as likely as the model says\n"
              "  --top-p X              the likeliest that together have this probability\n"
              "  --top-k N              of those the first N; 0 all\n"
              "  --presence-penalty X   against what the answer has already\n"
              "  --frequency-penalty X  and again for every time that it has it\n"
              "  --penalty-decay X      what such a time counts one word later\n"
              "  --seed N               the same seed, the same answer; 0 another one every time\n"
              "  --max-tokens N         the longest answer; 0 what the model says\n",
              stdout);
    return EXIT_DONE;
}

/* False, and said: that is no number, or none of this type. */
static bool take_ask_option(struct client *c, size_t index, const char *text)
{
    const struct ask_option *o = &ask_options[index];
    DBusBasicValue *value = &c->ask_values[index];
    char *end;
    errno = 0;
    bool whole = *text >= '0' && *text <= '9';
    if (o->type == DBUS_TYPE_DOUBLE)
        value->dbl = strtod(text, &end);
    else
        value->u64 = strtoull(text, &end, 10);
    bool good = end != text && !*end && errno == 0 && (o->type == DBUS_TYPE_DOUBLE || whole);
    if (good && o->type == DBUS_TYPE_UINT32) {
        good = value->u64 <= UINT32_MAX;
        value->u32 = (dbus_uint32_t)value->u64;
    }
    if (!good)
        fprintf(stderr, "earshot ask: --%s %s: not a %s\n", o->name, text,
                o->type == DBUS_TYPE_DOUBLE ? "number" : "whole number");
    c->ask_given[index] = true;
    return good;
}

/* "--bus", "--help", and the options of ask. */
static void list_options(struct option *longs)
{
    *longs++ = (struct option){"bus", required_argument, NULL, 'b'};
    *longs++ = (struct option){"help", no_argument, NULL, 'h'};
    for (int i = 0; i < ASK_OPTIONS; i++)
        *longs++ =
            (struct option){ask_options[i].name, required_argument, NULL, ASK_OPTION_FIRST + i};
    *longs = (struct option){NULL, 0, NULL, 0};
}

int client_command(int argc, char **argv)
{
    struct option longs[ASK_OPTIONS + 3];
    const struct command *command = find_command(argv[0]);
    if (!command) {
        fprintf(stderr, "earshot: no command \"%s\"; see earshot --help\n", argv[0]);
        return EXIT_USAGE;
    }
    struct client c = {.command = command->name};
    const char *bus = "session";
    list_options(longs);
    for (int option; (option = getopt_long(argc, argv, "+h", longs, NULL)) != -1;) {
        bool of_ask = option >= ASK_OPTION_FIRST && command->run == run_ask;
        if (option == 'h')
            return help(command);
        if (option == 'b')
            bus = optarg;
        else if (!of_ask)
            return usage_error(command);
        else if (!take_ask_option(&c, (size_t)(option - ASK_OPTION_FIRST), optarg))
            return EXIT_USAGE;
    }
    c.words = argv + optind;
    c.word_count = argc - optind;
    if (c.word_count < command->words_min || c.word_count > command->words_max)
        return usage_error(command);
    return run(command, &c, bus);
}
