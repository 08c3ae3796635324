/* The signals of org.earshot.Earshot1.Assistant. */
#include "daemon/assistant_private.h"

#include <errno.h>

static DBusMessage *new_signal(struct assistant *a, const char *member, DBusMessageIter *out)
{
    DBusMessage *m = dbus_message_new_signal(a->path, ASSISTANT_INTERFACE, member);
    if (m)
        dbus_message_iter_init_append(m, out);
    return m;
}

static void append_ms(DBusMessageIter *dictionary, const char *key, int64_t us)
{
    double ms = (double)us / 1000.0;
    interface_append_entry(dictionary, key, DBUS_TYPE_DOUBLE, "d", &ms);
}

static void append_details(DBusMessageIter *out, const struct event *e, int64_t latency_us)
{
    DBusMessageIter dictionary;
    double confidence = (double)e->confidence;
    dbus_bool_t yes = TRUE, addressed = e->addressed;
    bool reply = e->type == EVENT_REPLY_COMPLETED;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    if (!reply)
        interface_append_entry(&dictionary, "start_us", DBUS_TYPE_INT64, "x", &e->start_us);
    if (!reply && e->type != EVENT_UTTERANCE_STARTED)
        interface_append_entry(&dictionary, "end_us", DBUS_TYPE_INT64, "x", &e->end_us);
    if (e->type != EVENT_UTTERANCE_STARTED)
        append_ms(&dictionary, "compute_ms", e->compute_us);
    if (reply || e->type == EVENT_UTTERANCE_COMPLETED)
        append_ms(&dictionary, reply ? "first_ms" : "wait_ms", latency_us);
    if (e->type == EVENT_UTTERANCE_COMPLETED) {
        interface_append_entry(&dictionary, "confidence", DBUS_TYPE_DOUBLE, "d", &confidence);
        interface_append_entry(&dictionary, "addressed", DBUS_TYPE_BOOLEAN, "b", &addressed);
        interface_append_entry(&dictionary, "phrase_bytes", DBUS_TYPE_UINT32, "u",
                               &e->phrase_bytes);
    }
    if (e->type == EVENT_UTTERANCE_CANCELLED)
        interface_append_entry(&dictionary, "cancelled", DBUS_TYPE_BOOLEAN, "b", &yes);
    dbus_message_iter_close_container(out, &dictionary);
}

void assistant_signal_started(struct assistant *a, const struct event *e)
{
    DBusMessageIter out;
    DBusMessage *m = new_signal(a, "UtteranceStarted", &out);
    if (m) {
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT64, &e->id);
        append_details(&out, e, 0);
    }
    bus_send(a->bus, m);
}

static void signal_update(struct assistant *a, const struct event *e)
{
    bool utterance = e->type == EVENT_UTTERANCE_UPDATED;
    DBusMessageIter out;
    DBusMessage *m = new_signal(a, utterance ? "UtteranceUpdated" : "ReplyUpdated", &out);
    if (m) {
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT64, &e->id);
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT32, &e->seq);
        if (utterance)
            dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT32, &e->stable_bytes);
        bus_append_text(&out, e->text);
    }
    bus_send(a->bus, m);
}

void assistant_signal_completed(struct assistant *a, const struct engine_message *from,
                                const char *member)
{
    const struct event *e = &from->event;
    DBusMessageIter out;
    DBusMessage *m = new_signal(a, member, &out);
    if (m) {
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT64, &e->id);
        bus_append_text(&out, e->type == EVENT_UTTERANCE_CANCELLED ? "" : e->text);
        append_details(&out, e, from->latency_us);
    }
    bus_send(a->bus, m);
}

void assistant_signal_lost(struct assistant *a, uint64_t samples)
{
    DBusMessageIter out;
    DBusMessage *m = new_signal(a, "AudioLost", &out);
    if (m)
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT64, &samples);
    bus_send(a->bus, m);
}

static void update_due(void *user)
{
    struct update *u = user;
    if (!u->waits)
        return;
    u->waits = false;
    if (!bus_is_behind(u->assistant->bus))
        signal_update(u->assistant, &u->event);
    loop_arm(u->timer, ASSISTANT_UPDATE_MS);
}

void assistant_offer_update(struct update *u, const struct event *e)
{
    u->event = *e;
    u->waits = true;
    if (!loop_is_armed(u->timer))
        update_due(u);
}

int assistant_init_update(struct update *u, struct assistant *a)
{
    u->assistant = a;
    u->timer = loop_add_timer(a->loop, update_due, u);
    return u->timer ? 0 : -ENOMEM;
}

const struct interface_signal assistant_signals[] = {
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
