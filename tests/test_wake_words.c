/* Wake words of a bridge: what is taken, which is found. */
#include "bridges/wake_words.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static const char *found(const struct wake_words *w, uint32_t set, const char *text)
{
    return wake_words_find(w, set, text, strlen(text));
}

static void the_longest_is_found(void **state)
{
    (void)state;
    struct wake_words w;
    struct error error;
    assert_int_equal(wake_words_set(&w, "Computer | hey computer|hey", &error), 0);
    assert_int_equal(w.count, 3);
    assert_string_equal(found(&w, wake_words_all(&w), "computer, turn on the lights"), "Computer");
    assert_string_equal(found(&w, wake_words_all(&w), "Hey, computer!"), "hey computer");
    assert_string_equal(found(&w, wake_words_all(&w), "hey you"), "hey");
    assert_null(found(&w, wake_words_all(&w), "the computer"));
    assert_null(found(&w, wake_words_all(&w), ""));
}

static void only_those_that_are_asked_for(void **state)
{
    (void)state;
    struct wake_words w;
    struct error error;
    assert_int_equal(wake_words_set(&w, "computer|hey computer", &error), 0);
    uint32_t one = wake_words_named(&w, "COMPUTER");
    assert_int_equal(one, 1);
    assert_int_equal(wake_words_named(&w, "hey computer"), 2);
    assert_int_equal(wake_words_named(&w, "alexa"), 0);
    assert_string_equal(found(&w, one, "computer"), "computer");
    assert_null(found(&w, one, "hey computer"));
}

static void there_may_be_none(void **state)
{
    (void)state;
    struct wake_words w;
    struct error error;
    assert_int_equal(wake_words_set(&w, "", &error), 0);
    assert_int_equal(w.count, 0);
    assert_int_equal(wake_words_all(&w), 0);
}

static void what_cannot_be_one_is_named(void **state)
{
    (void)state;
    struct wake_words w;
    struct error error;
    char longest[WAKE_WORD_BYTES + 1], many[2 * WAKE_WORDS_MAX + 2];
    memset(longest, 'a', WAKE_WORD_BYTES);
    longest[WAKE_WORD_BYTES] = '\0';
    assert_int_equal(wake_words_set(&w, "computer|", &error), -EINVAL);
    assert_non_null(strstr(error.message, "computer|"));
    assert_int_equal(wake_words_set(&w, longest, &error), -EINVAL);
    assert_non_null(strstr(error.message, "longer than 63 bytes"));
    assert_int_equal(wake_words_set(&w, "a|\xff\xfe", &error), -EINVAL);
    assert_non_null(strstr(error.message, "UTF-8"));
    assert_int_equal(wake_words_set(&w, "computer|COMPUTER", &error), -EINVAL);
    assert_non_null(strstr(error.message, "\"COMPUTER\" comes twice"));
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = (char)(i % 2 ? '|' : 'a' + i / 2);
    many[sizeof many - 1] = '\0';
    assert_int_equal(wake_words_set(&w, many, &error), -EINVAL);
    assert_non_null(strstr(error.message, "16 already"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_is_found),
        cmocka_unit_test(only_those_that_are_asked_for),
        cmocka_unit_test(there_may_be_none),
        cmocka_unit_test(what_cannot_be_one_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
