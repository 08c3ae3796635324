/* The properties of org.earshot.Earshot1.Assistant. */
#include "daemon/assistant_private.h"
#include "daemon/mode.h"

#include <string.h>

static void get_state(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    dbus_message_iter_append_basic(out, DBUS_TYPE_UINT32, &(uint32_t){a->state});
}

static void get_muted(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    dbus_message_iter_append_basic(out, DBUS_TYPE_BOOLEAN, &(dbus_bool_t){a->muted});
}

static DBusMessage *set_muted(void *user, DBusMessage *call, DBusMessageIter *value)
{
    dbus_bool_t muted;
    dbus_message_iter_get_basic(value, &muted);
    struct assistant *a = user;
    DBusMessage *refused = assistant_not_of_stream(a, call);
    return refused ? refused
                   : assistant_shut(a, call, (a->shut & EAR_PAUSED) | (muted ? EAR_MUTED : 0));
}

static void get_mode(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, mode_name(a->assistant_mode));
}

static DBusMessage *set_mode(void *user, DBusMessage *call, DBusMessageIter *value)
{
    struct assistant *a = user;
    const char *mode;
    dbus_message_iter_get_basic(value, &mode);
    struct error error;
    if (mode_check(mode, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    struct engine_request r = {.type = ENGINE_REPLIES, .flag = mode_replies(mode)};
    DBusMessage *refused = assistant_request(a, call, &r);
    a->mode_said = a->mode_said || !refused;
    return refused;
}

static void get_device(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, a->device);
}

static void get_device_error(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, a->device_error);
}

static void append_flag(DBusMessageIter *dictionary, const char *key, bool value)
{
    interface_append_entry(dictionary, key, DBUS_TYPE_BOOLEAN, "b", &(dbus_bool_t){value});
}

static void append_microphone(DBusMessageIter *array, const struct sound_source *source)
{
    DBusMessageIter dictionary;
    dbus_message_iter_open_container(array, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    interface_append_text(&dictionary, "name", source->name);
    interface_append_text(&dictionary, "description", source->description);
    append_flag(&dictionary, "default", source->is_default);
    append_flag(&dictionary, "monitor", source->monitors);
    append_flag(&dictionary, "in_use", source->in_use);
    dbus_message_iter_close_container(array, &dictionary);
}

static void get_microphones(void *user, DBusMessageIter *out)
{
    const struct assistant *a = user;
    DBusMessageIter array;
    if (a->microphones)
        microphones_look(a->microphones);
    const struct sound_sources *s = a->microphones ? microphones_list(a->microphones) : NULL;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "a{sv}", &array);
    for (size_t i = 0; s && i < s->count; i++)
        append_microphone(&array, &s->list[i]);
    dbus_message_iter_close_container(out, &array);
}

static DBusMessage *set_device(void *user, DBusMessage *call, DBusMessageIter *value)
{
    struct engine_request r = {.type = ENGINE_DEVICE};
    const char *device;
    dbus_message_iter_get_basic(value, &device);
    if (strlen(device) >= 256)
        return assistant_error(call, "InvalidArgument", "a device's name has at most 255 bytes");
    strcpy(r.text, device);
    DBusMessage *refused = assistant_not_of_stream(user, call);
    return refused ? refused : assistant_request(user, call, &r);
}

static void get_model(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, a->model);
}

static void get_backend(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, a->loaded ? a->backend : "");
}

static void get_progress(void *user, DBusMessageIter *out)
{
    const struct assistant *a = user;
    dbus_message_iter_append_basic(out, DBUS_TYPE_UINT32, &a->progress);
}

static void get_version(void *user, DBusMessageIter *out)
{
    (void)user;
    bus_append_text(out, EARSHOT_VERSION);
}

struct number {
    const char *name;
    double value;
};

/* As a{sd}. */
static void append_numbers(DBusMessageIter *out, const struct number *numbers, size_t count)
{
    DBusMessageIter dictionary, entry;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "{sd}", &dictionary);
    for (size_t i = 0; i < count; i++) {
        dbus_message_iter_open_container(&dictionary, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
        dbus_message_iter_append_basic(&entry, DBUS_TYPE_STRING, &numbers[i].name);
        dbus_message_iter_append_basic(&entry, DBUS_TYPE_DOUBLE, &numbers[i].value);
        dbus_message_iter_close_container(&dictionary, &entry);
    }
    dbus_message_iter_close_container(out, &dictionary);
}

static void get_latency(void *user, DBusMessageIter *out)
{
    const struct assistant *a = user;
    const struct number numbers[] = {
        {"partial_ms", a->latency.partial}, {"wait_ms", a->latency.wait},
        {"compute_ms", a->latency.compute}, {"reply_first_ms", a->latency.reply_first},
        {"reply_ms", a->latency.reply},
    };
    append_numbers(out, numbers, sizeof numbers / sizeof *numbers);
}

static void get_statistics(void *user, DBusMessageIter *out)
{
    const struct assistant *a = user;
    struct ear_work work = ear_work(a->ear);
    const struct number numbers[] = {
        {"heard_s", work.heard_s},
        {"computed_s", work.computed_s},
        {"real_time_factor", work.heard_s > 0 ? work.computed_s / work.heard_s : 0},
        {"lost_s", (double)a->lost / 16000},
    };
    append_numbers(out, numbers, sizeof numbers / sizeof *numbers);
}

static void get_level(void *user, DBusMessageIter *out)
{
    const struct assistant *a = user;
    double db = ear_level_db(a->ear);
    dbus_message_iter_append_basic(out, DBUS_TYPE_DOUBLE, &db);
}

const struct interface_property assistant_properties[] = {
    {"State", "u", .get = get_state},
    {"Muted", "b", .get = get_muted, .set = set_muted},
    {"Mode", "s", .get = get_mode, .set = set_mode},
    {"Device", "s", .get = get_device, .set = set_device},
    {"DeviceError", "s", .get = get_device_error},
    {"Microphones", "aa{sv}", .get = get_microphones},
    {"Model", "s", .get = get_model},
    {"Level", "d", .silent = true, .get = get_level},
    {"Latency", "a{sd}", .silent = true, .get = get_latency},
    {"Statistics", "a{sd}", .silent = true, .get = get_statistics},
    {"Backend", "s", .get = get_backend},
    {"Progress", "u", .get = get_progress},
    {"Version", "s", .constant = true, .get = get_version},
    {NULL},
};
