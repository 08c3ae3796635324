/* Sums: what is one, and the exact answers in words. */
#include "pipeline/sum.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static const char *answered(const char *text)
{
    static char answer[SUM_ANSWER_MAX];
    size_t size = sum_answer(text, answer);
    if (size == 0)
        return "";
    assert_int_equal(size, strlen(answer));
    return answer;
}

static void sums_are_exact(void **state)
{
    (void)state;
    static const char *const sums[][2] = {
        {"what is seven times eight", "Fifty-six."},
        {"What is seven times eight?", "Fifty-six."},
        {"What's 7 times 8, please?", "Fifty-six."},
        {"how much is twelve plus thirty one", "Forty-three."},
        {"calculate twenty-one minus twenty one", "Zero."},
        {"two minus five", "Minus three."},
        {"minus two minus minus five", "Three."},
        {"what is 7*8", "Fifty-six."},
        {"7 x 8", "Fifty-six."},
        {"12-5", "Seven."},
        {"-12 - 5", "Minus seventeen."},
        {"3+4.25", "Seven point two five."},
        {"two and a half times two", "Five."},
        {"one half divided by four", "Zero point one two five."},
        {"144 / 12", "Twelve."},
        {"ten divided by three", "About three point three three."},
        {"two divided by three", "About zero point six seven."},
        {"minus two divided by three", "About minus zero point six seven."},
        {"three divided by two", "One point five."},
        {"one divided by zero", "Nothing can be divided by zero."},
        {"nine hundred ninety nine thousand nine hundred ninety nine multiplied by one",
         "Nine hundred and ninety-nine thousand nine hundred and ninety-nine."},
        {"a hundred times ten", "One thousand."},
        {"one thousand plus five", "One thousand and five."},
        {"999999 times 999999",
         "Nine hundred and ninety-nine billion nine hundred and ninety-eight million and one."},
        {"0.001 times 0.001", "Zero point zero zero zero zero zero one."},
        {"999999 plus 999999", "One million nine hundred and ninety-nine thousand nine hundred and "
                               "ninety-eight."},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        assert_string_equal(answered(sums[i][0]), sums[i][1]);
}

static void nothing_else_is_a_sum(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "what is",
                                         "plus",
                                         "what is seven",
                                         "times eight",
                                         "what is the weather",
                                         "it happened three times",
                                         "three times a day",
                                         "what is seven times",
                                         "seven times eight times nine",
                                         "one minus one minus one minus one minus one minus one "
                                         "minus one minus one minus one minus one minus one minus "
                                         "one minus one minus one minus one minus one",
                                         "seven plus the cat",
                                         "0.0001 plus 1",
                                         "m\xc3\xb6re plus one",
                                         "much is 3 plus 4",
                                         "set a timer for two plus three minutes"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_string_equal(answered(others[i]), "");
    char longest[400];
    memset(longest, '7', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_string_equal(answered(longest), "");
    memcpy(longest, "1 + 1", 5);
    assert_string_equal(answered(longest), "");
}

/* Every product, sum and difference of small numbers, against digits read back. */
static void small_sums_all(void **state)
{
    (void)state;
    static const char *const signs[] = {"plus", "minus", "times"};
    char text[64], back[SUM_ANSWER_MAX], of_digits[SUM_ANSWER_MAX];
    for (int a = 0; a <= 30; a++)
        for (int b = 0; b <= 30; b++)
            for (int k = 0; k < 3; k++) {
                int value = k == 0 ? a + b : k == 1 ? a - b : a * b;
                snprintf(text, sizeof text, "%d %s %d", a, signs[k], b);
                assert_true(sum_answer(text, back) > 0);
                snprintf(text, sizeof text, "%d plus 0", value);
                assert_true(sum_answer(text, of_digits) > 0);
                assert_string_equal(back, of_digits);
            }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact),
        cmocka_unit_test(nothing_else_is_a_sum),
        cmocka_unit_test(small_sums_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
