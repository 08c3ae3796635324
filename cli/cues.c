#include "cli/cues.h"

#include <ctype.h>
#include <errno.h>

void cue_print_text(const char *text, FILE *out)
{
    for (; *text; text++)
        fputc(iscntrl((unsigned char)*text) ? ' ' : *text, out);
}

void cue_print_head(enum cue_format format, FILE *out)
{
    if (format == CUE_FORMAT_VTT)
        fputs("WEBVTT\n\n", out);
}

static void print_time(int64_t us, char fraction, FILE *out)
{
    long long ms = us / 1000;
    fprintf(out, "%02lld:%02lld:%02lld%c%03lld", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
            fraction, ms % 1000);
}

void cue_print(const struct cue *cue, enum cue_format format, unsigned number, FILE *out)
{
    char fraction = format == CUE_FORMAT_SRT ? ',' : '.';
    fprintf(out, "%u\n", number);
    print_time(cue->start_us, fraction, out);
    fputs(" --> ", out);
    print_time(cue->end_us, fraction, out);
    fputc('\n', out);
    cue_print_text(cue->text, out);
    fputs("\n\n", out);
}

bool cue_is_unsure(double confidence)
{
    return confidence >= 0 && confidence < 0.8;
}

cJSON *cue_object(const struct cue *cue)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "start_ms", (double)(cue->start_us / 1000));
    cJSON_AddNumberToObject(item, "end_ms", (double)(cue->end_us / 1000));
    cJSON_AddStringToObject(item, "text", cue->text);
    cJSON_AddStringToObject(item, "reply", cue->reply ? cue->reply : "");
    if (cue->confidence >= 0) /* three digits */
        cJSON_AddNumberToObject(item, "confidence", (double)(int)(cue->confidence * 1000) / 1000);
    return item;
}

int cue_print_object(cJSON *object, FILE *out)
{
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!line)
        return -ENOMEM;
    fprintf(out, "%s\n", line);
    cJSON_free(line);
    return 0;
}
