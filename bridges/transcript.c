/* What was said in one sound, from the signals of a stream. */
#include "bridges/transcript.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = TRANSCRIPT_BYTES_MAX + 4096 };

static void free_segment(struct transcript_segment *s)
{
    free(s->text);
    free(s->words);
}

void transcript_finish(struct transcript *t)
{
    for (size_t i = 0; i < t->count; i++)
        free_segment(&t->segments[i]);
    free(t->segments);
    *t = (struct transcript){0};
}

/* Whether the word is within the text, behind the one before it. */
static bool fits(const struct transcript_segment *s, uint32_t at, uint32_t size)
{
    const struct cue_word *before = s->word_count ? &s->words[s->word_count - 1] : NULL;
    size_t length = strlen(s->text);
    return size && at <= length && size <= length - at &&
           (!before || at >= before->at + before->size);
}

static int add_word(struct transcript_segment *s, sd_bus_message *m)
{
    uint32_t at, size;
    int64_t start_us, end_us;
    double confidence;
    int rc = sd_bus_message_read(m, "(uuxxd)", &at, &size, &start_us, &end_us, &confidence);
    if (rc <= 0)
        return rc;
    if (s->word_count == TRANSCRIPT_WORDS_MAX || !fits(s, at, size))
        return -EBADMSG;
    if (s->word_count % 64 == 0) {
        struct cue_word *grown = realloc(s->words, (s->word_count + 64) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->words = grown;
    }
    s->words[s->word_count++] =
        (struct cue_word){at, size, start_us - s->start_us, end_us - s->start_us, confidence};
    return 1;
}

static int read_words(struct transcript_segment *s, sd_bus_message *m)
{
    int rc = sd_bus_message_enter_container(m, 'v', "a(uuxxd)");
    if (rc >= 0)
        rc = sd_bus_message_enter_container(m, 'a', "(uuxxd)");
    while (rc >= 0 && (rc = add_word(s, m)) > 0)
        ;
    if (rc >= 0)
        rc = sd_bus_message_exit_container(m);
    return rc < 0 ? rc : sd_bus_message_exit_container(m);
}

/* words: where the words are in the message, as they need start_us; read after all else. */
static int read_detail(struct transcript_segment *s, sd_bus_message *m, bool words)
{
    const char *name;
    int rc = sd_bus_message_read_basic(m, 's', &name);
    if (rc < 0)
        return rc;
    if (words)
        return strcmp(name, "words") == 0 ? read_words(s, m) : sd_bus_message_skip(m, "v");
    if (strcmp(name, "start_us") == 0)
        return sd_bus_message_read(m, "v", "x", &s->start_us);
    if (strcmp(name, "end_us") == 0)
        return sd_bus_message_read(m, "v", "x", &s->end_us);
    if (strcmp(name, "confidence") == 0)
        return sd_bus_message_read(m, "v", "d", &s->confidence);
    return sd_bus_message_skip(m, "v");
}

static int read_details(struct transcript_segment *s, sd_bus_message *m, bool words)
{
    int rc = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (rc >= 0 && (rc = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        rc = read_detail(s, m, words);
        if (rc >= 0)
            rc = sd_bus_message_exit_container(m);
    }
    return rc < 0 ? rc : sd_bus_message_exit_container(m);
}

static int read_segment(struct transcript_segment *s, sd_bus_message *m)
{
    uint64_t id;
    const char *text;
    int rc = sd_bus_message_read(m, "ts", &id, &text);
    if (rc < 0)
        return rc;
    s->text = strdup(text);
    if (!s->text)
        return -ENOMEM;
    rc = read_details(s, m, false);
    if (rc >= 0)
        rc = sd_bus_message_rewind(m, 1);
    if (rc >= 0)
        rc = sd_bus_message_skip(m, "ts");
    return rc < 0 ? rc : read_details(s, m, true);
}

static int keep(struct transcript *t, const struct transcript_segment *s)
{
    size_t bytes = strlen(s->text) + 1;
    if (t->bytes + bytes > TRANSCRIPT_BYTES_MAX)
        return -ENOBUFS;
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 16;
        struct transcript_segment *grown = realloc(t->segments, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        t->segments = grown;
        t->capacity = capacity;
    }
    t->bytes += bytes;
    t->segments[t->count++] = *s;
    return 1;
}

int transcript_add(struct transcript *t, sd_bus_message *m)
{
    struct transcript_segment s = {.confidence = -1};
    int rc = read_segment(&s, m);
    if (rc >= 0)
        rc = *s.text ? keep(t, &s) : 0;
    if (rc != 1)
        free_segment(&s);
    return rc < 0 && rc != -ENOMEM && rc != -ENOBUFS ? -EBADMSG : rc;
}

int transcript_text(const struct transcript *t, struct buffer *out)
{
    int rc = buffer_append(out, "", 0, TEXT_MOST);
    for (size_t i = 0; !rc && i < t->count; i++) {
        const char *text = t->segments[i].text;
        if (i)
            rc = buffer_append(out, " ", 1, TEXT_MOST);
        if (!rc)
            rc = buffer_append(out, text, strlen(text), TEXT_MOST);
    }
    return rc;
}
