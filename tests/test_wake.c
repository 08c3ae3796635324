/* Who is meant: phrases, follow-ups, marks between words. */
#include "pipeline/wake.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#define SECOND 1000000

static const char phrases[] = "computer|hey computer";

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
        size_t bytes = wake_phrase_bytes(phrases, cases[i].text);
        if (!cases[i].rest)
            assert_int_equal(bytes, 0);
        else
            assert_string_equal(cases[i].text + bytes, cases[i].rest);
    }
}

static void words_are_words_whatever_marks_they_have(void **state)
{
    (void)state;
    assert_int_equal(wake_phrase_bytes("o'clock", "oclock now"), 7);
    assert_int_equal(wake_phrase_bytes("oclock", "O'Clock now"), 8);
    assert_int_equal(wake_phrase_bytes("hey-you", "hey you"), 7);
    assert_int_equal(wake_phrase_bytes("\xc3\xa9lan vital", "\xc3\xa9lan vital"), 11);
    assert_int_equal(wake_phrase_bytes("\xc3\xa9lan", "elan"), 0);
    assert_int_equal(wake_phrase_bytes("", "anything"), 0);
}

static void a_phrase_has_a_word(void **state)
{
    (void)state;
    static const char *const wrong[] = {"|", "a|", "|a", "a||b", " ", "!", "a| . |b", "'"};
    struct error error;
    assert_int_equal(wake_check("", &error), 0);
    assert_int_equal(wake_check("computer", &error), 0);
    assert_int_equal(wake_check(phrases, &error), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(wake_check(wrong[i], &error), -EINVAL);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

static void a_turn_may_be_followed_up(void **state)
{
    (void)state;
    struct wake w;
    wake_init(&w, phrases, 8000);
    assert_int_equal(wake_turn(&w, "turn on the lights", 0), WAKE_NONE);
    wake_taken(&w, WAKE_NONE, false, 1 * SECOND);
    assert_int_equal(wake_turn(&w, "turn on the lights", 2 * SECOND), WAKE_NONE);
    assert_int_equal(wake_turn(&w, "computer", 10 * SECOND), WAKE_CALLED);
    wake_taken(&w, WAKE_CALLED, false, 12 * SECOND); /* a phrase alone */
    assert_int_equal(wake_turn(&w, "turn on the lights", 11 * SECOND), WAKE_FOLLOW_UP);
    assert_int_equal(wake_turn(&w, "turn on the lights", 20 * SECOND), WAKE_FOLLOW_UP);
    assert_int_equal(wake_turn(&w, "turn on the lights", 20 * SECOND + 1), WAKE_NONE);
    wake_close(&w);
    assert_int_equal(wake_turn(&w, "turn on the lights", 13 * SECOND), WAKE_NONE);
}

static void only_what_was_replied_to_keeps_it_open(void **state)
{
    (void)state;
    struct wake w;
    wake_init(&w, phrases, 8000);
    wake_taken(&w, WAKE_CALLED, true, 0);
    wake_taken(&w, WAKE_FOLLOW_UP, false, 5 * SECOND); /* the television */
    assert_int_equal(wake_turn(&w, "and then", 9 * SECOND), WAKE_NONE);
    wake_taken(&w, WAKE_FOLLOW_UP, true, 5 * SECOND);
    assert_int_equal(wake_turn(&w, "and then", 9 * SECOND), WAKE_FOLLOW_UP);
}

static void there_may_be_no_follow_ups(void **state)
{
    (void)state;
    struct wake w;
    wake_init(&w, phrases, 0);
    wake_taken(&w, WAKE_CALLED, true, 10 * SECOND);
    assert_int_equal(wake_turn(&w, "and then", 10 * SECOND), WAKE_NONE);
    assert_int_equal(wake_turn(&w, "and then", 5 * SECOND), WAKE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_phrase_is_at_the_head),
        cmocka_unit_test(words_are_words_whatever_marks_they_have),
        cmocka_unit_test(a_phrase_has_a_word),
        cmocka_unit_test(a_turn_may_be_followed_up),
        cmocka_unit_test(only_what_was_replied_to_keeps_it_open),
        cmocka_unit_test(there_may_be_no_follow_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
