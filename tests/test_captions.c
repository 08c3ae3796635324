/* The caption window's text: which bytes of which line a view has to change, and how words look. */
#include "overlay/captions.h"
#include "tests/support/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_BYTES = 256,
};

/* A view that does what it is told, and no more. */
struct view {
    struct captions captions;
    char line[CAPTIONS_MAX + 1][SHOWN_BYTES];
    size_t count;
    struct captions_change change; /* the last */
};

static struct view view;

static int begin(void **state)
{
    (void)state;
    memset(&view, 0, sizeof view);
    captions_init(&view.captions);
    return 0;
}

static int end(void **state)
{
    (void)state;
    captions_finish(&view.captions);
    return 0;
}

/* dropped lines are still in the model's numbering when the text is taken. */
static const struct caption_line *line_of(const struct captions_change *c)
{
    return &view.captions.line[c->index - c->dropped];
}

static void take(struct captions_change c)
{
    char(*line)[SHOWN_BYTES] = view.line;
    view.change = c;
    if (c.what == CAPTIONS_ADDED) {
        memmove(line[c.index + 1], line[c.index], (view.count - c.index) * SHOWN_BYTES);
        memset(line[c.index], 0, SHOWN_BYTES);
        view.count++;
    } else if (c.what == CAPTIONS_REMOVED) {
        view.count--;
        memmove(line[c.index], line[c.index + 1], (view.count - c.index) * SHOWN_BYTES);
    }
    if (c.what == CAPTIONS_ADDED || c.what == CAPTIONS_EDITED) {
        assert_true(c.from <= strlen(line[c.index]));
        snprintf(line[c.index] + c.from, SHOWN_BYTES - c.from, "%s", line_of(&c)->text + c.from);
    }
    view.count -= c.dropped;
    memmove(line[0], line[c.dropped], view.count * SHOWN_BYTES);
    assert_int_equal(view.count, view.captions.count);
    for (size_t i = 0; i < view.count; i++)
        assert_string_equal(line[i], view.captions.line[i].text);
}

static void update(uint64_t id, unsigned seq, size_t stable, const char *text)
{
    take(captions_update(&view.captions, id, false, seq, stable, text));
}

static void complete(uint64_t id, const char *text)
{
    take(captions_complete(&view.captions, id, false, text, -1, NULL, 0));
}

/* The looks of a line, a letter for each byte: s settled, g guess, u unsure. */
static const char *looks(size_t index)
{
    static char letters[SHOWN_BYTES];
    const struct caption_line *line = &view.captions.line[index];
    size_t at = 0;
    for (size_t ends; at < line->size; at = ends) {
        enum caption_look look = caption_look(line, at, &ends);
        assert_true(ends > at && ends <= line->size);
        memset(letters + at, "sgu"[look], ends - at);
    }
    letters[at] = '\0';
    return letters;
}

static void a_text_grows_where_it_ends(void **state)
{
    (void)state;
    update(7, 1, 0, "turn");
    assert_int_equal(view.change.what, CAPTIONS_ADDED);
    update(7, 2, 4, "turn on the");
    assert_int_equal(view.change.what, CAPTIONS_EDITED);
    assert_int_equal(view.change.from, 4);
    assert_string_equal(looks(0), "ssssggggggg");
    update(7, 3, 7, "turn on a lamp");
    assert_int_equal(view.change.from, 8);
    assert_int_equal(view.change.look_from, 4);
    assert_string_equal(looks(0), "sssssssggggggg");
}

static void what_does_not_change_is_not_drawn(void **state)
{
    (void)state;
    update(7, 1, 4, "turn on");
    update(7, 2, 4, "turn on");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    update(7, 3, 7, "turn on");
    assert_int_equal(view.change.what, CAPTIONS_EDITED);
    assert_int_equal(view.change.from, 7);
    assert_int_equal(view.change.look_from, 4);
    update(8, 1, 0, "");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    assert_int_equal(view.count, 1);
}

static void the_end_settles_all(void **state)
{
    (void)state;
    update(7, 1, 4, "turn on a");
    complete(7, "Turn on a lamp.");
    assert_string_equal(view.line[0], "Turn on a lamp.");
    assert_string_equal(looks(0), "sssssssssssssss");
    assert_int_equal(view.change.from, 0);
    assert_int_equal(captions_last_id(&view.captions), 7);
}

static void nothing_changes_after_the_end(void **state)
{
    (void)state;
    complete(7, "One.");
    update(7, 9, 0, "two");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    complete(7, "Two.");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    assert_string_equal(view.line[0], "One.");
}

static void an_older_update_is_left_out(void **state)
{
    (void)state;
    update(7, 5, 0, "one two");
    update(7, 4, 0, "one");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    assert_string_equal(view.line[0], "one two");
}

static void what_was_cancelled_goes(void **state)
{
    (void)state;
    complete(6, "Before.");
    update(7, 1, 0, "one");
    complete(8, "After.");
    complete(7, "");
    assert_int_equal(view.change.what, CAPTIONS_REMOVED);
    assert_int_equal(view.count, 2);
    complete(9, "");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    assert_int_equal(view.count, 2);
}

static void lines_are_in_the_order_of_speech(void **state)
{
    (void)state;
    update(8, 1, 0, "two");
    complete(7, "One.");
    take(captions_complete(&view.captions, 7, true, "A reply.", -1, NULL, 0));
    complete(8, "Two.");
    complete(9, "Three.");
    take(captions_update(&view.captions, 8, true, 1, 0, "Rep"));
    assert_string_equal(view.line[0], "One.");
    assert_string_equal(view.line[1], "> A reply.");
    assert_string_equal(view.line[2], "Two.");
    assert_string_equal(view.line[3], "> Rep");
    assert_string_equal(view.line[4], "Three.");
    assert_int_equal(captions_last_id(&view.captions), 9);
}

static void unsure_words_are_marked(void **state)
{
    static const struct caption_word words[] = {{0, 4, 0.95},  {5, 2, 0.5},  {8, 1, 0.8},
                                                {10, 5, 0.79}, {90, 5, 0.1}, {2, 3, 0.1}};
    (void)state;
    take(captions_complete(&view.captions, 7, false, "Turn on a lamp.", 0.1, words, 6));
    assert_string_equal(looks(0), "sssssuusssuuuuu");
    take(captions_complete(&view.captions, 8, false, "Hm.", 0.79, NULL, 0));
    assert_string_equal(looks(1), "uuu");
    take(captions_complete(&view.captions, 9, false, "Hm.", 0.8, NULL, 0));
    assert_string_equal(looks(2), "sss");
    take(captions_complete(&view.captions, 10, false, "Hm.", -1, NULL, 0));
    assert_string_equal(looks(3), "sss");
}

static void letters_of_several_bytes_stay_whole(void **state)
{
    (void)state;
    update(7, 1, 4, "caf\xc3\xa9");
    assert_string_equal(looks(0), "sssgg");
    update(7, 2, 0, "caf\xc3\xa8");
    assert_int_equal(view.change.from, 3);
    update(7, 3, 99, "caf\xc3\xa8s");
    assert_string_equal(looks(0), "ssssss");
}

static void a_text_is_one_line(void **state)
{
    (void)state;
    complete(7, "a\nb\rc\td\xe2\x80\xa8"
                "e\xe2\x80\xaa"
                "f\x7f\xff");
    assert_string_equal(view.line[0], "a b c d   e   f ?");
}

static void a_long_text_is_cut(void **state)
{
    static char text[2 * CAPTION_TEXT_MAX + 1];
    (void)state;
    memset(text, 'a', sizeof text - 1);
    memcpy(text + CAPTION_TEXT_MAX - 1, "\xc3\xa9", 2);
    captions_update(&view.captions, 7, false, 1, 0, text);
    assert_int_equal(view.captions.line[0].size, CAPTION_TEXT_MAX - 1);
}

static void a_daemon_that_went_leaves_its_lines(void **state)
{
    (void)state;
    complete(6, "Before.");
    update(7, 1, 3, "one two");
    take(captions_lose(&view.captions));
    assert_string_equal(view.line[1], "one two \xe2\x80\xa6");
    assert_string_equal(looks(1), "uuuuuuuuuuu");
    take(captions_lose(&view.captions));
    assert_int_equal(view.change.what, CAPTIONS_SAME);
    assert_int_equal(captions_last_id(&view.captions), 6);
    complete(7, "One, two, three.");
    assert_string_equal(view.line[1], "One, two, three.");
    assert_string_equal(looks(1), "ssssssssssssssss");
}

static void the_oldest_go(void **state)
{
    char text[16];
    (void)state;
    for (uint64_t id = 1; id <= CAPTIONS_MAX + 5; id++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)id);
        complete(id + 10, text);
    }
    assert_int_equal(view.count, CAPTIONS_MAX);
    assert_string_equal(view.line[0], "6");
    complete(1, "older than all");
    assert_int_equal(view.change.what, CAPTIONS_SAME);
}

/* Whatever comes, a view that changes no more than it is told shows the model's text (take()). */
static void any_sequence_is_followed(void **state)
{
    static const char *const texts[] = {"",         "a",     "a b", "a c d", "\xc3\xa9t\xc3\xa9",
                                        "\xc3\xa8", "a b\nc"};
    (void)state;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        const char *text = texts[rand() % 7];
        uint64_t id = (uint64_t)(i / 40 + rand() % 8);
        if (rand() % 50 == 0)
            take(captions_lose(&view.captions));
        else if (rand() % 3 == 0)
            take(captions_complete(&view.captions, id, rand() % 4 == 0, text, rand() % 10 / 10.0,
                                   NULL, 0));
        else
            take(captions_update(&view.captions, id, rand() % 4 == 0, (unsigned)i,
                                 (size_t)(rand() % 6), text));
        for (size_t j = view.count < 3 ? 0 : view.count - 3; j < view.count; j++)
            looks(j);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(a_text_grows_where_it_ends),
        CASE(what_does_not_change_is_not_drawn),
        CASE(the_end_settles_all),
        CASE(nothing_changes_after_the_end),
        CASE(an_older_update_is_left_out),
        CASE(what_was_cancelled_goes),
        CASE(lines_are_in_the_order_of_speech),
        CASE(unsure_words_are_marked),
        CASE(letters_of_several_bytes_stay_whole),
        CASE(a_text_is_one_line),
        CASE(a_long_text_is_cut),
        CASE(a_daemon_that_went_leaves_its_lines),
        CASE(the_oldest_go),
        CASE(any_sequence_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
