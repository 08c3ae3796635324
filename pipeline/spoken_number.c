/* number   = digits | whole [and fraction] | whole point digit... | fraction [a] | a
 * whole    = [thousands] below1000, with "and" before tens and units alone; "a" for a first one
 * A number is read from its largest part on; each part must be smaller than the one before. */
#include "pipeline/spoken_number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THOUSAND = 1000,
    MILLION = THOUSAND * THOUSAND,
};

static const char *const small[] = {"zero",    "one",     "two",       "three",    "four",
                                    "five",    "six",     "seven",     "eight",    "nine",
                                    "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
static const char *const tens[] = {"twenty", "thirty",  "forty",  "fifty",
                                   "sixty",  "seventy", "eighty", "ninety"};

/* Longer ones first. */
static const struct {
    const char *words[3];
    double value;
} fractions[] = {
    {{"three", "quarters"}, 0.75}, {{"a", "half"}, 0.5},       {{"one", "half"}, 0.5},
    {{"a", "quarter"}, 0.25},      {{"one", "quarter"}, 0.25}, {{"half"}, 0.5},
};

static long find(const char *const *names, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0)
            return (long)i;
    return -1;
}

/* Whether word i is there and is this one. */
static bool is(char *const *words, size_t count, size_t i, const char *word)
{
    return i < count && strcmp(words[i], word) == 0;
}

static bool is_article(char *const *words, size_t count, size_t i)
{
    return is(words, count, i, "a") || is(words, count, i, "an");
}

size_t spoken_number_below_100(char *const *words, size_t count, long *value)
{
    if (count == 0)
        return 0;
    *value = find(small, sizeof small / sizeof *small, words[0]);
    if (*value >= 0)
        return 1;
    long ten = find(tens, sizeof tens / sizeof *tens, words[0]);
    if (ten < 0)
        return 0;
    *value = 20 + 10 * ten;
    long unit = count > 1 ? find(small, 10, words[1]) : -1;
    if (unit < 1)
        return 1;
    *value += unit;
    return 2;
}

/* So many hundreds can be said: not "ten hundred", which is a thousand. */
static bool counts_hundreds(long value)
{
    return value % 10 != 0;
}

/* As many words as belong to a number below 10000 that is said in hundreds; 0: none. */
static size_t take_hundreds(char *const *words, size_t count, long *value)
{
    size_t used = spoken_number_below_100(words, count, value);
    if (!used && is_article(words, count, 0) && is(words, count, 1, "hundred")) {
        *value = 1;
        used = 1;
    }
    if (!used || !counts_hundreds(*value) || !is(words, count, used, "hundred"))
        return used;
    *value *= 100;
    used++;
    size_t joined = used + is(words, count, used, "and");
    long rest;
    size_t more = spoken_number_below_100(words + joined, count - joined, &rest);
    if (more == 0 || rest == 0)
        return used;
    *value += rest;
    return joined + more;
}

/* As many words as belong to a whole number; 0: none. */
static size_t take_whole(char *const *words, size_t count, long *value)
{
    size_t used = take_hundreds(words, count, value);
    if (!used && is_article(words, count, 0) && is(words, count, 1, "thousand")) {
        *value = 1;
        used = 1;
    }
    if (!used || !is(words, count, used, "thousand") || *value == 0 || *value >= 1000)
        return used;
    *value *= 1000;
    used++;
    size_t joined = used + is(words, count, used, "and");
    long rest;
    size_t more = take_hundreds(words + joined, count - joined, &rest);
    if (more == 0 || rest == 0 || rest >= 1000)
        return used;
    *value += rest;
    return joined + more;
}

static size_t take_fraction(char *const *words, size_t count, double *value)
{
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        size_t used = 0;
        while (fractions[i].words[used] && is(words, count, used, fractions[i].words[used]))
            used++;
        *value = fractions[i].value;
        if (!fractions[i].words[used])
            return used;
    }
    return 0;
}

/* "half a minute", "three quarters of an hour": the article belongs to the number. */
static bool is_fraction(char *const *words, size_t count, double *value)
{
    size_t used = take_fraction(words, count, value);
    if (used && used < count && is(words, count, used, "of"))
        return used + 2 == count && is_article(words, count, used + 1);
    return used && (used == count || (used + 1 == count && is_article(words, count, used)));
}

/* The digits behind a point: all words, one at least. */
static bool take_decimals(char *const *words, size_t count, double *value)
{
    double place = 1;
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        long digit = is(words, count, i, "oh") ? 0 : find(small, 10, words[i]);
        if (digit < 0)
            return false;
        place *= 10;
        *value = *value * 10 + (double)digit;
    }
    *value /= place;
    return count > 0 && count <= 6;
}

static bool is_digits(const char *word, double *value)
{
    char *end;
    if (strspn(word, "0123456789.") != strlen(word) || *word < '0' || *word > '9')
        return false;
    *value = strtod(word, &end);
    return !*end && end[-1] != '.' && *value <= 999999;
}

bool spoken_number(char *const *words, size_t count, double *value)
{
    long whole = 0;
    if (count == 1 && (is_article(words, count, 0) || is_digits(words[0], value))) {
        if (is_article(words, count, 0))
            *value = 1;
        return true;
    }
    if (is_fraction(words, count, value))
        return true;
    size_t used = take_whole(words, count, &whole);
    double part = 0;
    bool good = used && used == count;
    if (!good && used && is(words, count, used, "and") && used + 1 < count)
        good = take_fraction(words + used + 1, count - used - 1, &part) == count - used - 1;
    else if (!good && is(words, count, used, "point"))
        good = take_decimals(words + used + 1, count - used - 1, &part);
    *value = (used ? (double)whole : 0) + part;
    return good;
}

/* Numbers being written. */
struct writer {
    char *text;
    size_t size;
};

/* A word behind what is there, with a space or a hyphen between. */
static void put(struct writer *w, char between, const char *word)
{
    int more = snprintf(w->text + w->size, SPOKEN_NUMBER_MAX - w->size, "%.*s%s", w->size > 0,
                        &between, word);
    w->size += (size_t)more;
}

static void put_below_1000(struct writer *w, int n)
{
    if (n >= 100) {
        put(w, ' ', small[n / 100]);
        put(w, ' ', "hundred");
        n %= 100;
        if (n == 0)
            return;
        put(w, ' ', "and");
    }
    if (n < 20) {
        put(w, ' ', small[n]);
        return;
    }
    put(w, ' ', tens[n / 10 - 2]);
    if (n % 10)
        put(w, '-', small[n % 10]);
}

static void put_whole(struct writer *w, int64_t n)
{
    static const struct {
        int64_t value;
        const char *name;
    } groups[] = {{(int64_t)MILLION * MILLION, "trillion"},
                  {(int64_t)THOUSAND * MILLION, "billion"},
                  {MILLION, "million"},
                  {THOUSAND, "thousand"}};
    if (n == 0)
        put(w, ' ', small[0]);
    int64_t whole = n;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (n < groups[i].value)
            continue;
        put_below_1000(w, (int)(n / groups[i].value));
        put(w, ' ', groups[i].name);
        n %= groups[i].value;
    }
    if (n == 0)
        return;
    if (whole >= THOUSAND && n < 100)
        put(w, ' ', "and");
    put_below_1000(w, (int)n);
}

size_t spoken_number_write(int64_t millionths, char text[SPOKEN_NUMBER_MAX])
{
    struct writer w = {text, 0};
    if (millionths < 0)
        put(&w, ' ', "minus");
    int64_t size = millionths < 0 ? -millionths : millionths;
    put_whole(&w, size / MILLION);
    if (size % MILLION)
        put(&w, ' ', "point");
    for (int64_t rest = size % MILLION; rest > 0; rest = rest * 10 % MILLION)
        put(&w, ' ', small[rest * 10 / MILLION]);
    return w.size;
}
