/* audio/mixdown: which channel is heard, and that nothing else changes. */
#include "audio/mixdown.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE_HZ = 16000,
    FRAMES = 2 * RATE_HZ,
    BLOCK = RATE_HZ / 100,
};

static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 2147483648.0f;
}

/* Words of 0.3 s with pauses of 0.2 s between them. */
static float voice(size_t i)
{
    if (i % (RATE_HZ / 2) >= RATE_HZ * 3 / 10)
        return 0.0f;
    return 0.3f * sinf(0.3f * (float)i) + 0.1f * sinf(1.1f * (float)i);
}

typedef void fill_frame(size_t i, float v, float *frame, uint32_t *state);

/* Mixes the channels in pieces of `split` frames; free the result. */
static float *mixed(fill_frame *fill, int channels, size_t split)
{
    float *in = malloc((size_t)FRAMES * (size_t)channels * sizeof *in);
    float *out = malloc(FRAMES * sizeof *out);
    uint32_t state = 1;
    struct mixdown m;
    for (size_t i = 0; i < FRAMES; i++)
        fill(i, voice(i), in + i * (size_t)channels, &state);
    mixdown_init(&m, RATE_HZ, channels);
    for (size_t i = 0; i < FRAMES; i += split)
        mixdown_push(&m, in + i * (size_t)channels, FRAMES - i < split ? FRAMES - i : split,
                     out + i);
    free(in);
    return out;
}

/* The voice's part of what is heard, and what else is in its words, in dB of the voice. */
static void measure(const float *out, double *gain, double *rest_db)
{
    double voice2 = 0, both = 0, rest = 0;
    for (size_t i = 0; i < FRAMES; i++) {
        voice2 += (double)voice(i) * (double)voice(i);
        both += (double)voice(i) * (double)out[i];
    }
    *gain = both / voice2;
    for (size_t i = 0; i < FRAMES; i++)
        rest += voice(i) == 0.0f ? 0 : pow((double)out[i] - *gain * (double)voice(i), 2);
    *rest_db = 10 * log10(rest / voice2 + 1e-20);
}

static void assert_heard(fill_frame *fill, int channels, double least_gain, double most_rest_db)
{
    static const size_t splits[] = {1, 7, BLOCK, 1000};
    double gain, rest_db;
    float *whole = mixed(fill, channels, FRAMES);
    measure(whole, &gain, &rest_db);
    print_message("gain %.3f, rest %.1f dB\n", gain, rest_db);
    assert_true(gain > least_gain && gain < 1.01);
    assert_true(rest_db < most_rest_db);
    for (size_t s = 0; s < sizeof splits / sizeof *splits; s++) {
        float *out = mixed(fill, channels, splits[s]);
        assert_memory_equal(out, whole, FRAMES * sizeof *out);
        free(out);
    }
    free(whole);
}

static void alike(size_t i, float v, float *frame, uint32_t *state)
{
    (void)i;
    (void)state;
    frame[0] = frame[1] = v;
}

static void inverse(size_t i, float v, float *frame, uint32_t *state)
{
    (void)i;
    (void)state;
    frame[0] = v;
    frame[1] = -v;
}

static void left_empty(size_t i, float v, float *frame, uint32_t *state)
{
    (void)i;
    (void)state;
    frame[0] = 0.0f;
    frame[1] = v;
}

/* A plug with nothing in it: hum, an offset, a little noise. */
static void left_hums(size_t i, float v, float *frame, uint32_t *state)
{
    frame[0] = 0.2f + 0.3f * sinf((float)i * 0.0196f) + 0.002f * noise(state);
    frame[1] = v;
}

static void third_of_six(size_t i, float v, float *frame, uint32_t *state)
{
    (void)i;
    for (int c = 0; c < 6; c++)
        frame[c] = c == 2 ? v : 0.001f * noise(state);
}

/* A call: one speaks into the left, then the other into the right. */
static void in_turn(size_t i, float v, float *frame, uint32_t *state)
{
    bool first = i < FRAMES / 2;
    frame[0] = (first ? v : 0.0f) + 0.001f * noise(state);
    frame[1] = (first ? 0.0f : v) + 0.001f * noise(state);
}

static void two_rooms(size_t i, float v, float *frame, uint32_t *state)
{
    (void)i;
    frame[0] = v + 0.05f * noise(state);
    frame[1] = v + 0.05f * noise(state);
}

static void the_voice_is_heard_whole(void **state)
{
    (void)state;
    assert_heard(inverse, 2, 0.98, -15);
    assert_heard(left_empty, 2, 0.98, -15);
    assert_heard(left_hums, 2, 0.95, -10); /* the hum before the first word */
    assert_heard(third_of_six, 6, 0.97, -15);
    assert_heard(in_turn, 2, 0.96, -12);
}

static void channels_that_are_alike_are_their_mean(void **state)
{
    (void)state;
    float *out = mixed(alike, 2, FRAMES);
    for (size_t i = 0; i < FRAMES; i++)
        assert_true(out[i] == voice(i));
    free(out);
    assert_heard(two_rooms, 2, 0.99, -16); /* half the noise of one */
}

static void one_channel_is_as_it_was(void **state)
{
    (void)state;
    const float in[] = {0.5f, NAN, -1.0f, INFINITY, 1e9f};
    const float expected[] = {0.5f, 0.0f, -1.0f, 0.0f, 0.0f};
    float out[5];
    struct mixdown m;
    mixdown_init(&m, RATE_HZ, 1);
    mixdown_push(&m, in, 5, out);
    assert_memory_equal(out, expected, sizeof out);
}

static void a_broken_channel_does_not_silence_the_other(void **state)
{
    (void)state;
    float frame[2] = {NAN, 0.5f}, out = 0.0f;
    struct mixdown m;
    mixdown_init(&m, RATE_HZ, 2);
    for (size_t i = 0; i < RATE_HZ; i++) {
        frame[1] = 0.5f * sinf(0.3f * (float)i);
        mixdown_push(&m, frame, 1, &out);
        assert_true(isfinite(out));
    }
    assert_true(out == frame[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_voice_is_heard_whole),
        cmocka_unit_test(channels_that_are_alike_are_their_mean),
        cmocka_unit_test(one_channel_is_as_it_was),
        cmocka_unit_test(a_broken_channel_does_not_silence_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
