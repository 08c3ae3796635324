/* time   = clock [half of the day] | "noon" | "midnight"
 * clock  = hour ["o'clock"] | hour minute | part ("past" | "to") hour | hour "hundred" | "half"
 * hour Words are taken from the front, the half of the day from the end. */
#include "cli/spoken_time.h"

#include "pipeline/spoken_number.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOUR = 60,
    DAY = 24 * HOUR,
};

struct span {
    char *const *words;
    size_t count;
};

enum half {
    HALF_NONE,
    HALF_AM,
    HALF_PM,
    HALF_NIGHT, /* before midnight, or after it */
};

/* Whether the words begin with these, which are separated by spaces; takes them. */
static bool take(struct span *s, const char *phrase)
{
    size_t used = 0;
    while (*phrase) {
        size_t length = strcspn(phrase, " ");
        if (used == s->count || strlen(s->words[used]) != length ||
            strncmp(s->words[used], phrase, length) != 0)
            return false;
        used++;
        phrase += length + (phrase[length] == ' ');
    }
    s->words += used;
    s->count -= used;
    return true;
}

/* The same for their end. */
static bool take_end(struct span *s, const char *phrase)
{
    size_t length = 1;
    for (const char *p = phrase; *p; p++)
        length += *p == ' ';
    if (length > s->count)
        return false;
    struct span end = {s->words + s->count - length, length};
    if (!take(&end, phrase))
        return false;
    s->count -= length;
    return true;
}

static enum half take_half(struct span *s)
{
    static const struct {
        const char *phrase;
        enum half half;
    } halves[] = {
        {"am", HALF_AM},
        {"a m", HALF_AM},
        {"in the morning", HALF_AM},
        {"pm", HALF_PM},
        {"p m", HALF_PM},
        {"in the afternoon", HALF_PM},
        {"in the evening", HALF_PM},
        {"at night", HALF_NIGHT},
    };
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        if (take_end(s, halves[i].phrase))
            return halves[i].half;
    return HALF_NONE;
}

/* Digits up to most, two at most. */
static bool read_digits(const char **at, long most, long *value)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return false;
    *value = strtol(*at, &end, 10);
    bool good = end - *at <= 2 && *value <= most;
    *at = end;
    return good;
}

/* "6:30", "18.05", "6", with "am" or "pm" at its end or without. */
static bool take_digital(struct span *s, int *minutes, enum half *half)
{
    long hour, minute = 0;
    const char *at = s->count ? s->words[0] : "";
    if (!read_digits(&at, 23, &hour))
        return false;
    if (*at == ':' || *at == '.') {
        const char *begin = ++at;
        if (!read_digits(&at, 59, &minute) || at - begin != 2)
            return false;
    }
    if (*half == HALF_NONE && strcmp(at, "am") == 0)
        *half = HALF_AM;
    else if (*half == HALF_NONE && strcmp(at, "pm") == 0)
        *half = HALF_PM;
    else if (*at)
        return false;
    *minutes = (int)(hour * HOUR + minute);
    s->words++;
    s->count--;
    return true;
}

static bool take_zero(struct span *s)
{
    return take(s, "oh") || take(s, "o") || take(s, "zero");
}

/* "six", "oh six", "twenty three", "23". */
static bool take_number(struct span *s, long most, long *value)
{
    struct span rest = *s;
    const char *digits = s->count ? s->words[0] : "";
    bool zero = take_zero(&rest);
    size_t used = spoken_number_below_100(rest.words, rest.count, value);
    if (zero && (!used || *value > 9)) {
        *value = 0;
        used = 0;
    } else if (!zero && read_digits(&digits, most, value) && !*digits) {
        used = 1;
    } else if (!used) {
        return false;
    }
    if (*value > most)
        return false;
    s->words = rest.words + used;
    s->count = rest.count - used;
    return true;
}

/* "half past", "a quarter to", "twenty five minutes before": how far from the hour. */
static bool take_offset(struct span *s, int *offset)
{
    static const char *const after[] = {"past", "after"}, *const before[] = {"to", "before",
                                                                             "till"};
    long part;
    bool half = take(s, "half");
    if (half)
        part = 30;
    else if (take(s, "a quarter") || take(s, "quarter"))
        part = 15;
    else if (!take_number(s, 59, &part))
        return false;
    if (!half && !take(s, "minutes"))
        take(s, "minute");
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        if (take(s, after[i])) {
            *offset = (int)part;
            return true;
        }
    for (size_t i = 0; !half && i < sizeof before / sizeof *before; i++)
        if (take(s, before[i])) {
            *offset = -(int)part;
            return true;
        }
    return false;
}

/* What may follow an hour: nothing, o'clock, hundred hours, minutes of two digits. */
static bool take_minutes(struct span *s, int *minutes)
{
    long minute;
    if (s->count == 0 || take(s, "o'clock") || take(s, "oclock") || take(s, "o clock") ||
        take(s, "hundred hours") || take(s, "hundred"))
        return true;
    struct span zero = *s;
    bool padded = take_zero(&zero) || s->words[0][0] == '0';
    if (!take_number(s, 59, &minute) || (minute < 10 && !padded))
        return false;
    *minutes += (int)minute;
    return true;
}

/* whole: nothing but an hour. */
static bool take_clock(struct span *s, bool whole, int *minutes, enum half *half)
{
    long hour;
    bool noon = take(s, "noon") || take(s, "midday");
    if (noon || take(s, "midnight")) {
        *minutes = noon ? 12 * HOUR : 0;
        return true;
    }
    if (!take_number(s, 23, &hour))
        return take_digital(s, minutes, half) && (!whole || *minutes % HOUR == 0);
    *minutes = (int)hour * HOUR;
    return take_minutes(s, minutes) && (!whole || *minutes % HOUR == 0);
}

/* The hour of a clock with twelve hours, on a day. */
static bool apply(enum half half, int *minutes)
{
    int hour = *minutes / HOUR;
    if (half == HALF_NONE)
        return true;
    if (hour < 1 || hour > 12)
        return false;
    bool afternoon = half == HALF_PM || (half == HALF_NIGHT && hour >= 6 && hour < 12);
    *minutes += (hour == 12 ? -12 : 0) * HOUR + (afternoon ? 12 * HOUR : 0);
    return true;
}

bool spoken_time(char *const *words, size_t count, int *minutes)
{
    struct span s = {words, count};
    int offset = 0;
    enum half half = take_half(&s);
    struct span clock = s;
    if (take_offset(&s, &offset))
        clock = s;
    else
        offset = take(&clock, "half") ? HOUR / 2 : 0; /* half six */
    if (!take_clock(&clock, offset != 0, minutes, &half) || clock.count || !apply(half, minutes))
        return false;
    *minutes = (*minutes + offset + DAY) % DAY;
    return true;
}
