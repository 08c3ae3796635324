/* Prints cues, the last place that a text passes on its way into a file or a terminal; what becomes
 * one caption is cue_cut.c's. */
#include "cues/cues.h"

#include "base/utf8.h"
#include "cues/cue_cut.h"

#include <errno.h>
#include <string.h>

/* Writes the character at p, or a blank or '?' for what is none to show; its bytes. */
static size_t print_character(const char *p, FILE *out)
{
    size_t size = utf8_size(p);
    if (size == 0)
        fputc('?', out);
    else if (utf8_is_control(p, size))
        fputc(' ', out);
    else
        fwrite(p, 1, size, out);
    return size ? size : 1;
}

void cue_print_text(const char *text, FILE *out)
{
    while (*text)
        text += print_character(text, out);
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

static void print_times(enum cue_format format, unsigned number, int64_t start_us, int64_t end_us,
                        FILE *out)
{
    char fraction = format == CUE_FORMAT_SRT ? ',' : '.';
    fprintf(out, "%u\n", number);
    print_time(start_us, fraction, out);
    fputs(" --> ", out);
    print_time(end_us, fraction, out);
    fputc('\n', out);
}

/* Bytes of a text in a cue. In WebVTT "<" begins a tag, "&" the name of a character, and "-->"
 * makes a line a time. SubRip has no way to write the last: its ">" moves away. */
static void print_bytes(const char *text, size_t size, enum cue_format format, FILE *out)
{
    bool vtt = format == CUE_FORMAT_VTT;
    for (const char *p = text; p < text + size;) {
        const char *other = NULL;
        if (vtt)
            other = *p == '&' ? "&amp;" : *p == '<' ? "&lt;" : *p == '>' ? "&gt;" : NULL;
        else if (*p == '>' && p - text >= 2 && p[-1] == '-' && p[-2] == '-')
            other = " >";
        if (other)
            fputs(other, out);
        p += other ? 1 : print_character(p, out);
    }
}

/* Two lines are as long as each other, as far as words allow: the word that begins the second;
 * first: one line is enough. */
static size_t second_line(const struct cue *cue, size_t first, size_t end)
{
    size_t best = first;
    size_t least = SIZE_MAX;
    if (cue_letters(cue, first, end) <= CUE_LINE)
        return first;
    for (size_t i = first + 1; i < end; i++) {
        size_t above = cue_letters(cue, first, i);
        size_t below = cue_letters(cue, i, end);
        size_t longer = above > below ? above : below;
        if (longer < least) {
            least = longer;
            best = i;
        }
    }
    return best;
}

/* Words first to end - 1. In WebVTT each but the first is behind the time when it is said. */
static void print_words(const struct cue *cue, size_t first, size_t end, enum cue_format format,
                        FILE *out)
{
    size_t second = second_line(cue, first, end);
    for (size_t i = first; i < end; i++) {
        const struct cue_word *w = &cue->words[i];
        size_t before = i > first ? cue->words[i - 1].at + cue->words[i - 1].size : w->at;
        if (i > first && i == second)
            fputc('\n', out);
        else
            print_bytes(cue->text + before, w->at - before, format, out);
        if (i > first && format == CUE_FORMAT_VTT) {
            fputc('<', out);
            print_time(cue->start_us + w->start_us, '.', out);
            fputc('>', out);
        }
        print_bytes(cue->text + w->at, w->size, format, out);
    }
}

/* WebVTT has a tag for who speaks, SubRip what people make of that. */
static void print_ear(const struct cue *cue, enum cue_format format, FILE *out)
{
    if (cue->ear)
        fprintf(out, format == CUE_FORMAT_VTT ? "<v %s>" : "%s: ", cue->ear);
}

unsigned cue_print(const struct cue *cue, enum cue_format format, unsigned number, FILE *out)
{
    unsigned written = 0;
    if (cue->word_count == 0) {
        print_times(format, number, cue->start_us, cue->end_us, out);
        print_ear(cue, format, out);
        print_bytes(cue->text, strlen(cue->text), format, out);
        fputs("\n\n", out);
        return 1;
    }
    for (size_t first = 0, end; first < cue->word_count; first = end) {
        end = cue_caption_end(cue, first);
        print_times(format, number + written, cue->start_us + cue->words[first].start_us,
                    cue->start_us + cue_shown_until(cue, first, end), out);
        print_ear(cue, format, out);
        print_words(cue, first, end, format, out);
        fputs("\n\n", out);
        written++;
    }
    return written;
}

bool cue_is_unsure(double confidence)
{
    return confidence >= 0 && confidence < 0.8;
}

/* Three digits. */
static void add_confidence(cJSON *item, double confidence)
{
    if (confidence >= 0)
        cJSON_AddNumberToObject(item, "confidence", (double)(int)(confidence * 1000) / 1000);
}

static void add_words(cJSON *item, const struct cue *cue)
{
    char text[CUE_TEXT_MAX];
    cJSON *list = cJSON_AddArrayToObject(item, "words");
    for (size_t i = 0; i < cue->word_count; i++) {
        const struct cue_word *w = &cue->words[i];
        cJSON *word = cJSON_CreateObject();
        snprintf(text, sizeof text, "%.*s", (int)w->size, cue->text + w->at);
        cJSON_AddStringToObject(word, "text", text);
        cJSON_AddNumberToObject(word, "start_ms", (double)((cue->start_us + w->start_us) / 1000));
        cJSON_AddNumberToObject(word, "end_ms", (double)((cue->start_us + w->end_us) / 1000));
        add_confidence(word, w->confidence);
        cJSON_AddItemToArray(list, word);
    }
}

cJSON *cue_object(const struct cue *cue)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "start_ms", (double)(cue->start_us / 1000));
    cJSON_AddNumberToObject(item, "end_ms", (double)(cue->end_us / 1000));
    if (cue->ear)
        cJSON_AddStringToObject(item, "ear", cue->ear);
    cJSON_AddStringToObject(item, "text", cue->text);
    cJSON_AddStringToObject(item, "reply", cue->reply ? cue->reply : "");
    add_confidence(item, cue->confidence);
    if (cue->word_count)
        add_words(item, cue);
    if (cue->intent)
        cJSON_AddItemToObject(item, "intent", cJSON_Duplicate(cue->intent, true));
    return item;
}

/* The number of a character of two or three bytes, or of one. */
static unsigned code_of(const char *p, size_t size)
{
    const unsigned char *u = (const unsigned char *)p;
    if (size == 1)
        return u[0];
    return size == 2 ? (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu)
                     : (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
}

/* Blanks of the JSON itself are the only characters below U+0020. */
void cue_print_json(const char *json, FILE *out)
{
    for (size_t size; *json; json += size ? size : 1) {
        size = utf8_size(json);
        if (!size)
            fputs("\xef\xbf\xbd", out); /* U+FFFD */
        else if (utf8_is_control(json, size) && code_of(json, size) >= 0x20)
            fprintf(out, "\\u%04x", code_of(json, size));
        else
            fwrite(json, 1, size, out);
    }
}

int cue_print_object(cJSON *object, FILE *out)
{
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!line)
        return -ENOMEM;
    cue_print_json(line, out);
    fputc('\n', out);
    cJSON_free(line);
    return 0;
}
