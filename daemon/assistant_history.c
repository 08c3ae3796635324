/* GetUtterances of org.earshot.Earshot1.Assistant: the history as dictionaries, to which keys can
 * be added, where a row of GetTranscript is what it is. Main thread. */
#include "daemon/assistant_private.h"
#include "daemon/history_words.h"

#include <string.h>

enum {
    ANSWER_BYTES = 2 << 20, /* of texts; who wants more asks again */
    ENTRY_BYTES = 160,      /* of one without its texts */
    WORD_BYTES = 32,
};

static void append_text(DBusMessageIter *dictionary, const char *key, const char *text)
{
    struct interface_entry entry;
    interface_open_entry(dictionary, key, "s", &entry);
    bus_append_text(&entry.value, text);
    interface_close_entry(dictionary, &entry);
}

/* Its size, or more. */
static size_t append_entry(DBusMessageIter *array, const struct history_entry *e)
{
    DBusMessageIter dictionary;
    struct event_word words[EVENT_WORDS_MAX];
    const char *reply = e->reply ? e->reply : "";
    dbus_message_iter_open_container(array, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    interface_append_entry(&dictionary, "id", DBUS_TYPE_UINT64, "t", &e->id);
    interface_append_entry(&dictionary, "start_us", DBUS_TYPE_INT64, "x", &e->start_us);
    interface_append_entry(&dictionary, "end_us", DBUS_TYPE_INT64, "x", &e->end_us);
    append_text(&dictionary, "text", e->text);
    append_text(&dictionary, "reply", reply);
    if (e->confidence >= 0)
        interface_append_entry(&dictionary, "confidence", DBUS_TYPE_DOUBLE, "d", &e->confidence);
    size_t count = e->words ? history_words_read(e->words, e->text, words, EVENT_WORDS_MAX) : 0;
    if (count)
        assistant_append_words(&dictionary, words, count, e->start_us);
    if (e->intent)
        assistant_append_intent(&dictionary, e->intent, e->text);
    dbus_message_iter_close_container(array, &dictionary);
    return (e->intent ? 2 : 1) * (strlen(e->text) + ENTRY_BYTES) + strlen(reply) +
           count * WORD_BYTES;
}

DBusMessage *assistant_call_utterances(void *user, DBusMessage *call)
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
    dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "a{sv}", &array);
    size_t first = history_after(a->history, since), count = history_count(a->history) - first;
    if (limit && limit < count)
        count = limit;
    for (size_t i = 0, bytes = 0; i < count && bytes < ANSWER_BYTES; i++)
        bytes += append_entry(&array, history_at(a->history, first + i));
    dbus_message_iter_close_container(&out, &array);
    return reply;
}
