/* A list of words, numbers and single letters, looked for at the text's end. */
#include "pipeline/ending.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool matches(const char *word, size_t length, const char *pattern, size_t pattern_length)
{
    if (pattern_length > 0 && *pattern == '*') {
        pattern++;
        pattern_length--;
        if (pattern_length > length)
            return false;
        word += length - pattern_length;
        length = pattern_length;
    }
    return length == pattern_length && strncasecmp(word, pattern, length) == 0;
}

static bool is_listed(const char *word, size_t length, const char *words)
{
    while (*words) {
        size_t pattern = strcspn(words, " ");
        if (matches(word, length, words, pattern))
            return true;
        words += pattern;
        words += strspn(words, " ");
    }
    return false;
}

static bool is_number(const char *word, size_t length)
{
    return length > 0 && strspn(word, "0123456789") >= length;
}

bool ending_is_open(const char *text, const char *words)
{
    size_t end = strlen(text);
    while (end > 0 && strchr(" .,;:!?", text[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && text[begin - 1] != ' ')
        begin--;
    return end - begin == 1 || is_number(text + begin, end - begin) ||
           (end > begin && is_listed(text + begin, end - begin, words));
}
