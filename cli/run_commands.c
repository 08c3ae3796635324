/* earshot run: starts programs by what was said. */
#include "cli/client_commands.h"
#include "cli/cues.h"
#include "cli/offline.h"
#include "cli/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

const struct bus_client_option client_run_options[] = {
    {"commands", "FILE", "the sentences and their commands; see earshot(1)"},
    {"dry-run", NULL, "print the commands, and start none"},
    {NULL},
};

enum {
    OPTION_COMMANDS,
    OPTION_DRY_RUN,
};

struct runner {
    const struct rules *rules;
    bool dry;
};

static void print_arguments(char *const *arguments)
{
    for (char *const *a = arguments; *a; a++) {
        fputs(a == arguments ? "" : " ", stdout);
        cue_print_text(*a, stdout);
    }
    putchar('\n');
    fflush(stdout);
}

/* The child has no input; nobody waits for it. */
static void start(char *const *arguments)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t normal;
    pid_t child;
    sigemptyset(&normal);
    sigaddset(&normal, SIGCHLD);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&attributes, &normal);
    int rc = posix_spawnp(&child, arguments[0], &files, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (rc)
        fprintf(stderr, "earshot run: %s: %s\n", arguments[0], strerror(rc));
}

/* Of what was said: to whom, and the bytes of the wake phrase before it. */
struct said {
    dbus_bool_t addressed;
    dbus_uint32_t phrase_bytes;
};

static void take_detail(void *user, const char *name, DBusMessageIter *variant)
{
    struct said *said = user;
    int type = dbus_message_iter_get_arg_type(variant);
    if (strcmp(name, "addressed") == 0 && type == DBUS_TYPE_BOOLEAN)
        dbus_message_iter_get_basic(variant, &said->addressed);
    else if (strcmp(name, "phrase_bytes") == 0 && type == DBUS_TYPE_UINT32)
        dbus_message_iter_get_basic(variant, &said->phrase_bytes);
}

/* What is asked for, behind the wake phrase. NULL: it was not said to the assistant. */
static const char *request_of(const char *text, DBusMessageIter *details)
{
    struct said said = {.addressed = TRUE};
    bus_client_each(details, take_detail, &said);
    if (!said.addressed)
        return NULL;
    return said.phrase_bytes <= strlen(text) ? text + said.phrase_bytes : text;
}

static int take(void *user, DBusMessage *m)
{
    const struct runner *runner = user;
    DBusMessageIter args;
    const char *text;
    if (!m || !bus_client_is_signal(m, "UtteranceCompleted") ||
        !dbus_message_has_signature(m, "tsa{sv}"))
        return 0;
    dbus_message_iter_init(m, &args);
    dbus_message_iter_next(&args);
    dbus_message_iter_get_basic(&args, &text);
    dbus_message_iter_next(&args);
    text = request_of(text, &args);
    char **arguments = text ? rules_match(runner->rules, text, NULL) : NULL;
    if (!arguments)
        return 0;
    print_arguments(arguments);
    if (!runner->dry)
        start(arguments);
    rules_free(arguments);
    return 0;
}

int client_run(struct bus_client *c)
{
    struct error error;
    struct rules *rules;
    if (!c->given[OPTION_COMMANDS]) {
        fprintf(stderr, "earshot run: --commands FILE is missing\n");
        return EXIT_USAGE;
    }
    if (rules_read(&rules, c->given[OPTION_COMMANDS], &error))
        return offline_fail("run", &error);
    signal(SIGCHLD, SIG_IGN); /* children leave nothing behind */
    struct runner runner = {rules, c->given[OPTION_DRY_RUN] != NULL};
    int code = bus_client_follow(c, -1, take, &runner);
    rules_destroy(rules);
    return code;
}
