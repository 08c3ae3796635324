/* Words are compared by their letters and digits alone. */
#include "pipeline/wake.h"

#include <errno.h>
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
static size_t match(const char *phrase, const char *phrase_end, const char *text)
{
    const char *text_end = text + strlen(text);
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

int wake_check(const char *phrases, struct error *error)
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

void wake_init(struct wake *w, const char *phrases, int follow_up_ms)
{
    *w = (struct wake){.phrases = phrases, .follow_up_ms = follow_up_ms};
    wake_close(w);
}

size_t wake_phrase_bytes(const char *phrases, const char *text)
{
    size_t most = 0;
    for (const char *p = phrases; *p;) {
        const char *end = p + strcspn(p, "|");
        size_t bytes = match(p, end, text);
        most = bytes > most ? bytes : most;
        p = end + (*end == '|');
    }
    return most;
}

enum wake_turn wake_turn(const struct wake *w, const char *text, int64_t start_us)
{
    if (wake_phrase_bytes(w->phrases, text) > 0)
        return WAKE_CALLED;
    return start_us <= w->open_until_us ? WAKE_FOLLOW_UP : WAKE_NONE;
}

void wake_taken(struct wake *w, enum wake_turn turn, bool replied, int64_t now_us)
{
    bool opens = turn == WAKE_CALLED || (turn == WAKE_FOLLOW_UP && replied);
    if (opens && w->follow_up_ms > 0)
        w->open_until_us = now_us + (int64_t)w->follow_up_ms * 1000;
}

void wake_close(struct wake *w)
{
    w->open_until_us = INT64_MIN;
}
