/* When utterances began: as far apart as their audio, whatever happens to the machine's clocks. */
#include "daemon/audio_clock.h"
#include "tests/support/test.h"

#define S ((int64_t)1000000)
#define HOUR (3600 * S)
#define DATE ((int64_t)1795233012 * S)

/* A device that is 20 ms behind; the clock of 1970 is DATE + shift above that of the machine. */
static uint64_t begin_at(struct audio_clock *c, int64_t audio_us, int64_t boot_us, int64_t shift)
{
    audio_clock_caught_up(c, audio_us + S / 2, boot_us - S / 50);
    return audio_clock_begin(c, audio_us, audio_us + S / 2, boot_us, DATE + shift + boot_us);
}

static void an_id_is_when_it_began(void **state)
{
    (void)state;
    struct audio_clock c;
    audio_clock_init(&c, true, 0);
    assert_int_equal(begin_at(&c, 3 * S, 100 * S, 0), DATE + 100 * S - S / 2 - S / 50);
    assert_int_equal(c.date_us, DATE);
}

/* Set an hour forward and back, between utterances that touch and that do not. */
static void the_date_may_be_set(void **state)
{
    (void)state;
    static const int64_t shifts[] = {0, HOUR, -HOUR, 0, 100000 * HOUR, -400000 * HOUR};
    struct audio_clock c;
    audio_clock_init(&c, true, 0);
    uint64_t first = begin_at(&c, 0, 50 * S, 0);
    for (int64_t i = 0; i < 60; i++) {
        if (i)
            assert_int_equal(begin_at(&c, i * 2 * S, (50 + i * 2) * S, shifts[i % 6]),
                             first + (uint64_t)i * 2 * S);
        audio_clock_end(&c, i * 2 * S + (i % 2 ? 2 * S : S));
    }
}

static void after_a_long_silence_it_counts_again(void **state)
{
    (void)state;
    struct audio_clock c;
    audio_clock_init(&c, true, 0);
    uint64_t first = begin_at(&c, 0, 50 * S, 0);
    audio_clock_end(&c, S);
    assert_int_equal(begin_at(&c, HOUR, 50 * S + HOUR, 5 * HOUR), first + 6 * HOUR);
    audio_clock_end(&c, HOUR + S);
    /* Never back: ids rise, and go on evenly. */
    uint64_t back = begin_at(&c, 2 * HOUR, 50 * S + 2 * HOUR, 0);
    assert_true(back >= first + 6 * HOUR + S);
    audio_clock_end(&c, 2 * HOUR + S);
    assert_int_equal(begin_at(&c, 2 * HOUR + 3 * S, 53 * S + 2 * HOUR, 0), back + 3 * S);
}

/* Muted for a minute: the audio's clock stood still. */
static void a_device_that_was_closed_is_mapped_anew(void **state)
{
    (void)state;
    struct audio_clock c;
    audio_clock_init(&c, true, 0);
    uint64_t first = begin_at(&c, 0, 50 * S, 0);
    audio_clock_end(&c, 2 * S);
    assert_int_equal(begin_at(&c, 5 * S, 115 * S, 0), first + 65 * S);
    audio_clock_end(&c, 6 * S);
    assert_int_equal(begin_at(&c, 7 * S, 117 * S, 0), first + 67 * S);
}

/* A sound card that is a tenth of a per mille fast, for a week. */
static void a_clock_that_drifts_is_followed(void **state)
{
    (void)state;
    struct audio_clock c;
    audio_clock_init(&c, true, 0);
    uint64_t last = begin_at(&c, 0, 50 * S, 0), end = last + S;
    audio_clock_end(&c, S);
    for (int64_t t = HOUR; t < 7 * 24 * HOUR; t += HOUR) {
        int64_t audio_us = t + t / 10000;
        uint64_t id = begin_at(&c, audio_us, 50 * S + t, 0);
        assert_true(id >= end);
        assert_in_range(id - (uint64_t)(DATE + 50 * S - S / 2 - S / 50 + t), 0, 2 * S);
        end = id + S;
        audio_clock_end(&c, audio_us + S);
    }
}

/* A standstill of five seconds: its audio waits, and is read at once. */
static void what_waited_is_not_late(void **state)
{
    (void)state;
    struct audio_clock c;
    audio_clock_init(&c, true, 0);
    uint64_t first = begin_at(&c, 0, 50 * S, 0);
    audio_clock_end(&c, S);
    audio_clock_caught_up(&c, 2 * S, 52 * S - S / 2 - S / 50);
    uint64_t second = audio_clock_begin(&c, 3 * S, 3 * S + S / 2, 57 * S, DATE + 57 * S);
    assert_int_equal(second, first + 3 * S);
}

/* A file as fast as it can be heard, a client that sends so. */
static void what_comes_faster_than_time_is_as_far_apart(void **state)
{
    (void)state;
    struct audio_clock c;
    audio_clock_init(&c, false, 0);
    uint64_t first = audio_clock_begin(&c, 0, S, 50 * S, DATE + 50 * S);
    for (int64_t i = 1; i < 100; i++) {
        audio_clock_end(&c, i * 60 * S - 30 * S);
        assert_int_equal(
            audio_clock_begin(&c, i * 60 * S, i * 60 * S + S, 50 * S + i, DATE + 50 * S + i),
            first + (uint64_t)i * 60 * S);
    }
}

static void ids_rise_over_a_restart(void **state)
{
    (void)state;
    struct audio_clock c;
    uint64_t last = DATE + 1000 * S;
    audio_clock_init(&c, true, last);
    assert_int_equal(begin_at(&c, 0, 50 * S, 0), last + 1);
    audio_clock_end(&c, S);
    assert_int_equal(begin_at(&c, 3 * S, 53 * S, 0), last + 1 + 3 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_when_it_began),
        cmocka_unit_test(the_date_may_be_set),
        cmocka_unit_test(after_a_long_silence_it_counts_again),
        cmocka_unit_test(a_device_that_was_closed_is_mapped_anew),
        cmocka_unit_test(a_clock_that_drifts_is_followed),
        cmocka_unit_test(what_waited_is_not_late),
        cmocka_unit_test(what_comes_faster_than_time_is_as_far_apart),
        cmocka_unit_test(ids_rise_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
