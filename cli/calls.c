/* The commands that are one call of the daemon. */
#include "cli/client_commands.h"
#include "cli/ear_state.h"
#include "cli/offline.h"
#include "cues/cues.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The D-Bus names and types of the options of `earshot ask`, in their order. */
static const struct {
    const char *key;
    int type;
    const char *signature;
} ask_types[] = {
    {"temperature", DBUS_TYPE_DOUBLE, "d"},
    {"top_p", DBUS_TYPE_DOUBLE, "d"},
    {"top_k", DBUS_TYPE_UINT32, "u"},
    {"presence_penalty", DBUS_TYPE_DOUBLE, "d"},
    {"frequency_penalty", DBUS_TYPE_DOUBLE, "d"},
    {"penalty_decay", DBUS_TYPE_DOUBLE, "d"},
    {"seed", DBUS_TYPE_UINT64, "t"},
    {"max_tokens", DBUS_TYPE_UINT32, "u"},
};

const struct bus_client_option client_ask_options[] = {
    {"temperature", "X", "0: always the likeliest word; 1: draw words as the model weighs them"},
    {"top-p", "X", "draw only from the likeliest words whose probabilities add up to X"},
    {"top-k", "N", "draw only from the N likeliest words; 0: from all"},
    {"presence-penalty", "X", "subtract X from words that the answer already has"},
    {"frequency-penalty", "X", "subtract X more for each time they occur"},
    {"penalty-decay", "X", "multiply these counts by X after every word"},
    {"seed", "N", "the same seed gives the same answer; 0: a new one every time"},
    {"max-tokens", "N", "the longest answer; 0: as the model file says"},
    {NULL},
};

const struct bus_client_option client_listen_options[] = {
    {"toggle", NULL, "end the open turn, or begin one: for keys without a release event"},
    {NULL},
};

enum {
    ASK_OPTIONS = sizeof ask_types / sizeof *ask_types,
    LISTEN_TOGGLE = 0,
};

static int call_simple(struct bus_client *c, const char *member)
{
    DBusMessageIter args;
    return bus_client_send(c, bus_client_call(BUS_CLIENT_INTERFACE, member, &args));
}

int client_finish(struct bus_client *c)
{
    return call_simple(c, "Finish");
}

int client_cancel(struct bus_client *c)
{
    return call_simple(c, "Cancel");
}

int client_reset(struct bus_client *c)
{
    return call_simple(c, "Reset");
}

/* Prints the keys whose change waits for the daemon's next start. */
int client_reload(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    char **keys;
    int count;
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, "Reload", &args);
    DBusMessage *reply = bus_client_answer(c, call, &e);
    if (!reply || !dbus_message_get_args(reply, &e, DBUS_TYPE_ARRAY, DBUS_TYPE_STRING, &keys,
                                         &count, DBUS_TYPE_INVALID))
        return bus_client_fail(c, &e);
    for (int i = 0; i < count; i++) {
        cue_print_text(keys[i], stdout);
        puts(" waits for the next start");
    }
    dbus_free_string_array(keys);
    dbus_message_unref(reply);
    return EXIT_DONE;
}

static int set_muted(struct bus_client *c, dbus_bool_t muted)
{
    return bus_client_send(c, bus_client_set("Muted", DBUS_TYPE_BOOLEAN, "b", &muted));
}

int client_mute(struct bus_client *c)
{
    return set_muted(c, TRUE);
}

int client_unmute(struct bus_client *c)
{
    return set_muted(c, FALSE);
}

/* The daemon's state, or 0 with the error. */
static double get_state(struct bus_client *c, DBusError *e)
{
    DBusMessageIter args, variant;
    double state = 0;
    DBusMessage *call = bus_client_call(DBUS_INTERFACE_PROPERTIES, "Get", &args);
    bus_client_append_string(&args, BUS_CLIENT_INTERFACE);
    bus_client_append_string(&args, "State");
    DBusMessage *reply = bus_client_answer(c, call, e);
    if (!reply)
        return 0;
    if (dbus_message_iter_init(reply, &args) &&
        dbus_message_iter_get_arg_type(&args) == DBUS_TYPE_VARIANT) {
        dbus_message_iter_recurse(&args, &variant);
        bus_client_number(&variant, &state);
    }
    dbus_message_unref(reply);
    return state;
}

/* The command ends at once; the turn goes on until another ends it. */
static void append_stays(DBusMessageIter *args)
{
    const char *key = "stays";
    dbus_bool_t yes = TRUE;
    DBusMessageIter options, entry, variant;
    dbus_message_iter_open_container(args, DBUS_TYPE_ARRAY, "{sv}", &options);
    dbus_message_iter_open_container(&options, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
    dbus_message_iter_append_basic(&entry, DBUS_TYPE_STRING, &key);
    dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, "b", &variant);
    dbus_message_iter_append_basic(&variant, DBUS_TYPE_BOOLEAN, &yes);
    dbus_message_iter_close_container(&entry, &variant);
    dbus_message_iter_close_container(&options, &entry);
    dbus_message_iter_close_container(args, &options);
}

int client_listen(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    if (c->given[LISTEN_TOGGLE]) {
        double state = get_state(c, &e);
        if (dbus_error_is_set(&e))
            return bus_client_fail(c, &e);
        if (state == EAR_STATE_HEARING)
            return client_finish(c);
    }
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, "Listen", &args);
    append_stays(&args);
    DBusMessage *reply = bus_client_answer(c, call, &e);
    dbus_uint64_t id;
    if (!reply || !dbus_message_get_args(reply, &e, DBUS_TYPE_UINT64, &id, DBUS_TYPE_INVALID))
        return bus_client_fail(c, &e);
    printf("%llu\n", (unsigned long long)id);
    dbus_message_unref(reply);
    return EXIT_DONE;
}

/* The words of the command line, joined by spaces; free it. */
static char *join_words(const struct bus_client *c)
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

/* False: that is no number, or none of this type. */
static bool parse_ask_option(int type, const char *text, DBusBasicValue *value)
{
    char *end;
    errno = 0;
    if (type == DBUS_TYPE_DOUBLE)
        value->dbl = strtod(text, &end);
    else
        value->u64 = strtoull(text, &end, 10);
    bool whole = *text >= '0' && *text <= '9';
    if (end == text || *end || errno || (type != DBUS_TYPE_DOUBLE && !whole))
        return false;
    if (type != DBUS_TYPE_UINT32)
        return true;
    bool fits = value->u64 <= UINT32_MAX;
    value->u32 = (dbus_uint32_t)value->u64;
    return fits;
}

/* False, and said: an option is not as it should be. */
static bool append_ask_options(DBusMessageIter *args, const struct bus_client *c)
{
    DBusMessageIter array;
    bool good = true;
    dbus_message_iter_open_container(args, DBUS_TYPE_ARRAY, "{sv}", &array);
    for (size_t i = 0; i < ASK_OPTIONS; i++) {
        DBusBasicValue value;
        if (!c->given[i])
            continue;
        if (!parse_ask_option(ask_types[i].type, c->given[i], &value)) {
            error_print("earshot ask: --%s %s: not a %s", client_ask_options[i].name, c->given[i],
                        ask_types[i].type == DBUS_TYPE_DOUBLE ? "number" : "whole number");
            good = false;
            continue;
        }
        bus_client_append_entry(&array, ask_types[i].key, ask_types[i].type, ask_types[i].signature,
                                &value);
    }
    dbus_message_iter_close_container(args, &array);
    return good;
}

/* Prints it; an exit code. */
static int print_answer(DBusMessage *reply)
{
    DBusMessageIter args;
    const char *words = "";
    if (dbus_message_iter_init(reply, &args) &&
        dbus_message_iter_get_arg_type(&args) == DBUS_TYPE_STRING)
        dbus_message_iter_get_basic(&args, &words);
    if (!words[strspn(words, " \t\n")]) {
        fprintf(stderr, "earshot ask: the model has no answer to this\n");
        return EXIT_FAILED;
    }
    cue_print_text(words, stdout);
    putchar('\n');
    return EXIT_DONE;
}

int client_ask(struct bus_client *c)
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
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, "Ask", &args);
    bus_client_append_string(&args, text);
    free(text);
    if (!append_ask_options(&args, c)) {
        dbus_message_unref(call);
        return EXIT_USAGE;
    }
    DBusMessage *reply = bus_client_answer(c, call, &e);
    if (!reply)
        return bus_client_fail(c, &e);
    int code = print_answer(reply);
    dbus_message_unref(reply);
    return code;
}
