/* earshot captions: what is being said, as it is said. A terminal sees the last line change until
 * it is final; a pipe gets a line an utterance; a file, cues. While nothing can be heard the reason
 * is told, on the terminal or on stderr. */
#include "cli/client_commands.h"
#include "cli/cue_options.h"
#include "cli/ear_state.h"
#include "cli/intent.h"
#include "cli/offline.h"
#include "cli/terminal.h"
#include "cues/cues.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct bus_client_option client_captions_options[] = {
    CUE_OPTIONS,
    {"all-ears", NULL, "also what the ears beside the microphone's hear, each with its name"},
    {NULL},
};

enum {
    OPTION_ALL = CUE_OPTIONS_COUNT,
    PATIENCE_MS = 8000, /* for another daemon, where nobody is there to end the command */
    SAID_MAX = 1024,
    LINE_BYTES = 8192,
};

struct captions {
    struct bus_client *client;
    struct cue_file file; /* its stream is NULL when nobody wants cues */
    bool live;            /* texts go to stdout, */
    bool terminal;        /* which is a terminal */
    /* Of the cues' times: the start of the command, since 1970 and of CLOCK_BOOTTIME. */
    int64_t origin_us, boot_origin_us;
    struct ear_state ear;   /* as last told */
    bool there, stale;      /* the daemon; and ear is to be read */
    char waits[SAID_MAX];   /* what was told that it waits for; empty: nothing */
    char device[SAID_MAX];  /* the microphone that was told of */
    char line[LINE_BYTES];  /* of a terminal, that may change yet */
    size_t columns;         /* of the terminal, when it was drawn */
    struct cue_words words; /* of the signal that is taken */
};

/* What an UtteranceCompleted or another signal with a text says. */
struct said {
    dbus_uint64_t id;
    const char *ear; /* that heard it; NULL: it needs no name */
    const char *text;
    double start_us, end_us; /* 0: not told */
    double boottime_us;      /* when it began, of CLOCK_BOOTTIME; 0: not told */
    double confidence;       /* below 0: not told */
    struct cue_words *words;
    cJSON *intent; /* owned, NULL: not told */
};

static void take_detail(void *user, const char *name, DBusMessageIter *variant)
{
    struct said *said = user;
    if (strcmp(name, "start_us") == 0)
        bus_client_number(variant, &said->start_us);
    else if (strcmp(name, "end_us") == 0)
        bus_client_number(variant, &said->end_us);
    else if (strcmp(name, "boottime_us") == 0)
        bus_client_number(variant, &said->boottime_us);
    else if (strcmp(name, "confidence") == 0)
        bus_client_number(variant, &said->confidence);
    else if (strcmp(name, "words") == 0)
        cue_words_read(said->words, variant);
    else if (strcmp(name, "intent") == 0 && !said->intent)
        said->intent = intent_of_variant(variant);
}

/* Which of several ears a signal is of; NULL: of none, but of somebody's stream. */
static const char *ear_of(DBusMessage *m)
{
    const char *ear = bus_client_ear_of(dbus_message_get_path(m));
    return ear && !*ear ? "microphone" : ear;
}

static struct said read_signal(struct captions *captions, DBusMessage *m)
{
    struct said said = {.text = "", .confidence = -1, .words = &captions->words};
    DBusMessageIter args;
    if (captions->client->all_ears)
        said.ear = ear_of(m);
    captions->words.count = 0;
    if (!dbus_message_iter_init(m, &args))
        return said;
    do {
        int type = dbus_message_iter_get_arg_type(&args);
        if (type == DBUS_TYPE_UINT64)
            dbus_message_iter_get_basic(&args, &said.id);
        else if (type == DBUS_TYPE_STRING)
            dbus_message_iter_get_basic(&args, &said.text);
        else if (type == DBUS_TYPE_ARRAY)
            bus_client_each(&args, take_detail, &said);
    } while (dbus_message_iter_next(&args));
    return said;
}

/* The line that may change yet, as much of its end as fits. */
static void draw(struct captions *captions)
{
    captions->columns = terminal_columns();
    fputs("\r\033[K", stdout);
    cue_print_text(terminal_tail(captions->line, captions->columns - 1), stdout);
    fflush(stdout);
}

static void show_partial(struct captions *captions, const struct said *said, bool reply)
{
    bool named = *said->text && said->ear;
    snprintf(captions->line, sizeof captions->line, "%s%s%s%s", named ? said->ear : "",
             named ? ": " : "", *said->text && reply ? "> " : "", said->text);
    draw(captions);
}

/* Words of which the model is not sure are faint. */
static void show_final(struct captions *captions, const struct said *said, bool reply)
{
    bool faint = cue_is_unsure(said->confidence);
    captions->line[0] = '\0';
    if (captions->terminal)
        fputs("\r\033[K", stdout);
    if (*said->text) {
        if (said->ear)
            printf("%s: ", said->ear);
        fputs(faint ? terminal_faint() : "", stdout);
        fputs(reply ? "> " : "", stdout);
        cue_print_text(said->text, stdout);
        fputs(faint ? terminal_normal() : "", stdout);
        putchar('\n');
    }
    fflush(stdout);
}

/* The date may be set meanwhile; the machine's own clock may not. */
static int64_t start_of(const struct captions *captions, const struct said *said)
{
    return said->boottime_us > 0 ? (int64_t)said->boottime_us - captions->boot_origin_us
                                 : (int64_t)said->id - captions->origin_us;
}

/* An utterance or a reply into the file. 0, or an exit code, said. */
static int write_said(struct captions *captions, const struct said *said, bool utterance)
{
    if (!captions->file.stream || !*said->text)
        return 0;
    struct cue cue = {.ear = said->ear,
                      .text = said->text,
                      .confidence = said->confidence,
                      .intent = said->intent};
    cue.start_us = start_of(captions, said);
    cue.end_us = cue.start_us + (int64_t)(said->end_us - said->start_us);
    cue_words_give(said->words, &cue, (int64_t)said->start_us);
    int rc = utterance ? cue_file_utterance(&captions->file, said->id, &cue)
                       : cue_file_reply(&captions->file, said->id, said->text);
    return rc ? cue_file_fail("captions", &captions->file, rc) : 0;
}

static int take_text(struct captions *captions, DBusMessage *m)
{
    bool reply =
        bus_client_is_signal(m, "ReplyCompleted") || bus_client_is_signal(m, "ReplyUpdated");
    bool completed = bus_client_is_signal(m, "UtteranceCompleted");
    bool final = completed || bus_client_is_signal(m, "ReplyCompleted");
    bool partial =
        bus_client_is_signal(m, "UtteranceUpdated") || bus_client_is_signal(m, "ReplyUpdated");
    if ((!final && !(partial && captions->terminal)) || (captions->client->all_ears && !ear_of(m)))
        return 0;
    struct said said = read_signal(captions, m);
    if (captions->live && final)
        show_final(captions, &said, reply);
    else if (captions->live)
        show_partial(captions, &said, reply);
    int rc = final ? write_said(captions, &said, completed) : 0;
    cJSON_Delete(said.intent);
    return rc;
}

/* A line about the captions, which is none of them. */
static void tell(struct captions *captions, const char *what, const char *more)
{
    struct error line;
    error_set(&line, 0, "%s%s", what, more);
    if (!captions->terminal) {
        fprintf(stderr, "earshot captions: %s\n", line.message);
        return;
    }
    printf("\r\033[K%s", terminal_faint());
    cue_print_text(line.message, stdout);
    printf("%s\n", terminal_normal());
    captions->line[0] = '\0';
    fflush(stdout);
}

/* Tells once what it waits for, and which microphone is open: a terminal always, stderr where that
 * is news. */
static void tell_state(struct captions *captions)
{
    char waits[SAID_MAX] = "the daemon is gone; waiting for it to come back";
    const char *device = ear_state_microphone(&captions->ear);
    bool waiting = !captions->there || ear_state_waits(&captions->ear, waits, sizeof waits);
    if (waiting && strcmp(waits, captions->waits) != 0) {
        snprintf(captions->waits, sizeof captions->waits, "%s", waits);
        captions->device[0] = '\0';
        tell(captions, waits, "");
    }
    if (waiting || !*device || strcmp(device, captions->device) == 0)
        return;
    if (captions->terminal || *captions->waits)
        tell(captions, "listening to ", device);
    captions->waits[0] = '\0';
    snprintf(captions->device, sizeof captions->device, "%s", device);
}

/* Whatever a daemon that cannot say how it is has said before still counts. */
static void read_state(struct captions *captions)
{
    DBusError e = DBUS_ERROR_INIT;
    captions->stale = false;
    bus_client_properties(captions->client, ear_state_take, &captions->ear, &e);
    dbus_error_free(&e);
}

static int take(void *user, DBusMessage *m)
{
    struct captions *captions = user;
    if (m && bus_client_is_change(m, &captions->there))
        captions->stale = captions->there;
    else if (m && dbus_message_is_signal(m, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged") &&
             dbus_message_has_path(m, bus_client_object(captions->client)))
        bus_client_details(m, ear_state_take, &captions->ear);
    else if (m)
        return take_text(captions, m);
    if (m)
        return 0;
    if (captions->there && captions->stale)
        read_state(captions);
    tell_state(captions);
    if (captions->terminal && *captions->line && terminal_columns() != captions->columns)
        draw(captions);
    return 0;
}

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int client_captions(struct bus_client *c)
{
    struct captions captions = {.client = c,
                                .origin_us = read_us(CLOCK_REALTIME),
                                .boot_origin_us = read_us(CLOCK_BOOTTIME),
                                .there = true,
                                .stale = true};
    int code = cue_options_read(c, &captions.file);
    if (!code)
        code = cue_file_open(c->command, &captions.file);
    if (code)
        return code;
    c->all_ears = c->given[OPTION_ALL];
    captions.live = captions.file.stream != stdout;
    captions.terminal = captions.live && isatty(STDOUT_FILENO);
    c->patience_ms = captions.terminal ? -1 : PATIENCE_MS;
    if (captions.terminal)
        bus_client_wait_for(c, &(int){SIGWINCH}, 1); /* the terminal's size */
    code = bus_client_follow(c, -1, take, &captions);
    cue_file_close(&captions.file);
    return code;
}
