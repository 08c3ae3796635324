/* The history over org.earshot.Earshot1.Assistant: rows of GetTranscript, which are what they are,
 * and dictionaries of GetUtterances, to which keys can be added. Main thread. */
#include "daemon/assistant_private.h"
#include "daemon/history_words.h"

#include <string.h>

enum {
    ANSWER_BYTES = 2 << 20, /* of texts; who wants more asks again */
    ROW_BYTES = 48,         /* of one without its texts, */
    ENTRY_BYTES = 160,      /* and as a dictionary */
    WORD_BYTES = 32,
};

/* Appends an utterance to an array; returns its size, about. */
typedef size_t append_function(DBusMessageIter *array, const struct history_entry *e);

static size_t append_row(DBusMessageIter *array, const struct history_entry *e)
{
    DBusMessageIter row;
    const char *reply = e->reply ? e->reply : "";
    dbus_message_iter_open_container(array, DBUS_TYPE_STRUCT, NULL, &row);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_UINT64, &e->id);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_INT64, &e->start_us);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_INT64, &e->end_us);
    bus_append_text(&row, e->text);
    bus_append_text(&row, reply);
    dbus_message_iter_close_container(array, &row);
    return strlen(e->text) + strlen(reply) + ROW_BYTES;
}

static size_t append_entry(DBusMessageIter *array, const struct history_entry *e)
{
    DBusMessageIter dictionary;
    struct event_word words[EVENT_WORDS_MAX];
    const char *reply = e->reply ? e->reply : "";
    dbus_message_iter_open_container(array, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    interface_append_entry(&dictionary, "id", DBUS_TYPE_UINT64, "t", &e->id);
    interface_append_entry(&dictionary, "start_us", DBUS_TYPE_INT64, "x", &e->start_us);
    interface_append_entry(&dictionary, "end_us", DBUS_TYPE_INT64, "x", &e->end_us);
    interface_append_text(&dictionary, "text", e->text);
    interface_append_text(&dictionary, "reply", reply);
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

/* What was said after an id, a limited number of utterances: an array of signature's. */
static DBusMessage *answer(struct assistant *a, DBusMessage *call, const char *signature,
                           append_function *append)
{
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
    dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, signature, &array);
    size_t first = history_after(a->history, since), count = history_count(a->history) - first;
    if (limit && limit < count)
        count = limit;
    for (size_t i = 0, bytes = 0; i < count && bytes < ANSWER_BYTES; i++)
        bytes += append(&array, history_at(a->history, first + i));
    dbus_message_iter_close_container(&out, &array);
    return reply;
}

DBusMessage *assistant_call_transcript(void *user, DBusMessage *call)
{
    return answer(user, call, "(txxss)", append_row);
}

DBusMessage *assistant_call_utterances(void *user, DBusMessage *call)
{
    return answer(user, call, "a{sv}", append_entry);
}
