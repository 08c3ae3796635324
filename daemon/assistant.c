/* The engine's messages become properties, history and signals; calls and properties are in the
 * other assistant_*.c. */
#include "daemon/assistant.h"

#include "base/log.h"
#include "daemon/assistant_private.h"
#include "daemon/history_words.h"
#include "daemon/journal_ids.h"
#include "daemon/mode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define HOUR_US 3600000000ll

static const char *state_name(enum assistant_state state)
{
    static const char *const names[] = {"unknown",  "loading", "idle",  "hearing",
                                        "thinking", "muted",   "failed"};
    return (size_t)state < sizeof names / sizeof *names ? names[state] : names[0];
}

static enum assistant_state current_state(const struct assistant *a)
{
    if (a->failed)
        return ASSISTANT_FAILED;
    if (!a->loaded)
        return ASSISTANT_LOADING;
    if (a->busy)
        return ASSISTANT_THINKING;
    if ((a->muted || a->paused) && a->source != ENGINE_SOURCE_OPEN)
        return ASSISTANT_MUTED;
    if (a->hearing)
        return ASSISTANT_HEARING;
    if (a->source == ENGINE_SOURCE_STARTING)
        return ASSISTANT_LOADING;
    return a->source == ENGINE_SOURCE_MISSING ? ASSISTANT_FAILED : ASSISTANT_IDLE;
}

void assistant_update_state(struct assistant *a)
{
    enum assistant_state state = current_state(a);
    if (state == a->state)
        return;
    a->state = state;
    if (a->settings)
        sd_notifyf(0, "STATUS=%s", state_name(state));
    interface_changed(&a->object, ASSISTANT_INTERFACE, "State");
}

/* Without memory for its words an utterance is kept without them. */
static void keep_words(struct assistant *a, const struct event *e)
{
    char *words = history_words_write(e);
    if (words)
        history_set_words(a->history, e->id, words);
    free(words);
}

static void keep_utterance(struct assistant *a, const struct event *e)
{
    if (history_add(a->history, e->id, e->start_us, e->end_us, e->text))
        log_error("out of memory: an utterance is not in the history");
    else if (history_set_confidence(a->history, e->id, (double)e->confidence) == 0) {
        keep_words(a, e);
        history_set_intent(a->history, e->id, &e->intent);
        assistant_write_history(a, e->id);
    }
}

/* When somebody spoke is nobody's business either, unless the log is to tell everything. */
static void log_utterance(const struct engine_message *m)
{
    const struct event *e = &m->event;
    int64_t speech_us = e->end_us - e->start_us;
    log_event(LOG_LEVEL_DEBUG, JOURNAL_UTTERANCE,
              (struct log_field[]){{"ID", .number = (int64_t)e->id},
                                   {"SPEECH_US", .number = speech_us},
                                   {"WAIT_US", .number = m->latency_us},
                                   {"COMPUTE_US", .number = e->compute_us},
                                   {NULL}},
              "an utterance of %.2f s: begun after %.1f ms, computed in %.1f ms",
              (double)speech_us / 1e6, (double)m->latency_us / 1e3, e->compute_us / 1e3);
}

static void take_event(struct assistant *a, const struct engine_message *m)
{
    const struct event *e = &m->event;
    double latency_ms = (double)m->latency_us / 1000.0;
    switch (e->type) {
    case EVENT_UTTERANCE_STARTED:
        a->hearing = true;
        assistant_signal_started(a, e);
        return;
    case EVENT_UTTERANCE_UPDATED:
        a->latency.partial = latency_ms;
        assistant_offer_update(&a->utterance_update, e);
        return;
    case EVENT_UTTERANCE_COMPLETED:
        a->latency.wait = latency_ms;
        a->latency.compute = e->compute_us / 1000.0;
        log_utterance(m);
        /* fall through */
    case EVENT_UTTERANCE_CANCELLED:
        a->hearing = false;
        a->utterance_update.waits = false;
        if (e->type == EVENT_UTTERANCE_COMPLETED && *e->text && e->addressed)
            keep_utterance(a, e);
        assistant_signal_words(a, e);
        assistant_signal_completed(a, m, "UtteranceCompleted");
        return;
    case EVENT_REPLY_UPDATED:
        assistant_offer_update(&a->reply_update, e);
        return;
    case EVENT_REPLY_COMPLETED:
        a->latency.reply_first = latency_ms;
        a->latency.reply = e->compute_us / 1000.0;
        a->reply_update.waits = false;
        if (history_set_reply(a->history, e->id, e->text) == 0)
            assistant_write_history(a, e->id);
        assistant_signal_completed(a, m, "ReplyCompleted");
        return;
    }
}

void assistant_loaded(struct assistant *a, const struct engine *engine, const char *model,
                      bool can_reply)
{
    a->backend = engine_backend(engine);
    a->loaded = true;
    a->progress = 100;
    a->can_reply = can_reply;
    snprintf(a->model, sizeof a->model, "%.63s", model);
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Model");
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Backend");
    if (a->assistant_mode && !a->can_reply) {
        log_warning("the model has no replies: the mode is captions");
        a->assistant_mode = false;
        interface_changed(&a->object, ASSISTANT_INTERFACE, "Mode");
    }
    assistant_update_state(a);
}

void assistant_progress(struct assistant *a, int percent)
{
    a->progress = (uint32_t)percent;
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Progress");
}

void assistant_loading(struct assistant *a)
{
    a->loaded = false;
    a->progress = 0;
    assistant_update_state(a);
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Backend");
}

void assistant_failed(struct assistant *a)
{
    a->failed = true;
    assistant_update_state(a);
}

static void take_property(struct assistant *a, const char *name, char *value, size_t capacity,
                          const char *now)
{
    if (strcmp(value, now) == 0)
        return;
    snprintf(value, capacity, "%s", now);
    interface_changed(&a->object, ASSISTANT_INTERFACE, name);
}

static void take_source(struct assistant *a, const struct engine_message *m)
{
    a->source = (enum engine_source)m->value;
    if (a->source == ENGINE_SOURCE_OPEN)
        a->open = a->listening = true;
    else if (a->source == ENGINE_SOURCE_CLOSED)
        a->open = false;
    if (a->microphones)
        microphones_look(a->microphones);
    take_property(a, "Device", a->device, sizeof a->device,
                  a->source == ENGINE_SOURCE_OPEN ? m->event.text : "");
    take_property(a, "DeviceError", a->device_error, sizeof a->device_error,
                  a->source == ENGINE_SOURCE_MISSING ? m->event.text : "");
}

bool assistant_listens(const struct assistant *a)
{
    return a->listening;
}

void assistant_removed(struct assistant *a)
{
    a->source = ENGINE_SOURCE_MISSING;
    take_property(a, "DeviceError", a->device_error, sizeof a->device_error, "the ear was removed");
    assistant_update_state(a);
}

static void pending_finish(struct pending *p)
{
    if (p->call)
        dbus_message_unref(p->call);
    p->call = NULL;
    p->waits = false;
}

static struct late *forget_late(struct late *l)
{
    struct late *next = l->next;
    dbus_message_unref(l->call);
    dbus_message_unref(l->reply);
    free(l);
    return next;
}

static void release(struct assistant *a, const char *client)
{
    uint64_t number = holders_gone(&a->holders, client);
    if (number && a->ear)
        ear_release(a->ear, number);
    assistant_resume_for(a, client);
}

static void vanished(void *user, const char *client)
{
    release(user, client);
}

/* Whoever waited, or holds, is gone; the engine goes on with what was asked of it. */
static void bus_lost(void *user)
{
    struct assistant *a = user;
    release(a, NULL);
    while (a->late)
        a->late = forget_late(a->late);
    for (size_t i = 0; i < ASSISTANT_PENDING; i++) {
        struct pending *p = &a->pending[i];
        if (p->call)
            dbus_message_unref(p->call);
        p->call = NULL;
    }
}

/* What the end of the ear cancels is answered by assistant_destroy, which knows why it ends. */
static void take_result(struct assistant *a, const struct engine_message *m)
{
    if (m->value == -ECANCELED && ear_is_aborted(a->ear))
        return;
    for (size_t i = 0; i < ASSISTANT_PENDING; i++) {
        struct pending *p = &a->pending[i];
        if (!p->waits || p->request.number != m->number)
            continue;
        assistant_settle(a, p, m);
        if (p->call && !dbus_message_get_no_reply(p->call))
            bus_send(a->bus, assistant_reply(p, m));
        pending_finish(p);
        return;
    }
}

/* In the order in which they came. */
static void send_late(struct assistant *a, const struct engine_message *m)
{
    for (struct late **p = &a->late; *p;) {
        struct late *l = *p;
        if (l->answer != m->type || l->number > m->number) {
            p = &l->next;
            continue;
        }
        bus_send(a->bus, dbus_message_ref(l->reply));
        *p = forget_late(l);
    }
}

static void take_shut(struct assistant *a, const struct engine_message *m)
{
    bool muted = m->value & EAR_MUTED;
    a->paused = m->value & EAR_PAUSED;
    if (muted == a->muted)
        return;
    a->muted = muted;
    interface_changed(&a->object, ASSISTANT_INTERFACE, "Muted");
}

void assistant_take(struct assistant *a, const struct engine_message *m)
{
    switch (m->type) {
    case ENGINE_SHUT:
        take_shut(a, m);
        break;
    case ENGINE_RELEASED:
        holders_over(&a->holders, m->number);
        break;
    case ENGINE_CANCELLED:
    case ENGINE_CONFIGURED:
        break;
    case ENGINE_EVENT:
        take_event(a, m);
        break;
    case ENGINE_BUSY:
        a->busy = m->value;
        break;
    case ENGINE_RESULT:
        take_result(a, m);
        break;
    case ENGINE_SOURCE:
        take_source(a, m);
        break;
    case ENGINE_LOST:
        a->lost += (uint64_t)m->value;
        assistant_signal_lost(a, (uint64_t)m->value);
        break;
    case ENGINE_LOADING:
    case ENGINE_PROGRESS:
    case ENGINE_BACKEND:
    case ENGINE_LOADED:
    case ENGINE_FAILED:
    case ENGINE_STOPPED:
    case ENGINE_OPENED:
    case ENGINE_CLOSED:
        break;
    case ENGINE_QUIET:
        a->listening = a->listening && a->open;
        break;
    }
    send_late(a, m);
    assistant_update_state(a);
}

DBusMessage *assistant_answer_late(struct assistant *a, DBusMessage *call, DBusMessage *reply,
                                   enum engine_message_type answer)
{
    struct late **end = &a->late, *l = reply ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        if (reply)
            dbus_message_unref(reply);
        return assistant_error(call, "Failed", "out of memory");
    }
    *l = (struct late){
        .call = dbus_message_ref(call), .reply = reply, .answer = answer, .number = a->last_number};
    while (*end)
        end = &(*end)->next;
    *end = l;
    return NULL;
}

int assistant_pass_on(struct assistant *a, DBusMessage *call, const struct engine_request *request)
{
    struct pending *p = NULL;
    for (size_t i = 0; i < ASSISTANT_PENDING && !p; i++)
        if (!a->pending[i].waits)
            p = &a->pending[i];
    if (!p)
        return -EBUSY;
    p->request = *request;
    p->request.number = ++a->last_number;
    int rc = ear_request(a->ear, &p->request);
    if (rc)
        return rc;
    p->call = call ? dbus_message_ref(call) : NULL;
    p->waits = true;
    return 0;
}

DBusMessage *assistant_request(struct assistant *a, DBusMessage *call,
                               const struct engine_request *request)
{
    if (assistant_pass_on(a, call, request))
        return assistant_error(call, "Busy", "too many calls wait");
    return NULL;
}

static void describe(struct assistant *a, const struct assistant_options *options)
{
    size_t count = 0;
    snprintf(a->path, sizeof a->path, "%s", options->path);
    a->parts[count++] = (struct interface_part){&assistant_interface, a};
    for (const struct interface_part *p = options->more; p && p->interface; p++)
        a->parts[count++] = *p;
    assert(count < ASSISTANT_PARTS);
    a->object = (struct interface_object){.bus = a->bus, .path = a->path, .parts = a->parts};
}

int assistant_create(struct assistant **out, struct loop *loop, struct bus *bus,
                     const struct assistant_options *options, struct error *error)
{
    struct assistant *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(error, -ENOMEM, "out of memory");
    a->loop = loop;
    a->bus = bus;
    a->state = ASSISTANT_LOADING;
    a->muted = options->config->muted;
    a->shut = a->muted ? EAR_MUTED : 0;
    a->settings = options->settings;
    a->microphones = options->microphones;
    a->beside = options->beside;
    a->history_name = options->history;
    a->configure = options->configure;
    a->configure_user = options->user;
    a->holders.bus = a->pausers.bus = bus;
    a->started = a->config = *options->config;
    a->assistant_mode = mode_replies(a->config.mode);
    describe(a, options);
    a->bus_watch = (struct bus_watch){.lost = bus_lost, .vanished = vanished, .user = a};
    bus_watch(bus, &a->bus_watch);
    int rc = assistant_open_folder(a, error);
    if (!rc && (assistant_init_update(&a->utterance_update, a) ||
                assistant_init_update(&a->reply_update, a) || interface_export(&a->object)))
        rc = error_set(error, -ENOMEM, "the D-Bus object: out of memory");
    if (rc) {
        assistant_destroy(a);
        return rc;
    }
    *out = a;
    return 0;
}

void assistant_destroy(struct assistant *a)
{
    if (!a)
        return;
    const char *ended = a->settings ? "the daemon ends" : "the ear has ended";
    for (size_t i = 0; i < ASSISTANT_PENDING; i++) {
        struct pending *p = &a->pending[i];
        if (p->call)
            bus_send(a->bus, assistant_error(p->call, "Failed", ended));
        pending_finish(p);
    }
    for (; a->late; a->late = forget_late(a->late))
        bus_send(a->bus, assistant_error(a->late->call, "Failed", ended));
    holders_over(&a->holders, UINT64_MAX);
    holders_over(&a->pausers, UINT64_MAX);
    ear_settings_destroy(a->prepared);
    bus_unwatch(a->bus, &a->bus_watch);
    interface_unexport(&a->object);
    loop_remove_timer(a->utterance_update.timer);
    loop_remove_timer(a->reply_update.timer);
    history_file_close(a->history_file);
    history_destroy(a->history);
    folder_lock_finish(&a->folder);
    free(a);
}

/* A file may say anything. */
uint64_t assistant_last_id(const struct assistant *a)
{
    size_t count = history_count(a->history);
    const struct history_entry *e = count ? history_at(a->history, count - 1) : NULL;
    int64_t length_us = e && e->end_us > e->start_us ? e->end_us - e->start_us : 0;
    return e ? e->id + (uint64_t)(length_us < HOUR_US ? length_us : 0) : 0;
}

bool assistant_owns_conversation(const struct assistant *a)
{
    return a->owns_conversation;
}

const struct config *assistant_config(const struct assistant *a)
{
    return &a->config;
}

const struct interface_object *assistant_object(const struct assistant *a)
{
    return &a->object;
}

void assistant_attach(struct assistant *a, struct ear *ear)
{
    a->ear = ear;
}
