/* Which texts call for more. */
#include "pipeline/ending.h"
#include "tests/support/test.h"

static void numbers_and_letters_may_go_on(void **state)
{
    (void)state;
    static const char *const open[] = {"four",   "two six eight",    "a l e x",     "seventeen",
                                       "ninety", "call one hundred", "erase",       "q ",
                                       "Oh.",    "Four, five,",      "It is Seven", "Room 25",
                                       "25."};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        assert_true(ending_is_open(open[i], ENDING_OPEN_WORDS));
}

static void other_words_do_not(void **state)
{
    (void)state;
    static const char *const closed[] = {
        "", " ", "stop", "five minutes", "ones", "often", "tv", "At five o'clock.", "a 4th", "..."};
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        assert_false(ending_is_open(closed[i], ENDING_OPEN_WORDS));
}

static void the_words_are_whose_they_are(void **state)
{
    (void)state;
    assert_true(ending_is_open("drei und zwanzig", "drei *zig"));
    assert_true(ending_is_open("drei", "  drei   *zig "));
    assert_false(ending_is_open("dreizehn", "drei *zig"));
    assert_false(ending_is_open("seven", ""));
    assert_true(ending_is_open("b", "")); /* a letter always */
    assert_true(ending_is_open("anything", "*"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_letters_may_go_on),
        cmocka_unit_test(other_words_do_not),
        cmocka_unit_test(the_words_are_whose_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
