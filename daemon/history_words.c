/* Words as text and back. */
#include "daemon/history_words.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIELDS = 5,
    THOUSAND = 1000,
};

char *history_words_write(const struct event *e)
{
    char *line = NULL;
    size_t size;
    FILE *out = e->word_count ? open_memstream(&line, &size) : NULL;
    if (!out)
        return NULL;
    for (size_t i = 0; i < e->word_count; i++) {
        const struct event_word *w = &e->words[i];
        fprintf(out, "%s%u:%u:%u:%u:%u", i ? " " : "", w->at, w->size, w->start_ms, w->end_ms,
                (unsigned)(w->confidence * THOUSAND + 0.5f));
    }
    if (fclose(out) == 0)
        return line;
    free(line);
    return NULL;
}

/* One word; *line is behind it then. */
static bool read_word(const char **line, struct event_word *w)
{
    unsigned long field[FIELDS];
    for (size_t i = 0; i < FIELDS; i++) {
        char *end;
        if (**line < '0' || **line > '9')
            return false;
        field[i] = strtoul(*line, &end, 10);
        if (field[i] > UINT32_MAX || (i + 1 < FIELDS && *end != ':'))
            return false;
        *line = end + (i + 1 < FIELDS);
    }
    if (field[0] >= EVENT_TEXT_MAX || field[1] >= EVENT_TEXT_MAX || field[4] > THOUSAND)
        return false;
    *w = (struct event_word){(uint16_t)field[0], (uint16_t)field[1], (uint32_t)field[2],
                             (uint32_t)field[3], (float)field[4] / THOUSAND};
    return true;
}

size_t history_words_read(const char *line, const char *text, struct event_word *words, size_t most)
{
    size_t count = 0, text_size = strlen(text), before = 0;
    while (*line && count < most) {
        struct event_word w;
        if (!read_word(&line, &w) || w.at < before || w.at + (size_t)w.size > text_size)
            return 0;
        before = w.at + (size_t)w.size;
        words[count++] = w;
        if (*line == ' ')
            line++;
        else if (*line)
            return 0;
    }
    return *line ? 0 : count;
}
