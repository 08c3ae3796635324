/* audio/resample: tones against the sine they should be, in dB; aliases; length; any split. */
#include "audio/resample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const int rates_hz[] = {8000,  11025, 12000, 22050, 24000, 32000,
                               44100, 48000, 88200, 96000, 192000};
enum {
    RATES = sizeof(rates_hz) / sizeof(rates_hz[0]),
};

/* Two seconds of a sine of the given frequency, in every channel; owned by the caller. */
static float *make_tone(int rate_hz, int channels, double hz, size_t *frames)
{
    *frames = 2 * (size_t)rate_hz;
    float *samples = malloc(*frames * (size_t)channels * sizeof(float));
    assert_non_null(samples);
    for (size_t i = 0; i < *frames; i++) {
        for (int c = 0; c < channels; c++)
            samples[i * (size_t)channels + (size_t)c] =
                (float)(0.5 * sin(2.0 * M_PI * hz * (double)i / rate_hz));
    }
    return samples;
}

/* Pushes chunk frames at a time and flushes; the output is owned by the caller. */
static float *run(int rate_hz, int channels, const float *samples, size_t frames, size_t chunk,
                  size_t *count)
{
    struct resample *r;
    assert_int_equal(resample_create(&r, rate_hz, channels), 0);
    size_t room = resample_bound(r, frames) + resample_bound(r, 0);
    float *out = malloc((room + resample_bound(r, chunk)) * sizeof(float));
    assert_non_null(out);
    *count = 0;
    for (size_t i = 0; i < frames; i += chunk) {
        size_t part = frames - i < chunk ? frames - i : chunk;
        size_t made = resample_push(r, samples + i * (size_t)channels, part, out + *count);
        assert_true(made <= resample_bound(r, part));
        *count += made;
    }
    size_t last = resample_flush(r, out + *count);
    assert_true(last <= resample_bound(r, 0));
    *count += last;
    resample_destroy(r);
    return out;
}

/* Signal to what is not the sine of that frequency, whatever its amplitude and phase, in dB. */
static double tone_snr_db(const float *out, size_t count, double hz, double *amplitude)
{
    double sums[2] = {0};
    double error = 0.0;
    size_t edge = 1000; /* the filter's ends */
    size_t n = count - 2 * edge;
    n = n / 1600 * 1600; /* whole periods of multiples of 10 Hz */
    for (size_t i = 0; i < n; i++) {
        double phase = 2.0 * M_PI * hz * (double)(edge + i) / 16000.0;
        sums[0] += out[edge + i] * sin(phase) * 2.0 / (double)n;
        sums[1] += out[edge + i] * cos(phase) * 2.0 / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double phase = 2.0 * M_PI * hz * (double)(edge + i) / 16000.0;
        double ideal = sums[0] * sin(phase) + sums[1] * cos(phase);
        error += (out[edge + i] - ideal) * (out[edge + i] - ideal) / (double)n;
    }
    *amplitude = hypot(sums[0], sums[1]);
    return 10.0 * log10(*amplitude * *amplitude / 2.0 / error);
}

static void a_tone_stays_a_tone(void **state)
{
    (void)state;
    for (int i = 0; i < RATES; i++) {
        size_t frames;
        size_t count;
        double amplitude;
        float *tone = make_tone(rates_hz[i], 1, 1000.0, &frames);
        float *out = run(rates_hz[i], 1, tone, frames, 1024, &count);
        double snr = tone_snr_db(out, count, 1000.0, &amplitude);
        print_message("%6d Hz: 1 kHz tone, SNR %.1f dB, gain %.4f dB\n", rates_hz[i], snr,
                      20.0 * log10(amplitude / 0.5));
        assert_true(snr > 100.0);
        assert_true(fabs(amplitude / 0.5 - 1.0) < 1e-3);
        free(out);
        free(tone);
    }
}

static void fricatives_pass(void **state)
{
    (void)state;
    for (int i = 0; i < RATES; i++) {
        size_t frames;
        size_t count;
        double amplitude;
        if (rates_hz[i] < RESAMPLE_RATE_HZ)
            continue;
        float *tone = make_tone(rates_hz[i], 1, 7000.0, &frames);
        float *out = run(rates_hz[i], 1, tone, frames, 1024, &count);
        double snr = tone_snr_db(out, count, 7000.0, &amplitude);
        double gain_db = 20.0 * log10(amplitude / 0.5);
        print_message("%6d Hz: 7 kHz tone, SNR %.1f dB, gain %.4f dB\n", rates_hz[i], snr, gain_db);
        assert_true(snr > 90.0);
        assert_true(fabs(gain_db) < 0.5);
        free(out);
        free(tone);
    }
}

static void what_16_khz_cannot_hold_is_gone(void **state)
{
    (void)state;
    for (int i = 0; i < RATES; i++) {
        for (double hz = 8500.0; hz < rates_hz[i] / 2.0; hz += 2300.0) {
            size_t frames;
            size_t count;
            float *tone = make_tone(rates_hz[i], 1, hz, &frames);
            float *out = run(rates_hz[i], 1, tone, frames, 1024, &count);
            double power = 0.0;
            for (size_t j = 1000; j < count - 1000; j++)
                power += (double)out[j] * out[j] / (double)(count - 2000);
            double alias_db = 10.0 * log10(power / 0.125 + 1e-30);
            if (hz < 9000.0)
                print_message("%6d Hz: 8.5 kHz tone leaves %.1f dB\n", rates_hz[i], alias_db);
            assert_true(alias_db < -90.0);
            free(out);
            free(tone);
        }
    }
}

static void length_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < RATES; i++) {
        size_t frames;
        size_t count;
        float *tone = make_tone(rates_hz[i], 2, 440.0, &frames);
        float *out = run(rates_hz[i], 2, tone, frames, 777, &count);
        assert_in_range(count, 31999, 32001);
        free(out);
        free(tone);
    }
}

static void any_split_gives_the_same_samples(void **state)
{
    (void)state;
    const size_t chunks[] = {1, 160, 1000};
    for (int i = 0; i < RATES; i++) {
        size_t frames;
        size_t whole_count;
        float *samples = make_tone(rates_hz[i], 2, 3210.0, &frames);
        for (size_t j = 0; j < 2 * frames; j++)
            samples[j] += 0.1f * (float)(j * 7919 % 1013) / 1013.0f;
        float *whole = run(rates_hz[i], 2, samples, frames, frames, &whole_count);
        for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
            size_t count;
            float *out = run(rates_hz[i], 2, samples, frames, chunks[c], &count);
            assert_int_equal(count, whole_count);
            assert_memory_equal(out, whole, count * sizeof(float));
            free(out);
        }
        free(whole);
        free(samples);
    }
}

static void sixteen_kilohertz_pass_through(void **state)
{
    (void)state;
    size_t frames;
    size_t count;
    float *tone = make_tone(16000, 1, 440.0, &frames);
    float *out = run(16000, 1, tone, frames, 333, &count);
    assert_int_equal(count, frames);
    assert_memory_equal(out, tone, frames * sizeof(float));
    free(out);
    free(tone);
}

static void channels_are_averaged(void **state)
{
    (void)state;
    const float samples[2][4] = {{1.0f, 0.5f, 0.0f, -0.5f}, {0.0f, 0.0f, 0.0f, 1.0f}};
    float out[2];
    struct resample *r;
    assert_int_equal(resample_create(&r, 16000, 4), 0);
    assert_int_equal(resample_push(r, &samples[0][0], 2, out), 2);
    assert_true(out[0] == 0.25f);
    assert_true(out[1] == 0.25f);
    resample_destroy(r);
}

static void what_is_no_number_becomes_silence(void **state)
{
    (void)state;
    size_t frames;
    size_t count;
    float *samples = make_tone(48000, 1, 440.0, &frames);
    samples[5000] = NAN;
    samples[6000] = INFINITY;
    samples[7000] = 1e25f; /* no sound: its square is none either */
    float *out = run(48000, 1, samples, frames, 480, &count);
    for (size_t i = 0; i < count; i++)
        assert_true(fabsf(out[i]) < 2.0f);
    free(out);
    free(samples);
}

static void reset_and_flush_begin_a_new_stream(void **state)
{
    (void)state;
    enum { COUNT = 4800 };
    float samples[COUNT];
    float first[COUNT];
    float second[COUNT];
    struct resample *r;
    for (int i = 0; i < COUNT; i++)
        samples[i] = sinf(0.05f * (float)i);
    assert_int_equal(resample_create(&r, 48000, 1), 0);
    size_t a = resample_push(r, samples, COUNT, first);
    a += resample_flush(r, first + a);
    resample_push(r, samples, 100, second);
    resample_reset(r);
    size_t b = resample_push(r, samples, COUNT, second);
    b += resample_flush(r, second + b);
    assert_int_equal(a, b);
    assert_memory_equal(first, second, a * sizeof(float));
    resample_destroy(r);
}

static void absurd_formats_are_refused(void **state)
{
    (void)state;
    struct resample *r;
    assert_true(resample_create(&r, 0, 1) < 0);
    assert_null(r);
    assert_true(resample_create(&r, 3999, 1) < 0);
    assert_true(resample_create(&r, 384001, 1) < 0);
    assert_true(resample_create(&r, 48000, 0) < 0);
    assert_true(resample_create(&r, 48000, 65) < 0);
    resample_destroy(NULL);
}

static void a_second_takes_milliseconds(void **state)
{
    (void)state;
    size_t frames;
    size_t count;
    float *tone = make_tone(48000, 1, 440.0, &frames);
    clock_t begun = clock();
    free(run(48000, 1, tone, frames, 480, &count));
    print_message("48 kHz mono: %.2f %% of a core\n",
                  100.0 * (double)(clock() - begun) / CLOCKS_PER_SEC / 2.0);
    free(tone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tone_stays_a_tone),
        cmocka_unit_test(fricatives_pass),
        cmocka_unit_test(what_16_khz_cannot_hold_is_gone),
        cmocka_unit_test(length_is_kept),
        cmocka_unit_test(any_split_gives_the_same_samples),
        cmocka_unit_test(sixteen_kilohertz_pass_through),
        cmocka_unit_test(channels_are_averaged),
        cmocka_unit_test(what_is_no_number_becomes_silence),
        cmocka_unit_test(reset_and_flush_begin_a_new_stream),
        cmocka_unit_test(absurd_formats_are_refused),
        cmocka_unit_test(a_second_takes_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
