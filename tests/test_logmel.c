/* dsp/logmel against tests/golden/make_logmel.py, against a plain DFT for short utterances, and
 * against itself for every split. */
#include "dsp/logmel.h"
#include "tests/support/npy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char signal_path[] = "tests/golden/logmel_signal.npy";

static float *load(const char *path, size_t *count)
{
    struct npy array;
    assert_int_equal(npy_load(&array, path), 0);
    *count = array.count;
    return array.floats;
}

/* Pushes chunk samples at a time, flushes; frames [*, bins], owned by the caller. */
static float *run(int bins, const float *samples, size_t count, size_t chunk, size_t *frame_count)
{
    struct logmel *m;
    assert_int_equal(logmel_create(&m, bins), 0);
    float *frames = malloc((logmel_bound(count) + 2) * (size_t)bins * sizeof(float));
    assert_non_null(frames);
    size_t made = 0;
    for (size_t i = 0; i < count; i += chunk) {
        size_t part = count - i < chunk ? count - i : chunk;
        size_t now = logmel_push(m, samples + i, part, frames + made * (size_t)bins);
        assert_true(now <= logmel_bound(part));
        made += now;
    }
    size_t last = logmel_flush(m, frames + made * (size_t)bins);
    assert_true(last <= logmel_bound(0));
    *frame_count = made + last;
    logmel_destroy(m);
    return frames;
}

static void check_golden(int bins, const char *path)
{
    size_t samples_count;
    size_t golden_count;
    size_t frame_count;
    float *samples = load(signal_path, &samples_count);
    float *golden = load(path, &golden_count);
    float *frames = run(bins, samples, samples_count, samples_count, &frame_count);
    assert_int_equal(frame_count, samples_count / LOGMEL_HOP);
    assert_int_equal(frame_count * (size_t)bins, golden_count);
    double worst = 0.0;
    double squares = 0.0;
    for (size_t i = 0; i < golden_count; i++) {
        double difference = fabs((double)frames[i] - golden[i]);
        worst = fmax(worst, difference);
        squares += difference * difference;
    }
    double rms = sqrt(squares / (double)golden_count);
    print_message("%d bins: differences: greatest %.2e, rms %.2e\n", bins, worst, rms);
    /* The greatest is where a band holds 1e-9 beside a full-scale tone: there float32 ends.
     * torch.stft in float32 is 8.5e-4 and 1.0e-5 from the same reference. */
    assert_true(worst < 2e-3);
    assert_true(rms < 2e-5);
    free(frames);
    free(golden);
    free(samples);
}

static void eighty_bins_are_whispers(void **state)
{
    (void)state;
    check_golden(80, "tests/golden/logmel_80.npy");
}

static void a_hundred_and_twenty_eight_bins_are_whispers(void **state)
{
    (void)state;
    check_golden(128, "tests/golden/logmel_128.npy");
}

static void any_split_gives_the_same_bits(void **state)
{
    (void)state;
    size_t count;
    size_t whole_count;
    float *samples = load(signal_path, &count);
    float *whole = run(80, samples, count, count, &whole_count);
    const size_t chunks[] = {1, 2, 7, 160, 161, 399, 1000};
    for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
        size_t frame_count;
        float *frames = run(80, samples, count, chunks[c], &frame_count);
        assert_int_equal(frame_count, whole_count);
        assert_memory_equal(frames, whole, whole_count * 80 * sizeof(float));
        free(frames);
    }
    free(whole);
    free(samples);
}

/* numpy.pad(mode="reflect"), one sample. */
static float mirrored(const float *samples, long count, long i)
{
    while (i < 0 || i >= count)
        i = i < 0 ? -i : 2 * (count - 1) - i;
    return samples[i];
}

/* Power of one frequency of one frame, straight from the definition. */
static double slow_power(const float *samples, long count, long frame, int k)
{
    double re = 0.0;
    double im = 0.0;
    for (int n = 0; n < LOGMEL_WINDOW; n++) {
        double phase = 2.0 * M_PI * n / LOGMEL_WINDOW;
        double x = (0.5 - 0.5 * cos(phase)) * mirrored(samples, count, frame * 160 - 200 + n);
        re += x * cos(phase * k);
        im -= x * sin(phase * k);
    }
    return re * re + im * im;
}

/* One bin is one triangle over the whole band: up to its centre, down to 8 kHz. */
static double slow_single_bin(const float *samples, long count, long frame)
{
    double top = 15.0 + log(8.0) * 27.0 / log(6.4);
    double centre = 1000.0 * exp((top / 2.0 - 15.0) * log(6.4) / 27.0);
    double mel = 0.0;
    for (int k = 0; k <= LOGMEL_WINDOW / 2; k++) {
        double hz = 40.0 * k;
        double weight = fmin(hz / centre, (8000.0 - hz) / (8000.0 - centre));
        mel += weight * 2.0 / 8000.0 * slow_power(samples, count, frame, k);
    }
    return (log10(fmax(mel, 1e-10)) + 4.0) / 4.0;
}

static void short_utterances_are_mirrored_again_and_again(void **state)
{
    (void)state;
    float samples[600];
    for (int i = 0; i < 600; i++)
        samples[i] = sinf(0.1f * (float)i) + 0.3f * cosf(1.7f * (float)(i * i % 97));
    const long counts[] = {0, 1, 159, 160, 161, 199, 200, 201, 202, 319, 320, 359, 360, 361, 599};
    double worst = 0.0;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        size_t frame_count;
        float *frames = run(1, samples, (size_t)counts[c], 50, &frame_count);
        assert_int_equal(frame_count, counts[c] / 160);
        for (size_t t = 0; t < frame_count; t++)
            worst = fmax(worst, fabs(frames[t] - slow_single_bin(samples, counts[c], (long)t)));
        free(frames);
    }
    print_message("short utterances: greatest difference %.2e\n", worst);
    assert_true(worst < 1e-5);
}

static void flush_begins_a_new_utterance(void **state)
{
    (void)state;
    size_t count;
    float *samples = load(signal_path, &count);
    struct logmel *m;
    assert_int_equal(logmel_create(&m, 80), 0);
    float *first = malloc(2 * logmel_bound(count) * 80 * sizeof(float));
    assert_non_null(first);
    float *second = first + logmel_bound(count) * 80;
    size_t a = logmel_push(m, samples, count, first);
    a += logmel_flush(m, first + a * 80);
    size_t b = logmel_push(m, samples, count, second);
    b += logmel_flush(m, second + b * 80);
    assert_int_equal(a, b);
    assert_memory_equal(first, second, a * 80 * sizeof(float));
    logmel_destroy(m);
    free(first);
    free(samples);
}

static void silence_and_nonsense_are_the_floor(void **state)
{
    (void)state;
    float samples[1600] = {0};
    for (int i = 800; i < 1600; i++)
        samples[i] = NAN;
    size_t frame_count;
    float *frames = run(80, samples, 1600, 1600, &frame_count);
    assert_int_equal(frame_count, 10);
    for (size_t i = 0; i < frame_count * 80; i++)
        assert_true(fabsf(frames[i] + 1.5f) < 1e-6f);
    free(frames);
}

static void absurd_bins_are_refused(void **state)
{
    (void)state;
    struct logmel *m;
    assert_true(logmel_create(&m, 0) < 0);
    assert_null(m);
    assert_true(logmel_create(&m, 129) < 0);
    logmel_destroy(NULL);
}

static void a_frame_takes_microseconds(void **state)
{
    (void)state;
    enum { COUNT = 160000 };
    float *samples = malloc(COUNT * sizeof(float));
    assert_non_null(samples);
    for (int i = 0; i < COUNT; i++)
        samples[i] = sinf(0.01f * (float)i);
    size_t frame_count;
    clock_t begun = clock();
    free(run(80, samples, COUNT, 160, &frame_count));
    double us = (double)(clock() - begun) / CLOCKS_PER_SEC * 1e6 / (double)frame_count;
    print_message("%.2f us a frame\n", us);
    free(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eighty_bins_are_whispers),
        cmocka_unit_test(a_hundred_and_twenty_eight_bins_are_whispers),
        cmocka_unit_test(any_split_gives_the_same_bits),
        cmocka_unit_test(short_utterances_are_mirrored_again_and_again),
        cmocka_unit_test(flush_begins_a_new_utterance),
        cmocka_unit_test(silence_and_nonsense_are_the_floor),
        cmocka_unit_test(absurd_bins_are_refused),
        cmocka_unit_test(a_frame_takes_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
