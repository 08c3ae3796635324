/* earshot history: what was said, as far as the daemon remembers it. */
#include "cli/client_commands.h"
#include "cli/cue_options.h"
#include "cli/offline.h"

#include <stdlib.h>
#include <time.h>

enum {
    OPTION_LIMIT = CUE_OPTIONS_COUNT,
};

const struct bus_client_option client_history_options[] = {
    CUE_OPTIONS,
    {"limit", "N", "the last N alone"},
    {NULL},
};

struct entry {
    dbus_uint64_t id;
    dbus_int64_t start_us, end_us;
    const char *text, *reply;
};

static void read_entry(DBusMessageIter *array, struct entry *entry)
{
    DBusMessageIter fields;
    void *const into[] = {&entry->id, &entry->start_us, &entry->end_us, &entry->text,
                          &entry->reply};
    dbus_message_iter_recurse(array, &fields);
    for (size_t i = 0; i < sizeof into / sizeof *into; i++, dbus_message_iter_next(&fields))
        dbus_message_iter_get_basic(&fields, into[i]);
}

static void print_entry(const struct entry *entry)
{
    char when[64];
    time_t second = (time_t)(entry->id / 1000000);
    struct tm local;
    if (strftime(when, sizeof when, "%F %T", localtime_r(&second, &local)))
        printf("%s  ", when);
    cue_print_text(entry->text, stdout);
    putchar('\n');
    if (!*entry->reply)
        return;
    fputs("                   > ", stdout);
    cue_print_text(entry->reply, stdout);
    putchar('\n');
}

/* Writes the last limit entries of an answer (0: all). 0 or -errno. */
static int print_answer(DBusMessage *reply, long limit, struct cue_file *file)
{
    DBusMessageIter args, array;
    dbus_message_iter_init(reply, &args);
    int count = dbus_message_iter_get_element_count(&args);
    int64_t origin_us = -1; /* the first that is shown */
    int rc = 0;
    dbus_message_iter_recurse(&args, &array);
    for (int i = 0; i < count && !rc; i++, dbus_message_iter_next(&array)) {
        struct entry entry;
        if (limit && i < count - limit)
            continue;
        read_entry(&array, &entry);
        if (origin_us < 0)
            origin_us = (int64_t)entry.id;
        int64_t start_us = (int64_t)entry.id - origin_us;
        struct cue cue = {start_us, start_us + entry.end_us - entry.start_us, entry.text,
                          entry.reply, .confidence = -1};
        if (file->stream)
            rc = cue_file_utterance(file, entry.id, &cue);
        else
            print_entry(&entry);
    }
    return rc;
}

static bool parse_limit(const char *text, long *limit)
{
    char *end;
    *limit = strtol(text, &end, 10);
    return end != text && !*end && *limit > 0;
}

/* What the daemon remembers, or NULL with the error. */
static DBusMessage *get_transcript(struct bus_client *c, DBusError *e)
{
    DBusMessageIter args;
    dbus_uint64_t since = 0;
    dbus_uint32_t all = 0;
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, "GetTranscript", &args);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_UINT64, &since);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_UINT32, &all);
    DBusMessage *reply = bus_client_answer(c, call, e);
    if (!reply || dbus_message_has_signature(reply, "a(txxss)"))
        return reply;
    dbus_message_unref(reply);
    dbus_set_error(e, DBUS_ERROR_FAILED, "a strange answer");
    return NULL;
}

int client_history(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    struct cue_file file;
    long limit = 0;
    if (c->given[OPTION_LIMIT] && !parse_limit(c->given[OPTION_LIMIT], &limit)) {
        fprintf(stderr, "earshot history: --limit %s: not a number above 0\n",
                c->given[OPTION_LIMIT]);
        return EXIT_USAGE;
    }
    int code = cue_options_read(c, &file);
    if (code)
        return code;
    DBusMessage *reply = get_transcript(c, &e);
    if (!reply)
        return bus_client_fail(c, &e);
    code = cue_file_open(c->command, &file);
    if (!code) {
        int rc = print_answer(reply, limit, &file);
        code = rc ? cue_file_fail("history", &file, rc) : EXIT_DONE;
        cue_file_close(&file);
    }
    dbus_message_unref(reply);
    return code;
}
