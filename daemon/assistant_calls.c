/* The methods of org.earshot.Earshot1.Assistant, and what their results change. */
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

/* The error of a result of the engine. Of a file, only the configuration's is an argument. */
static const char *error_name(enum engine_request_type type, int64_t code)
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
    case EINVAL:
        return type == ENGINE_SET_HEARING ? "InvalidArgument" : "Failed";
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
    bool stays = !a->settings && a->mode_said;
    bool moved = !stays && strcmp(a->config.mode, c->mode) != 0;
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
        return assistant_error(p->call, error_name(r->type, result->value), result->event.text);
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

DBusMessage *assistant_not_of_stream(const struct assistant *a, DBusMessage *call)
{
    return a->settings ? NULL : assistant_error(call, "NotSupported", "a stream has no such thing");
}

static DBusMessage *call_reload(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    struct engine_request r = {.type = ENGINE_SET_HEARING};
    struct error error;
    DBusMessage *refused = assistant_not_of_stream(a, call);
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
    if (bus_is_full(a->bus))
        return assistant_error(call, "Busy", "too many answers wait to be read");
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

const struct interface_method assistant_methods[] = {
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
    {"ListStates", .out = {{"states", "a(stx)"}}, .call = assistant_list_states},
    {"DeleteState", {{"name", "s"}}, .call = assistant_delete_state},
    {"GetTranscript",
     {{"since_id", "t"}, {"limit", "u"}},
     {{"utterances", "a(txxss)"}},
     call_transcript},
    {"GetUtterances",
     {{"since_id", "t"}, {"limit", "u"}},
     {{"utterances", "aa{sv}"}},
     assistant_call_utterances},
    {"Reload", .out = {{"restarts", "as"}}, .call = call_reload},
    {NULL},
};
