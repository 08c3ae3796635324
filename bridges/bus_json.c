/* Signals of the daemon as JSON: what D-Bus has as dictionaries are objects, all else as it is. */
#include "bridges/bus_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_MAX = 4 };

/* What a struct of this signature has; D-Bus gives members of structs no names. */
#define WORD "uuxxd"
static const char *const word_names[] = {"at", "size", "start_us", "end_us", "confidence"};

static const struct {
    const char *member;
    const char *names[ARGUMENTS_MAX + 1];
} signals[] = {
    {"UtteranceStarted", {"id", "details"}},
    {"UtteranceUpdated", {"id", "seq", "stable_bytes", "text"}},
    {"WordsHeard", {"id", "first", "words"}},
    {"UtteranceCompleted", {"id", "text", "details"}},
    {"ReplyUpdated", {"id", "seq", "text"}},
    {"ReplyCompleted", {"id", "text", "details"}},
    {"AudioLost", {"samples"}},
};

static cJSON *read_value(sd_bus_message *m);

/* All digits: a double has fewer. */
static cJSON *whole(sd_bus_message *m, char type)
{
    char text[24] = "0";
    union {
        uint64_t t;
        int64_t x;
        uint32_t u;
        int32_t i;
    } value;
    if (sd_bus_message_read_basic(m, type, &value) < 0)
        return NULL;
    switch (type) {
    case 't':
        snprintf(text, sizeof text, "%" PRIu64, value.t);
        break;
    case 'x':
        snprintf(text, sizeof text, "%" PRId64, value.x);
        break;
    case 'u':
        snprintf(text, sizeof text, "%" PRIu32, value.u);
        break;
    case 'i':
        snprintf(text, sizeof text, "%" PRId32, value.i);
        break;
    }
    return cJSON_CreateRaw(text);
}

static cJSON *read_basic(sd_bus_message *m, char type)
{
    union {
        int boolean;
        double number;
        const char *text;
    } value;
    if (strchr("txui", type))
        return whole(m, type);
    if (!strchr("bdso", type) || sd_bus_message_read_basic(m, type, &value) < 0)
        return NULL;
    if (type == 'b')
        return cJSON_CreateBool(value.boolean);
    return type == 'd' ? cJSON_CreateNumber(value.number) : cJSON_CreateString(value.text);
}

static cJSON *read_pairs(sd_bus_message *m, const char *contents)
{
    char inside[64];
    const char *name;
    cJSON *object = cJSON_CreateObject();
    snprintf(inside, sizeof inside, "%.*s", (int)strlen(contents) - 2, contents + 1);
    while (sd_bus_message_enter_container(m, 'e', inside) > 0) {
        if (sd_bus_message_read_basic(m, 's', &name) < 0)
            break;
        cJSON *value = read_value(m);
        if (!value)
            break;
        cJSON_AddItemToObject(object, name, value);
        sd_bus_message_exit_container(m);
    }
    return object;
}

static cJSON *read_list(sd_bus_message *m)
{
    cJSON *list = cJSON_CreateArray(), *item;
    while (sd_bus_message_at_end(m, 0) == 0 && (item = read_value(m)))
        cJSON_AddItemToArray(list, item);
    return list;
}

static cJSON *read_struct(sd_bus_message *m, const char *contents)
{
    if (strcmp(contents, WORD) != 0)
        return read_list(m);
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof word_names / sizeof *word_names; i++) {
        cJSON *item = read_value(m);
        if (item)
            cJSON_AddItemToObject(object, word_names[i], item);
    }
    return object;
}

/* NULL: there is none, or of a type that these signals do not have. */
static cJSON *read_value(sd_bus_message *m)
{
    const char *peeked;
    char type, contents[64];
    if (sd_bus_message_peek_type(m, &type, &peeked) <= 0)
        return NULL;
    if (!strchr("avr", type))
        return read_basic(m, type);
    snprintf(contents, sizeof contents, "%s", peeked);
    if (sd_bus_message_enter_container(m, type, contents) < 0)
        return NULL;
    cJSON *value = type == 'v'                       ? read_value(m)
                   : type == 'r'                     ? read_struct(m, contents)
                   : type == 'a' && *contents == '{' ? read_pairs(m, contents)
                                                     : read_list(m);
    if (sd_bus_message_exit_container(m) >= 0)
        return value;
    cJSON_Delete(value);
    return NULL;
}

cJSON *bus_json_signal(const char *member, sd_bus_message *m)
{
    size_t i = 0, count = sizeof signals / sizeof *signals;
    while (i < count && strcmp(signals[i].member, member) != 0)
        i++;
    cJSON *object = i < count ? cJSON_CreateObject() : NULL;
    if (!object)
        return NULL;
    cJSON_AddStringToObject(object, "type", member);
    for (const char *const *name = signals[i].names; *name; name++) {
        cJSON *value = read_value(m);
        if (value)
            cJSON_AddItemToObject(object, *name, value);
    }
    return object;
}
