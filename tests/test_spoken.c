/* Numbers and times of the day as people say them. */
#include "cli/spoken_time.h"
#include "pipeline/spoken_number.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every number up to 9999, said as people do, is read again. */
static size_t say(long n, char **words)
{
    static char *const small[] = {"zero",    "one",     "two",       "three",    "four",
                                  "five",    "six",     "seven",     "eight",    "nine",
                                  "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                  "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static char *const tens[] = {"",      "",      "twenty",  "thirty", "forty",
                                 "fifty", "sixty", "seventy", "eighty", "ninety"};
    size_t count = 0;
    if (n >= 1000) {
        count = say(n / 1000, words);
        words[count++] = "thousand";
        n %= 1000;
    }
    if (n >= 100) {
        words[count++] = small[n / 100];
        words[count++] = "hundred";
        n %= 100;
        if (n)
            words[count++] = "and";
    }
    if (n >= 20) {
        words[count++] = tens[n / 10];
        n %= 10;
    }
    if (n || !count)
        words[count++] = small[n];
    return count;
}

static void spoken_numbers(void **state)
{
    (void)state;
    char *words[16];
    double value;
    for (long n = 0; n < 10000; n++) {
        size_t count = say(n, words);
        assert_true(spoken_number(words, count, &value));
        assert_int_equal((long)value, n);
        if (n)
            assert_false(spoken_number(words, count - 1, &value) && (long)value == n);
    }
    static char *const wrong[][4] = {{"five", "six"},
                                     {"hundred"},
                                     {"twenty", "twenty"},
                                     {"and"},
                                     {"one", "hundred", "and"},
                                     {"ten", "hundred"},
                                     {"zero", "thousand"},
                                     {"5x"},
                                     {"1000000"},
                                     {"two", "thousand", "and"},
                                     {"twenty", "zero"},
                                     {"-5"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t count = 0;
        while (count < 4 && wrong[i][count])
            count++;
        assert_false(spoken_number(wrong[i], count, &value));
    }
}

/* The words of a text, which lives as long as they do. */
static size_t words_of(char *text, char *words[static 16])
{
    size_t count = 0;
    for (char *w = strtok(text, " "); w && count < 16; w = strtok(NULL, " "))
        words[count++] = w;
    return count;
}

static void numbers_as_people_say_them(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        double value; /* below 0: no number */
    } cases[] = {
        {"a hundred", 100},
        {"a hundred and twenty", 120},
        {"one hundred twenty", 120},
        {"twelve hundred", 1200},
        {"twenty five hundred", 2500},
        {"twelve hundred and fifty", 1250},
        {"a thousand", 1000},
        {"a thousand and one", 1001},
        {"two thousand five hundred", 2500},
        {"a hundred thousand", 100000},
        {"nine hundred ninety nine thousand nine hundred and ninety nine", 999999},
        {"two and a half", 2.5},
        {"twenty one and a half", 21.5},
        {"one and three quarters", 1.75},
        {"a hundred and a quarter", 100.25},
        {"half", 0.5},
        {"half a", 0.5},
        {"half an", 0.5},
        {"a half", 0.5},
        {"a quarter of an", 0.25},
        {"three quarters of an", 0.75},
        {"a", 1},
        {"an", 1},
        {"two point five", 2.5},
        {"zero point oh five", 0.05},
        {"point five", 0.5},
        {"three point one four", 3.14},
        {"2.5", 2.5},
        {"1200", 1200},
        {"999999", 999999},
        {"twelve hundred thousand", -1},
        {"a five", -1},
        {"hundred and five", -1},
        {"a hundred and", -1},
        {"two and a", -1},
        {"two and half past", -1},
        {"and a half", -1},
        {"two point", -1},
        {"point", -1},
        {"two point fifteen", -1},
        {"half of", -1},
        {"half past", -1},
        {"2.", -1},
        {".5", -1},
        {"1.2.3", -1},
        {"0x10", -1},
        {"1e3", -1},
        {"inf", -1},
        {"nan", -1},
        {"a a", -1},
        {"a thousand thousand", -1},
        {"two hundred hundred", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128], *words[16];
        double value;
        strcpy(text, cases[i].said);
        bool is = spoken_number(words, words_of(text, words), &value);
        if (is != (cases[i].value >= 0) || (is && value != cases[i].value))
            fail_msg("%s: %d %g", cases[i].said, is, value);
    }
    assert_false(spoken_number(NULL, 0, &(double){0}));
}

static void times_as_people_say_them(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        int hour, minute; /* hour below 0: no time */
    } cases[] = {
        {"half past six", 6, 30},
        {"half six", 6, 30},
        {"quarter past six", 6, 15},
        {"a quarter to seven", 6, 45},
        {"quarter to one", 0, 45},
        {"five to twelve", 11, 55},
        {"ten to midnight", 23, 50},
        {"twenty five minutes past nine", 9, 25},
        {"a quarter past noon", 12, 15},
        {"twenty past 6", 6, 20},
        {"six", 6, 0},
        {"six thirty", 6, 30},
        {"six thirty five", 6, 35},
        {"six oh five", 6, 5},
        {"seven o'clock", 7, 0},
        {"seven o clock", 7, 0},
        {"seven oclock in the evening", 19, 0},
        {"5 o'clock", 5, 0},
        {"five pm", 17, 0},
        {"five p m", 17, 0},
        {"5pm", 17, 0},
        {"5:30pm", 17, 30},
        {"5:30 p m", 17, 30},
        {"5 30", 5, 30},
        {"5 05", 5, 5},
        {"quarter to seven pm", 18, 45},
        {"quarter to one pm", 12, 45},
        {"half past twelve in the afternoon", 12, 30},
        {"half past twelve at night", 0, 30},
        {"twelve am", 0, 0},
        {"twelve pm", 12, 0},
        {"ten past nine at night", 21, 10},
        {"two at night", 2, 0},
        {"eight in the morning", 8, 0},
        {"eighteen forty five", 18, 45},
        {"eighteen hundred", 18, 0},
        {"oh six hundred hours", 6, 0},
        {"twenty three fifty nine", 23, 59},
        {"18:05", 18, 5},
        {"06:30", 6, 30},
        {"6.30", 6, 30},
        {"noon", 12, 0},
        {"midnight", 0, 0},
        {"", -1, 0},
        {"half past", -1, 0},
        {"past six", -1, 0},
        {"half to six", -1, 0},
        {"half past six thirty", -1, 0},
        {"sixty past six", -1, 0},
        {"six sixty", -1, 0},
        {"six five", -1, 0},
        {"twenty five", -1, 0},
        {"24:00", -1, 0},
        {"6:60", -1, 0},
        {"6:3", -1, 0},
        {"6:30:10", -1, 0},
        {"123", -1, 0},
        {"eighteen pm", -1, 0},
        {"zero am", -1, 0},
        {"6pm pm", -1, 0},
        {"pm", -1, 0},
        {"six o'clock seven", -1, 0},
        {"noon thirty", -1, 0},
        {"a six", -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128], *words[16];
        int minutes;
        strcpy(text, cases[i].said);
        bool is = spoken_time(words, words_of(text, words), &minutes);
        if (is != (cases[i].hour >= 0) || (is && minutes != cases[i].hour * 60 + cases[i].minute))
            fail_msg("%s: %d %02d:%02d", cases[i].said, is, minutes / 60, minutes % 60);
    }
}

static void every_time_of_the_day_is_read(void **state)
{
    (void)state;
    for (int hour = 0; hour < 24; hour++)
        for (int minute = 0; minute < 60; minute++) {
            char *words[16];
            int minutes;
            size_t count = say(hour, words);
            if (minute && minute < 10)
                words[count++] = "oh";
            if (minute)
                count += say(minute, words + count);
            assert_true(spoken_time(words, count, &minutes));
            assert_int_equal(minutes, hour * 60 + minute);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spoken_numbers),
        cmocka_unit_test(numbers_as_people_say_them),
        cmocka_unit_test(times_as_people_say_them),
        cmocka_unit_test(every_time_of_the_day_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
