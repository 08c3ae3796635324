/* Utterances from samples: the same for any split, sample by sample those that went in. */
#include "pipeline/frontend.h"
#include "tests/support/speech.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum {
    UTTERANCES_MAX = 64,
    US_PER_SAMPLE_NUM = 125, /* 62.5 us a sample */
    US_PER_SAMPLE_DEN = 2,
};

struct heard {
    int64_t begin[UTTERANCES_MAX], end[UTTERANCES_MAX]; /* samples */
    size_t begun, ended, dropped, held;
    const float *source; /* [source_count], what was pushed */
    size_t source_count;
    int64_t next;                   /* the sample that must come next */
    bool over;                      /* what the judge says, */
    size_t asked;                   /* and how often it was */
    int64_t judged[UTTERANCES_MAX]; /* samples that had been handed on */
};

static int64_t to_sample(int64_t us)
{
    return (us * US_PER_SAMPLE_DEN + US_PER_SAMPLE_NUM - 1) / US_PER_SAMPLE_NUM;
}

static void on_piece(void *user, const struct frontend_piece *p)
{
    struct heard *h = user;
    int64_t at = to_sample(p->time_us);
    switch (p->type) {
    case FRONTEND_BEGIN:
        assert_true(h->begun < UTTERANCES_MAX);
        assert_true(h->begun == h->ended + h->dropped);
        assert_true(h->begun == 0 || at >= h->end[h->begun - 1]);
        h->begin[h->begun++] = at;
        h->next = at;
        break;
    case FRONTEND_HOLD:
        assert_int_equal(at, h->next);
        assert_true(h->begun > h->ended + h->dropped);
        h->held++;
        break;
    case FRONTEND_AUDIO:
        assert_in_range(p->count, 1, FRONTEND_BLOCK);
        assert_int_equal(at, h->next);
        assert_true((size_t)at + p->count <= h->source_count);
        assert_memory_equal(p->samples, h->source + at, p->count * sizeof(float));
        h->next = at + (int64_t)p->count;
        break;
    case FRONTEND_END:
        assert_int_equal(at, h->next);
        h->end[h->begun - 1] = at;
        h->ended++;
        break;
    case FRONTEND_DROP:
        h->end[h->begun - 1] = at;
        h->dropped++;
        break;
    }
}

static bool is_over(void *user)
{
    struct heard *h = user;
    assert_true(h->begun == h->ended + h->dropped + 1 && h->asked < UTTERANCES_MAX);
    h->judged[h->asked++] = h->next;
    return h->over;
}

static struct heard hear_judged(const float *samples, size_t count, size_t chunk, bool over)
{
    struct heard h = {.source = samples, .source_count = count, .over = over};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, NULL, on_piece, &h), 0);
    frontend_set_judge(f, is_over);
    for (size_t i = 0; i < count; i += chunk)
        frontend_push(f, samples + i, count - i < chunk ? count - i : chunk);
    frontend_flush(f);
    frontend_destroy(f);
    return h;
}

static struct heard hear(const float *samples, size_t count, size_t chunk,
                         const struct endpoint_config *config)
{
    struct heard h = {.source = samples, .source_count = count};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, config, on_piece, &h), 0);
    for (size_t i = 0; i < count; i += chunk)
        frontend_push(f, samples + i, count - i < chunk ? count - i : chunk);
    frontend_flush(f);
    assert_false(frontend_is_open(f));
    assert_int_equal(h.begun, h.ended);
    frontend_destroy(f);
    return h;
}

static void each_order_is_an_utterance_with_preroll(void **state)
{
    (void)state;
    size_t count;
    float *x = speech_load(&count);
    struct heard h = hear(x, count, 160, NULL);
    assert_int_equal(h.begun, SPEECH_UTTERANCES);
    for (size_t i = 0; i < h.begun; i++)
        printf("utterance %.2f .. %.2f s\n", (double)h.begin[i] / 16000, (double)h.end[i] / 16000);
    /* The first order begins at 1.2 s; 300 ms of pre-roll and a little evidence go before it. */
    assert_in_range(h.begin[0], 16000 * 6 / 10, 16000 * 13 / 10);
    free(x);
}

static void any_split_gives_the_same_utterances(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 160, 1000, 48000, 1 << 20};
    size_t count;
    float *x = speech_load(&count);
    struct heard first = hear(x, count, chunks[0], NULL);
    for (size_t i = 1; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct heard h = hear(x, count, chunks[i], NULL);
        assert_int_equal(h.begun, first.begun);
        assert_memory_equal(h.begin, first.begin, sizeof(h.begin));
        assert_memory_equal(h.end, first.end, sizeof(h.end));
    }
    free(x);
}

static void a_judge_ends_it_sooner_at_the_same_sample(void **state)
{
    (void)state;
    static const size_t chunks[] = {160, 7, 48000};
    size_t count;
    float *x = speech_load(&count);
    struct heard alone = hear(x, count, 160, NULL);
    struct heard unsure = hear_judged(x, count, 160, false);
    assert_int_equal(unsure.ended, alone.ended);
    assert_memory_equal(unsure.end, alone.end, sizeof(alone.end));
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct heard h = hear_judged(x, count, chunks[i], true);
        assert_int_equal(h.ended, SPEECH_UTTERANCES);
        assert_int_equal(h.asked, SPEECH_UTTERANCES);
        for (size_t j = 0; j < h.ended; j++) {
            assert_int_equal(h.end[j], alone.end[j]);
            assert_int_equal(h.judged[j], h.end[j]); /* all of it had been handed on */
        }
    }
    free(x);
}

static void a_word_at_the_very_end_is_heard(void **state)
{
    (void)state;
    size_t count, cut = 16000 * 18 / 10; /* in the first order, 0.6 s after its begin */
    float *x = speech_load(&count);
    struct heard h = hear(x, cut, 160, NULL);
    assert_int_equal(h.begun, 1);
    assert_int_equal(h.end[0], cut);
    free(x);
}

static void silence_has_no_utterance(void **state)
{
    (void)state;
    float *x = calloc(16000 * 10, sizeof(float));
    struct heard h = hear(x, 16000 * 10, 1600, NULL);
    assert_int_equal(h.begun, 0);
    free(x);
}

static void a_long_utterance_is_cut(void **state)
{
    (void)state;
    size_t count;
    float *x = speech_load(&count);
    struct endpoint_config c = endpoint_config_default();
    c.max_ms = 1500;
    struct heard h = hear(x, count, 160, &c);
    assert_true(h.begun > SPEECH_UTTERANCES);
    for (size_t i = 0; i < h.begun; i++)
        assert_true(h.end[i] - h.begin[i] <= 1500 * 16 + 16 * 10);
    free(x);
}

/* The middle of the first order over and over: a voice that does not pause. */
static float *make_monologue(size_t *count)
{
    size_t have, piece = 16000 * 12 / 10, from = 16000 * 13 / 10;
    float *x = speech_load(&have), *y;
    *count = 20 * piece;
    y = calloc(*count, sizeof(*y));
    assert_non_null(y);
    for (size_t i = 0; i < *count; i++)
        y[i] = x[from + i % piece];
    free(x);
    return y;
}

static void a_monologue_is_cut_and_no_sample_is_lost(void **state)
{
    (void)state;
    static const size_t chunks[] = {160, 7, 4800, 1 << 20};
    static const int longest[] = {1500, 4000, 10000};
    size_t count;
    float *x = make_monologue(&count);
    for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
        struct endpoint_config c = endpoint_config_default();
        c.max_ms = longest[i];
        struct heard first = hear(x, count, chunks[0], &c);
        printf("at most %d ms: %zu utterances\n", longest[i], first.begun);
        assert_true(first.begun >= count / ((size_t)longest[i] * 16));
        assert_true(first.begin[0] < 16000);
        assert_true(first.end[first.begun - 1] == (int64_t)count);
        for (size_t j = 0; j < first.begun; j++) {
            assert_true(first.end[j] - first.begin[j] <= (int64_t)longest[i] * 16);
            assert_true(j == 0 || first.begin[j] == first.end[j - 1]);
        }
        for (size_t j = 1; j < sizeof(chunks) / sizeof(chunks[0]); j++) {
            struct heard h = hear(x, count, chunks[j], &c);
            assert_int_equal(h.begun, first.begun);
            assert_memory_equal(h.begin, first.begin, sizeof(h.begin));
            assert_memory_equal(h.end, first.end, sizeof(h.end));
        }
    }
    free(x);
}

static void a_monologue_may_be_one_utterance(void **state)
{
    (void)state;
    size_t count;
    float *x = make_monologue(&count);
    struct endpoint_config c = endpoint_config_default();
    struct heard h = {.source = x, .source_count = count};
    struct frontend *f;
    c.max_ms = 1500;
    assert_int_equal(frontend_create(&f, &c, on_piece, &h), 0);
    frontend_limit(f, ENDPOINT_ENDLESS, 0);
    frontend_push(f, x, count);
    frontend_flush(f);
    assert_int_equal(h.begun, 1);
    assert_int_equal(h.end[0], count);
    frontend_destroy(f);
    free(x);
}

static void push_to_talk_goes_on_in_the_next_utterance(void **state)
{
    (void)state;
    size_t count;
    float *x = speech_load(&count);
    struct heard h = {.source = x, .source_count = count};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, NULL, on_piece, &h), 0);
    frontend_limit(f, 2000, 0);
    frontend_push(f, x, 1600);
    frontend_hold(f);
    frontend_push(f, x + 1600, 16000 * 7);
    assert_true(frontend_is_open(f));
    frontend_finish(f);
    printf("%zu utterances\n", h.begun);
    assert_true(h.begun >= 4);
    assert_int_equal(h.ended, h.begun);
    assert_int_equal(h.held, h.begun);
    assert_int_equal(h.begin[0], 0);
    assert_int_equal(h.end[h.begun - 1], 1600 + 16000 * 7);
    for (size_t i = 0; i < h.begun; i++) {
        assert_true(h.end[i] - h.begin[i] <= 2000 * 16);
        assert_true(i == 0 || h.begin[i] == h.end[i - 1]);
    }
    frontend_destroy(f);
    free(x);
}

static void push_to_talk_hears_silence_until_finish(void **state)
{
    (void)state;
    size_t count = 16000 * 4;
    float *x = calloc(count, sizeof(float));
    struct heard h = {.source = x, .source_count = count};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, NULL, on_piece, &h), 0);
    frontend_push(f, x, 16000);
    frontend_hold(f);
    assert_int_equal(h.begun, 1);
    frontend_push(f, x, 32000);
    assert_true(frontend_is_open(f));
    frontend_finish(f);
    assert_int_equal(h.ended, 1);
    assert_int_equal(h.end[0], 48000);
    assert_true(h.begin[0] <= 16000);
    frontend_destroy(f);
    free(x);
}

static void cancel_drops_what_is_open(void **state)
{
    (void)state;
    size_t count;
    float *x = speech_load(&count);
    struct heard h = {.source = x, .source_count = count};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, NULL, on_piece, &h), 0);
    frontend_push(f, x, 16000 * 2);
    assert_true(frontend_is_open(f));
    frontend_cancel(f);
    assert_int_equal(h.dropped, 1);
    assert_int_equal(h.ended, 0);
    frontend_cancel(f);
    assert_int_equal(h.dropped, 1);
    frontend_destroy(f);
    free(x);
}

static void a_gap_ends_the_utterance_and_time_goes_on(void **state)
{
    (void)state;
    size_t count;
    float *x = speech_load(&count);
    struct heard h = {.source = x, .source_count = count};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, NULL, on_piece, &h), 0);
    frontend_push(f, x, 16000 * 2);
    frontend_gap(f, 16000);
    assert_int_equal(h.ended, 1);
    assert_int_equal(frontend_time_us(f), 3000000);
    frontend_destroy(f);
    free(x);
}

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    struct frontend *f;
    struct endpoint_config c = endpoint_config_default();
    c.tail_ms = c.end_ms + 10;
    assert_int_equal(frontend_create(&f, &c, on_piece, NULL), -EINVAL);
    c = endpoint_config_default();
    c.max_ms = 0;
    assert_int_equal(frontend_create(&f, &c, on_piece, NULL), -EINVAL);
    assert_int_equal(frontend_create(&f, NULL, NULL, NULL), -EINVAL);
}

static void another_configuration_loses_no_sample(void **state)
{
    (void)state;
    size_t count;
    float *x = speech_load(&count);
    struct heard before = hear(x, count, 160, NULL);
    assert_true(before.ended >= 2);
    size_t between = (size_t)before.end[0] + 16000 / 2; /* told of, and silent */
    struct endpoint_config c = endpoint_config_default();

    struct heard h = {.source = x, .source_count = count};
    struct frontend *f;
    assert_int_equal(frontend_create(&f, &c, on_piece, &h), 0);
    frontend_push(f, x, between);
    assert_false(frontend_is_open(f));
    c.max_ms = 100000; /* a longer history */
    c.preroll_ms = 2000;
    assert_int_equal(frontend_configure(f, &c), 0);
    c.end_ms = 0;
    assert_int_equal(frontend_configure(f, &c), -EINVAL);
    frontend_push(f, x + between, count - between);
    frontend_flush(f);
    assert_int_equal(h.ended, before.ended);
    assert_int_equal(h.end[0], before.end[0]);
    assert_true(h.begin[1] < before.begin[1]); /* by a longer pre-roll */
    frontend_destroy(f);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_configuration_loses_no_sample),
        cmocka_unit_test(each_order_is_an_utterance_with_preroll),
        cmocka_unit_test(any_split_gives_the_same_utterances),
        cmocka_unit_test(a_judge_ends_it_sooner_at_the_same_sample),
        cmocka_unit_test(a_word_at_the_very_end_is_heard),
        cmocka_unit_test(silence_has_no_utterance),
        cmocka_unit_test(a_long_utterance_is_cut),
        cmocka_unit_test(a_monologue_is_cut_and_no_sample_is_lost),
        cmocka_unit_test(a_monologue_may_be_one_utterance),
        cmocka_unit_test(push_to_talk_goes_on_in_the_next_utterance),
        cmocka_unit_test(push_to_talk_hears_silence_until_finish),
        cmocka_unit_test(cancel_drops_what_is_open),
        cmocka_unit_test(a_gap_ends_the_utterance_and_time_goes_on),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
