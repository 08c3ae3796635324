/* The level of tones and of silence, in any pieces. */
#include "dsp/level.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    SECOND = 16000,
};

static void push_tone(struct level *l, float amplitude, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float sample = amplitude * sinf(0.4f * (float)i);
        level_push(l, &sample, 1);
    }
}

static void a_tone_has_its_level(void **state)
{
    (void)state;
    struct level l;
    level_init(&l);
    push_tone(&l, 0.1f, 3 * SECOND);
    print_message("0.1 sine: rms %.3f dB, peak %.3f dB\n", level_rms_db(&l), level_peak_db(&l));
    assert_true(fabsf(level_rms_db(&l) + 23.01f) < 0.05f);
    assert_true(fabsf(level_peak_db(&l) + 20.0f) < 0.05f);
}

static void silence_releases_in_300_ms(void **state)
{
    (void)state;
    struct level l;
    float silence[SECOND] = {0};
    level_init(&l);
    push_tone(&l, 1.0f, 3 * SECOND);
    float before = level_rms_db(&l);
    float peak_before = level_peak_db(&l);
    level_push(&l, silence, SECOND * 3 / 10);
    /* A factor of e: 4.34 dB of power, 8.69 dB of amplitude. */
    assert_true(fabsf(before - level_rms_db(&l) - 4.343f) < 0.02f);
    assert_true(fabsf(peak_before - level_peak_db(&l) - 8.686f) < 0.02f);
}

static void digital_silence_ends_at_zero(void **state)
{
    (void)state;
    struct level l;
    float silence[SECOND] = {0};
    level_init(&l);
    assert_true(level_rms_db(&l) == -120.0f);
    push_tone(&l, 1.0f, SECOND);
    for (int i = 0; i < 60; i++)
        level_push(&l, silence, SECOND);
    assert_true(l.mean_square == 0.0f);
    assert_true(l.peak == 0.0f);
    assert_true(level_rms_db(&l) == -120.0f);
    assert_true(level_peak_db(&l) == -120.0f);
}

static void any_split_gives_the_same_level(void **state)
{
    (void)state;
    float samples[SECOND];
    for (int i = 0; i < SECOND; i++)
        samples[i] = sinf(0.01f * (float)i * (float)(i % 13));
    struct level whole;
    struct level parts;
    level_init(&whole);
    level_init(&parts);
    level_push(&whole, samples, SECOND);
    for (int i = 0; i < SECOND; i += 160)
        level_push(&parts, samples + i, 160);
    assert_memory_equal(&whole, &parts, sizeof(whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tone_has_its_level),
        cmocka_unit_test(silence_releases_in_300_ms),
        cmocka_unit_test(digital_silence_ends_at_zero),
        cmocka_unit_test(any_split_gives_the_same_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
