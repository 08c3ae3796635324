/* earshot history: what was said, as far as the daemon remembers it. */
#include "cli/client_commands.h"
#include "cli/cue_options.h"
#include "cli/intent.h"
#include "cli/offline.h"
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    OPTION_LIMIT = CUE_OPTIONS_COUNT,
};

const struct bus_client_option client_history_options[] = {
    CUE_OPTIONS,
    {"limit", "N", "show only the last N"},
    {NULL},
};

struct entry {
    dbus_uint64_t id;
    dbus_int64_t start_us, end_us;
    const char *text, *reply;
    double confidence;       /* below 0: not known */
    struct cue_words *words; /* NULL: they are not wanted */
    cJSON *intent;           /* owned, NULL: not known */
};

static void take_field(void *user, const char *name, DBusMessageIter *value)
{
    struct entry *entry = user;
    if (entry->words && strcmp(name, "words") == 0)
        cue_words_read(entry->words, value);
    const struct {
        const char *name;
        int type;
        void *into;
    } fields[] = {
        {"id", DBUS_TYPE_UINT64, &entry->id},
        {"start_us", DBUS_TYPE_INT64, &entry->start_us},
        {"end_us", DBUS_TYPE_INT64, &entry->end_us},
        {"text", DBUS_TYPE_STRING, &entry->text},
        {"reply", DBUS_TYPE_STRING, &entry->reply},
        {"confidence", DBUS_TYPE_DOUBLE, &entry->confidence},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(name, fields[i].name) == 0 &&
            dbus_message_iter_get_arg_type(value) == fields[i].type)
            dbus_message_iter_get_basic(value, fields[i].into);
    if (strcmp(name, "intent") == 0 && !entry->intent)
        entry->intent = intent_of_variant(value);
}

/* A dictionary of GetUtterances, or a row of GetTranscript. */
static void read_entry(DBusMessageIter *array, struct cue_words *words, struct entry *entry)
{
    DBusMessageIter fields;
    *entry = (struct entry){.text = "", .reply = "", .confidence = -1, .words = words};
    if (words)
        words->count = 0;
    if (dbus_message_iter_get_arg_type(array) == DBUS_TYPE_ARRAY) {
        bus_client_each(array, take_field, entry);
        return;
    }
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
    fputs(cue_is_unsure(entry->confidence) ? terminal_faint() : "", stdout);
    cue_print_text(entry->text, stdout);
    fputs(cue_is_unsure(entry->confidence) ? terminal_normal() : "", stdout);
    putchar('\n');
    if (!*entry->reply)
        return;
    fputs("                   > ", stdout);
    cue_print_text(entry->reply, stdout);
    putchar('\n');
}

/* What the daemon remembers, in as many answers as it takes. */
struct answers {
    DBusMessage **answers; /* [count], owned */
    size_t count;
    long entries; /* in all of them */
};

struct printing {
    struct cue_file *file;
    long skip;         /* entries that are not wanted */
    int64_t origin_us; /* of the first that is; -1: none was */
    struct cue_words words;
};

static int write_entry(struct printing *p, const struct entry *entry)
{
    int64_t start_us = (int64_t)entry->id - p->origin_us;
    struct cue cue = {start_us,
                      start_us + entry->end_us - entry->start_us,
                      entry->text,
                      entry->reply,
                      .confidence = entry->confidence,
                      .intent = entry->intent};
    cue_words_give(&p->words, &cue, entry->start_us);
    return cue_file_utterance(p->file, entry->id, &cue);
}

static int print_row(struct printing *p, DBusMessageIter *row)
{
    struct entry entry;
    int rc = 0;
    if (p->skip-- > 0)
        return 0;
    read_entry(row, &p->words, &entry);
    if (p->origin_us < 0)
        p->origin_us = (int64_t)entry.id;
    if (p->file->stream)
        rc = write_entry(p, &entry);
    else
        print_entry(&entry);
    cJSON_Delete(entry.intent);
    return rc;
}

/* Writes the last limit entries (0: all). 0 or -errno. */
static int print_answers(const struct answers *a, long limit, struct cue_file *file)
{
    struct printing p = {.file = file, .skip = limit ? a->entries - limit : 0, .origin_us = -1};
    int rc = 0;
    for (size_t i = 0; i < a->count && !rc; i++) {
        DBusMessageIter args, array;
        dbus_message_iter_init(a->answers[i], &args);
        for (dbus_message_iter_recurse(&args, &array);
             !rc && dbus_message_iter_get_arg_type(&array) != DBUS_TYPE_INVALID;
             dbus_message_iter_next(&array))
            rc = print_row(&p, &array);
    }
    return rc;
}

static bool parse_limit(const char *text, long *limit)
{
    char *end;
    *limit = strtol(text, &end, 10);
    return end != text && !*end && *limit > 0;
}

static DBusMessage *ask(struct bus_client *c, const char *method, const char *signature,
                        dbus_uint64_t since, DBusError *e)
{
    DBusMessageIter args;
    dbus_uint32_t all = 0;
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, method, &args);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_UINT64, &since);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_UINT32, &all);
    return bus_client_answer_of(c, call, signature, e);
}

/* What the daemon remembers above an id, as far as one answer has it; NULL with the error. A daemon
 * that is older than this program has rows alone. */
static DBusMessage *get_utterances(struct bus_client *c, dbus_uint64_t since, DBusError *e)
{
    DBusMessage *answer = ask(c, "GetUtterances", "aa{sv}", since, e);
    if (answer || !dbus_error_has_name(e, DBUS_ERROR_UNKNOWN_METHOD))
        return answer;
    dbus_error_free(e);
    return ask(c, "GetTranscript", "a(txxss)", since, e);
}

/* Of its newest entry; 0: it has none. */
static dbus_uint64_t last_id(DBusMessage *answer)
{
    DBusMessageIter args, array;
    struct entry entry = {0};
    dbus_message_iter_init(answer, &args);
    for (dbus_message_iter_recurse(&args, &array);
         dbus_message_iter_get_arg_type(&array) != DBUS_TYPE_INVALID;
         dbus_message_iter_next(&array))
        read_entry(&array, NULL, &entry);
    return entry.id;
}

static bool keep_answer(struct answers *a, DBusMessage *answer)
{
    DBusMessageIter args;
    DBusMessage **grown = realloc(a->answers, (a->count + 1) * sizeof(DBusMessage *));
    if (!grown)
        return false;
    a->answers = grown;
    a->answers[a->count++] = answer;
    dbus_message_iter_init(answer, &args);
    a->entries += dbus_message_iter_get_element_count(&args);
    return true;
}

/* Asks until there is nothing more. False: with the error. */
static bool get_answers(struct bus_client *c, struct answers *a, DBusError *e)
{
    for (dbus_uint64_t since = 0;;) {
        DBusMessage *answer = get_utterances(c, since, e);
        if (!answer)
            return false;
        dbus_uint64_t last = last_id(answer);
        if (last <= since || !keep_answer(a, answer)) {
            dbus_message_unref(answer);
            if (last > since)
                dbus_set_error(e, DBUS_ERROR_NO_MEMORY, "out of memory");
            return last <= since;
        }
        since = last;
    }
}

static void free_answers(struct answers *a)
{
    for (size_t i = 0; i < a->count; i++)
        dbus_message_unref(a->answers[i]);
    free(a->answers);
}

int client_history(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    struct cue_file file;
    long limit = 0;
    if (c->given[OPTION_LIMIT] && !parse_limit(c->given[OPTION_LIMIT], &limit)) {
        error_print("earshot history: --limit %s: not a number above 0", c->given[OPTION_LIMIT]);
        return EXIT_USAGE;
    }
    int code = cue_options_read(c, &file);
    if (code)
        return code;
    struct answers answers = {0};
    if (!get_answers(c, &answers, &e)) {
        free_answers(&answers);
        return bus_client_fail(c, &e);
    }
    code = cue_file_open(c->command, &file);
    if (!code) {
        int rc = print_answers(&answers, limit, &file);
        code = rc ? cue_file_fail("history", &file, rc) : EXIT_DONE;
        cue_file_close(&file);
    }
    free_answers(&answers);
    return code;
}
