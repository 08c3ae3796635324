/* What was said last: a bounded ring, found by id. */
#include "daemon/history.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct history *filled(size_t capacity, size_t count)
{
    struct history *h;
    assert_int_equal(history_create(&h, capacity), 0);
    for (size_t i = 1; i <= count; i++) {
        char text[32];
        snprintf(text, sizeof text, "text %zu", i);
        assert_int_equal(history_add(h, i * 10, (int64_t)i, (int64_t)i + 1, text), 0);
    }
    return h;
}

static void the_oldest_is_forgotten(void **state)
{
    (void)state;
    struct history *h = filled(4, 11);
    assert_int_equal(history_count(h), 4);
    assert_int_equal(history_at(h, 0)->id, 80);
    assert_string_equal(history_at(h, 3)->text, "text 11");
    history_destroy(h);
}

static void what_was_asked_for_stays_with_its_text(void **state)
{
    (void)state;
    struct history *h = filled(2, 2);
    struct event_intent intent = {.name = "timer.set"};
    const struct event_intent none = {.slot_count = 0};
    assert_int_equal(history_set_intent(h, 15, &intent), -ENOENT);
    assert_int_equal(history_set_intent(h, 10, &intent), 0);
    assert_int_equal(history_set_intent(h, 20, &intent), 0);
    strcpy(intent.name, "other");
    assert_string_equal(history_at(h, 0)->intent->name, "timer.set");
    assert_int_equal(history_set_intent(h, 10, &none), 0);
    assert_null(history_at(h, 0)->intent);
    assert_int_equal(history_insert(h, 15, 0, 1, "between"), 0); /* the oldest goes */
    assert_null(history_at(h, 0)->intent);
    assert_string_equal(history_at(h, 1)->intent->name, "timer.set");
    history_destroy(h);
}

static void entries_after_an_id_are_found(void **state)
{
    (void)state;
    struct history *h = filled(4, 11); /* 80 90 100 110 */
    assert_int_equal(history_after(h, 0), 0);
    assert_int_equal(history_after(h, 80), 1);
    assert_int_equal(history_after(h, 95), 2);
    assert_int_equal(history_after(h, 110), 4);
    assert_int_equal(history_after(h, UINT64_MAX), 4);
    history_destroy(h);
}

static void a_reply_joins_its_utterance(void **state)
{
    (void)state;
    struct history *h = filled(4, 5);
    assert_int_equal(history_set_reply(h, 50, "first"), 0);
    assert_int_equal(history_set_reply(h, 50, "yes"), 0);
    assert_string_equal(history_at(h, 3)->reply, "yes");
    assert_int_equal(history_set_reply(h, 10, "too late"), -ENOENT);
    history_destroy(h);
}

static void words_are_those_of_the_text(void **state)
{
    (void)state;
    struct history *h = filled(4, 2); /* "text 1", "text 2" */
    assert_null(history_at(h, 0)->words);
    assert_int_equal(history_set_words(h, 10, "0:4:100:200:900 5:1:200:300:800"), 0);
    assert_int_equal(history_set_words(h, 20, "0:40:100:200:900"), -EINVAL);
    assert_int_equal(history_set_words(h, 30, "0:4:100:200:900"), -ENOENT);
    assert_string_equal(history_at(h, 0)->words, "0:4:100:200:900 5:1:200:300:800");
    assert_null(history_at(h, 1)->words);
    history_destroy(h);
}

static void an_absurd_capacity_is_refused(void **state)
{
    (void)state;
    struct history *h;
    assert_int_equal(history_create(&h, 0), -EINVAL);
    assert_int_equal(history_create(&h, SIZE_MAX), -EINVAL);
    history_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(what_was_asked_for_stays_with_its_text),
        cmocka_unit_test(entries_after_an_id_are_found),
        cmocka_unit_test(a_reply_joins_its_utterance),
        cmocka_unit_test(words_are_those_of_the_text),
        cmocka_unit_test(an_absurd_capacity_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
