/* Where words, agreement and sentences end, with spaces and without. */
#include "pipeline/words.h"
#include "tests/support/test.h"

static void words_are_counted(void **state)
{
    (void)state;
    assert_int_equal(words_count(""), 0);
    assert_int_equal(words_count("stop"), 1);
    assert_int_equal(words_count("  turn   on the lights "), 4);
    assert_int_equal(words_count("über straße"), 2);
    assert_int_equal(words_count("включи свет"), 2);
}

static void without_spaces_two_letters_are_a_word(void **state)
{
    (void)state;
    assert_int_equal(words_count("你好"), 1);
    assert_int_equal(words_count("今天天气很好"), 3);
    assert_int_equal(words_count("打开 wifi 吧"), 3);
    assert_int_equal(words_count("สวัสดี"), 3);
}

static void agreement_ends_with_a_word(void **state)
{
    (void)state;
    assert_int_equal(words_agreed("turn on", "turn on"), 7);
    assert_int_equal(words_agreed("turn on", "turn on the lights"), 7);
    assert_int_equal(words_agreed("turn on", "turn off"), 4);
    assert_int_equal(words_agreed("turn on", "turned"), 0);
    assert_int_equal(words_agreed("", "turn"), 0);
    assert_int_equal(words_agreed("включи", "включим"), 0);
}

static void agreement_ends_with_a_letter_without_spaces(void **state)
{
    (void)state;
    assert_int_equal(words_agreed("今天天气", "今天天气很好"), 12);
    assert_int_equal(words_agreed("今天天气", "今天下雨"), 6);
    assert_int_equal(words_agreed("你", "佢"), 0); /* the first byte is the same */
    assert_int_equal(words_agreed("打开 wifi", "打开 wi"), 6);
}

static void a_sentence_ends_with_its_mark(void **state)
{
    (void)state;
    assert_true(words_end_sentence("It rains."));
    assert_true(words_end_sentence("Does it?"));
    assert_true(words_end_sentence("He said \"no!\""));
    assert_true(words_end_sentence("he said “no.”"));
    assert_true(words_end_sentence("今天下雨。"));
    assert_false(words_end_sentence("It rains"));
    assert_false(words_end_sentence("It rains,"));
    assert_false(words_end_sentence("3.5"));
    assert_false(words_end_sentence("good morning Mr."));
    assert_false(words_end_sentence("John F."));
    assert_true(words_end_sentence("So do I."));
    assert_true(words_end_sentence("at the farm."));
    assert_false(words_end_sentence(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_counted),
        cmocka_unit_test(without_spaces_two_letters_are_a_word),
        cmocka_unit_test(agreement_ends_with_a_word),
        cmocka_unit_test(a_sentence_ends_with_its_mark),
        cmocka_unit_test(agreement_ends_with_a_letter_without_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
