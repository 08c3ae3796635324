/* A caption ends with a sentence, at a long pause, or before it has too many characters or lasts
 * too long; then at a comma, if that leaves it more than a line.
 */
#include "cues/cue_cut.h"

#include "pipeline/words.h"

#include <stdio.h>
#include <string.h>

enum {
    LONGEST_US = 7000000,  /* a caption */
    SHORTEST_US = 1000000, /* it is shown */
    BREATH_US = 500000,    /* between two words, with which a short sentence is a caption, too */
    PAUSE_US = 1500000,    /* between two words, that ends any */
};

size_t cue_letters(const struct cue *cue, size_t first, size_t end)
{
    const struct cue_word *last = &cue->words[end - 1];
    size_t letters = 0;
    for (size_t i = cue->words[first].at; i < last->at + last->size; i++)
        letters += ((unsigned char)cue->text[i] & 0xc0) != 0x80;
    return letters;
}

static bool ends_sentence(const struct cue *cue, const struct cue_word *w)
{
    char word[64];
    size_t skipped = w->size < sizeof word ? 0 : w->size - (sizeof word - 1);
    snprintf(word, sizeof word, "%.*s", (int)(w->size - skipped), cue->text + w->at + skipped);
    return words_end_sentence(word);
}

static bool ends_clause(const struct cue *cue, const struct cue_word *w)
{
    return w->size > 0 && strchr(",;:", cue->text[w->at + w->size - 1]);
}

static bool fits(const struct cue *cue, size_t first, size_t end)
{
    return cue_letters(cue, first, end) <= 2 * CUE_LINE &&
           cue->words[end - 1].end_us - cue->words[first].start_us <= LONGEST_US;
}

/* Whether a caption ends before word number next, however short it is. */
static bool must_end(const struct cue *cue, size_t first, size_t next)
{
    const struct cue_word *last = &cue->words[next - 1];
    int64_t gap_us = cue->words[next].start_us - last->end_us;
    bool short_one = last->end_us - cue->words[first].start_us < SHORTEST_US && gap_us < BREATH_US;
    return gap_us >= PAUSE_US || (ends_sentence(cue, last) && !short_one);
}

size_t cue_caption_end(const struct cue *cue, size_t first)
{
    size_t end = first + 1;
    size_t clause = 0;
    for (; end < cue->word_count && fits(cue, first, end + 1); end++) {
        if (must_end(cue, first, end))
            return end;
        if (ends_clause(cue, &cue->words[end - 1]) && cue_letters(cue, first, end) > CUE_LINE)
            clause = end;
    }
    bool over = end == cue->word_count || must_end(cue, first, end);
    return over || !clause || ends_clause(cue, &cue->words[end - 1]) ? end : clause;
}

int64_t cue_shown_until(const struct cue *cue, size_t first, size_t end)
{
    int64_t until_us = cue->words[end - 1].end_us;
    int64_t least_us = cue->words[first].start_us + SHORTEST_US;
    int64_t length_us = cue->end_us - cue->start_us;
    int64_t next_us = end < cue->word_count ? cue->words[end].start_us : length_us;
    if (least_us > next_us)
        least_us = next_us;
    return until_us > least_us ? until_us : least_us;
}
