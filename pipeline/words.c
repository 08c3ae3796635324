/* Pure text. */
#include "pipeline/words.h"

#include <string.h>

static bool goes_on(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Whether a letter begins here that is written without spaces: Thai and Lao (U+0E00 to U+0EFF), and
 * from U+3000 on kana, Chinese characters and Hangul, where a syllable is as much as a letter. */
static bool is_dense(const char *p)
{
    unsigned char lead = (unsigned char)p[0];
    unsigned char second = (unsigned char)p[1];
    return lead >= 0xe3 || (lead == 0xe0 && second >= 0xb8 && second <= 0xbb);
}

bool words_are_dense(const char *bytes, size_t size)
{
    char first[2] = {size > 0 ? bytes[0] : '\0', size > 1 ? bytes[1] : '\0'};
    return is_dense(first);
}

/* Size without a mark at its end; size: it has another one. */
static size_t without(const char *text, size_t size, const char *mark)
{
    size_t length = strlen(mark);
    return size >= length && memcmp(text + size - length, mark, length) == 0 ? size - length : size;
}

/* Whether the last word of a text only looks like the end of a sentence: a title, a letter for a
 * name. */
static bool ends_short(const char *text, size_t size)
{
    static const char *const titles[] = {"Mr.", "Mrs.", "Ms.", "Dr.", "St.", "Prof.", "vs."};
    const char *word = text + size;
    while (word > text && word[-1] != ' ')
        word--;
    size_t length = (size_t)(text + size - word);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (length == strlen(titles[i]) && memcmp(word, titles[i], length) == 0)
            return true;
    return length == 2 && word[1] == '.' && word[0] >= 'A' && word[0] <= 'Z' && word[0] != 'I';
}

bool words_end_sentence(const char *text)
{
    static const char *const quotes[] = {" ", "\"", "'", ")", "\u201d", "\u2019", "\u300d"};
    static const char *const ends[] = {".", "!", "?", "\u3002", "\uff01", "\uff1f", "\u2026"};
    size_t size = strlen(text);
    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++)
        size = without(text, size, quotes[i]);
    if (ends_short(text, size))
        return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (without(text, size, ends[i]) != size)
            return true;
    return false;
}

size_t words_count(const char *text)
{
    size_t letters = 0;
    size_t words = 0;
    bool inside = false;
    for (const char *p = text; *p; p++) {
        bool dense = is_dense(p);
        letters += dense;
        if (goes_on(*p))
            continue;
        words += !inside && *p != ' ' && !dense;
        inside = *p != ' ' && !dense;
    }
    return words + (letters + 1) / 2;
}

/* Whether a word ends before text[i], where no letter goes on. */
static bool ends(const char *text, size_t i)
{
    if (i == 0 || goes_on(text[i]))
        return i == 0;
    if (!text[i] || text[i] == ' ')
        return true;
    do
        i--;
    while (i > 0 && goes_on(text[i]));
    return is_dense(text + i);
}

size_t words_agreed(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    while (!ends(a, i) || !ends(b, i))
        i--;
    while (i > 0 && a[i - 1] == ' ')
        i--;
    return i;
}
