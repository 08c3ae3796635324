/* earshot save, restore and states: conversations that the daemon keeps on disk under a name. */
#include "cli/client_commands.h"
#include "cli/offline.h"
#include "cues/cues.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    OPTION_DELETE,
};

const struct bus_client_option client_states_options[] = {
    {"delete", "NAME", "delete the conversation NAME"},
    {NULL},
};

static int call_with_name(struct bus_client *c, const char *member, const char *name)
{
    DBusMessageIter args;
    if (!dbus_validate_utf8(name, NULL)) {
        fprintf(stderr, "earshot %s: the name is not UTF-8\n", c->command);
        return EXIT_FAILED;
    }
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, member, &args);
    bus_client_append_string(&args, name);
    return bus_client_send(c, call);
}

int client_save(struct bus_client *c)
{
    return call_with_name(c, "SaveState", c->words[0]);
}

int client_restore(struct bus_client *c)
{
    return call_with_name(c, "RestoreState", c->words[0]);
}

static void print_state(DBusMessageIter *array)
{
    const char *name;
    dbus_uint64_t bytes;
    dbus_int64_t saved_us;
    char when[64] = "";
    struct tm local;
    DBusMessageIter fields;
    dbus_message_iter_recurse(array, &fields);
    dbus_message_iter_get_basic(&fields, &name);
    dbus_message_iter_next(&fields);
    dbus_message_iter_get_basic(&fields, &bytes);
    dbus_message_iter_next(&fields);
    dbus_message_iter_get_basic(&fields, &saved_us);
    time_t second = (time_t)(saved_us / 1000000);
    if (localtime_r(&second, &local))
        strftime(when, sizeof when, "%F %T", &local);
    printf("%s  %8.2f MB  ", when, (double)bytes / 1e6);
    cue_print_text(name, stdout);
    putchar('\n');
}

int client_states(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args, array;
    if (c->given[OPTION_DELETE])
        return call_with_name(c, "DeleteState", c->given[OPTION_DELETE]);
    DBusMessage *call = bus_client_call(BUS_CLIENT_INTERFACE, "ListStates", &args);
    DBusMessage *reply = bus_client_answer_of(c, call, "a(stx)", &e);
    if (!reply)
        return bus_client_fail(c, &e);
    dbus_message_iter_init(reply, &args);
    for (dbus_message_iter_recurse(&args, &array);
         dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_STRUCT; dbus_message_iter_next(&array))
        print_state(&array);
    dbus_message_unref(reply);
    return EXIT_DONE;
}
