/* Rules: what fits, what a program is given, which files are refused. */
#include "cli/rules.h"
#include "cli/spoken_number.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_text(struct rules **out, const char *text, struct error *error)
{
    char path[] = "/tmp/earshot-rules-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = rules_read(out, path, error);
    unlink(path);
    return rc;
}

/* The arguments joined by '|'; "" when none fits. */
static const char *matched(const struct rules *r, const char *text)
{
    static char joined[1024];
    char **arguments = rules_match(r, text);
    joined[0] = '\0';
    for (char **a = arguments; a && *a; a++) {
        strcat(joined, a == arguments ? "" : "|");
        strcat(joined, *a);
    }
    rules_free(arguments);
    return joined;
}

static const char rules_text[] =
    "# lamps\n"
    "\n"
    "turn on the {which} light  ->  lamp on {which}\n"
    "Turn off everything! -> /usr/bin/lamp --all off\n"
    "set a timer for {n:number} minutes -> timer \"time is up\" {n} \"{n}\" \"\"\n"
    "say {what} to {whom} -> say {whom} {what}\n"
    "say {what} -> say everyone {what}\n";

static struct rules *the_rules(void)
{
    struct rules *r;
    struct error error = {""};
    int rc = read_text(&r, rules_text, &error);
    if (rc)
        fail_msg("%s", error.message);
    return r;
}

static void a_sentence_without_slots_fits_whatever_its_case_and_punctuation(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "turn off everything"), "/usr/bin/lamp|--all|off");
    assert_string_equal(matched(r, "  Turn off, everything. "), "/usr/bin/lamp|--all|off");
    assert_string_equal(matched(r, "please turn off everything"), "");
    assert_string_equal(matched(r, "turn off everything now"), "");
    assert_string_equal(matched(r, "turn off"), "");
    assert_string_equal(matched(r, ""), "");
    rules_destroy(r);
}

static void a_slot_is_one_argument_of_one_word_or_more(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "Turn on the kitchen light"), "lamp|on|kitchen");
    assert_string_equal(matched(r, "turn on the big red light"), "lamp|on|big red");
    assert_string_equal(matched(r, "turn on the light"), "");
    assert_string_equal(matched(r, "turn on the light light"), "lamp|on|light");
    assert_string_equal(matched(r, "say good night to John"), "say|john|good night");
    assert_string_equal(matched(r, "say good night"), "say|everyone|good night");
    rules_destroy(r);
}

static void nothing_that_is_said_is_more_than_words_and_digits(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "say $(reboot); `x` | --force \"q\" \\ \x01 ../.."),
                        "say|everyone|reboot x force q");
    assert_string_equal(matched(r, "say don't"), "say|everyone|don't");
    assert_string_equal(matched(r, "say gr\xC3\xBC\xC3\x9F"), "say|everyone|gr\xC3\xBC\xC3\x9F");
    rules_destroy(r);
}

static void a_number_comes_in_digits(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "set a timer for twenty-five minutes"),
                        "timer|time is up|25|{n}|");
    assert_string_equal(matched(r, "set a timer for 7 minutes"), "timer|time is up|7|{n}|");
    assert_string_equal(matched(r, "set a timer for some minutes"), "");
    rules_destroy(r);
}

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
    long value;
    for (long n = 0; n < 10000; n++) {
        size_t count = say(n, words);
        assert_true(spoken_number(words, count, &value));
        assert_int_equal(value, n);
        if (n)
            assert_false(spoken_number(words, count - 1, &value) && value == n);
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

static void a_wrong_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } wrong[] = {
        {"turn on the light\n", "no -> between"},
        {"-> lamp\n", "no sentence"},
        {"lights ->  \n", "no program"},
        {"lights -> \"\"\n", "no program"},
        {"lights -> lamp \"on\n", "a quote has no end"},
        {"lights {x} -> lamp {y}\n", "{y} is not in the sentence"},
        {"lights {x} -> lamp --which={x}\n", "a slot is an argument of its own"},
        {"lights {x} -> {x}\n", "{x} cannot be the program"},
        {"lights {x} and {x} -> lamp\n", "{x} is there twice"},
        {"lights {x} {y} -> lamp\n", "no word between {x} and {y}"},
        {"lights {} -> lamp\n", "neither a word"},
        {"lights {x:colour} -> lamp\n", "neither a word"},
        {"a {a} b {b} c {c} d {d} e {e} -> lamp\n", "more than 4 slots"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[256];
        struct rules *r;
        struct error error;
        snprintf(text, sizeof text, "# one\nx -> y\n%s", wrong[i].line);
        assert_int_equal(read_text(&r, text, &error), -EINVAL);
        assert_non_null(strstr(error.message, ":3: "));
        if (!strstr(error.message, wrong[i].reason))
            fail_msg("%s: %s", wrong[i].line, error.message);
    }
    struct rules *r;
    struct error error;
    assert_int_equal(rules_read(&r, "/nonexistent/rules", &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent/rules"));
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    char text[4096];
    struct rules *r;
    struct error error;
    memset(text, 'a', 2000);
    strcpy(text + 2000, " -> b\n");
    assert_int_equal(read_text(&r, text, &error), -EINVAL);
    assert_non_null(strstr(error.message, ":1: the line is too long"));
    text[0] = '\0';
    for (int i = 0; i < 65; i++)
        strcat(text, "a ");
    strcat(text, "-> b\n");
    assert_int_equal(read_text(&r, text, &error), -EINVAL);
    assert_non_null(strstr(error.message, "more than 64 words"));

    r = the_rules();
    strcpy(text, "say");
    for (int i = 0; i < 64; i++)
        strcat(text, " a");
    assert_string_equal(matched(r, text), "");
    memset(text, 'a', 3000);
    text[3000] = '\0';
    assert_string_equal(matched(r, text), "");
    rules_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_without_slots_fits_whatever_its_case_and_punctuation),
        cmocka_unit_test(a_slot_is_one_argument_of_one_word_or_more),
        cmocka_unit_test(nothing_that_is_said_is_more_than_words_and_digits),
        cmocka_unit_test(a_number_comes_in_digits),
        cmocka_unit_test(spoken_numbers),
        cmocka_unit_test(a_wrong_file_is_refused_with_its_line),
        cmocka_unit_test(what_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
