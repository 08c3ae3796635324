/* earshot captions: what is being said, as it is said. A terminal sees the last line change until
 * it is final; a pipe gets a line an utterance; a file, cues. */
#include "cli/client_commands.h"
#include "cli/cue_options.h"
#include "cli/cues.h"
#include "cli/offline.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

const struct bus_client_option client_captions_options[] = {
    CUE_OPTIONS,
    {NULL},
};

struct captions {
    struct cue_file file; /* its stream is NULL when nobody wants cues */
    bool live;            /* texts go to stdout, */
    bool terminal;        /* which is a terminal */
    int64_t origin_us;    /* of the cues' times, since 1970: the start of the command */
};

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

/* What an UtteranceCompleted or another signal with a text says. */
struct said {
    dbus_uint64_t id;
    const char *text;
    double start_us, end_us; /* 0: not told */
};

static void take_detail(void *user, const char *name, DBusMessageIter *variant)
{
    struct said *said = user;
    if (strcmp(name, "start_us") == 0)
        bus_client_number(variant, &said->start_us);
    else if (strcmp(name, "end_us") == 0)
        bus_client_number(variant, &said->end_us);
}

static struct said read_signal(DBusMessage *m)
{
    struct said said = {.text = ""};
    DBusMessageIter args;
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

static void show(const struct captions *captions, const char *text, bool reply, bool final)
{
    if (captions->terminal)
        fputs("\r\033[K", stdout);
    if (*text && reply)
        fputs("> ", stdout);
    cue_print_text(final ? text : tail(text, terminal_columns() - 2), stdout);
    if (final && *text)
        putchar('\n');
    fflush(stdout);
}

static int take(void *user, DBusMessage *m)
{
    struct captions *captions = user;
    if (!m)
        return 0;
    bool reply =
        bus_client_is_signal(m, "ReplyCompleted") || bus_client_is_signal(m, "ReplyUpdated");
    bool completed = bus_client_is_signal(m, "UtteranceCompleted");
    bool final = completed || bus_client_is_signal(m, "ReplyCompleted");
    bool partial =
        bus_client_is_signal(m, "UtteranceUpdated") || bus_client_is_signal(m, "ReplyUpdated");
    if (!final && !(partial && captions->terminal))
        return 0;
    struct said said = read_signal(m);
    if (captions->live)
        show(captions, said.text, reply, final);
    if (!captions->file.stream || !final || !*said.text)
        return 0;
    int rc = completed ? cue_file_utterance(&captions->file, said.id, captions->origin_us,
                                            (int64_t)(said.end_us - said.start_us), said.text, NULL)
                       : cue_file_reply(&captions->file, said.id, said.text);
    return rc ? cue_file_fail("captions", &captions->file, rc) : 0;
}

int client_captions(struct bus_client *c)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct captions captions = {.origin_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000};
    int code = cue_options_read(c, &captions.file);
    if (!code)
        code = cue_file_open(c->command, &captions.file);
    if (code)
        return code;
    captions.live = captions.file.stream != stdout;
    captions.terminal = captions.live && isatty(STDOUT_FILENO);
    code = bus_client_follow(c, -1, take, &captions);
    cue_file_close(&captions.file);
    return code;
}
