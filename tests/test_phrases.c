/* Phrases at the head of a text: case, marks between words, alternatives. */
#include "base/phrases.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static const char phrases[] = "computer|hey computer";

static size_t leading(const char *any, const char *text)
{
    return phrases_bytes(any, text, strlen(text));
}

static void the_phrase_is_at_the_head(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rest; /* NULL: not called */
    } cases[] = {
        {"computer turn on the lights", "turn on the lights"},
        {"Hey, Computer: what time is it?", "what time is it?"},
        {"computer", ""},
        {"  Computer!", ""},
        {"hey computer", ""},
        {"computers are slow", NULL},
        {"computed", NULL},
        {"hey commuter turn on the lights", NULL},
        {"hey", NULL},
        {"the computer turned on the lights", NULL},
        {"turn on the computer", NULL},
        {"", NULL},
        {"...", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t bytes = leading(phrases, cases[i].text);
        if (!cases[i].rest)
            assert_int_equal(bytes, 0);
        else
            assert_string_equal(cases[i].text + bytes, cases[i].rest);
    }
}

static void words_are_words_whatever_marks_they_have(void **state)
{
    (void)state;
    assert_int_equal(leading("o'clock", "oclock now"), 7);
    assert_int_equal(leading("oclock", "O'Clock now"), 8);
    assert_int_equal(leading("hey-you", "hey you"), 7);
    assert_int_equal(leading("\xc3\xa9lan vital", "\xc3\xa9lan vital"), 11);
    assert_int_equal(leading("\xc3\xa9lan", "elan"), 0);
    assert_int_equal(leading("", "anything"), 0);
}

static void a_phrase_has_a_word(void **state)
{
    (void)state;
    static const char *const wrong[] = {"|", "a|", "|a", "a||b", " ", "!", "a| . |b", "'"};
    struct error error;
    assert_int_equal(phrases_check("", &error), 0);
    assert_int_equal(phrases_check("computer", &error), 0);
    assert_int_equal(phrases_check(phrases, &error), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(phrases_check(wrong[i], &error), -EINVAL);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

static void what_is_behind_the_size_is_not_looked_at(void **state)
{
    (void)state;
    assert_int_equal(phrases_bytes("computer", "computers", 8), 8);
    assert_int_equal(phrases_bytes("computer", "computer", 7), 0);
    assert_int_equal(phrases_bytes("hey computer", "hey computer", 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_phrase_is_at_the_head),
        cmocka_unit_test(words_are_words_whatever_marks_they_have),
        cmocka_unit_test(a_phrase_has_a_word),
        cmocka_unit_test(what_is_behind_the_size_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
