/* The methods and properties of the interfaces, and the tables that describe them. */
#include "base/log.h"
#include "daemon/ask_options.h"
#include "daemon/assistant_private.h"
#include "daemon/places.h"

#include <errno.h>
#include <string.h>

DBusMessage *assistant_error(DBusMessage *call, const char *name, const char *text)
{
    char full[128];
    snprintf(full, sizeof full, ERROR_PREFIX "%s", name);
    return dbus_message_new_error(call, full, dbus_validate_utf8(text, NULL) ? text : name);
}

/* The error of a result of the engine. */
static const char *error_name(int64_t code)
{
    switch (-code) {
    case ENOTSUP:
        return "NotSupported";
    case ENODEV:
        return "NotReady";
    case ECANCELED:
        return "Cancelled";
    case ENOENT:
        return "NotFound";
    case E2BIG:
        return "InvalidArgument";
    }
    return "Failed";
}

static void append_reply(DBusMessage *reply, const struct engine_message *result)
{
    DBusMessageIter out, dictionary;
    double compute_ms = result->event.compute_us / 1000.0;
    dbus_message_iter_init_append(reply, &out);
    bus_append_text(&out, result->event.text);
    dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    interface_append_entry(&dictionary, "compute_ms", DBUS_TYPE_DOUBLE, "d", &compute_ms);
    dbus_message_iter_close_container(&out, &dictionary);
}

static void change_bool(struct assistant *a, bool *field, bool value, const char *property)
{
    if (*field == value)
        return;
    *field = value;
    interface_changed(&a->object, ASSISTANT_INTERFACE, property);
}

/* The front end has taken it: now the rest. */
static void take_config(struct assistant *a, const struct config *c)
{
    struct engine_request text = {.type = ENGINE_SET_TEXT, .config = *c};
    struct engine_request replies = {.type = ENGINE_REPLIES,
                                     .flag = strcmp(c->mode, "assistant") == 0};
    bool moved = strcmp(a->config.mode, c->mode) != 0;
    if (assistant_pass_on(a, NULL, &text) || (moved && assistant_pass_on(a, NULL, &replies)))
        log_error("too many calls wait: [text] and [reply] stay as they were");
    a->config = *c;
    if (a->configured)
        a->configured(a->configured_user, c);
}

void assistant_settle(struct assistant *a, const struct pending *p,
                      const struct engine_message *result)
{
    const struct engine_request *r = &p->request;
    if (result->value < 0 && !p->call)
        log_error("%s", result->event.text);
    if (result->value < 0)
        return;
    if (r->type == ENGINE_MUTE)
        change_bool(a, &a->muted, r->flag, "Muted");
    if (r->type == ENGINE_PAUSE)
        a->paused = r->flag;
    if (r->type == ENGINE_REPLIES)
        change_bool(a, &a->assistant_mode, r->flag, "Mode");
    if (r->type == ENGINE_SET_HEARING)
        take_config(a, &r->config);
}

static void append_restarts(DBusMessage *reply, const struct config *started,
                            const struct config *now)
{
    const char *names[CONFIG_NAMES_MAX];
    const char **array = names;
    int count = (int)config_restarts(started, now, names);
    dbus_message_append_args(reply, DBUS_TYPE_ARRAY, DBUS_TYPE_STRING, &array, count,
                             DBUS_TYPE_INVALID);
}

DBusMessage *assistant_reply(struct assistant *a, const struct pending *p,
                             const struct engine_message *result)
{
    const struct engine_request *r = &p->request;
    if (result->value < 0)
        return assistant_error(p->call, error_name(result->value), result->event.text);
    DBusMessage *reply = dbus_message_new_method_return(p->call);
    if (reply && r->type == ENGINE_ASK)
        append_reply(reply, result);
    if (reply && r->type == ENGINE_SET_HEARING)
        append_restarts(reply, &a->started, &r->config);
    if (reply && r->type == ENGINE_HOLD)
        dbus_message_append_args(reply, DBUS_TYPE_UINT64, &(uint64_t){(uint64_t)result->value},
                                 DBUS_TYPE_INVALID);
    return reply;
}

static DBusMessage *simple_request(struct assistant *a, DBusMessage *call,
                                   enum engine_request_type type)
{
    struct engine_request r = {.type = type};
    return assistant_request(a, call, &r);
}

static DBusMessage *not_loaded(struct assistant *a, DBusMessage *call)
{
    return a->loaded ? NULL : assistant_error(call, "NotReady", "the model is not loaded yet");
}

static DBusMessage *call_listen(void *user, DBusMessage *call)
{
    DBusMessage *error = not_loaded(user, call);
    return error ? error : simple_request(user, call, ENGINE_HOLD);
}

static DBusMessage *call_finish(void *user, DBusMessage *call)
{
    return simple_request(user, call, ENGINE_FINISH);
}

static DBusMessage *call_cancel(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    ear_cancel(a->ear);
    return simple_request(a, call, ENGINE_CANCEL);
}

static DBusMessage *call_reset(void *user, DBusMessage *call)
{
    DBusMessage *error = not_loaded(user, call);
    return error ? error : simple_request(user, call, ENGINE_RESET);
}

static DBusMessage *call_ask(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    DBusMessage *refused = not_loaded(a, call);
    if (refused)
        return refused;
    struct engine_request r = {.type = ENGINE_ASK, .sampling = a->config.reply};
    struct error error;
    const char *text;
    DBusMessageIter args;
    dbus_message_iter_init(call, &args);
    dbus_message_iter_get_basic(&args, &text);
    if (!*text || strlen(text) >= sizeof r.text)
        return assistant_error(call, "InvalidArgument", "a question has 1 to 4095 bytes");
    strcpy(r.text, text);
    dbus_message_iter_next(&args);
    if (ask_options_read(&r.sampling, &args, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    return assistant_request(a, call, &r);
}

static DBusMessage *not_of_stream(struct assistant *a, DBusMessage *call)
{
    return a->settings ? NULL : assistant_error(call, "NotSupported", "a stream has no such thing");
}

static DBusMessage *call_reload(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    struct engine_request r = {.type = ENGINE_SET_HEARING};
    struct error error;
    DBusMessage *refused = not_of_stream(a, call);
    if (!refused)
        refused = not_loaded(a, call);
    if (refused)
        return refused;
    if (settings_read(a->settings, &r.config, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    return assistant_request(a, call, &r);
}

void assistant_pause(struct assistant *a, bool paused)
{
    struct engine_request r = {.type = ENGINE_PAUSE, .flag = paused};
    if (assistant_pass_on(a, NULL, &r))
        log_error("too many calls wait: the device stays as it is");
}

void assistant_reload(void *assistant)
{
    struct assistant *a = assistant;
    struct config config;
    struct error error;
    if (settings_read(a->settings, &config, &error))
        log_error("%s; the configuration stays as it was", error.message);
    else
        assistant_configure(a, &config);
}

void assistant_configure(struct assistant *a, const struct config *config)
{
    struct engine_request r = {.type = ENGINE_SET_HEARING, .config = *config};
    if (assistant_pass_on(a, NULL, &r))
        log_error("too many calls wait: the configuration stays as it was");
}

static DBusMessage *request_state_file(struct assistant *a, DBusMessage *call,
                                       enum engine_request_type type)
{
    struct engine_request r = {.type = type};
    struct error error;
    const char *name = "";
    dbus_message_get_args(call, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    int rc = places_saved_state(name, r.text, sizeof r.text, &error);
    if (rc)
        return assistant_error(call, rc == -EINVAL ? "InvalidArgument" : "Failed", error.message);
    DBusMessage *refused = not_loaded(a, call);
    return refused ? refused : assistant_request(a, call, &r);
}

static DBusMessage *call_save(void *user, DBusMessage *call)
{
    return request_state_file(user, call, ENGINE_SAVE);
}

static DBusMessage *call_restore(void *user, DBusMessage *call)
{
    return request_state_file(user, call, ENGINE_RESTORE);
}

static void append_utterance(DBusMessageIter *array, const struct history_entry *e)
{
    DBusMessageIter row;
    dbus_message_iter_open_container(array, DBUS_TYPE_STRUCT, NULL, &row);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_UINT64, &e->id);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_INT64, &e->start_us);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_INT64, &e->end_us);
    bus_append_text(&row, e->text);
    bus_append_text(&row, e->reply ? e->reply : "");
    dbus_message_iter_close_container(array, &row);
}

static DBusMessage *call_transcript(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    uint64_t since = 0;
    uint32_t limit = 0;
    dbus_message_get_args(call, NULL, DBUS_TYPE_UINT64, &since, DBUS_TYPE_UINT32, &limit,
                          DBUS_TYPE_INVALID);
    DBusMessage *reply = dbus_message_new_method_return(call);
    if (!reply)
        return NULL;
    DBusMessageIter out, array;
    dbus_message_iter_init_append(reply, &out);
    dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "(txxss)", &array);
    size_t first = history_after(a->history, since), count = history_count(a->history) - first;
    if (limit && limit < count)
        count = limit;
    for (size_t i = 0; i < count; i++)
        append_utterance(&array, history_at(a->history, first + i));
    dbus_message_iter_close_container(&out, &array);
    return reply;
}

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
    struct engine_request r = {.type = ENGINE_MUTE, .flag = muted};
    DBusMessage *refused = not_of_stream(user, call);
    return refused ? refused : assistant_request(user, call, &r);
}

static void get_mode(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, a->assistant_mode ? "assistant" : "captions");
}

static DBusMessage *set_mode(void *user, DBusMessage *call, DBusMessageIter *value)
{
    const char *mode;
    dbus_message_iter_get_basic(value, &mode);
    bool assistant = strcmp(mode, "assistant") == 0;
    if (!assistant && strcmp(mode, "captions") != 0)
        return assistant_error(call, "InvalidArgument", "a mode is captions or assistant");
    struct engine_request r = {.type = ENGINE_REPLIES, .flag = assistant};
    return assistant_request(user, call, &r);
}

static void get_device(void *user, DBusMessageIter *out)
{
    struct assistant *a = user;
    bus_append_text(out, a->device);
}

static DBusMessage *set_device(void *user, DBusMessage *call, DBusMessageIter *value)
{
    struct engine_request r = {.type = ENGINE_DEVICE};
    const char *device;
    dbus_message_iter_get_basic(value, &device);
    if (strlen(device) >= 256)
        return assistant_error(call, "InvalidArgument", "a device's name has at most 255 bytes");
    strcpy(r.text, device);
    DBusMessage *refused = not_of_stream(user, call);
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

static const struct interface_method assistant_methods[] = {
    {"Listen", {{"options", "a{sv}"}}, {{"id", "t"}}, call_listen},
    {"Finish", .call = call_finish},
    {"Cancel", .call = call_cancel},
    {"Reset", .call = call_reset},
    {"Ask",
     {{"text", "s"}, {"options", "a{sv}"}},
     {{"reply", "s"}, {"details", "a{sv}"}},
     call_ask},
    {"SaveState", {{"name", "s"}}, .call = call_save},
    {"RestoreState", {{"name", "s"}}, .call = call_restore},
    {"GetTranscript",
     {{"since_id", "t"}, {"limit", "u"}},
     {{"utterances", "a(txxss)"}},
     call_transcript},
    {"Reload", .out = {{"restarts", "as"}}, .call = call_reload},
    {NULL},
};

static const struct interface_property assistant_properties[] = {
    {"State", "u", .get = get_state},
    {"Muted", "b", .get = get_muted, .set = set_muted},
    {"Mode", "s", .get = get_mode, .set = set_mode},
    {"Device", "s", .get = get_device, .set = set_device},
    {"Model", "s", .get = get_model},
    {"Level", "d", .silent = true, .get = get_level},
    {"Latency", "a{sd}", .silent = true, .get = get_latency},
    {"Statistics", "a{sd}", .silent = true, .get = get_statistics},
    {"Backend", "s", .get = get_backend},
    {"Version", "s", .constant = true, .get = get_version},
    {NULL},
};

static const struct interface_signal assistant_signals[] = {
    {"UtteranceStarted", {{"id", "t"}, {"details", "a{sv}"}}},
    {"UtteranceUpdated", {{"id", "t"}, {"seq", "u"}, {"stable_bytes", "u"}, {"text", "s"}}},
    {"UtteranceCompleted", {{"id", "t"}, {"text", "s"}, {"details", "a{sv}"}}},
    {"ReplyUpdated", {{"id", "t"}, {"seq", "u"}, {"text", "s"}}},
    {"ReplyCompleted", {{"id", "t"}, {"text", "s"}, {"details", "a{sv}"}}},
    {"AudioLost", {{"samples", "t"}}},
    {NULL},
};

const struct interface assistant_interface = {ASSISTANT_INTERFACE, assistant_methods,
                                              assistant_properties, assistant_signals};
