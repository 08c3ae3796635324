/* The signals of org.earshot.Earshot1.Assistant. */
#include "daemon/assistant_private.h"

#include <errno.h>
#include <string.h>

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

/* Words of an utterance that begins at origin_us, as a(uuxxd). */
static void append_words(DBusMessageIter *out, const struct event_word *words, size_t count,
                         int64_t origin_us)
{
    DBusMessageIter array, fields;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "(uuxxd)", &array);
    for (size_t i = 0; i < count; i++) {
        const struct event_word *w = &words[i];
        dbus_uint32_t at = w->at, size = w->size;
        dbus_int64_t start_us = origin_us + w->start_ms * (int64_t)1000;
        dbus_int64_t end_us = origin_us + w->end_ms * (int64_t)1000;
        double confidence = (double)w->confidence;
        dbus_message_iter_open_container(&array, DBUS_TYPE_STRUCT, NULL, &fields);
        dbus_message_iter_append_basic(&fields, DBUS_TYPE_UINT32, &at);
        dbus_message_iter_append_basic(&fields, DBUS_TYPE_UINT32, &size);
        dbus_message_iter_append_basic(&fields, DBUS_TYPE_INT64, &start_us);
        dbus_message_iter_append_basic(&fields, DBUS_TYPE_INT64, &end_us);
        dbus_message_iter_append_basic(&fields, DBUS_TYPE_DOUBLE, &confidence);
        dbus_message_iter_close_container(&array, &fields);
    }
    dbus_message_iter_close_container(out, &array);
}

void assistant_append_words(DBusMessageIter *dictionary, const struct event_word *words,
                            size_t count, int64_t origin_us)
{
    struct interface_entry entry;
    interface_open_entry(dictionary, "words", "a(uuxxd)", &entry);
    append_words(&entry.value, words, count, origin_us);
    interface_close_entry(dictionary, &entry);
}

static void append_slots(DBusMessageIter *out, const struct event_intent *intent, const char *text)
{
    DBusMessageIter slots, entry;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "{ss}", &slots);
    for (uint32_t i = 0; i < intent->slot_count; i++) {
        const struct event_slot *slot = &intent->slots[i];
        const char *name = slot->name;
        char words[EVENT_TEXT_MAX] = "";
        memcpy(words, text + slot->at, slot->size);
        dbus_message_iter_open_container(&slots, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
        dbus_message_iter_append_basic(&entry, DBUS_TYPE_STRING, &name);
        bus_append_text(&entry, words);
        dbus_message_iter_close_container(&slots, &entry);
    }
    dbus_message_iter_close_container(out, &slots);
}

void assistant_append_intent(DBusMessageIter *dictionary, const struct event_intent *intent,
                             const char *text)
{
    DBusMessageIter parts;
    struct interface_entry whole, slots;
    const char *name = intent->name;
    double confidence = (double)intent->confidence;
    interface_open_entry(dictionary, "intent", "a{sv}", &whole);
    dbus_message_iter_open_container(&whole.value, DBUS_TYPE_ARRAY, "{sv}", &parts);
    interface_append_entry(&parts, "name", DBUS_TYPE_STRING, "s", &name);
    interface_open_entry(&parts, "slots", "a{ss}", &slots);
    append_slots(&slots.value, intent, text);
    interface_close_entry(&parts, &slots);
    interface_append_entry(&parts, "confidence", DBUS_TYPE_DOUBLE, "d", &confidence);
    dbus_message_iter_close_container(&whole.value, &parts);
    interface_close_entry(dictionary, &whole);
}

static void append_details(const struct assistant *a, DBusMessageIter *out, const struct event *e,
                           int64_t latency_us)
{
    DBusMessageIter dictionary;
    int64_t boottime_us = (int64_t)e->id - ear_date_us(a->ear);
    double confidence = (double)e->confidence;
    dbus_bool_t yes = TRUE, addressed = e->addressed;
    bool reply = e->type == EVENT_REPLY_COMPLETED;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    if (!reply)
        interface_append_entry(&dictionary, "boottime_us", DBUS_TYPE_INT64, "x", &boottime_us);
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
    if (e->type == EVENT_UTTERANCE_COMPLETED && e->word_count)
        assistant_append_words(&dictionary, e->words, e->word_count, e->start_us);
    if (e->type == EVENT_UTTERANCE_COMPLETED && *e->intent.name)
        assistant_append_intent(&dictionary, &e->intent, e->text);
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
        append_details(a, &out, e, 0);
    }
    bus_send(a->bus, m);
}

void assistant_signal_words(struct assistant *a, const struct event *e)
{
    DBusMessageIter out;
    uint32_t first = a->words_id == e->id ? a->words_told : 0;
    if (e->type == EVENT_UTTERANCE_CANCELLED || first >= e->word_count)
        return;
    DBusMessage *m = new_signal(a, "WordsHeard", &out);
    if (m) {
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT64, &e->id);
        dbus_message_iter_append_basic(&out, DBUS_TYPE_UINT32, &first);
        append_words(&out, e->words + first, e->word_count - first, e->start_us);
    }
    bus_send(a->bus, m);
    a->words_id = e->id;
    a->words_told = e->word_count;
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
        append_details(a, &out, e, from->latency_us);
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
    if (!bus_is_behind(u->assistant->bus)) {
        signal_update(u->assistant, &u->event);
        if (u->event.type == EVENT_UTTERANCE_UPDATED)
            assistant_signal_words(u->assistant, &u->event);
    }
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
    {"WordsHeard", {{"id", "t"}, {"first", "u"}, {"words", "a(uuxxd)"}}},
    {"UtteranceCompleted", {{"id", "t"}, {"text", "s"}, {"details", "a{sv}"}}},
    {"ReplyUpdated", {{"id", "t"}, {"seq", "u"}, {"text", "s"}}},
    {"ReplyCompleted", {{"id", "t"}, {"text", "s"}, {"details", "a{sv}"}}},
    {"AudioLost", {{"samples", "t"}}},
    {NULL},
};

const struct interface assistant_interface = {ASSISTANT_INTERFACE, assistant_methods,
                                              assistant_properties, assistant_signals};
