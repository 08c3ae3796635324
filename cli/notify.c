/* earshot notify: replies as notifications of the desktop (org.freedesktop.Notifications,
 * version 1.2). One that is still growing has an action that cancels it. */
#include "cli/client_commands.h"
#include "cli/offline.h"

#include <stdio.h>
#include <string.h>

#define NOTIFICATIONS "org.freedesktop.Notifications"

enum {
    TEXT_MAX = 1024, /* of a notification; what is longer is cut */
    SHOW_MS = 2000,  /* what the desktop may take to show one */
    EXPIRES_MS = -1, /* as the desktop likes */
};

struct notifier {
    struct bus_client *client;
    bool subscribed;
    dbus_uint64_t utterance; /* whose reply is shown; 0: none yet */
    dbus_uint32_t shown;     /* the notification; 0: none yet */
    char question[TEXT_MAX]; /* the last completed utterance */
};

/* The text as the markup of bodies has it, in whole characters. */
static void escape(const char *text, char *out, size_t capacity)
{
    size_t at = 0;
    while (*text) {
        size_t bytes = 1;
        while ((text[bytes] & 0xC0) == 0x80)
            bytes++;
        const char *as = *text == '&'   ? "&amp;"
                         : *text == '<' ? "&lt;"
                         : *text == '>' ? "&gt;"
                                        : NULL;
        size_t length = as ? strlen(as) : bytes;
        if (at + length + 1 > capacity)
            break;
        memcpy(out + at, as ? as : text, length);
        at += length;
        text += bytes;
    }
    out[at] = '\0';
}

/* The text, or as many whole characters of it as there is room for. */
static void copy(const char *text, char *out, size_t capacity)
{
    size_t length = strnlen(text, capacity - 1);
    while (length && (text[length] & 0xC0) == 0x80)
        length--;
    memcpy(out, text, length);
    out[length] = '\0';
}

static void append_actions(DBusMessageIter *args, bool can_cancel)
{
    DBusMessageIter array;
    dbus_message_iter_open_container(args, DBUS_TYPE_ARRAY, "s", &array);
    if (can_cancel) {
        bus_client_append_string(&array, "cancel");
        bus_client_append_string(&array, "Cancel");
    }
    dbus_message_iter_close_container(args, &array);
}

/* The call that shows the reply in place of what is shown of it. */
static DBusMessage *new_notification(const struct notifier *n, const char *reply, bool final)
{
    DBusMessageIter args, hints;
    char body[TEXT_MAX];
    dbus_int32_t expires = EXPIRES_MS;
    escape(reply, body, sizeof body);
    DBusMessage *call = dbus_message_new_method_call(
        NOTIFICATIONS, "/org/freedesktop/Notifications", NOTIFICATIONS, "Notify");
    dbus_message_iter_init_append(call, &args);
    bus_client_append_string(&args, "Earshot");
    dbus_message_iter_append_basic(&args, DBUS_TYPE_UINT32, &n->shown);
    bus_client_append_string(&args, "audio-input-microphone");
    bus_client_append_string(&args, *n->question ? n->question : "Earshot");
    bus_client_append_string(&args, body);
    append_actions(&args, !final);
    dbus_message_iter_open_container(&args, DBUS_TYPE_ARRAY, "{sv}", &hints);
    dbus_message_iter_close_container(&args, &hints);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_INT32, &expires);
    return call;
}

/* 0 or an exit code, said. */
static int show(struct notifier *n, const char *reply, bool final)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessage *answer = NULL;
    if (bus_link_find(n->client->link, NOTIFICATIONS, &e))
        answer = bus_link_call(n->client->link, new_notification(n, reply, final), SHOW_MS, &e);
    bool shown =
        answer && dbus_message_get_args(answer, &e, DBUS_TYPE_UINT32, &n->shown, DBUS_TYPE_INVALID);
    if (answer)
        dbus_message_unref(answer);
    if (shown)
        return 0;
    struct error error;
    error_set(&error, 0, "%s: %s", NOTIFICATIONS, e.message);
    dbus_error_free(&e);
    return offline_fail("notify", &error);
}

/* The first two arguments of the daemon's signals with a text: whose, and the text, which is last
 * but for details. */
static const char *read_text(DBusMessage *m, dbus_uint64_t *id)
{
    DBusMessageIter args;
    const char *text = "";
    dbus_message_iter_init(m, &args);
    do {
        int type = dbus_message_iter_get_arg_type(&args);
        if (type == DBUS_TYPE_UINT64)
            dbus_message_iter_get_basic(&args, id);
        else if (type == DBUS_TYPE_STRING)
            dbus_message_iter_get_basic(&args, &text);
    } while (dbus_message_iter_next(&args));
    return text;
}

static int take_reply(struct notifier *n, DBusMessage *m, bool final)
{
    dbus_uint64_t id = 0;
    const char *text = read_text(m, &id);
    bool first = id != n->utterance;
    if (first)
        n->shown = 0;
    n->utterance = id;
    /* A desktop that is asked to show ten a second shows none: the first words, then all of them.
     */
    return *text && (first || final) ? show(n, text, final) : 0;
}

static int take_action(struct notifier *n, DBusMessage *m)
{
    DBusMessageIter args;
    dbus_uint32_t id;
    const char *action;
    if (!dbus_message_get_args(m, NULL, DBUS_TYPE_UINT32, &id, DBUS_TYPE_STRING, &action,
                               DBUS_TYPE_INVALID) ||
        id != n->shown || strcmp(action, "cancel") != 0)
        return 0;
    return bus_client_send(n->client, bus_client_call(BUS_CLIENT_INTERFACE, "Cancel", &args));
}

static int subscribe(struct notifier *n)
{
    DBusError e = DBUS_ERROR_INIT;
    n->subscribed = true;
    return bus_link_subscribe(n->client->link, NOTIFICATIONS, NULL, &e)
               ? 0
               : bus_client_fail(n->client, &e);
}

static int take(void *user, DBusMessage *m)
{
    struct notifier *n = user;
    dbus_uint64_t ignored;
    if (!m)
        return n->subscribed ? 0 : subscribe(n);
    if (bus_client_is_signal(m, "UtteranceCompleted"))
        copy(read_text(m, &ignored), n->question, sizeof n->question);
    if (bus_client_is_signal(m, "ReplyUpdated"))
        return take_reply(n, m, false);
    if (bus_client_is_signal(m, "ReplyCompleted"))
        return take_reply(n, m, true);
    if (dbus_message_is_signal(m, NOTIFICATIONS, "ActionInvoked"))
        return take_action(n, m);
    return 0;
}

int client_notify(struct bus_client *c)
{
    struct notifier n = {.client = c};
    return bus_client_follow(c, -1, take, &n);
}
