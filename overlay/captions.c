/* The text model of the caption window (captions.h). */
#include "overlay/captions.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define LOST_MARK " \xe2\x80\xa6" /* an ellipsis */

void captions_init(struct captions *captions)
{
    captions->count = 0;
}

static void finish_line(struct caption_line *line)
{
    free(line->text);
    free(line->words);
}

void captions_finish(struct captions *captions)
{
    for (size_t i = 0; i < captions->count; i++)
        finish_line(&captions->line[i]);
    captions->count = 0;
}

/* What would begin another line of a text buffer, or turn the direction of the text around it. */
static bool is_unfit(const char *p, size_t size)
{
    bool separator =
        size == 3 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0);
    return separator || utf8_is_control(p, size);
}

/* The text on one line, with the same number of bytes for each character, so that the places of its
 * words stay right. Owned by the caller; NULL: out of memory. */
static char *make_line(const char *mark, const char *text, size_t *size)
{
    size_t used = strlen(mark);
    char *line = malloc(used + strnlen(text, CAPTION_TEXT_MAX) + 1);
    if (!line)
        return NULL;
    memcpy(line, mark, used);
    while (*text) {
        size_t n = utf8_size(text), step = n ? n : 1;
        if (used + step > CAPTION_TEXT_MAX)
            break;
        if (n && !is_unfit(text, n))
            memcpy(line + used, text, n);
        else
            memset(line + used, n ? ' ' : '?', step);
        used += step;
        text += step;
    }
    line[used] = '\0';
    *size = used;
    return line;
}

/* The start of the character at byte at, or the end of the text. */
static size_t round_down(const char *text, size_t size, size_t at)
{
    if (at >= size)
        return size;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static size_t common_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t n = 0;
    while (n < a_size && n < b_size && a[n] == b[n])
        n++;
    return round_down(b, b_size, n);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What a line of the kind begins with. */
static const char *mark_of(enum caption_kind kind)
{
    static const char *const marks[] = {"", "> ", "Desktop: "};
    return marks[kind];
}

/* Where the line is, or would be. */
static size_t find_place(const struct captions *captions, uint64_t id, enum caption_kind kind,
                         bool *found)
{
    size_t i = captions->count;
    while (i > 0 && (captions->line[i - 1].id > id ||
                     (captions->line[i - 1].id == id && captions->line[i - 1].kind > kind)))
        i--;
    *found = i > 0 && captions->line[i - 1].id == id && captions->line[i - 1].kind == kind;
    return *found ? i - 1 : i;
}

static void remove_line(struct captions *captions, size_t index)
{
    finish_line(&captions->line[index]);
    captions->count--;
    memmove(&captions->line[index], &captions->line[index + 1],
            (captions->count - index) * sizeof(struct caption_line));
}

/* An empty line at index; what is too much at the top goes once the change is complete. */
static struct caption_line *insert_line(struct captions *captions, size_t index, uint64_t id,
                                        enum caption_kind kind)
{
    struct caption_line *line = &captions->line[index];
    memmove(line + 1, line, (captions->count - index) * sizeof(struct caption_line));
    captions->count++;
    *line = (struct caption_line){.id = id, .kind = kind, .confidence = -1};
    return line;
}

/* Gives the line its new text, which it owns from here on. */
static void set_text(struct caption_line *line, char *text, size_t size, size_t settled,
                     struct captions_change *change)
{
    size_t kept = common_bytes(line->text, line->size, text, size);
    bool same = kept == size && size == line->size;
    settled = round_down(text, size, settled);
    change->from = kept;
    change->look_from =
        settled == line->settled ? kept : smaller(kept, smaller(settled, line->settled));
    if (change->what == CAPTIONS_SAME && (!same || settled != line->settled))
        change->what = CAPTIONS_EDITED;
    free(line->text);
    line->text = text;
    line->size = size;
    line->settled = settled;
}

static struct captions_change end_change(struct captions *captions, struct captions_change change)
{
    if (captions->count > CAPTIONS_MAX) {
        remove_line(captions, 0);
        change.dropped = 1;
    }
    return change;
}

/* The line to change; NULL: it would be older than all that there is room for, or is not wanted. */
static struct caption_line *find_line(struct captions *captions, uint64_t id,
                                      enum caption_kind kind, bool wanted,
                                      struct captions_change *change)
{
    bool found;
    *change = (struct captions_change){.index = find_place(captions, id, kind, &found)};
    if (found)
        return &captions->line[change->index];
    if (!wanted || (change->index == 0 && captions->count == CAPTIONS_MAX))
        return NULL;
    change->what = CAPTIONS_ADDED;
    return insert_line(captions, change->index, id, kind);
}

struct captions_change captions_update(struct captions *captions, uint64_t id,
                                       enum caption_kind kind, unsigned seq, size_t stable_bytes,
                                       const char *text)
{
    struct captions_change change;
    size_t size, mark = strlen(mark_of(kind));
    struct caption_line *line = find_line(captions, id, kind, *text, &change);
    if (!line || line->complete || (seq && seq <= line->seq))
        return (struct captions_change){CAPTIONS_SAME};
    char *made = make_line(mark_of(kind), text, &size);
    line->seq = seq;
    if (made)
        set_text(line, made, size, stable_bytes < size ? stable_bytes + mark : size, &change);
    return end_change(captions, change);
}

/* Takes over the words that lie in the text, one behind the other. */
static void set_words(struct caption_line *line, const struct caption_word *words, size_t count)
{
    size_t end = 0, mark = strlen(mark_of(line->kind));
    line->word_count = 0;
    if (!words || count > CAPTION_WORDS_MAX)
        count = words ? CAPTION_WORDS_MAX : 0;
    struct caption_word *kept = count ? realloc(line->words, count * sizeof *kept) : NULL;
    if (!kept)
        return;
    line->words = kept;
    for (size_t i = 0; i < count; i++) {
        struct caption_word w = words[i];
        w.at += mark;
        if (w.at < end || w.at >= line->size || w.size > line->size - w.at)
            continue;
        w.size = round_down(line->text, line->size, w.at + w.size);
        w.at = round_down(line->text, line->size, w.at);
        end = w.size;
        w.size -= w.at;
        kept[line->word_count++] = w;
    }
}

static struct captions_change remove_at(struct captions *captions, size_t index)
{
    remove_line(captions, index);
    return (struct captions_change){.what = CAPTIONS_REMOVED, .index = index};
}

struct captions_change captions_complete(struct captions *captions, uint64_t id,
                                         enum caption_kind kind, const char *text,
                                         double confidence, const struct caption_word *words,
                                         size_t count)
{
    struct captions_change change;
    size_t size;
    struct caption_line *line = find_line(captions, id, kind, *text, &change);
    if (!line || (line->complete && !line->lost))
        return (struct captions_change){CAPTIONS_SAME};
    if (!*text)
        return remove_at(captions, change.index);
    char *made = make_line(mark_of(kind), text, &size);
    if (made)
        set_text(line, made, size, size, &change);
    line->complete = true;
    line->lost = false;
    line->confidence = confidence;
    set_words(line, words, count);
    change.what = change.what == CAPTIONS_ADDED ? CAPTIONS_ADDED : CAPTIONS_EDITED;
    change.look_from = 0;
    return end_change(captions, change);
}

struct captions_change captions_lose(struct captions *captions)
{
    size_t i = 0, size;
    while (i < captions->count && captions->line[i].complete)
        i++;
    if (i == captions->count)
        return (struct captions_change){CAPTIONS_SAME};
    struct caption_line *line = &captions->line[i];
    struct captions_change change = {.what = CAPTIONS_EDITED, .index = i};
    char *longer = malloc(line->size + sizeof LOST_MARK);
    if (longer) {
        memcpy(longer, line->text, line->size);
        strcpy(longer + line->size, LOST_MARK);
        size = line->size + strlen(LOST_MARK);
        set_text(line, longer, size, size, &change);
    }
    line->complete = line->lost = true;
    line->confidence = 0;
    change.look_from = 0;
    return change;
}

uint64_t captions_last_id(const struct captions *captions)
{
    for (size_t i = captions->count; i > 0; i--) {
        const struct caption_line *line = &captions->line[i - 1];
        if (line->complete && !line->lost && line->kind == CAPTION_SAID)
            return line->id;
    }
    return 0;
}

enum caption_look caption_look(const struct caption_line *line, size_t from, size_t *end)
{
    *end = line->size;
    if (!line->complete && from >= line->settled)
        return CAPTION_GUESS;
    if (!line->complete)
        *end = line->settled;
    else if (!line->word_count && line->confidence >= 0 && line->confidence < CAPTION_SURE)
        return CAPTION_UNSURE;
    for (size_t i = 0; i < line->word_count; i++) {
        const struct caption_word *w = &line->words[i];
        if (w->confidence >= CAPTION_SURE || from >= w->at + w->size)
            continue;
        *end = from < w->at ? w->at : w->at + w->size;
        return from < w->at ? CAPTION_SETTLED : CAPTION_UNSURE;
    }
    return CAPTION_SETTLED;
}
