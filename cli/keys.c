/* earshot keys: a key to talk, one that mutes and one for the caption window, whatever has the
 * focus; for as long as it runs. */
#include "base/child.h"
#include "cli/client_commands.h"
#include "cli/ear_state.h"
#include "cli/offline.h"
#include "cli/players.h"
#include "cli/shortcuts.h"
#include "cli/stop.h"
#include "cues/cues.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

const struct bus_client_option client_keys_options[] = {
    {"talk", "KEYS", "propose these to the desktop, as CTRL+ALT+space; \"\": none"},
    {"mute", "KEYS", "the same; CTRL+ALT+m"},
    {"overlay", "KEYS", "the same; CTRL+ALT+o"},
    {"pause-media", NULL, "pause players while the key to talk is held"},
    {NULL},
};

enum {
    KEY_TALK, /* in the order above */
    KEY_MUTE,
    KEY_OVERLAY,
    KEYS,
    OPTION_PAUSE_MEDIA = KEYS,
    ANSWER_MS = 10000, /* of the daemon: a turn may wait for the microphone */
    STOPPED = -1,      /* by a signal */
};

struct keys {
    struct bus_client *client;
    struct shortcut list[KEYS];
    struct shortcuts shortcuts;
    struct players players;
    bool begun, held;
};

/* Without the option "stays" the daemon ends the turn when this program is gone. What failed is
 * said, and the keys go on: the next press may find the daemon well again. */
static void begin_turn(struct keys *k)
{
    DBusMessageIter args, options;
    DBusMessage *m = bus_client_call(BUS_CLIENT_INTERFACE, "Listen", &args);
    dbus_message_iter_open_container(&args, DBUS_TYPE_ARRAY, "{sv}", &options);
    dbus_message_iter_close_container(&args, &options);
    k->held = bus_client_send(k->client, m) == EXIT_DONE;
    if (k->held && k->client->given[OPTION_PAUSE_MEDIA])
        players_pause(&k->players);
}

static void end_turn(struct keys *k)
{
    DBusMessageIter args;
    if (k->held)
        bus_client_send(k->client, bus_client_call(BUS_CLIENT_INTERFACE, "Finish", &args));
    k->held = false;
    players_resume(&k->players);
}

static void toggle_mute(struct keys *k)
{
    DBusError e = DBUS_ERROR_INIT;
    struct ear_state state = {0};
    if (!bus_client_properties(k->client, ear_state_take, &state, &e)) {
        bus_client_fail(k->client, &e);
        return;
    }
    dbus_bool_t muted = !state.muted;
    bus_client_send(k->client, bus_client_set("Muted", DBUS_TYPE_BOOLEAN, "b", &muted));
}

static void toggle_overlay(struct keys *k)
{
    char *const arguments[] = {"earshot", "overlay", "--toggle", "--bus", (char *)k->client->bus,
                               NULL};
    static const struct child_file files[] = {{-1, 0}, {1, 1}, {2, 2}};
    pid_t process;
    int rc = child_start(&process, arguments, files, 3);
    if (rc)
        error_print("earshot keys: earshot overlay: %s", strerror(-rc));
}

/* user: bool [KEYS], whether the desktop has told of it */
static void print_keys(void *user, size_t number, const struct shortcut *shortcut, const char *keys)
{
    bool *told = user;
    told[number] = true;
    printf("%-8s ", shortcut->id);
    cue_print_text(*keys ? keys : "the desktop does not say which keys", stdout);
    putchar('\n');
}

static void print_all_keys(struct keys *k, DBusMessage *m)
{
    bool told[KEYS] = {false};
    shortcuts_each(&k->shortcuts, m, print_keys, told);
    for (size_t i = 0; i < KEYS; i++)
        if (!told[i])
            printf("%-8s none; the desktop's settings may give one\n", k->list[i].id);
    fflush(stdout);
}

static void press(struct keys *k)
{
    switch (k->shortcuts.number) {
    case KEY_TALK:
        begin_turn(k);
        break;
    case KEY_MUTE:
        toggle_mute(k);
        break;
    case KEY_OVERLAY:
        toggle_overlay(k);
        break;
    }
}

static int take_event(struct keys *k, DBusMessage *m)
{
    struct error error;
    switch (shortcuts_take(&k->shortcuts, m, &error)) {
    case SHORTCUTS_FAILED:
        end_turn(k);
        return offline_fail(k->client->command, &error);
    case SHORTCUTS_BOUND:
        print_all_keys(k, m);
        break;
    case SHORTCUTS_PRESSED:
        press(k);
        break;
    case SHORTCUTS_RELEASED:
        if (k->shortcuts.number == KEY_TALK)
            end_turn(k);
        break;
    case SHORTCUTS_LOST:
        end_turn(k);
        break;
    case SHORTCUTS_NOTHING:
        break;
    }
    return 0;
}

static int begin(struct keys *k)
{
    struct error error;
    k->begun = true;
    k->players.link = k->client->link;
    return shortcuts_begin(&k->shortcuts, k->client->link, k->list, KEYS, &error)
               ? offline_fail(k->client->command, &error)
               : 0;
}

static int take(void *user, DBusMessage *m)
{
    struct keys *k = user;
    bool there = true;
    if (!m) {
        while (waitpid(-1, NULL, WNOHANG) > 0) /* windows that have ended */
            ;
        if (stop_asked())
            return STOPPED;
        return k->begun ? 0 : begin(k);
    }
    if (bus_client_is_change(m, &there) && !there)
        k->held = false; /* with the daemon */
    return k->begun ? take_event(k, m) : 0;
}

int client_keys(struct bus_client *c)
{
    static const int stops[] = {SIGINT, SIGTERM};
    static const char *const proposed[KEYS] = {"CTRL+ALT+space", "CTRL+ALT+m", "CTRL+ALT+o"};
    struct keys k = {.client = c,
                     .list = {{"talk", "Talk to Earshot, while it is held", NULL},
                              {"mute", "Close Earshot's microphone, or open it", NULL},
                              {"overlay", "Show Earshot's captions, or hide them", NULL}}};
    for (size_t i = 0; i < KEYS; i++)
        k.list[i].trigger = c->given[i] ? c->given[i] : proposed[i];
    c->patience_ms = -1;
    c->answer_ms = ANSWER_MS;
    bus_client_wait_for(c, stops, sizeof stops / sizeof *stops);
    stop_begin();
    int code = bus_client_follow(c, -1, take, &k);
    if (c->link)
        end_turn(&k);
    return code == STOPPED ? EXIT_DONE : code;
}
