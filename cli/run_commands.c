/* earshot run: starts programs by what was said. */
#include "base/journal.h"
#include "cli/client_commands.h"
#include "cli/intent.h"
#include "cli/offline.h"
#include "cli/rules.h"
#include "cues/cues.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

const struct bus_client_option client_run_options[] = {
    {"commands", "FILE", "which sentences run which programs; see earshot(1)"},
    {"min-confidence", "X",
     "run nothing that was heard with less confidence (0 to 1, default 0.9); a rule may set its "
     "own"},
    {"dry-run", NULL, "print the commands instead of running them"},
    {"quiet", NULL, "print nothing of what was said; the default in a systemd journal"},
    {NULL},
};

enum {
    OPTION_COMMANDS,
    OPTION_MIN_CONFIDENCE,
    OPTION_DRY_RUN,
    OPTION_QUIET,
};

/* Orders that are meant are heard with 0.95 and more, other sentences that sound like one with 0.5
 * to 0.84. */
#define MIN_CONFIDENCE 0.9

struct runner {
    const struct rules *rules;
    const char *path; /* of the rules */
    double min_confidence;
    bool dry;
    bool quiet; /* prints nothing that was said */
};

/* Words stay out of the journal: a rule is named by its line, and a program by its name. */
static void print_started(const struct runner *r, const struct rules_rule *rule,
                          char *const *arguments)
{
    if (r->quiet) {
        cue_print_text(r->path, stdout);
        printf(":%d: ", rule->line);
        cue_print_text(arguments[0], stdout);
    } else {
        for (char *const *a = arguments; *a; a++) {
            fputs(a == arguments ? "" : " ", stdout);
            cue_print_text(*a, stdout);
        }
    }
    putchar('\n');
    fflush(stdout);
}

/* Where our output is in the journal, so would be a child's, together with its command line. */
static void hide_output(posix_spawn_file_actions_t *files, const struct runner *r)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (r->quiet || journal_has(fd))
            posix_spawn_file_actions_addopen(files, fd, "/dev/null", O_WRONLY, 0);
}

/* The child has no input; nobody waits for it. */
static void start(const struct runner *r, char *const *arguments)
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
    hide_output(&files, r);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&attributes, &normal);
    int rc = posix_spawnp(&child, arguments[0], &files, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (rc)
        error_print("earshot run: %s: %s", arguments[0], strerror(rc));
}

/* What UtteranceCompleted tells of a text: to whom it was said, the bytes of the wake phrase before
 * it, how sure the model is, and what it asks for. */
struct said {
    dbus_bool_t addressed;
    dbus_uint32_t phrase_bytes;
    double confidence;
    cJSON *intent; /* owned; NULL: nothing, or not told */
};

static void take_detail(void *user, const char *name, DBusMessageIter *variant)
{
    struct said *said = user;
    int type = dbus_message_iter_get_arg_type(variant);
    if (strcmp(name, "addressed") == 0 && type == DBUS_TYPE_BOOLEAN)
        dbus_message_iter_get_basic(variant, &said->addressed);
    else if (strcmp(name, "phrase_bytes") == 0 && type == DBUS_TYPE_UINT32)
        dbus_message_iter_get_basic(variant, &said->phrase_bytes);
    else if (strcmp(name, "confidence") == 0)
        bus_client_number(variant, &said->confidence);
    else if (strcmp(name, "intent") == 0 && !said->intent)
        said->intent = intent_of_variant(variant);
}

/* The same as rules know it: its texts are those of the JSON. False: there is none. */
static bool read_intent(const cJSON *from, struct rules_intent *intent)
{
    const cJSON *slots = cJSON_GetObjectItem(from, "slots");
    if (!from || cJSON_GetArraySize(slots) > RULES_SLOTS_MAX)
        return false;
    *intent = (struct rules_intent){.name = cJSON_GetObjectItem(from, "name")->valuestring};
    for (const cJSON *slot = slots->child; slot; slot = slot->next, intent->count++) {
        intent->slots[intent->count].name = slot->string;
        intent->slots[intent->count].words = slot->valuestring;
    }
    return true;
}

/* Whether the model is as sure as the rule wants it; else says so, without a word of what was said.
 * What is no probability is no confidence. */
static bool is_sure(const struct runner *r, const struct rules_rule *rule, double confidence)
{
    double least = rule->min_confidence >= 0 ? rule->min_confidence : r->min_confidence;
    if (confidence >= least)
        return true;
    error_print("earshot run: %s:%d: not started: a confidence of %.2f, below %.2f", r->path,
                rule->line, confidence, least);
    return false;
}

static void take_request(const struct runner *r, const char *text, const struct said *said)
{
    struct rules_rule rule;
    struct rules_intent intent;
    bool asks = read_intent(said->intent, &intent);
    char **arguments = rules_match(r->rules, text, asks ? &intent : NULL, &rule);
    double confidence = said->confidence;
    if (arguments && rule.of_intent)
        confidence = cJSON_GetObjectItem(said->intent, "confidence")->valuedouble;
    if (arguments && is_sure(r, &rule, confidence)) {
        print_started(r, &rule, arguments);
        if (!r->dry)
            start(r, arguments);
    }
    rules_free(arguments);
}

static int take(void *user, DBusMessage *m)
{
    DBusMessageIter args;
    const char *text;
    struct said said = {.addressed = TRUE};
    if (!m || !bus_client_is_signal(m, "UtteranceCompleted") ||
        !dbus_message_has_signature(m, "tsa{sv}"))
        return 0;
    dbus_message_iter_init(m, &args);
    dbus_message_iter_next(&args);
    dbus_message_iter_get_basic(&args, &text);
    bus_client_details(m, take_detail, &said);
    if (said.phrase_bytes <= strlen(text))
        text += said.phrase_bytes;
    if (said.addressed)
        take_request(user, text, &said);
    cJSON_Delete(said.intent);
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
    struct runner runner = {.path = c->given[OPTION_COMMANDS],
                            .min_confidence = MIN_CONFIDENCE,
                            .dry = c->given[OPTION_DRY_RUN] != NULL,
                            .quiet = c->given[OPTION_QUIET] || journal_has(STDOUT_FILENO)};
    const char *least = c->given[OPTION_MIN_CONFIDENCE];
    if (least && !rules_read_confidence(least, &runner.min_confidence)) {
        fprintf(stderr, "earshot run: --min-confidence %s: not a number from 0 to 1\n", least);
        return EXIT_USAGE;
    }
    if (rules_read(&rules, c->given[OPTION_COMMANDS], &error))
        return offline_fail("run", &error);
    signal(SIGCHLD, SIG_IGN); /* children leave nothing behind */
    runner.rules = rules;
    int code = bus_client_follow(c, -1, take, &runner);
    rules_destroy(rules);
    return code;
}
