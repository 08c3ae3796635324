/* Spoken editing: what is typed for what was said, which files are refused. */
#include "cli/typing.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_text(struct typing **out, const char *text, size_t size, struct error *error)
{
    char path[] = "/tmp/earshot-typing-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
    int rc = typing_create(out, path, error);
    unlink(path);
    return rc;
}

static struct typing *with(const char *text)
{
    struct typing *t;
    struct error error = {""};
    if (read_text(&t, text, strlen(text), &error))
        fail_msg("%s", error.message);
    return t;
}

static struct typed typed;

static const char *written(const struct typing *t, const char *said)
{
    typing_write(t, said, false, &typed);
    return typed.text;
}

static const char *sure(const struct typing *t, const char *said)
{
    typing_write(t, said, true, &typed);
    return typed.text;
}

static void words_are_typed_as_the_model_gives_them(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "Set a timer, please. It's half-past 10:30!"),
                        "Set a timer, please. It's half-past 10:30!");
    assert_string_equal(written(t, "  caf\xc3\xa9   au lait  "), "caf\xc3\xa9 au lait");
    assert_string_equal(written(t, ""), "");
    assert_string_equal(written(t, "What a full day. Stop commas; newline"),
                        "What a full day. Stop commas; newline");
    assert_false(typed.joins_before || typed.joins_after || typed.takes_back);
    typing_destroy(t);
}

static void marks_join_the_word_before(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "red comma green full stop blue"), "red, green. Blue");
    assert_string_equal(written(t, "is it question mark yes exclamation mark"), "is it? Yes!");
    assert_string_equal(written(t, "say open quote hello close quote to them"),
                        "say \"hello\" to them");
    assert_string_equal(written(t, "well hyphen known open bracket here close bracket"),
                        "well-known (here)");
    typing_destroy(t);
}

/* It pauses where somebody says a mark, and writes one of its own. */
static void spoken_marks_replace_those_of_the_model(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "Red, comma, green. Full stop. Blue."), "Red, green. Blue.");
    assert_string_equal(written(t, "COMMA"), ",");
    assert_true(typed.joins_before && typed.drops_mark);
    assert_string_equal(written(t, "Dear Anna, new line. I am here."), "Dear Anna,\nI am here.");
    typing_destroy(t);
}

static void a_phrase_is_not_found_across_a_mark(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "It is new. Line up."), "It is new. Line up.");
    assert_string_equal(written(t, "full, stop"), "full, stop");
    typing_destroy(t);
}

static void lines_break(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "one new line two new paragraph three"), "one\nTwo\n\nThree");
    assert_string_equal(written(t, "new line"), "\n");
    assert_true(typed.joins_before && typed.joins_after && !typed.drops_mark);
    typing_destroy(t);
}

static void scratch_that_takes_back(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "one two scratch that three"), "three");
    assert_int_equal(typed.takes_back, 0);
    assert_string_equal(written(t, "Scratch that."), "");
    assert_int_equal(typed.takes_back, 1);
    assert_string_equal(written(t, "one scratch that scratch that, scratch that four"), "four");
    assert_int_equal(typed.takes_back, 2);
    assert_string_equal(written(t, "comma scratch that five"), "five");
    assert_false(typed.joins_before || typed.drops_mark);
    typing_destroy(t);
}

static void what_a_phrase_may_begin_with_waits(void **state)
{
    struct typing *t = with("one two three -> 123");
    (void)state;
    assert_string_equal(sure(t, "buy a new"), "buy a");
    assert_string_equal(sure(t, "buy a new car"), "buy a new car");
    assert_string_equal(sure(t, "buy a new."), "buy a new.");
    assert_string_equal(sure(t, "say one two"), "say");
    assert_string_equal(sure(t, "say two"), "say two");
    assert_string_equal(written(t, "say one two"), "say one two");
    assert_string_equal(sure(t, "say one two three four"), "say 123 four");
    typing_destroy(t);
}

static void a_file_adds_changes_and_takes_away(void **state)
{
    struct typing *t = with("\xef\xbb\xbf# mine\n"
                            "\n"
                            "my address -> 12 Mill Lane{newline}Oxford\r\n"
                            "Comma -> {off}\n"
                            "full stop ->{join};\n"
                            "open brace -> {{join}\n"
                            "smile -> \xe2\x98\xba\n"
                            "cap -> {capital}\n"
                            "no space -> {join}");
    (void)state;
    assert_string_equal(written(t, "my address comma full stop"), "12 Mill Lane\nOxford comma;");
    assert_string_equal(written(t, "open brace x smile cap anna no space belle"),
                        "{x \xe2\x98\xba Annabelle");
    typing_destroy(t);
}

/* What it prints is a file that makes the same table. */
static void a_table_is_printed_as_a_file_has_it(void **state)
{
    struct typing *t = with("comma -> {off}\nmy cat -> Tom{capital}"), *again;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    typing_print(t, out);
    fclose(out);
    assert_non_null(strstr(text, "comma -> {off}\n"));
    assert_non_null(strstr(text, "new paragraph -> {join}{newline}{newline}{join}{capital}\n"));
    again = with(text);
    assert_string_equal(written(again, "my cat comma full stop so"), "Tom Comma. So");
    free(text);
    typing_destroy(t);
    typing_destroy(again);
}

static void bytes_that_are_no_text_are_not_typed(void **state)
{
    struct typing *t = with("");
    (void)state;
    assert_string_equal(written(t, "a\x1b[2Jb\nc\td"), "a?[2Jb c d");
    typing_destroy(t);
}

static void long_texts_are_cut(void **state)
{
    static char said[8192];
    struct typing *t = with("a -> xxxxxxxxxxxxxxxx");
    (void)state;
    for (size_t i = 0; i + 2 < sizeof said; i += 2)
        memcpy(said + i, "a ", 2);
    size_t size = strlen(written(t, said));
    assert_in_range(size, TYPING_TEXT_MAX - 32, TYPING_TEXT_MAX - 1);
    typing_destroy(t);
}

static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"# a\nnew line", ":2: no -> between what is said and what is typed"},
        {" -> x", ":1: no words before ->"},
        {"\n\nx ->", ":3: nothing behind ->; {off} makes plain words of a phrase"},
        {"x -> {enter}", ":1: {enter} is none of {newline} {tab} {space} {join} {capital} "},
        {"x -> {newline", ":1: \"{newline\" has no }"},
        {"x -> a{join}b", ":1: {join} stands at the beginning or at the end"},
        {"x -> a{scratch}", ":1: {scratch} and {off} stand alone behind ->"},
        {"x -> {off} a", ":1: {scratch} and {off} stand alone behind ->"},
        {"x -> a\ny -> b\nX -> c", ":3: line 1 has the same phrase"},
        {"& -> and", ":1: \"&\" is not a word"},
        {"a b c d e f g h i -> x", ":1: more than 8 words"},
        {"x -> \xff", ":1: not a line of text in UTF-8"},
        {"x -> y\n\xef\xbb\xbf# a mark of UTF-8 begins a file alone", ":2: no ->"},
        {"x -> \x1b[A", ":1: not a line of text in UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct typing *t;
        struct error error = {""};
        int rc = read_text(&t, cases[i].text, strlen(cases[i].text), &error);
        assert_int_equal(rc, -EINVAL);
        if (!strstr(error.message, cases[i].message))
            fail_msg("%s: %s", cases[i].text, error.message);
    }
}

static void a_file_of_no_text_is_refused(void **state)
{
    struct typing *t;
    struct error error = {""};
    (void)state;
    assert_int_equal(read_text(&t, "a -> b\0c", 8, &error), -EINVAL);
    assert_non_null(strstr(error.message, ":1: not a line of text"));
    assert_int_equal(typing_create(&t, "/nowhere/typing", &error), -ENOENT);
    assert_string_equal(error.message, "/nowhere/typing: No such file or directory");
    assert_int_equal(typing_create(&t, "/tmp", &error), -EISDIR);
    assert_int_equal(typing_create(&t, "/dev/zero", &error), -EINVAL);
    assert_string_equal(error.message, "/dev/zero:1: not a line of text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_typed_as_the_model_gives_them),
        cmocka_unit_test(marks_join_the_word_before),
        cmocka_unit_test(spoken_marks_replace_those_of_the_model),
        cmocka_unit_test(a_phrase_is_not_found_across_a_mark),
        cmocka_unit_test(lines_break),
        cmocka_unit_test(scratch_that_takes_back),
        cmocka_unit_test(what_a_phrase_may_begin_with_waits),
        cmocka_unit_test(a_file_adds_changes_and_takes_away),
        cmocka_unit_test(a_table_is_printed_as_a_file_has_it),
        cmocka_unit_test(bytes_that_are_no_text_are_not_typed),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(a_file_of_no_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
