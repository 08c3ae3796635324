/* The properties of an ear that a person wants to know of. */
#include "cli/ear_state.h"

#include <stdio.h>
#include <string.h>

#define REMOVED "the ear was removed" /* as the daemon's DeviceError has it */

static void take_text(DBusMessageIter *value, char *text, size_t capacity)
{
    const char *s;
    if (dbus_message_iter_get_arg_type(value) != DBUS_TYPE_STRING)
        return;
    dbus_message_iter_get_basic(value, &s);
    snprintf(text, capacity, "%s", s);
}

/* One of the sources of the sound server. */
struct source {
    bool in_use;
    const char *description;
};

static void take_source(void *user, const char *name, DBusMessageIter *value)
{
    struct source *s = user;
    dbus_bool_t in_use;
    int type = dbus_message_iter_get_arg_type(value);
    if (strcmp(name, "description") == 0 && type == DBUS_TYPE_STRING) {
        dbus_message_iter_get_basic(value, &s->description);
    } else if (strcmp(name, "in_use") == 0 && type == DBUS_TYPE_BOOLEAN) {
        dbus_message_iter_get_basic(value, &in_use);
        s->in_use = in_use;
    }
}

/* The description of the one that the daemon listens to, of aa{sv}. While it changes from one to
 * another none may be in use: then it stays. */
static void take_microphone(struct ear_state *s, DBusMessageIter *value)
{
    DBusMessageIter sources;
    if (dbus_message_iter_get_arg_type(value) != DBUS_TYPE_ARRAY ||
        dbus_message_iter_get_element_type(value) != DBUS_TYPE_ARRAY)
        return;
    for (dbus_message_iter_recurse(value, &sources);
         dbus_message_iter_get_arg_type(&sources) == DBUS_TYPE_ARRAY;
         dbus_message_iter_next(&sources)) {
        struct source source = {.description = ""};
        bus_client_each(&sources, take_source, &source);
        if (!source.in_use)
            continue;
        snprintf(s->microphone, sizeof s->microphone, "%s", source.description);
        s->is_new = true;
    }
}

/* Mostly told of behind the description. */
static void take_device(struct ear_state *s, DBusMessageIter *value)
{
    char before[sizeof s->device];
    memcpy(before, s->device, sizeof before);
    take_text(value, s->device, sizeof s->device);
    if (strcmp(before, s->device) == 0)
        return;
    if (!s->is_new)
        s->microphone[0] = '\0';
    s->is_new = false;
}

const char *ear_state_microphone(const struct ear_state *s)
{
    return *s->device && *s->microphone ? s->microphone : s->device;
}

void ear_state_take(void *ear_state, const char *name, DBusMessageIter *value)
{
    struct ear_state *s = ear_state;
    dbus_bool_t muted;
    if (strcmp(name, "State") == 0)
        bus_client_number(value, &s->state);
    else if (strcmp(name, "Progress") == 0)
        bus_client_number(value, &s->progress);
    else if (strcmp(name, "Device") == 0)
        take_device(s, value);
    else if (strcmp(name, "Microphones") == 0)
        take_microphone(s, value);
    else if (strcmp(name, "DeviceError") == 0)
        take_text(value, s->trouble, sizeof s->trouble);
    else if (strcmp(name, "Muted") == 0 &&
             dbus_message_iter_get_arg_type(value) == DBUS_TYPE_BOOLEAN) {
        dbus_message_iter_get_basic(value, &muted);
        s->muted = muted;
    }
}

const char *ear_state_name(double state)
{
    static const char *const names[] = {
        "unknown", "loading", "idle", "hearing", "thinking", "muted", "failed: no capture device"};
    return state >= 0 && state < sizeof names / sizeof *names ? names[(size_t)state] : names[0];
}

bool ear_state_waits(const struct ear_state *s, char *text, size_t capacity)
{
    if (s->state == EAR_STATE_LOADING && s->progress < 100)
        snprintf(text, capacity, "loading the model");
    else if (s->state == EAR_STATE_LOADING)
        snprintf(text, capacity, "opening the microphone");
    else if (s->state == EAR_STATE_MUTED && s->muted)
        snprintf(text, capacity, "muted: \"earshot unmute\" opens the microphone");
    else if (s->state == EAR_STATE_MUTED)
        snprintf(text, capacity,
                 "paused: the session is locked, the machine sleeps, or a program speaks");
    else if (s->state == EAR_STATE_FAILED && strcmp(s->trouble, REMOVED) == 0)
        snprintf(text, capacity, "%s; \"earshot ears\" lists those that there are", s->trouble);
    else if (s->state == EAR_STATE_FAILED)
        snprintf(text, capacity, "no microphone: %s; \"earshot devices\" lists what there is",
                 *s->trouble ? s->trouble : "none opens");
    else
        return false;
    return true;
}
