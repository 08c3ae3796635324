/* The classes of letters, and where in the sound a word was said. */
#include "pipeline/alignment.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Log probabilities in which every row is sure of one class. */
enum { CLASSES = 5 };

static int create_letters(struct letters **l, const char *const *letters, size_t count,
                          struct error *error)
{
    struct gguf_writer w;
    struct gguf *g;
    gguf_writer_init(&w);
    gguf_writer_strings(&w, "earshot.encoder.letters", letters, count);
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, error), 0);
    int rc = letters_create(l, g, CLASSES, error);
    gguf_close(g);
    bytes_free(&file);
    return rc;
}

static struct letters *abc(void)
{
    static const char *const letters[CLASSES] = {"", " ", "'", "a", "b"};
    struct letters *l;
    struct error error;
    if (create_letters(&l, letters, CLASSES, &error))
        fail_msg("%s", error.message);
    return l;
}

static void wrong_letters_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][CLASSES] = {
        {"-", " ", "'", "a", "b"},
        {"", " ", "'", "", "b"},
        {"", " ", "'", "a", "12345678"},
    };
    struct letters *l;
    struct error error;
    assert_int_equal(create_letters(&l, wrong[0], CLASSES - 1, &error), -22);
    assert_non_null(strstr(error.message, "4 letters"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(create_letters(&l, wrong[i], CLASSES, &error), -22);
        assert_non_null(strstr(error.message, "earshot.encoder.letters: number"));
    }
}

/* One row a character: '-' is the blank. */
static void hear_letters(struct alignment *a, const char *rows)
{
    for (; *rows; rows++) {
        float logs[CLASSES];
        for (size_t i = 0; i < CLASSES; i++)
            logs[i] = logf(0.02f);
        logs[strchr("- 'ab", *rows) - "- 'ab"] = logf(0.92f);
        alignment_row(a, logs);
    }
}

static void check_place(struct alignment *a, const char *word, uint64_t first, uint64_t end,
                        uint64_t from, uint64_t to)
{
    uint64_t got_from = 0, got_to = 0;
    assert_true(alignment_find(a, word, strlen(word), first, end, &got_from, &got_to));
    assert_int_equal(got_from, from);
    assert_int_equal(got_to, to);
}

static void letters_say_where_a_word_is(void **state)
{
    (void)state;
    struct letters *l = abc();
    struct alignment *a;
    assert_int_equal(alignment_create(&a, l, CLASSES), 0);
    alignment_begin(a);
    hear_letters(a, "---aa-b-- -bb-b--");
    check_place(a, "ab", 0, 10, 3, 7);
    check_place(a, "Ab,", 0, 10, 3, 7);
    check_place(a, "\u201cab\u201d", 0, 10, 3, 7);
    check_place(a, "bb", 7, 17, 11, 15); /* a letter twice has a blank between */
    check_place(a, "a", 3, 4, 3, 4);
    check_place(a, "ab", 2, 100, 3, 13); /* two rows of b are better than one */
    uint64_t from, to;
    assert_false(alignment_find(a, "ab", 2, 5, 6, &from, &to)); /* one row is too few */
    assert_false(alignment_find(a, "bb", 2, 5, 7, &from, &to));
    assert_false(alignment_find(a, "ab", 2, 7, 7, &from, &to));
    assert_false(alignment_find(a, "4", 1, 0, 10, &from, &to));
    assert_false(alignment_find(a, "a4", 2, 0, 10, &from, &to));
    assert_false(alignment_find(a, "ac", 2, 0, 10, &from, &to));
    assert_false(alignment_find(a, "...", 3, 0, 10, &from, &to));
    alignment_destroy(a);
    letters_destroy(l);
}

static void old_rows_are_forgotten(void **state)
{
    (void)state;
    struct letters *l = abc();
    struct alignment *a;
    assert_int_equal(alignment_create(&a, l, CLASSES), 0);
    alignment_begin(a);
    hear_letters(a, "ab");
    for (int i = 0; i < 600; i++)
        hear_letters(a, "-");
    hear_letters(a, "ab");
    check_place(a, "ab", 0, 604, 602, 604);
    alignment_begin(a);
    hear_letters(a, "-ab");
    check_place(a, "ab", 0, 3, 1, 3);
    alignment_destroy(a);
    letters_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_letters_are_refused),
        cmocka_unit_test(letters_say_where_a_word_is),
        cmocka_unit_test(old_rows_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
