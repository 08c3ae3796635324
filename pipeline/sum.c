/* sum      = [question] [minus] number operator [minus] number ["please"]
 * Numbers are whole thousandths, so that sums and products are exact in 64 bits: an operand has up
 * to nine digits, a product up to eighteen.
 */
#include "pipeline/sum.h"

#include "pipeline/spoken_number.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    THOUSAND = 1000,
    MILLION = THOUSAND * THOUSAND,
    TEXT_MAX = 160, /* bytes of a text that may be a sum */
    WORDS_MAX = 32,
};

struct sentence {
    char letters[3 * TEXT_MAX];
    char *words[WORDS_MAX];
    size_t count;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_letter(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'';
}

/* A sign that is a word by itself; '-' is one where it does not join two words. */
static bool is_sign(const char *at, const char *text)
{
    if (*at == '-')
        return at == text || !is_word_letter(at[-1]) || is_digit(at[1]) || is_digit(at[-1]);
    return *at == '+' || *at == '*' || *at == '/';
}

/* Lower-case words, and signs, which are words too. False: too long for a sum, or other letters. */
static bool split(struct sentence *s, const char *text)
{
    char *out = s->letters;
    s->count = 0;
    if (strlen(text) > TEXT_MAX)
        return false;
    for (const char *at = text; *at; at++) {
        bool sign = is_sign(at, text);
        bool point = *at == '.' && at != text && is_digit(at[-1]) && is_digit(at[1]);
        if (!sign && !point && !is_word_letter(*at)) {
            if ((unsigned char)*at >= 0x80)
                return false;
            continue;
        }
        bool joined = at != text && !sign && !is_sign(at - 1, text) &&
                      (is_word_letter(at[-1]) || at[-1] == '.') && s->count > 0;
        if (!joined) {
            if (s->count == WORDS_MAX)
                return false;
            if (s->count > 0)
                *out++ = '\0';
            s->words[s->count++] = out;
        }
        *out++ = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
    *out = '\0';
    return s->count > 0;
}

static bool is(const struct sentence *s, size_t i, const char *word)
{
    return i < s->count && strcmp(s->words[i], word) == 0;
}

/* How many words ask for a sum. */
static size_t question(const struct sentence *s)
{
    if (is(s, 0, "what's") || is(s, 0, "calculate"))
        return 1;
    if ((is(s, 0, "what") || is(s, 1, "much")) && is(s, is(s, 0, "what") ? 1 : 2, "is"))
        return is(s, 0, "what") ? 2 : is(s, 0, "how") ? 3 : 0;
    return 0;
}

/* The operator at word i as its sign, with the count of its words; '\0': there is none. */
static char operator_at(const struct sentence *s, size_t i, size_t *count)
{
    static const struct {
        const char *words[2];
        char sign;
    } operators[] = {
        {{"plus"}, '+'},
        {{"minus"}, '-'},
        {{"times"}, '*'},
        {{"multiplied", "by"}, '*'},
        {{"divided", "by"}, '/'},
        {{"+"}, '+'},
        {{"-"}, '-'},
        {{"*"}, '*'},
        {{"x"}, '*'},
        {{"/"}, '/'},
    };
    for (size_t k = 0; k < sizeof operators / sizeof *operators; k++) {
        const char *second = operators[k].words[1];
        *count = second ? 2 : 1;
        if (is(s, i, operators[k].words[0]) && (!second || is(s, i + 1, second)))
            return operators[k].sign;
    }
    return '\0';
}

/* Words from..to as thousandths. False: they are not one number, or a finer one. */
static bool number(const struct sentence *s, size_t from, size_t to, int64_t *thousandths)
{
    double value;
    bool negative =
        from < to && (is(s, from, "minus") || is(s, from, "negative") || is(s, from, "-"));
    from += negative;
    if (from >= to || !spoken_number(s->words + from, to - from, &value))
        return false;
    double scaled = value * THOUSAND;
    *thousandths = llround(scaled);
    if (fabs(scaled - (double)*thousandths) > 1e-4)
        return false;
    if (negative)
        *thousandths = -*thousandths;
    return true;
}

/* The nearest whole number of n / d, d not 0; halves away from zero. */
static int64_t rounded(int64_t n, int64_t d)
{
    int64_t q = n / d, rest = n % d;
    bool up = (rest < 0 ? -rest : rest) >= ((d < 0 ? -d : d) + 1) / 2;
    return up ? q + ((n < 0) == (d < 0) ? 1 : -1) : q;
}

/* "About 3.33" in words where three decimals do not hold it; NULL where it has no value. */
static const char *quotient(int64_t left, int64_t right, int64_t *millionths)
{
    bool exact = right && left * THOUSAND % right == 0;
    if (right)
        *millionths = exact ? left * THOUSAND / right * THOUSAND
                            : rounded(left * 100, right) * (MILLION / 100);
    return !right ? NULL : exact ? "" : "about ";
}

static size_t write_answer(char answer[SUM_ANSWER_MAX], char sign, int64_t left, int64_t right)
{
    char number[SPOKEN_NUMBER_MAX] = "nothing can be divided by zero";
    int64_t millionths = sign == '*'   ? left * right
                         : sign == '+' ? (left + right) * THOUSAND
                                       : (left - right) * THOUSAND;
    const char *before = sign == '/' ? quotient(left, right, &millionths) : "";
    if (before)
        spoken_number_write(millionths, number);
    int size = snprintf(answer, SUM_ANSWER_MAX, "%s%s.", before ? before : "", number);
    answer[0] = (char)(answer[0] - 'a' + 'A');
    return (size_t)size;
}

size_t sum_answer(const char *text, char answer[SUM_ANSWER_MAX])
{
    struct sentence s;
    if (!split(&s, text))
        return 0;
    if (is(&s, s.count - 1, "please"))
        s.count--;
    for (size_t first = question(&s), i = first + 1; i < s.count; i++) {
        int64_t left, right;
        size_t count;
        char sign = operator_at(&s, i, &count);
        if (sign && number(&s, first, i, &left) && number(&s, i + count, s.count, &right))
            return write_answer(answer, sign, left, right);
    }
    return 0;
}
