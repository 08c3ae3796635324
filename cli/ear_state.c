/* The properties of an ear that a person wants to know of. */
#include "cli/ear_state.h"

#include <stdio.h>
#include <string.h>

static void take_text(DBusMessageIter *value, char *text, size_t capacity)
{
    const char *s;
    if (dbus_message_iter_get_arg_type(value) != DBUS_TYPE_STRING)
        return;
    dbus_message_iter_get_basic(value, &s);
    snprintf(text, capacity, "%s", s);
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
        take_text(value, s->device, sizeof s->device);
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
        snprintf(text, capacity, "paused: the session is locked, or the machine sleeps");
    else if (s->state == EAR_STATE_FAILED)
        snprintf(text, capacity, "no microphone: %s; \"earshot devices\" lists what there is",
                 *s->trouble ? s->trouble : "none opens");
    else
        return false;
    return true;
}
