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

/* What a program and a model both have. */
static void describe(cJSON *o, const char *text)
{
    cJSON *attribution = cJSON_AddObjectToObject(o, "attribution");
    cJSON_AddStringToObject(attribution, "name", "Earshot");
    cJSON_AddStringToObject(attribution, "url", "man:earshot-wyoming(8)");
    cJSON_AddStringToObject(o, "name", "earshot");
    cJSON_AddStringToObject(o, "description", text);
    cJSON_AddStringToObject(o, "version", EARSHOT_VERSION);
    cJSON_AddTrueToObject(o, "installed");
}

static cJSON *hearing(const struct bridge_languages *languages)
{
    cJSON *program = cJSON_CreateObject(), *model = cJSON_CreateObject();
    describe(program, "Earshot, speech to text on this machine");
    cJSON_AddTrueToObject(program, "supports_transcript_streaming");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(program, "models"), model);
    describe(model, "the model of earshotd");
    cJSON *names = cJSON_AddArrayToObject(model, "languages");
    for (size_t i = 0; i < languages->count; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(languages->names[i]));
    return program;
}

int wyoming_write_info(struct buffer *out, const struct bridge_languages *languages)
{
    static const char *const others[] = {"tts", "handle", "intent", "wake", "mic", "snd"};
    cJSON *data = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(data, "asr"), hearing(languages));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cJSON_AddArrayToObject(data, others[i]);
    return write_event(out, "info", data);
}
