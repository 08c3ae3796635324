/* Where utterances begin and end, for detector's probabilities made here. */
#include "dsp/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
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

static void a_pause_is_told_once_and_may_be_the_end(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint e;
    config.end_min_ms = 250;
    endpoint_init(&e, &config);
    push(&e, speech, 10);
    push(&e, speech, 90);
    assert_int_equal(push(&e, silence, 24), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 1), ENDPOINT_PAUSE);
    assert_int_equal(endpoint_certain(&e), 100 + 20);
    assert_int_equal(push(&e, silence, 20), ENDPOINT_NONE);
    assert_int_equal(push(&e, speech, 1), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 25), ENDPOINT_PAUSE); /* another silence */
    assert_int_equal(endpoint_end(&e), ENDPOINT_END);
    assert_int_equal(e.end_frame, 146 + 20); /* the tail, as at end_ms */
    assert_false(e.open);
    assert_int_equal(push(&e, silence, 100), ENDPOINT_NONE);
}

static void a_pause_is_certainly_silent(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint e;
    config.end_min_ms = 250;
    endpoint_init(&e, &config);
    push(&e, speech, 10);
    push(&e, speech, 90);
    assert_int_equal(push(&e, 0.3f, 30), ENDPOINT_NONE); /* under the threshold, but not far */
    assert_int_equal(push(&e, silence, 1), ENDPOINT_PAUSE);
    assert_int_equal(push(&e, silence, 100), ENDPOINT_END);
}

static void what_is_held_or_held_back_has_no_pause(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint e;
    config.end_min_ms = 250;
    endpoint_init(&e, &config);
    push(&e, speech, 10);
    push(&e, speech, 300); /* into the last quarter */
    assert_int_equal(push(&e, silence, 100), ENDPOINT_END);
    endpoint_hold(&e);
    assert_int_equal(push(&e, silence, 100), ENDPOINT_NONE);
    endpoint_finish(&e);
    config.end_min_ms = 500; /* none before the end */
    endpoint_init(&e, &config);
    push(&e, speech, 100);
    assert_int_equal(push(&e, silence, 50), ENDPOINT_END);
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

static void a_long_utterance_is_cut_when_a_short_pause_is_over(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 10);
    assert_int_equal(push(&e, speech, 270), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 10), ENDPOINT_NONE); /* before the last quarter */
    assert_int_equal(push(&e, speech, 30), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 7), ENDPOINT_NONE); /* too short */
    assert_int_equal(push(&e, speech, 13), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 8), ENDPOINT_NONE);
    assert_int_equal(push(&e, between, 1), ENDPOINT_CUT);
    assert_int_equal(e.frame, 349);
    assert_int_equal(e.end_frame, 344); /* the middle of the pause */
    assert_int_equal(e.begin_frame, 344);
    assert_true(e.open);
    assert_int_equal(push(&e, speech, 300), ENDPOINT_NONE); /* and begins to count anew */
}

static void a_long_utterance_that_is_over_has_its_tail(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 10);
    assert_int_equal(push(&e, speech, 310), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 60), ENDPOINT_END);
    assert_int_equal(e.frame, 370);
    assert_int_equal(e.end_frame, 340);
    assert_false(e.open);
}

static void speech_without_a_pause_is_cut_and_loses_nothing(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    assert_int_equal(push(&e, speech, 10), ENDPOINT_BEGIN);
    assert_int_equal(push(&e, speech, 1000), ENDPOINT_CUT);
    assert_int_equal(e.frame, 400);
    assert_in_range(e.end_frame, 390, 400);
    assert_int_equal(e.begin_frame, e.end_frame);
    int64_t begin = e.begin_frame;
    assert_int_equal(push(&e, speech, 1000), ENDPOINT_CUT);
    assert_int_equal(e.frame, begin + 400);
}

static void the_cut_is_where_speech_is_least_likely(void **state)
{
    (void)state;
    for (int lag = 0; lag <= 15; lag += 15) {
        struct endpoint_config config = make_config();
        struct endpoint e;
        config.lag_ms = lag * 10;
        endpoint_init(&e, &config);
        push(&e, speech, 10);
        push(&e, speech, 280);
        push(&e, between, 8); /* too early, where the probabilities do not lag */
        push(&e, speech, 50);
        assert_int_equal(push(&e, between, 10), ENDPOINT_NONE);
        assert_int_equal(push(&e, speech, 1000), ENDPOINT_CUT);
        assert_int_equal(e.frame, 400);
        assert_in_range(e.end_frame, 350 - lag, 356 - lag);
        assert_int_equal(e.begin_frame, e.end_frame);
    }
}

static void silence_behind_a_cut_is_no_utterance(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    push(&e, speech, 10);
    assert_int_equal(push(&e, speech, 386), ENDPOINT_NONE);
    assert_int_equal(push(&e, silence, 10), ENDPOINT_END);
    assert_int_equal(e.frame, 400);
    assert_int_equal(e.end_frame, 396);
    assert_false(e.open);
    assert_int_equal(push(&e, silence, 10), ENDPOINT_NONE);
    assert_int_equal(push(&e, speech, 10), ENDPOINT_BEGIN);
    assert_int_equal(e.begin_frame, 396); /* the pre-roll goes back to it */
}

/* Any probabilities, with and without hold: what was certain stays so, no frame of speech is lost
 * at a cut, nothing is longer than it may be. */
static void utterances_keep_their_promises(void **state)
{
    (void)state;
    unsigned random = 7, cuts = 0;
    for (int round = 0; round < 60; round++) {
        struct endpoint_config config = make_config();
        struct endpoint e;
        int64_t certain = 0, open_since = -1;
        float p = 0.9f;
        config.lag_ms = round % 2 ? 150 : 0;
        config.max_ms = 1000 + 500 * (round % 7);
        endpoint_init(&e, &config);
        for (int i = 0; i < 5000; i++) {
            random = random * 1664525u + 1013904223u;
            if (random >> 28 == 0)
                p = (float)(random >> 8 & 0xffff) / 65536.0f;
            if (round % 3 == 0 && i % 1000 == 500 && endpoint_hold(&e) == ENDPOINT_BEGIN)
                open_since = certain = e.begin_frame;
            enum endpoint_event event = endpoint_push(&e, p);
            if (event == ENDPOINT_END || event == ENDPOINT_CUT) {
                assert_true(e.end_frame >= certain && e.end_frame <= e.frame);
                assert_true((e.end_frame - open_since) * 10 <= config.max_ms);
            }
            if (event == ENDPOINT_BEGIN)
                assert_true(e.begin_frame >= e.end_frame);
            if (event == ENDPOINT_CUT)
                assert_int_equal(e.begin_frame, e.end_frame);
            if (event == ENDPOINT_BEGIN || event == ENDPOINT_CUT)
                open_since = certain = e.begin_frame;
            cuts += event == ENDPOINT_CUT;
            if (e.open) {
                assert_true(endpoint_certain(&e) >= certain);
                certain = endpoint_certain(&e);
            }
        }
    }
    printf("%u cuts\n", cuts);
    assert_true(cuts > 100);
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

static void what_is_held_is_cut_and_goes_on_being_held(void **state)
{
    (void)state;
    struct endpoint e;
    make(&e);
    endpoint_hold(&e);
    assert_int_equal(push(&e, silence, 350), ENDPOINT_NONE);
    assert_int_equal(push(&e, speech, 49), ENDPOINT_NONE); /* no cut at a pause */
    assert_int_equal(push(&e, silence, 1), ENDPOINT_CUT);
    assert_in_range(e.end_frame, 340, 350);
    assert_int_equal(e.begin_frame, e.end_frame);
    assert_true(e.open && e.held);
    assert_int_equal(push(&e, silence, 200), ENDPOINT_NONE);
    assert_int_equal(endpoint_finish(&e), ENDPOINT_END);
    assert_int_equal(e.end_frame, 600);
    assert_false(e.held);
}

static void an_encoder_may_take_less(void **state)
{
    (void)state;
    const struct endpoint_config config = make_config();
    struct endpoint_config c = endpoint_limit(config, 0);
    assert_memory_equal(&c, &config, sizeof(c));
    c = endpoint_limit(config, 30000);
    assert_memory_equal(&c, &config, sizeof(c));
    c = endpoint_limit(config, 4000);
    assert_int_equal(c.max_ms, 3900); /* what has no frame yet comes on top */
    c = endpoint_limit(c, 4000);
    assert_int_equal(c.max_ms, 3900);
    for (size_t most = 1; most < 3000; most += 50) {
        c = endpoint_limit(config, most);
        assert_true(c.max_ms > c.end_ms && c.end_ms >= c.tail_ms && c.tail_ms >= 0);
    }
}

static void a_model_may_take_anything(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint_config c = endpoint_limit(config, ENDPOINT_ENDLESS);
    struct endpoint e;
    endpoint_init(&e, &c);
    size_t events = 0;
    for (int i = 0; i < 360000; i++) /* an hour of speech */
        events += endpoint_push(&e, 1.0f) != ENDPOINT_NONE;
    assert_int_equal(events, 1);
    assert_int_equal(endpoint_certain(&e), 360000);
    c.max_ms = config.max_ms;
    assert_memory_equal(&c, &config, sizeof(c));
}

static void a_model_may_want_more_of_the_silence(void **state)
{
    (void)state;
    struct endpoint_config config = make_config();
    struct endpoint_config c = endpoint_extend(config, 0);
    assert_memory_equal(&c, &config, sizeof(c));
    c = endpoint_extend(config, (size_t)config.tail_ms + 70);
    assert_int_equal(c.tail_ms, config.tail_ms + 70);
    c = endpoint_extend(config, 100000);
    assert_int_equal(c.tail_ms, config.end_ms);
}

static void the_defaults_make_sense(void **state)
{
    (void)state;
    struct endpoint_config c = endpoint_config_default();
    assert_true(c.end_threshold < c.begin_threshold && c.begin_threshold < 1.0f);
    assert_true(c.end_min_ms > c.tail_ms && c.end_min_ms < c.end_ms);
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
        cmocka_unit_test(a_pause_is_told_once_and_may_be_the_end),
        cmocka_unit_test(a_pause_is_certainly_silent),
        cmocka_unit_test(what_is_held_or_held_back_has_no_pause),
        cmocka_unit_test(clicks_do_not_open),
        cmocka_unit_test(doubt_neither_counts_nor_takes_away),
        cmocka_unit_test(utterances_do_not_overlap),
        cmocka_unit_test(a_tail_longer_than_the_wait_ends_now),
        cmocka_unit_test(a_long_utterance_is_cut_when_a_short_pause_is_over),
        cmocka_unit_test(a_long_utterance_that_is_over_has_its_tail),
        cmocka_unit_test(speech_without_a_pause_is_cut_and_loses_nothing),
        cmocka_unit_test(the_cut_is_where_speech_is_least_likely),
        cmocka_unit_test(silence_behind_a_cut_is_no_utterance),
        cmocka_unit_test(utterances_keep_their_promises),
        cmocka_unit_test(hold_opens_and_only_finish_closes),
        cmocka_unit_test(hold_keeps_an_open_utterance),
        cmocka_unit_test(what_is_held_is_cut_and_goes_on_being_held),
        cmocka_unit_test(an_encoder_may_take_less),
        cmocka_unit_test(a_model_may_take_anything),
        cmocka_unit_test(a_model_may_want_more_of_the_silence),
        cmocka_unit_test(the_defaults_make_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
