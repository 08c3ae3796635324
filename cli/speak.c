/* earshot speak: replies said aloud by Speech Dispatcher. The microphone is closed meanwhile, as it
 * would hear them; who presses the key to talk is not kept waiting. */
#include "cli/client_commands.h"
#include "cli/ear_state.h"
#include "cli/offline.h"
#include "cli/speech.h"
#include "cli/stop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct bus_client_option client_speak_options[] = {
    {"keep-listening", NULL, "leave the microphone open: for headphones"},
    {NULL},
};

enum {
    OPTION_KEEP_LISTENING,
    ANSWER_MS = 10000, /* of the daemon */
    STOPPED = -1,      /* by a signal */
};

struct speaker {
    struct bus_client *client;
    bool begun;
    bool paused;  /* by us, as far as we know, */
    bool closed;  /* and the daemon has told so */
    double state; /* the daemon's, as far as the signals were read */
};

static int call(struct speaker *s, const char *member)
{
    DBusMessageIter args;
    return bus_client_send(s->client, bus_client_call(BUS_CLIENT_INTERFACE, member, &args));
}

/* False, and said: it stays open, as somebody speaks. */
static bool close_microphone(struct speaker *s)
{
    if (s->client->given[OPTION_KEEP_LISTENING] || s->paused)
        return true;
    s->paused = call(s, "Pause") == 0;
    s->closed = s->paused && s->state == EAR_STATE_MUTED; /* before us, by its user */
    return s->paused;
}

/* Signals come meanwhile, in case that Speech Dispatcher hangs: the second ends the process. */
static void say(struct speaker *s, const char *text)
{
    struct error error;
    sigset_t blocked;
    if (!close_microphone(s))
        return;
    sigprocmask(SIG_SETMASK, s->client->waits_in, &blocked);
    int rc = speech_say(text, &error);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    if (rc)
        offline_fail(s->client->command, &error);
}

/* What goes wrong is said, and the next reply is tried again. */
static void take_reply(struct speaker *s, DBusMessage *m)
{
    dbus_uint64_t id;
    const char *text;
    if (dbus_message_get_args(m, NULL, DBUS_TYPE_UINT64, &id, DBUS_TYPE_STRING, &text,
                              DBUS_TYPE_INVALID) &&
        text[strspn(text, " \t\n")])
        say(s, text);
}

/* Also where the daemon has ended it before: it is only that nothing is paused any more. */
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

/* Closed, and then open although we have not said so: somebody talks. Between the two a text may be
 * made, or the microphone be about to open. */
static void take_change(struct speaker *s, DBusMessage *m)
{
    bus_client_details(m, take_state, &s->state);
    if (!s->paused)
        return;
    if (s->state == EAR_STATE_MUTED) {
        s->closed = true;
    } else if (s->closed && (s->state == EAR_STATE_IDLE || s->state == EAR_STATE_HEARING)) {
        speech_cancel();
        end_pause(s);
    }
}

static int begin(struct speaker *s)
{
    struct error error;
    DBusError e = DBUS_ERROR_INIT;
    s->begun = true;
    bus_client_properties(s->client, take_state, &s->state, &e);
    dbus_error_free(&e); /* then the signals tell */
    return speech_open(&error) ? offline_fail(s->client->command, &error) : 0;
}

/* Looks again in a second while something sounds. */
static void look_at_speech(struct speaker *s)
{
    if (speech_sounds() && speech_has_ended()) {
        struct error error;
        error_set(&error, 0, "Speech Dispatcher has ended; the next reply starts it again");
        offline_fail(s->client->command, &error);
        speech_close();
    }
    if (!speech_sounds())
        end_pause(s);
    alarm(speech_sounds() ? 1 : 0);
}

/* The daemon is gone, and its pause; the next one would hear the rest. */
static void fall_silent(struct speaker *s)
{
    speech_cancel();
    s->paused = s->closed = false;
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
        look_at_speech(s);
        return 0;
    }
    if (bus_client_is_change(m, &there) && !there)
        fall_silent(s);
    else if (bus_client_is_signal(m, "ReplyCompleted") && s->begun)
        take_reply(s, m);
    else if (dbus_message_is_signal(m, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged"))
        take_change(s, m);
    return 0;
}

int client_speak(struct bus_client *c)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGALRM, SPEECH_SIGNAL};
    struct speaker s = {.client = c};
    c->patience_ms = -1;
    c->answer_ms = ANSWER_MS;
    bus_client_wait_for(c, numbers, sizeof numbers / sizeof *numbers);
    stop_begin();
    int code = bus_client_follow(c, -1, take, &s);
    speech_close();
    if (c->link && s.paused)
        end_pause(&s);
    return code == STOPPED ? EXIT_DONE : code;
}
