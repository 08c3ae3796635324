/* Players, as the Media Player Remote Interfacing Specification 2.2 has them. */
#include "cli/players.h"

#include "cli/bus_client.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "org.mpris.MediaPlayer2."
#define OBJECT "/org/mpris/MediaPlayer2"
#define PLAYER "org.mpris.MediaPlayer2.Player"

enum {
    ANSWER_MS = 250,
};

/* The answer, or NULL. */
static DBusMessage *call(struct players *p, const char *name, const char *path,
                         const char *interface, const char *member, const char *const texts[2])
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *m = dbus_message_new_method_call(name, path, interface, member);
    dbus_message_iter_init_append(m, &args);
    for (int i = 0; texts && i < 2; i++)
        bus_client_append_string(&args, texts[i]);
    DBusMessage *answer = bus_link_call(p->link, m, ANSWER_MS, &e);
    dbus_error_free(&e);
    return answer;
}

static bool has_status(struct players *p, const char *name, const char *status)
{
    static const char *const texts[] = {PLAYER, "PlaybackStatus"};
    DBusMessageIter args, value;
    const char *is = "";
    DBusMessage *answer = call(p, name, OBJECT, DBUS_INTERFACE_PROPERTIES, "Get", texts);
    if (!answer)
        return false;
    if (dbus_message_has_signature(answer, "v") && dbus_message_iter_init(answer, &args)) {
        dbus_message_iter_recurse(&args, &value);
        if (dbus_message_iter_get_arg_type(&value) == DBUS_TYPE_STRING)
            dbus_message_iter_get_basic(&value, &is);
    }
    bool same = strcmp(is, status) == 0;
    dbus_message_unref(answer);
    return same;
}

/* Where it has the status; whether it did as it was told. */
static bool tell(struct players *p, const char *name, const char *status, const char *member)
{
    DBusError e = DBUS_ERROR_INIT;
    bool found = bus_link_look(p->link, name, &e);
    dbus_error_free(&e);
    DBusMessage *answer =
        found && has_status(p, name, status) ? call(p, name, OBJECT, PLAYER, member, NULL) : NULL;
    bus_link_forget(p->link, name);
    if (answer)
        dbus_message_unref(answer);
    return answer != NULL;
}

static void pause_one(struct players *p, const char *name)
{
    char *kept = p->count < PLAYERS_MAX ? strdup(name) : NULL;
    if (kept && tell(p, kept, "Playing", "Pause"))
        p->paused[p->count++] = kept;
    else
        free(kept);
}

void players_pause(struct players *p)
{
    DBusError e = DBUS_ERROR_INIT;
    char **names;
    int count;
    if (!bus_link_look(p->link, DBUS_SERVICE_DBUS, &e)) {
        dbus_error_free(&e);
        return;
    }
    DBusMessage *answer =
        call(p, DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "ListNames", NULL);
    if (!answer)
        return;
    if (dbus_message_get_args(answer, NULL, DBUS_TYPE_ARRAY, DBUS_TYPE_STRING, &names, &count,
                              DBUS_TYPE_INVALID)) {
        for (int i = 0; i < count; i++)
            if (strncmp(names[i], PREFIX, strlen(PREFIX)) == 0)
                pause_one(p, names[i]);
        dbus_free_string_array(names);
    }
    dbus_message_unref(answer);
}

void players_resume(struct players *p)
{
    while (p->count) {
        char *name = p->paused[--p->count];
        tell(p, name, "Paused", "Play");
        free(name);
    }
}
