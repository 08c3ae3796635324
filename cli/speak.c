/* earshot speak: replies said aloud by Speech Dispatcher. The microphone is closed meanwhile, as it
 * would hear them; who presses the key to talk is not kept waiting. */
#include "cli/client_commands.h"
#include "cli/ear_state.h"
#include "cli/offline.h"
#include "cli/speech.h"
#include "cli/stop.h"

#include <stdio.h>
#include <string.h>

const struct bus_client_option client_speak_options[] = {
    {"keep-listening", NULL, "leave the microphone open: for headphones"},
    {NULL},
};

enum {
    OPTION_KEEP_LISTENING,
    STOPPED = -1, /* by a signal */
};

struct speaker {
    struct bus_client *client;
    bool begun;
    bool paused; /* by us, as far as we know, */
    bool closed; /* and the daemon has told so */
};

static int call(struct speaker *s, const char *member)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *answer =
        bus_client_answer(s->client, bus_client_call(BUS_CLIENT_INTERFACE, member, &args), &e);
    if (!answer)
        return bus_client_fail(s->client, &e);
    dbus_message_unref(answer);
    return 0;
}

/* What goes wrong is said, and the next reply is tried again. */
static void take_reply(struct speaker *s, DBusMessage *m)
{
    dbus_uint64_t id;
    const char *text;
    struct error error;
    if (!dbus_message_get_args(m, NULL, DBUS_TYPE_UINT64, &id, DBUS_TYPE_STRING, &text,
                               DBUS_TYPE_INVALID) ||
        !text[strspn(text, " \t\n")])
        return;
    if (!s->client->given[OPTION_KEEP_LISTENING] && !s->paused)
        s->paused = call(s, "Pause") == 0;
    if (speech_say(text, &error))
        offline_fail(s->client->command, &error);
}

static void end_pause(struct speaker *s)
{
    if (s->paused)
        call(s, "Resume");
    s->paused = s->closed = false;
}

static void take_state(void *user, const char *name, DBusMessageIter *value)
{
    double *state = user;
    if (strcmp(name, "State") == 0)
        bus_client_number(value, state);
}

/* Closed, and then open although we have not said so: somebody talks. */
static void take_change(struct speaker *s, DBusMessage *m)
{
    double state = 0;
    bus_client_details(m, take_state, &state);
    if (!state || !s->paused)
        return;
    if (state == EAR_STATE_MUTED) {
        s->closed = true;
    } else if (s->closed) {
        s->paused = s->closed = false;
        speech_cancel();
    }
}

static int begin(struct speaker *s)
{
    struct error error;
    s->begun = true;
    return speech_open(&error) ? offline_fail(s->client->command, &error) : 0;
}

static int take(void *user, DBusMessage *m)
{
    struct speaker *s = user;
    bool there = true;
    if (!m && stop_asked())
        return STOPPED;
    if (!m && !s->begun)
        return begin(s);
    if (!m) {
        if (!speech_sounds())
            end_pause(s);
        return 0;
    }
    if (bus_client_is_change(m, &there) && !there)
        s->paused = s->closed = false;
    else if (bus_client_is_signal(m, "ReplyCompleted") && s->begun)
        take_reply(s, m);
    else if (dbus_message_is_signal(m, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged"))
        take_change(s, m);
    return 0;
}

static void on_over(int number)
{
    (void)number; /* the wait has ended */
}

int client_speak(struct bus_client *c)
{
    static const int numbers[] = {SIGINT, SIGTERM, SPEECH_SIGNAL};
    struct speaker s = {.client = c};
    struct sigaction over = {.sa_handler = on_over};
    sigaction(SPEECH_SIGNAL, &over, NULL);
    c->patience_ms = -1;
    bus_client_wait_for(c, numbers, sizeof numbers / sizeof *numbers);
    stop_begin();
    int code = bus_client_follow(c, -1, take, &s);
    speech_close();
    if (c->link && s.paused)
        end_pause(&s);
    return code == STOPPED ? EXIT_DONE : code;
}
