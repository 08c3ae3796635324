/* Intents as JSON, from the pipeline or from the bus. */
#include "cli/intent.h"

#include "cli/bus_client.h"

#include <string.h>

/* Of a probability three digits are enough. */
static void add_confidence(cJSON *intent, double confidence)
{
    cJSON_AddNumberToObject(intent, "confidence", (double)(int)(confidence * 1000) / 1000);
}

cJSON *intent_of_event(const struct event *caption)
{
    const struct event_intent *from = &caption->intent;
    if (!*from->name)
        return NULL;
    cJSON *intent = cJSON_CreateObject();
    cJSON_AddStringToObject(intent, "name", from->name);
    cJSON *slots = cJSON_AddObjectToObject(intent, "slots");
    for (uint32_t i = 0; i < from->slot_count; i++) {
        const struct event_slot *slot = &from->slots[i];
        char words[EVENT_TEXT_MAX] = "";
        memcpy(words, caption->text + slot->at, slot->size);
        cJSON_AddStringToObject(slots, slot->name, words);
    }
    add_confidence(intent, (double)from->confidence);
    return intent;
}

static void add_slot(void *user, const char *name, DBusMessageIter *value)
{
    const char *words;
    if (dbus_message_iter_get_arg_type(value) != DBUS_TYPE_STRING)
        return;
    dbus_message_iter_get_basic(value, &words);
    cJSON_AddStringToObject(user, name, words);
}

static bool is_dictionary(DBusMessageIter *value)
{
    return dbus_message_iter_get_arg_type(value) == DBUS_TYPE_ARRAY &&
           dbus_message_iter_get_element_type(value) == DBUS_TYPE_DICT_ENTRY;
}

static void add_part(void *user, const char *name, DBusMessageIter *value)
{
    cJSON *intent = user;
    const char *text;
    double confidence;
    if (strcmp(name, "name") == 0 && dbus_message_iter_get_arg_type(value) == DBUS_TYPE_STRING) {
        dbus_message_iter_get_basic(value, &text);
        cJSON_AddStringToObject(intent, "name", text);
    } else if (strcmp(name, "slots") == 0 && is_dictionary(value)) {
        bus_client_each(value, add_slot, cJSON_AddObjectToObject(intent, "slots"));
    } else if (strcmp(name, "confidence") == 0 && bus_client_number(value, &confidence)) {
        add_confidence(intent, confidence);
    }
}

cJSON *intent_of_variant(DBusMessageIter *variant)
{
    if (!is_dictionary(variant))
        return NULL;
    cJSON *intent = cJSON_CreateObject();
    bus_client_each(variant, add_part, intent);
    if (cJSON_GetArraySize(intent) == 3)
        return intent;
    cJSON_Delete(intent);
    return NULL;
}
