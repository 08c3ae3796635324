/* A transcript as the OpenAI API has it: JSON, text, SubRip, WebVTT. */
#include "bridges/transcript.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE_HZ = 16000,
    OUT_MOST = 64 * 1024 * 1024, /* bytes; all words of a text of the most bytes have fewer */
};

static const struct {
    const char *name, *type;
} forms[] = {
    [TRANSCRIPT_JSON] = {"json", "application/json"},
    [TRANSCRIPT_TEXT] = {"text", "text/plain; charset=utf-8"},
    [TRANSCRIPT_SRT] = {"srt", "application/x-subrip; charset=utf-8"},
    [TRANSCRIPT_VTT] = {"vtt", "text/vtt; charset=utf-8"},
    [TRANSCRIPT_VERBOSE_JSON] = {"verbose_json", "application/json"},
};

int transcript_find_form(const char *name)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, name) == 0)
            return (int)i;
    return -EINVAL;
}

const char *transcript_type(enum transcript_form form)
{
    return forms[form].type;
}

static double seconds(int64_t us)
{
    return (double)(us / 1000) / 1000;
}

static double duration(const struct transcript *t)
{
    return (double)(t->samples * 1000 / RATE_HZ) / 1000;
}

static cJSON *words_of(const struct transcript *t)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < t->count; i++) {
        const struct transcript_segment *s = &t->segments[i];
        for (size_t j = 0; j < s->word_count; j++) {
            const struct cue_word *w = &s->words[j];
            cJSON *word = cJSON_CreateObject();
            char *text = strndup(s->text + w->at, w->size);
            cJSON_AddStringToObject(word, "word", text ? text : "");
            cJSON_AddNumberToObject(word, "start", seconds(s->start_us + w->start_us));
            cJSON_AddNumberToObject(word, "end", seconds(s->start_us + w->end_us));
            cJSON_AddItemToArray(list, word);
            free(text);
        }
    }
    return list;
}

/* Clients want every member that OpenAI's has; those of another decoder are as if it had no say. */
static cJSON *segment_of(const struct transcript_segment *s, size_t number)
{
    bool known = s->confidence > 0;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "id", (double)number);
    cJSON_AddNumberToObject(o, "seek", 0);
    cJSON_AddNumberToObject(o, "start", seconds(s->start_us));
    cJSON_AddNumberToObject(o, "end", seconds(s->end_us));
    cJSON_AddStringToObject(o, "text", s->text);
    cJSON_AddArrayToObject(o, "tokens");
    cJSON_AddNumberToObject(o, "temperature", 0);
    cJSON_AddNumberToObject(o, "avg_logprob", known ? round(log(s->confidence) * 1e4) / 1e4 : 0);
    cJSON_AddNumberToObject(o, "compression_ratio", 1);
    cJSON_AddNumberToObject(o, "no_speech_prob", 0);
    return o;
}

static cJSON *segments_of(const struct transcript *t)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < t->count; i++)
        cJSON_AddItemToArray(list, segment_of(&t->segments[i], i));
    return list;
}

static cJSON *usage_of(const struct transcript *t)
{
    cJSON *usage = cJSON_CreateObject();
    cJSON_AddStringToObject(usage, "type", "duration");
    cJSON_AddNumberToObject(usage, "seconds", ceil(duration(t)));
    return usage;
}

static cJSON *object_of(const struct transcript *t, const struct transcript_options *o,
                        const char *text)
{
    cJSON *object = cJSON_CreateObject();
    bool verbose = o->form == TRANSCRIPT_VERBOSE_JSON;
    if (verbose) {
        cJSON_AddStringToObject(object, "task", "transcribe");
        cJSON_AddStringToObject(object, "language", o->language);
        cJSON_AddNumberToObject(object, "duration", duration(t));
    }
    cJSON_AddStringToObject(object, "text", text);
    if (verbose && o->segments)
        cJSON_AddItemToObject(object, "segments", segments_of(t));
    if (verbose && o->words)
        cJSON_AddItemToObject(object, "words", words_of(t));
    cJSON_AddItemToObject(object, "usage", usage_of(t));
    return object;
}

static int write_object(const struct transcript *t, const struct transcript_options *o,
                        struct buffer *out)
{
    struct buffer text = {0};
    int rc = transcript_text(t, &text);
    if (rc)
        return rc;
    cJSON *object = object_of(t, o, text.data);
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    buffer_free(&text);
    if (!line)
        return -ENOMEM;
    rc = buffer_append(out, line, strlen(line), OUT_MOST);
    cJSON_free(line);
    return rc;
}

static int write_cues(const struct transcript *t, enum cue_format format, struct buffer *out)
{
    char *data = NULL;
    size_t size = 0;
    unsigned number = 1;
    FILE *f = open_memstream(&data, &size);
    if (!f)
        return -ENOMEM;
    cue_print_head(format, f);
    for (size_t i = 0; i < t->count; i++) {
        const struct transcript_segment *s = &t->segments[i];
        const struct cue cue = {s->start_us,   s->end_us, s->text,       NULL,
                                s->confidence, s->words,  s->word_count, NULL};
        number += cue_print(&cue, format, number, f);
    }
    int rc = fclose(f) ? -ENOMEM : buffer_append(out, data, size, OUT_MOST);
    free(data);
    return rc;
}

static int write_line(const struct transcript *t, struct buffer *out)
{
    int rc = transcript_text(t, out);
    return rc ? rc : buffer_append(out, "\n", 1, OUT_MOST);
}

int transcript_write(const struct transcript *t, const struct transcript_options *o,
                     struct buffer *out)
{
    switch (o->form) {
    case TRANSCRIPT_TEXT:
        return write_line(t, out);
    case TRANSCRIPT_SRT:
        return write_cues(t, CUE_FORMAT_SRT, out);
    case TRANSCRIPT_VTT:
        return write_cues(t, CUE_FORMAT_VTT, out);
    case TRANSCRIPT_JSON:
    case TRANSCRIPT_VERBOSE_JSON:
        break;
    }
    return write_object(t, o, out);
}
