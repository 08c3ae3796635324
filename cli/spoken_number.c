/* number   = [thousands] below1000, with "and" before tens and units alone
 * A number is read from its largest part on; each part must be smaller than the one before. */
#include "cli/spoken_number.h"

#include <stdlib.h>
#include <string.h>

static const char *const small[] = {"zero",    "one",     "two",       "three",    "four",
                                    "five",    "six",     "seven",     "eight",    "nine",
                                    "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
static const char *const tens[] = {"twenty", "thirty",  "forty",  "fifty",
                                   "sixty",  "seventy", "eighty", "ninety"};

static long find(const char *const *names, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0)
            return (long)i;
    return -1;
}

/* One or two words below a hundred; how many words, 0: none. */
static size_t take_below_100(char *const *words, size_t count, long *value)
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

/* As many words as belong to a number below a thousand; 0: none. */
static size_t take_below_1000(char *const *words, size_t count, long *value)
{
    size_t used = take_below_100(words, count, value);
    if (used != 1 || *value < 1 || *value > 9 || count < 2 || strcmp(words[1], "hundred") != 0)
        return used;
    *value *= 100;
    used = 2;
    size_t joined = used + (used < count && strcmp(words[used], "and") == 0);
    long rest;
    size_t more = take_below_100(words + joined, count - joined, &rest);
    if (more == 0 || rest == 0)
        return used;
    *value += rest;
    return joined + more;
}

static bool digits(const char *word, long *value)
{
    char *end;
    *value = strtol(word, &end, 10);
    return *word >= '0' && *word <= '9' && !*end && *value <= 999999;
}

bool spoken_number(char *const *words, size_t count, long *value)
{
    if (count == 1 && digits(words[0], value))
        return true;
    size_t used = take_below_1000(words, count, value);
    if (used == 0 || used == count || strcmp(words[used], "thousand") != 0 || *value == 0)
        return used > 0 && used == count;
    *value *= 1000;
    if (++used == count)
        return true;
    used += strcmp(words[used], "and") == 0;
    long rest;
    size_t more = take_below_1000(words + used, count - used, &rest);
    *value += rest;
    return more > 0 && rest > 0 && used + more == count;
}
