/* Who is meant: calls and follow-ups. */
#include "pipeline/wake.h"
#include "tests/support/test.h"

#define SECOND 1000000

static const char phrases[] = "computer|hey computer";

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
        cmocka_unit_test(a_turn_may_be_followed_up),
        cmocka_unit_test(only_what_was_replied_to_keeps_it_open),
        cmocka_unit_test(there_may_be_no_follow_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
