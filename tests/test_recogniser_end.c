/* An end and a judgement in steps: what other ears of the hearing do between two of them changes
 * nothing, and what is left in the middle leaves nothing behind. */
#include "tests/support/aligned_fixture.h"

enum {
    HALF_ROWS = 12, /* of the sound, which has more than twice as many */
};

static struct recogniser *create_logged(struct fixture *f, struct log *log)
{
    struct recogniser_config config = plain(f);
    struct recogniser *r;
    struct error error;
    config.reply = false;
    config.user = log;
    if (recogniser_create(&r, f->hearing, &config, &error))
        fail_msg("%s", error.message);
    return r;
}

static void hear(struct recogniser *r, const struct fixture *f, size_t from, size_t rows)
{
    assert_true((from + rows) * ROW_SAMPLES <= f->samples);
    recogniser_push(r, f->sound + from * ROW_SAMPLES, rows * ROW_SAMPLES);
}

static void assert_same_texts(const struct log *a, const struct log *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->events[i].type, b->events[i].type);
        assert_string_equal(a->events[i].text, b->events[i].text);
        assert_float_equal(a->events[i].confidence, b->events[i].confidence, 0.0f);
    }
}

/* What one ear tells that is alone, and whether it was over half way. */
static bool alone(struct fixture *f, size_t from, struct log *log)
{
    struct recogniser *r = create_logged(f, log);
    log->count = 0;
    recogniser_begin(r, 7, 0);
    hear(r, f, from, HALF_ROWS / 2);
    bool over = recogniser_is_over(r);
    hear(r, f, from + HALF_ROWS / 2, HALF_ROWS / 2);
    recogniser_end(r, 1);
    assert_int_equal(log->events[log->count - 1].type, EVENT_UTTERANCE_COMPLETED);
    recogniser_destroy(r);
    return over;
}

/* The other hears a row behind each step, from row `at` up to row `end`, and what is left of these
 * behind the last. The count of steps. */
static size_t work_beside(struct recogniser *r, struct recogniser *other, const struct fixture *f,
                          size_t at, size_t end)
{
    size_t steps = 0;
    for (; recogniser_work_on(r); steps++)
        if (at < end)
            hear(other, f, at++, 1);
    hear(other, f, at, end - at);
    return steps;
}

static void others_are_heard_between_two_steps(void **state)
{
    struct fixture *f = *state;
    static struct log single, other_single, log, other_log;
    bool over = alone(f, 0, &single);
    alone(f, HALF_ROWS, &other_single);
    struct recogniser *r = create_logged(f, &log), *other = create_logged(f, &other_log);
    recogniser_begin(r, 7, 0);
    recogniser_begin(other, 7, 0);
    hear(r, f, 0, HALF_ROWS / 2);
    recogniser_begin_judgement(r);
    assert_true(work_beside(r, other, f, HALF_ROWS, HALF_ROWS + HALF_ROWS / 2) > 1);
    assert_int_equal(recogniser_verdict(r), over);
    recogniser_is_over(other);
    hear(r, f, HALF_ROWS / 2, HALF_ROWS / 2);
    recogniser_begin_end(r, 1);
    assert_true(work_beside(r, other, f, HALF_ROWS + HALF_ROWS / 2, HALF_ROWS * 2) > 3);
    recogniser_end(other, 1);
    assert_same_texts(&log, &single);
    assert_same_texts(&other_log, &other_single);
    recogniser_destroy(other);
    recogniser_destroy(r);
}

/* It was told of once, as the last event, without a text. */
static void assert_dropped(const struct log *log)
{
    size_t dropped = 0;
    for (size_t i = 0; i < log->count; i++)
        dropped += log->events[i].type == EVENT_UTTERANCE_CANCELLED;
    assert_int_equal(dropped, 1);
    assert_int_equal(log->events[log->count - 1].type, EVENT_UTTERANCE_CANCELLED);
    assert_string_equal(log->events[log->count - 1].text, "");
}

/* Of another utterance, which is heard whole. */
static const char *text_after(struct recogniser *r, const struct fixture *f, struct log *log)
{
    recogniser_reset(r);
    log->count = 0;
    recogniser_begin(r, 7, 0);
    hear(r, f, 0, HALF_ROWS);
    recogniser_is_over(r);
    recogniser_end(r, 1);
    return log->events[log->count - 1].text;
}

/* Leaves a judgement or an end after some steps: the utterance is dropped, and what is said next is
 * as if it had not been. False: it had so few steps. */
static bool leave_after(struct fixture *f, size_t steps, bool judges, const char *text)
{
    static struct log log;
    struct recogniser *r = create_logged(f, &log);
    log.count = 0;
    recogniser_begin(r, 7, 0);
    hear(r, f, HALF_ROWS / 2, HALF_ROWS);
    if (judges)
        recogniser_begin_judgement(r);
    else
        recogniser_begin_end(r, 1);
    for (size_t done = 0; done < steps && recogniser_work_on(r);)
        done++;
    bool left = recogniser_is_working(r);
    recogniser_cancel(r);
    if (left) {
        assert_dropped(&log);
        assert_string_equal(text_after(r, f, &log), text);
    }
    recogniser_destroy(r);
    return left;
}

static void what_is_left_in_the_middle_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    static struct log single;
    alone(f, 0, &single);
    for (int judges = 0; judges < 2; judges++) {
        size_t steps = 0;
        while (leave_after(f, steps, judges, single.events[single.count - 1].text))
            steps++;
        assert_true(steps > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_heard_between_two_steps),
        cmocka_unit_test(what_is_left_in_the_middle_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
