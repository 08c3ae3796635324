/* The methods of org.earshot.Earshot1.Assistant, and what their results change. */
#include "base/log.h"
#include "daemon/ask_options.h"
#include "daemon/assistant_private.h"
#include "daemon/mode.h"
#include "daemon/places.h"

#include <errno.h>
#include <string.h>

DBusMessage *assistant_error(DBusMessage *call, const char *name, const char *text)
{
    char full[128];
    snprintf(full, sizeof full, ERROR_PREFIX "%s", name);
    return bus_error(call, full, text);
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

static const char *configure_error_name(int64_t code)
{
    return code == -EINVAL ? "InvalidArgument" : code == -ENOENT ? "NotFound" : "Failed";
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

static void set_mode(struct assistant *a, bool assistant)
{
    if (a->assistant_mode == assistant)
        return;
    a->assistant_mode = assistant;
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Mode");
}

static void settle_hold(struct assistant *a, const struct engine_request *r, int64_t value)
{
    if (value < 0)
        holders_failed(&a->holders, r->number);
}

static void settle_mode(struct assistant *a, const struct engine_request *r, int64_t value)
{
    if (value >= 0)
        set_mode(a, r->flag);
}

static void settle_device(struct assistant *a, const struct engine_request *r, int64_t value)
{
    if (value >= 0 && a->microphones)
        microphones_choose(a->microphones, r->text);
}

static void append_id(DBusMessage *reply, const struct engine_message *result)
{
    dbus_message_append_args(reply, DBUS_TYPE_UINT64, &(uint64_t){(uint64_t)result->value},
                             DBUS_TYPE_INVALID);
}

/* What a result changes here, and what the answer to its call has; NULL: nothing. */
static const struct {
    void (*settle)(struct assistant *a, const struct engine_request *r, int64_t value);
    void (*append)(DBusMessage *reply, const struct engine_message *result);
} answers[] = {
    [ENGINE_HOLD] = {settle_hold, append_id},
    [ENGINE_DEVICE] = {.settle = settle_device},
    [ENGINE_ASK] = {.append = append_reply},
    [ENGINE_REPLIES] = {.settle = settle_mode}, /* the last of them all */
};

void assistant_settle(struct assistant *a, const struct pending *p,
                      const struct engine_message *result)
{
    const struct engine_request *r = &p->request;
    if (answers[r->type].settle)
        answers[r->type].settle(a, r, result->value);
}

DBusMessage *assistant_reply(const struct pending *p, const struct engine_message *result)
{
    if (result->value < 0)
        return assistant_error(p->call, error_name(result->value), result->event.text);
    DBusMessage *reply = dbus_message_new_method_return(p->call);
    if (reply && answers[p->request.type].append)
        answers[p->request.type].append(reply, result);
    return reply;
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

/* The option of Listen; others are left alone. */
static int take_stays(void *user, const char *name, DBusMessageIter *value, struct error *error)
{
    bool *stays = user;
    dbus_bool_t is_set;
    if (strcmp(name, "stays") != 0)
        return 0;
    if (dbus_message_iter_get_arg_type(value) != DBUS_TYPE_BOOLEAN)
        return error_set(error, -EINVAL, "stays has the type b");
    dbus_message_iter_get_basic(value, &is_set);
    *stays = is_set;
    return 0;
}

/* The device is closed for as long as the machine rests, or a client has it so. */
static DBusMessage *follow_pauses(struct assistant *a, DBusMessage *call)
{
    bool paused = a->resting || holders_any(&a->pausers);
    return assistant_shut(a, call, (a->shut & EAR_MUTED) | (paused ? EAR_PAUSED : 0));
}

static DBusMessage *call_pause(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    const char *client = dbus_message_get_sender(call);
    DBusMessage *refused = assistant_not_of_stream(a, call);
    if (refused)
        return refused;
    if (a->hearing || holders_any(&a->holders))
        return assistant_error(call, "Busy", "somebody speaks; pause when that is over");
    if (!client || holders_reserve(&a->pausers, client))
        return assistant_error(call, "Busy", "32 clients pause already");
    holders_asked(&a->pausers, client, 1);
    return follow_pauses(a, call);
}

static DBusMessage *call_resume(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    DBusMessage *refused = assistant_not_of_stream(a, call);
    if (refused)
        return refused;
    holders_gone(&a->pausers, dbus_message_get_sender(call));
    return follow_pauses(a, call);
}

void assistant_resume_for(struct assistant *a, const char *client)
{
    if (holders_gone(&a->pausers, client) && a->ear)
        follow_pauses(a, NULL);
}

/* Who begins to speak is heard, whatever clients would rather say; where it can be. */
static void end_pauses(struct assistant *a)
{
    if (!holders_any(&a->pausers) || a->resting || a->shut & EAR_MUTED)
        return;
    holders_over(&a->pausers, UINT64_MAX);
    follow_pauses(a, NULL);
}

static DBusMessage *call_listen(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    const char *client = dbus_message_get_sender(call);
    bool stays = false;
    struct error wrong;
    DBusMessageIter args;
    DBusMessage *error = not_loaded(a, call);
    if (error)
        return error;
    dbus_message_iter_init(call, &args);
    if (bus_read_options(&args, take_stays, &stays, &wrong))
        return assistant_error(call, "InvalidArgument", wrong.message);
    if (stays)
        client = "";
    if (!client || holders_reserve(&a->holders, client))
        return assistant_error(call, "Busy", "too many clients hold");
    end_pauses(a);
    error = simple_request(a, call, ENGINE_HOLD);
    holders_asked(&a->holders, client, error ? 0 : a->last_number);
    return error;
}

static DBusMessage *call_finish(void *user, DBusMessage *call)
{
    return simple_request(user, call, ENGINE_FINISH);
}

static DBusMessage *call_cancel(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    ear_cancel(a->ear, ++a->last_number);
    return assistant_answer_late(a, call, dbus_message_new_method_return(call), ENGINE_CANCELLED);
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
    struct engine_request r = {.type = ENGINE_ASK, .sampling = a->config.text.sampling};
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
    return a->microphones ? NULL
                          : assistant_error(call, "NotSupported", "a stream has no such thing");
}

int assistant_prepare(struct assistant *a, const struct config *c, struct error *error)
{
    struct source_options options = config_source(c);
    bool moved = strcmp(a->config.source, c->source) != 0 || a->config.buffer_ms != c->buffer_ms ||
                 a->config.device_fallback != c->device_fallback;
    bool stays = !a->settings && a->mode_said;
    struct source *source = NULL;
    struct error why;
    int rc = moved ? source_create(&source, c->source, &options, &why) : 0;
    if (rc)
        return error_set(error, rc, "[%s] %s: %s", a->beside ? "ears" : "audio",
                         a->beside ? a->history_name : "source", why.message);
    if (ear_settings_create(&a->prepared, c, source))
        return error_set(error, -ENOMEM, "out of memory");
    if (!stays && strcmp(a->config.mode, c->mode) != 0)
        ear_settings_reply(a->prepared, mode_replies(c->mode));
    a->prepared_config = *c;
    return 0;
}

static void follow_mode(struct assistant *a, const struct config *c)
{
    bool assistant = mode_replies(c->mode);
    if (strcmp(a->config.mode, c->mode) == 0 || (!a->settings && a->mode_said))
        return;
    if (assistant && a->loaded && !a->can_reply)
        log_warning("the model has no replies: the mode is captions");
    set_mode(a, assistant && (!a->loaded || a->can_reply));
}

void assistant_configure(struct assistant *a, bool count)
{
    if (count && a->prepared) {
        follow_mode(a, &a->prepared_config);
        if (a->microphones && strcmp(a->config.source, a->prepared_config.source) != 0)
            microphones_choose(a->microphones, source_device(a->prepared_config.source));
        a->config = a->prepared_config;
        ear_configure(a->ear, a->prepared, ++a->last_number);
    } else {
        ear_settings_destroy(a->prepared);
    }
    a->prepared = NULL;
}

static DBusMessage *call_reload(void *user, DBusMessage *call)
{
    struct assistant *a = user;
    struct config config;
    struct error error;
    if (!a->settings)
        return assistant_error(call, "NotSupported", "the microphone's object has it for all");
    DBusMessage *refused = not_loaded(a, call);
    if (refused)
        return refused;
    if (settings_read(a->settings, &config, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    int rc = a->configure(a->configure_user, &config, &error);
    if (rc)
        return assistant_error(call, configure_error_name(rc), error.message);
    DBusMessage *reply = dbus_message_new_method_return(call);
    if (reply)
        append_restarts(reply, &a->started, &config);
    return assistant_answer_late(a, call, reply, ENGINE_CONFIGURED);
}

void assistant_reload(void *assistant)
{
    struct assistant *a = assistant;
    struct config config;
    struct error error;
    if (settings_read(a->settings, &config, &error) ||
        a->configure(a->configure_user, &config, &error))
        log_error("%s; the configuration stays as it was", error.message);
}

DBusMessage *assistant_shut(struct assistant *a, DBusMessage *call, unsigned shut)
{
    a->shut = shut;
    ear_shut(a->ear, shut, ++a->last_number);
    if (!call)
        return NULL;
    return assistant_answer_late(a, call, dbus_message_new_method_return(call), ENGINE_SHUT);
}

void assistant_pause(struct assistant *a, bool paused)
{
    a->resting = paused;
    follow_pauses(a, NULL);
}

void assistant_microphones_changed(struct assistant *a)
{
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Microphones");
}

/* Who waits in vain for room in the queue of requests finds the device by its own tries. */
void assistant_reopen(struct assistant *a)
{
    const struct engine_request r = {.type = ENGINE_REOPEN};
    if (a->ear)
        assistant_pass_on(a, NULL, &r);
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

const struct interface_method assistant_methods[] = {
    {"Listen", {{"options", "a{sv}"}}, {{"id", "t"}}, call_listen},
    {"Finish", .call = call_finish},
    {"Cancel", .call = call_cancel},
    {"Pause", .call = call_pause},
    {"Resume", .call = call_resume},
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
     assistant_call_transcript},
    {"GetUtterances",
     {{"since_id", "t"}, {"limit", "u"}},
     {{"utterances", "aa{sv}"}},
     assistant_call_utterances},
    {"Reload", .out = {{"restarts", "as"}}, .call = call_reload},
    {NULL},
};
