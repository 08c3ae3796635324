/* The connection to the bus, and the daemon on it (ear.h). Signals are subscribed to by the unique
 * name of the daemon's owner, anew for each. */
#include "overlay/ear.h"

#include <gio/gio.h>
#include <string.h>

#define NAME "org.earshot.Earshot1"
#define OBJECT "/org/earshot/Earshot1"
#define DESKTOP "desktop" /* the ear of what the desktop plays */
#define DESKTOP_OBJECT OBJECT "/ears/" DESKTOP
#define EARS "org.earshot.Earshot1.Ears"
#define ASSISTANT "org.earshot.Earshot1.Assistant"
#define PROPERTIES "org.freedesktop.DBus.Properties"

enum {
    RETRY_S = 1,
    ANSWER_MS = 60000, /* opening a device may take it some seconds */
    STATE_LOADING = 1, /* as docs/dbus.md has them */
    STATE_MUTED = 5,
    STATE_FAILED = 6,
};

struct ear {
    const struct ear_events *events;
    void *user;
    char *bus;
    GCancellable *cancel; /* of all that is under way */
    GDBusConnection *connection;
    char *owner; /* NULL: no daemon */
    char *said;  /* what ear_waits() gave */
    unsigned watch, retry, signals[3];
    enum settings_sound sound;
    bool added;       /* the desktop's ear is ours, to be removed */
    uint64_t last_id; /* of what was told complete, or the time of the start */
    uint32_t state, progress;
    bool muted, known; /* known: the properties were read */
    char *mode, *device, *trouble;
    GVariant *microphones; /* NULL: not known */
};

static void set_string(char **to, GVariant *value)
{
    if (!g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        return;
    g_free(*to);
    *to = g_variant_dup_string(value, NULL);
}

static void set_microphones(struct ear *ear, GVariant *value)
{
    if (!g_variant_is_of_type(value, G_VARIANT_TYPE("aa{sv}")))
        return;
    g_clear_pointer(&ear->microphones, g_variant_unref);
    ear->microphones = g_variant_ref(value);
}

static void take_property(struct ear *ear, const char *name, GVariant *value)
{
    if (strcmp(name, "State") == 0 && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
        ear->state = g_variant_get_uint32(value);
    else if (strcmp(name, "Progress") == 0 && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
        ear->progress = g_variant_get_uint32(value);
    else if (strcmp(name, "Muted") == 0 && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
        ear->muted = g_variant_get_boolean(value);
    else if (strcmp(name, "Mode") == 0)
        set_string(&ear->mode, value);
    else if (strcmp(name, "Device") == 0)
        set_string(&ear->device, value);
    else if (strcmp(name, "DeviceError") == 0)
        set_string(&ear->trouble, value);
    else if (strcmp(name, "Microphones") == 0)
        set_microphones(ear, value);
}

static void take_properties(struct ear *ear, GVariant *dictionary)
{
    GVariantIter each;
    const char *name;
    GVariant *value;
    g_variant_iter_init(&each, dictionary);
    while (g_variant_iter_loop(&each, "{&sv}", &name, &value))
        take_property(ear, name, value);
    ear->events->changed(ear->user);
}

/* The words a(uuxxd) of a text; *count of them, to be freed. */
static struct caption_word *read_words(GVariant *details, size_t *count)
{
    GVariantIter each;
    uint32_t at, size;
    double confidence;
    GVariant *list = g_variant_lookup_value(details, "words", G_VARIANT_TYPE("a(uuxxd)"));
    *count = 0;
    if (!list)
        return NULL;
    struct caption_word *words = g_new(struct caption_word, g_variant_n_children(list) + 1);
    g_variant_iter_init(&each, list);
    while (g_variant_iter_next(&each, "(uuxxd)", &at, &size, NULL, NULL, &confidence))
        words[(*count)++] = (struct caption_word){at, size, confidence};
    g_variant_unref(list);
    return words;
}

static void take_complete(struct ear *ear, uint64_t id, enum caption_kind kind, const char *text,
                          GVariant *details)
{
    double confidence = -1;
    size_t count;
    struct caption_word *words = read_words(details, &count);
    g_variant_lookup(details, "confidence", "d", &confidence);
    if (kind == CAPTION_SAID && id > ear->last_id)
        ear->last_id = id;
    ear->events->completed(ear->user, id, kind, text, confidence, words, count);
    g_free(words);
}

static void take_signal(GDBusConnection *connection, const char *sender, const char *object,
                        const char *interface, const char *member, GVariant *args, void *user)
{
    struct ear *ear = user;
    uint64_t id;
    uint32_t seq, stable;
    const char *text;
    GVariant *details;
    bool plays = strcmp(object, DESKTOP_OBJECT) == 0;
    (void)connection, (void)sender, (void)interface;
    if (ear->sound == (plays ? SETTINGS_MICROPHONE : SETTINGS_DESKTOP))
        return;
    enum caption_kind kind = plays && ear->sound == SETTINGS_BOTH ? CAPTION_PLAYED : CAPTION_SAID;
    if (g_str_has_prefix(member, "Reply"))
        kind = CAPTION_REPLY;
    if (strcmp(member, "UtteranceUpdated") == 0 &&
        g_variant_is_of_type(args, G_VARIANT_TYPE("(tuus)"))) {
        g_variant_get(args, "(tuu&s)", &id, &seq, &stable, &text);
        ear->events->updated(ear->user, id, kind, seq, stable, text);
    } else if (strcmp(member, "ReplyUpdated") == 0 &&
               g_variant_is_of_type(args, G_VARIANT_TYPE("(tus)"))) {
        g_variant_get(args, "(tu&s)", &id, &seq, &text);
        ear->events->updated(ear->user, id, kind, seq, strlen(text), text);
    } else if (g_str_has_suffix(member, "Completed") &&
               g_variant_is_of_type(args, G_VARIANT_TYPE("(tsa{sv})"))) {
        g_variant_get(args, "(t&s@a{sv})", &id, &text, &details);
        take_complete(ear, id, kind, text, details);
        g_variant_unref(details);
    }
}

static void take_change(GDBusConnection *connection, const char *sender, const char *object,
                        const char *interface, const char *member, GVariant *args, void *user)
{
    (void)connection, (void)sender, (void)object, (void)interface, (void)member;
    if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    GVariant *dictionary = g_variant_get_child_value(args, 1);
    take_properties(user, dictionary);
    g_variant_unref(dictionary);
}

/* The answer of a call; NULL where it failed, and where the ear is gone. */
static GVariant *end_call(GObject *connection, GAsyncResult *result, char **why)
{
    GError *error = NULL;
    GVariant *answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(connection), result, &error);
    if (error && why && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_dbus_error_strip_remote_error(error);
        *why = g_strdup(error->message);
    }
    g_clear_error(&error);
    return answer;
}

static void end_properties(GObject *connection, GAsyncResult *result, void *user)
{
    struct ear *ear = user;
    GVariant *dictionary, *answer = end_call(connection, result, NULL);
    if (!answer)
        return;
    ear->known = true;
    g_variant_get(answer, "(@a{sv})", &dictionary);
    take_properties(ear, dictionary);
    g_variant_unref(dictionary);
    g_variant_unref(answer);
}

/* Of the microphone. */
static void take_missed(struct ear *ear, GVariant *utterance)
{
    uint64_t id;
    const char *text, *reply;
    if (!g_variant_lookup(utterance, "id", "t", &id) ||
        !g_variant_lookup(utterance, "text", "&s", &text))
        return;
    if (ear->sound == SETTINGS_DESKTOP)
        return;
    take_complete(ear, id, CAPTION_SAID, text, utterance);
    if (g_variant_lookup(utterance, "reply", "&s", &reply) && *reply)
        ear->events->completed(ear->user, id, CAPTION_REPLY, reply, -1, NULL, 0);
}

static void end_missed(GObject *connection, GAsyncResult *result, void *user)
{
    GVariantIter *each;
    GVariant *utterance, *answer = end_call(connection, result, NULL);
    if (!answer)
        return;
    g_variant_get(answer, "(aa{sv})", &each);
    while ((utterance = g_variant_iter_next_value(each))) {
        take_missed(user, utterance);
        g_variant_unref(utterance);
    }
    g_variant_iter_free(each);
    g_variant_unref(answer);
}

static void call(struct ear *ear, const char *interface, const char *member, GVariant *args,
                 const char *type, GAsyncReadyCallback done)
{
    g_dbus_connection_call(ear->connection, ear->owner, OBJECT, interface, member, args,
                           G_VARIANT_TYPE(type), G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS,
                           ear->cancel, done, ear);
}

static void follow_sound(struct ear *ear);

static void end_adding(GObject *connection, GAsyncResult *result, void *user)
{
    struct ear *ear = user;
    char *why = NULL;
    GVariant *answer = end_call(connection, result, &why);
    if (answer) {
        ear->added = true;
        g_variant_unref(answer);
        if (ear->sound == SETTINGS_MICROPHONE) /* it is not wanted any more */
            follow_sound(ear);
    } else if (why && !strstr(why, "this name already")) {
        ear->events->refused(ear->user, why);
    }
    g_free(why);
}

static void end_removing(GObject *connection, GAsyncResult *result, void *user)
{
    (void)user;
    GVariant *answer = end_call(connection, result, NULL);
    g_clear_pointer(&answer, g_variant_unref);
}

/* The desktop's ear comes and goes with the wish to see what it hears, and goes with this program;
 * one that somebody else has added, or the configuration, stays. */
static void follow_sound(struct ear *ear)
{
    bool wanted = ear->sound != SETTINGS_MICROPHONE;
    if (!ear->owner)
        return;
    if (wanted) {
        call(ear, EARS, "AddEar", g_variant_new_parsed("(%s, {'stays': <false>})", DESKTOP), "(o)",
             end_adding);
    } else if (ear->added) {
        call(ear, EARS, "RemoveEar", g_variant_new("(s)", DESKTOP), "()", end_removing);
        ear->added = false;
    }
}

static void forget_daemon(struct ear *ear)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ear->signals); i++)
        if (ear->signals[i])
            g_dbus_connection_signal_unsubscribe(ear->connection, ear->signals[i]);
    memset(ear->signals, 0, sizeof ear->signals);
    g_clear_pointer(&ear->owner, g_free);
    g_clear_pointer(&ear->microphones, g_variant_unref);
    ear->known = false;
}

static void daemon_came(GDBusConnection *connection, const char *name, const char *owner,
                        void *user)
{
    struct ear *ear = user;
    (void)name;
    forget_daemon(ear);
    ear->owner = g_strdup(owner);
    ear->signals[0] =
        g_dbus_connection_signal_subscribe(connection, owner, ASSISTANT, NULL, OBJECT, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, take_signal, ear, NULL);
    ear->signals[2] =
        g_dbus_connection_signal_subscribe(connection, owner, ASSISTANT, NULL, DESKTOP_OBJECT, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, take_signal, ear, NULL);
    ear->signals[1] = g_dbus_connection_signal_subscribe(
        connection, owner, PROPERTIES, "PropertiesChanged", OBJECT, ASSISTANT,
        G_DBUS_SIGNAL_FLAGS_NONE, take_change, ear, NULL);
    call(ear, PROPERTIES, "GetAll", g_variant_new("(s)", ASSISTANT), "(a{sv})", end_properties);
    call(ear, ASSISTANT, "GetUtterances", g_variant_new("(tu)", ear->last_id, 0), "(aa{sv})",
         end_missed);
    ear->added = false;
    follow_sound(ear);
    ear->events->changed(ear->user);
}

static void daemon_went(GDBusConnection *connection, const char *name, void *user)
{
    struct ear *ear = user;
    (void)connection, (void)name;
    bool was_there = ear->owner != NULL;
    forget_daemon(ear);
    if (was_there)
        ear->events->lost(ear->user);
    ear->events->changed(ear->user);
}

static void connect_bus(struct ear *ear);

static gboolean retry(void *user)
{
    struct ear *ear = user;
    ear->retry = 0;
    connect_bus(ear);
    return G_SOURCE_REMOVE;
}

static void leave_bus(struct ear *ear)
{
    forget_daemon(ear);
    if (ear->watch)
        g_bus_unwatch_name(ear->watch);
    ear->watch = 0;
    if (ear->connection)
        g_signal_handlers_disconnect_by_data(ear->connection, ear);
    g_clear_object(&ear->connection);
}

static void bus_went(GDBusConnection *connection, gboolean by_peer, GError *error, void *user)
{
    struct ear *ear = user;
    (void)connection, (void)by_peer, (void)error;
    leave_bus(ear);
    ear->retry = g_timeout_add_seconds(RETRY_S, retry, ear);
    ear->events->lost(ear->user);
    ear->events->changed(ear->user);
}

static void bus_came(GObject *source, GAsyncResult *result, void *user)
{
    struct ear *ear = user;
    GError *error = NULL;
    (void)source;
    GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);
    bool cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    if (cancelled)
        return;
    if (!connection) {
        ear->retry = g_timeout_add_seconds(RETRY_S, retry, ear);
        return;
    }
    ear->connection = connection;
    g_dbus_connection_set_exit_on_close(connection, FALSE);
    g_signal_connect(connection, "closed", G_CALLBACK(bus_went), ear);
    ear->watch = g_bus_watch_name_on_connection(
        connection, NAME, G_BUS_NAME_WATCHER_FLAGS_AUTO_START, daemon_came, daemon_went, ear, NULL);
}

static char *find_address(const char *bus)
{
    if (strcmp(bus, "session") == 0)
        return g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    if (strcmp(bus, "system") == 0)
        return g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);
    return g_strdup(bus);
}

static void connect_bus(struct ear *ear)
{
    char *address = find_address(ear->bus);
    if (address)
        g_dbus_connection_new_for_address(address,
                                          G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                              G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                          NULL, ear->cancel, bus_came, ear);
    else
        ear->retry = g_timeout_add_seconds(RETRY_S, retry, ear);
    g_free(address);
}

struct ear *ear_create(const char *bus, enum settings_sound sound, const struct ear_events *events,
                       void *user)
{
    struct ear *ear = g_new0(struct ear, 1);
    ear->events = events;
    ear->user = user;
    ear->bus = g_strdup(bus);
    ear->sound = sound;
    ear->cancel = g_cancellable_new();
    ear->mode = g_strdup("");
    ear->device = g_strdup("");
    ear->trouble = g_strdup("");
    ear->last_id = (uint64_t)g_get_real_time();
    connect_bus(ear);
    return ear;
}

void ear_destroy(struct ear *ear)
{
    if (!ear)
        return;
    g_cancellable_cancel(ear->cancel);
    leave_bus(ear);
    if (ear->retry)
        g_source_remove(ear->retry);
    g_object_unref(ear->cancel);
    g_free(ear->bus);
    g_free(ear->said);
    g_free(ear->mode);
    g_free(ear->device);
    g_free(ear->trouble);
    g_free(ear);
}

static char *describe(const struct ear *ear)
{
    if (!ear->connection)
        return g_strdup("no bus: trying again every second");
    if (!ear->owner)
        return g_strdup("no daemon: waiting for it; \"systemctl --user start earshot\" starts it");
    if (!ear->known)
        return NULL;
    if (ear->state == STATE_LOADING && ear->progress < 100)
        return g_strdup("loading the model");
    if (ear->sound == SETTINGS_DESKTOP) /* whatever the microphone does */
        return NULL;
    if (ear->state == STATE_LOADING)
        return g_strdup("opening the microphone");
    if (ear->state == STATE_MUTED && ear->muted)
        return g_strdup("paused: the microphone is closed; Pause in the menu opens it");
    if (ear->state == STATE_MUTED)
        return g_strdup("paused: the session is locked, the machine sleeps, or a program speaks");
    if (ear->state == STATE_FAILED)
        return g_strdup_printf("no microphone: %s; choose another in the menu",
                               *ear->trouble ? ear->trouble : "none opens");
    return NULL;
}

const char *ear_waits(struct ear *ear)
{
    g_free(ear->said);
    ear->said = describe(ear);
    return ear->said;
}

bool ear_is_there(const struct ear *ear)
{
    return ear->owner != NULL;
}

bool ear_is_muted(const struct ear *ear)
{
    return ear->muted;
}

const char *ear_mode(const struct ear *ear)
{
    return ear->mode;
}

const char *ear_device(const struct ear *ear)
{
    return ear->device;
}

GVariant *ear_microphones(const struct ear *ear)
{
    return ear->microphones;
}

static void end_setting(GObject *connection, GAsyncResult *result, void *user)
{
    struct ear *ear = user;
    char *why = NULL;
    GVariant *answer = end_call(connection, result, &why);
    if (why)
        ear->events->refused(ear->user, why);
    g_free(why);
    if (answer)
        g_variant_unref(answer);
}

static void set(struct ear *ear, const char *name, GVariant *value)
{
    if (ear->owner)
        call(ear, PROPERTIES, "Set", g_variant_new("(ssv)", ASSISTANT, name, value), "()",
             end_setting);
    else
        g_variant_unref(g_variant_ref_sink(value));
}

void ear_set_sound(struct ear *ear, enum settings_sound sound)
{
    bool wants = sound != SETTINGS_MICROPHONE;
    ear->sound = sound;
    if (wants != ear->added)
        follow_sound(ear);
    ear->events->changed(ear->user);
}

void ear_set_muted(struct ear *ear, bool muted)
{
    set(ear, "Muted", g_variant_new_boolean(muted));
}

void ear_set_mode(struct ear *ear, const char *mode)
{
    set(ear, "Mode", g_variant_new_string(mode));
}

void ear_set_device(struct ear *ear, const char *device)
{
    set(ear, "Device", g_variant_new_string(device));
}
