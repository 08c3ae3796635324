/* Writes events of the Wyoming protocol: data in the line itself, which old clients read, too. */
#include "bridges/wyoming_writer.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes data, which may be NULL. */
static int write_event(struct buffer *out, const char *type, cJSON *data)
{
    cJSON *event = cJSON_CreateObject();
    cJSON_AddStringToObject(event, "type", type);
    if (data)
        cJSON_AddItemToObject(event, "data", data);
    char *line = cJSON_PrintUnformatted(event);
    cJSON_Delete(event);
    if (!line)
        return -ENOMEM;
    size_t size = strlen(line);
    line[size] = '\n'; /* in the NUL's place */
    int rc = buffer_append(out, line, size + 1, WYOMING_OUT_MAX);
    cJSON_free(line);
    return rc;
}

int wyoming_write(struct buffer *out, const char *type, const char *key, const char *text,
                  const char *second_key, const char *second_text)
{
    cJSON *data = cJSON_CreateObject();
    if (key && text)
        cJSON_AddStringToObject(data, key, text);
    if (second_key && second_text)
        cJSON_AddStringToObject(data, second_key, second_text);
    return write_event(out, type, data);
}

int wyoming_write_detection(struct buffer *out, const char *name, uint64_t timestamp_ms)
{
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "name", name);
    cJSON_AddNumberToObject(data, "timestamp", (double)timestamp_ms);
    return write_event(out, "detection", data);
}

/* What a program and a model both have. */
static cJSON *described(const char *name, const char *text)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *attribution = cJSON_AddObjectToObject(o, "attribution");
    cJSON_AddStringToObject(attribution, "name", "Earshot");
    cJSON_AddStringToObject(attribution, "url", "man:earshot-wyoming(8)");
    cJSON_AddStringToObject(o, "name", name);
    cJSON_AddStringToObject(o, "description", text);
    cJSON_AddStringToObject(o, "version", EARSHOT_VERSION);
    cJSON_AddTrueToObject(o, "installed");
    return o;
}

static void add_languages(cJSON *model, const struct bridge_languages *languages)
{
    cJSON *names = cJSON_AddArrayToObject(model, "languages");
    for (size_t i = 0; i < languages->count; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(languages->names[i]));
}

static cJSON *hearing(const struct bridge_languages *languages)
{
    cJSON *program = described("earshot", "Earshot, speech to text on this machine");
    cJSON *model = described("earshot", "the model of earshotd");
    cJSON_AddTrueToObject(program, "supports_transcript_streaming");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(program, "models"), model);
    add_languages(model, languages);
    return program;
}

static cJSON *waiting(const struct bridge_languages *languages, const struct wake_words *wake)
{
    cJSON *program = described("earshot", "Earshot, wake words on this machine");
    cJSON *models = cJSON_AddArrayToObject(program, "models");
    for (size_t i = 0; i < wake->count; i++) {
        cJSON *model = described(wake->names[i], "words at the beginning of what is said");
        cJSON_AddStringToObject(model, "phrase", wake->names[i]);
        add_languages(model, languages);
        cJSON_AddItemToArray(models, model);
    }
    return program;
}

int wyoming_write_info(struct buffer *out, const struct bridge_languages *languages,
                       const struct wake_words *wake)
{
    static const char *const others[] = {"tts", "handle", "intent", "mic", "snd"};
    cJSON *data = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(data, "asr"), hearing(languages));
    cJSON *programs = cJSON_AddArrayToObject(data, "wake");
    if (wake->count)
        cJSON_AddItemToArray(programs, waiting(languages, wake));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cJSON_AddArrayToObject(data, others[i]);
    return write_event(out, "info", data);
}
