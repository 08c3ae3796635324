/* Words are compared by their letters and digits alone. */
#include "base/phrases.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Bytes above 127 are parts of letters, of whatever language. */
static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c >= 0x80 || c == '\'';
}

static int lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static const char *skip(const char *p, const char *end, bool letters)
{
    while (p < end && is_letter((unsigned char)*p) == letters)
        p++;
    return p;
}

static const char *skip_apostrophes(const char *p, const char *end)
{
    while (p < end && *p == '\'')
        p++;
    return p;
}

static bool same_word(const char *a, const char *a_end, const char *b, const char *b_end)
{
    for (;;) {
        a = skip_apostrophes(a, a_end);
        b = skip_apostrophes(b, b_end);
        if (a == a_end || b == b_end)
            return a == a_end && b == b_end;
        if (lower((unsigned char)*a++) != lower((unsigned char)*b++))
            return false;
    }
}

/* The bytes of the text that the phrase takes; 0: the text begins otherwise. */
static size_t match(const char *phrase, const char *phrase_end, const char *text,
                    const char *text_end)
{
    const char *t = skip(text, text_end, false);
    const char *p = skip(phrase, phrase_end, false);
    while (p < phrase_end) {
        const char *p_end = skip(p, phrase_end, true);
        const char *t_end = skip(t, text_end, true);
        if (!same_word(p, p_end, t, t_end))
            return 0;
        p = skip(p_end, phrase_end, false);
        t = skip(t_end, text_end, false);
    }
    return (size_t)(t - text);
}

int phrases_check(const char *phrases, struct error *error)
{
    if (!*phrases)
        return 0;
    for (const char *p = phrases;; p++) {
        const char *end = p + strcspn(p, "|");
        if (skip_apostrophes(skip(p, end, false), end) == end)
            return error_set(error, -EINVAL, "\"%s\" has a phrase without a word", phrases);
        if (!*end)
            return 0;
        p = end;
    }
}

size_t phrases_bytes(const char *phrases, const char *text, size_t size)
{
    size_t most = 0;
    for (const char *p = phrases; *p;) {
        const char *end = p + strcspn(p, "|");
        size_t bytes = match(p, end, text, text + size);
        most = bytes > most ? bytes : most;
        p = end + (*end == '|');
    }
    return most;
}
