#include "dsp/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const float speech = 0.9f;
static const float between = 0.5f; /* under begin_threshold, over end_threshold */
static const float silence = 0.05f;

static struct endpoint_config make_config(void)
{
    return (struct endpoint_config){
        .begin_threshold = 0.6f,
        .end_threshold = 0.35f,
        .begin_ms = 100,
        .end_ms = 500,
        .preroll_ms = 300,
        .tail_ms = 200,
        .max_ms = 4000,
    };
}

static void make(struct endpoint *e)
{
    struct endpoint_config config = make_config();
    endpoint_init(e, &config);
}

/* Pushes count frames, but none after the first event, which it returns. */
static enum endpoint_event push(struct endpoint *e, float probability, int count)
{
    for (int i = 0; i < count; i++) {
        enum endpoint_event event = endpoint_push(e, probability);
        if (event != ENDPOINT_NONE)
            return event;
    }
    return ENDPOINT_NONE;
}

static void speech_opens_with_its_preroll(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    assert_int_equal(push(&e, silence, 100), ENDPOINT_NONE);
    assert_int_equal(push(&e, speech, 9), ENDPOINT_NONE);
    assert_int_equal(push(&e, speech, 1), ENDPOINT_BEGIN);
    assert_int_equal(e.frame, 110);
    assert_int_equal(e.begin_frame, 80);
    assert_true(e.open);
}

static void the_preroll_stops_at_the_first_frame(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    assert_int_equal(push(&e, speech, 20), ENDPOINT_BEGIN);
    assert_int_equal(e.begin_frame, 0);
}

static void silence_closes_and_leaves_the_tail(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 10);
    assert_int_equal(push(&e, speech, 90), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 49), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 1), ENDPOINT_END);
    assert_int_equal(e.frame, 150);
    assert_int_equal(e.end_frame, 120);
    assert_false(e.open);
}

static void a_pause_between_words_does_not_close(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 10);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(push(&e, silence, 49), ENDPOINT_NONE);
        assert_int_equal(push(&e, between, 1), ENDPOINT_NONE);
    }
    assert_true(e.open);
}

static void clicks_do_not_open(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(push(&e, speech, 6), ENDPOINT_NONE);
        assert_int_equal(push(&e, silence, 10), ENDPOINT_NONE);
    }
}

static void doubt_neither_counts_nor_takes_away(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    assert_int_equal(push(&e, speech, 9), ENDPOINT_NONE);
    assert_int_equal(push(&e, between, 50), ENDPOINT_NONE);
    assert_int_equal(push(&e, speech, 1), ENDPOINT_BEGIN);
}

static void utterances_do_not_overlap(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint e;
    config.tail_ms = config.end_ms;
    endpoint_init(&e, &config);
    push(&e, speech, 50);
    assert_int_equal(push(&e, silence, 50), ENDPOINT_END);
    int64_t end = e.end_frame;
    assert_int_equal(end, e.frame);
    assert_int_equal(push(&e, speech, 10), ENDPOINT_BEGIN);
    assert_int_equal(e.begin_frame, end);
}

static void a_tail_longer_than_the_wait_ends_now(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint e;
    config.tail_ms = 900;
    endpoint_init(&e, &config);
    push(&e, speech, 50);
    assert_int_equal(push(&e, silence, 50), ENDPOINT_END);
    assert_int_equal(e.end_frame, e.frame);
}

static void a_long_utterance_closes_at_a_short_pause(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 10);
    assert_int_equal(push(&e, speech, 280), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 20), ENDPOINT_END);
    assert_true(e.frame < 310);
}

static void speech_without_a_pause_is_cut_and_loses_nothing(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    assert_int_equal(push(&e, speech, 10), ENDPOINT_BEGIN);
    assert_int_equal(push(&e, speech, 1000), ENDPOINT_END);
    assert_int_equal(e.end_frame - e.begin_frame, 400);
    int64_t end = e.end_frame;
    assert_int_equal(push(&e, speech, 10), ENDPOINT_BEGIN);
    assert_int_equal(e.begin_frame, end);
}

static void hold_opens_and_only_finish_closes(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, silence, 100);
    assert_int_equal(endpoint_hold(&e), ENDPOINT_BEGIN);
    assert_int_equal(e.begin_frame, 70);
    assert_int_equal(endpoint_hold(&e), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 200), ENDPOINT_NONE);
    assert_int_equal(endpoint_finish(&e), ENDPOINT_END);
    assert_int_equal(e.end_frame, 300);
    assert_false(e.held);
    assert_int_equal(endpoint_finish(&e), ENDPOINT_NONE);
}

static void hold_keeps_an_open_utterance(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 20);
    assert_int_equal(endpoint_hold(&e), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 100), ENDPOINT_NONE);
    assert_true(e.open);
    assert_int_equal(endpoint_finish(&e), ENDPOINT_END);
    assert_int_equal(push(&e, speech, 20), ENDPOINT_BEGIN);
    assert_int_equal(push(&e, silence, 50), ENDPOINT_END);
}

static void even_what_is_held_has_a_longest(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    endpoint_hold(&e);
    assert_int_equal(push(&e, silence, 399), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 1), ENDPOINT_END);
    assert_false(e.held);
}

static void the_defaults_make_sense(void **state)
{
    (void)state;
    struct endpoint_config c = endpoint_config_default();
    assert_true(c.end_threshold < c.begin_threshold && c.begin_threshold < 1.0f);
    assert_true(c.begin_ms <= c.preroll_ms && c.tail_ms <= c.end_ms);
    assert_true(c.max_ms > 10 * c.end_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speech_opens_with_its_preroll),
        cmocka_unit_test(the_preroll_stops_at_the_first_frame),
        cmocka_unit_test(silence_closes_and_leaves_the_tail),
        cmocka_unit_test(a_pause_between_words_does_not_close),
        cmocka_unit_test(clicks_do_not_open),
        cmocka_unit_test(doubt_neither_counts_nor_takes_away),
        cmocka_unit_test(utterances_do_not_overlap),
        cmocka_unit_test(a_tail_longer_than_the_wait_ends_now),
        cmocka_unit_test(a_long_utterance_closes_at_a_short_pause),
        cmocka_unit_test(speech_without_a_pause_is_cut_and_loses_nothing),
        cmocka_unit_test(hold_opens_and_only_finish_closes),
        cmocka_unit_test(hold_keeps_an_open_utterance),
        cmocka_unit_test(even_what_is_held_has_a_longest),
        cmocka_unit_test(the_defaults_make_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
