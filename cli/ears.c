/* earshot ears: the ears beside the microphone's, each with its device. */
#include "cli/client_commands.h"
#include "cli/ear_state.h"
#include "cli/offline.h"
#include "cues/cues.h"

#include <stdio.h>
#include <string.h>

#define EARS_INTERFACE "org.earshot.Earshot1.Ears"
#define OBJECTS "a{oa{sa{sv}}}"

enum {
    OPTION_ADD,
    OPTION_DEVICE,
    OPTION_REMOVE,
};

const struct bus_client_option client_ears_options[] = {
    {"add", "NAME", "add an ear, for as long as the daemon runs"},
    {"device", "NAME",
     "what it hears, by a name that earshot devices lists; what the desktop plays without this"},
    {"remove", "NAME", "end an ear"},
    {NULL},
};

static int add(struct bus_client *c, const char *name)
{
    DBusMessageIter args, options;
    DBusMessage *call = bus_client_call(EARS_INTERFACE, "AddEar", &args);
    const char *device = c->given[OPTION_DEVICE];
    bus_client_append_string(&args, name);
    dbus_message_iter_open_container(&args, DBUS_TYPE_ARRAY, "{sv}", &options);
    if (device)
        bus_client_append_entry(&options, "device", DBUS_TYPE_STRING, "s", &device);
    dbus_message_iter_close_container(&args, &options);
    return bus_client_send(c, call);
}

static int remove_ear(struct bus_client *c, const char *name)
{
    DBusMessageIter args;
    DBusMessage *call = bus_client_call(EARS_INTERFACE, "RemoveEar", &args);
    bus_client_append_string(&args, name);
    return bus_client_send(c, call);
}

static void print_ear(const char *name, const struct ear_state *state)
{
    char waits[1024] = "";
    printf("%s\t", name);
    if (ear_state_waits(state, waits, sizeof waits))
        cue_print_text(waits, stdout);
    else
        cue_print_text(ear_state_microphone(state), stdout);
    putchar('\n');
}

/* An object of GetManagedObjects: its path, and its interfaces with their properties. */
static void take_object(DBusMessageIter *object)
{
    DBusMessageIter interfaces, interface;
    struct ear_state state = {0};
    const char *path, *name;
    dbus_message_iter_get_basic(object, &path);
    const char *ear = bus_client_ear_of(path);
    dbus_message_iter_next(object);
    for (dbus_message_iter_recurse(object, &interfaces);
         dbus_message_iter_get_arg_type(&interfaces) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&interfaces)) {
        dbus_message_iter_recurse(&interfaces, &interface);
        dbus_message_iter_get_basic(&interface, &name);
        dbus_message_iter_next(&interface);
        if (strcmp(name, BUS_CLIENT_INTERFACE) == 0)
            bus_client_each(&interface, ear_state_take, &state);
    }
    if (ear && *ear)
        print_ear(ear, &state);
}

static int list(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args, objects, object;
    DBusMessage *call =
        bus_client_call("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &args);
    DBusMessage *reply = bus_client_answer_of(c, call, OBJECTS, &e);
    if (!reply)
        return bus_client_fail(c, &e);
    dbus_message_iter_init(reply, &args);
    for (dbus_message_iter_recurse(&args, &objects);
         dbus_message_iter_get_arg_type(&objects) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&objects)) {
        dbus_message_iter_recurse(&objects, &object);
        take_object(&object);
    }
    dbus_message_unref(reply);
    return EXIT_DONE;
}

int client_ears(struct bus_client *c)
{
    const char *added = c->given[OPTION_ADD], *removed = c->given[OPTION_REMOVE];
    const char *name = added ? added : removed;
    if ((added && removed) || (c->given[OPTION_DEVICE] && !added)) {
        error_print("earshot ears: --add NAME [--device NAME], --remove NAME, or neither");
        return EXIT_USAGE;
    }
    if (name && !bus_client_choose(c, name))
        return EXIT_USAGE;
    c->object[0] = '\0'; /* the microphone's object has them all */
    return added ? add(c, added) : removed ? remove_ear(c, removed) : list(c);
}
