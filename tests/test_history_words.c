/* Words as a line of the history, and back; lines that nobody wrote. */
#include "daemon/history_words.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

static void words_are_written_and_read(void **state)
{
    (void)state;
    static struct event e = {.text = "turn it on",
                             .word_count = 3,
                             .words = {{0, 4, 120, 400, 0.9734f},
                                       {5, 2, 400, 520, 1.0f},
                                       {8, 2, 4000000000u, 4000000000u, 0.0f}}};
    struct event_word got[EVENT_WORDS_MAX];
    char *line = history_words_write(&e);
    assert_string_equal(line, "0:4:120:400:973 5:2:400:520:1000 8:2:4000000000:4000000000:0");
    assert_int_equal(history_words_read(line, e.text, got, EVENT_WORDS_MAX), 3);
    assert_int_equal(got[0].start_ms, 120);
    assert_int_equal(got[0].end_ms, 400);
    assert_true(got[0].confidence == 0.973f);
    assert_int_equal(got[2].at, 8);
    assert_int_equal(got[2].end_ms, 4000000000u);
    free(line);
    e.word_count = 0;
    assert_null(history_words_write(&e));
}

static void what_is_no_line_of_words_has_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "x",
        "0:4:1:2",
        "0:4:1:2:3:4",
        "0:4:1:2:1001",
        "0:4:1:2:3x",
        "0:4:1:2:3  5:2:1:2:3",
        "-1:4:1:2:3",
        "0:+4:1:2:3",
        "0:11:1:2:3",
        "9:2:1:2:3",
        "5:2:1:2:3 0:4:1:2:3",
        "0:4:1:99999999999:3",
        "0:4:1:2:99999999999999999999999999",
    };
    struct event_word got[EVENT_WORDS_MAX];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(history_words_read(wrong[i], "turn it on", got, EVENT_WORDS_MAX), 0);
    }
    assert_int_equal(history_words_read("0:4:1:2:3 5:2:1:2:3", "turn it on", got, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_written_and_read),
        cmocka_unit_test(what_is_no_line_of_words_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
