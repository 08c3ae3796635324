/* dsp/vad against training/vad.py's own arithmetic in float64, and on sounds that are not speech.
 */
#include "dsp/endpoint.h"
#include "dsp/logmel.h"
#include "dsp/vad.h"
#include "tests/support/npy.h"
#include "tests/support/speech.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum {
    RATE_HZ = 16000,
};

static void the_c_is_the_python(void **state)
{
    (void)state;
    struct npy features;
    struct npy golden;
    struct vad *v;
    assert_int_equal(npy_load(&features, "tests/golden/vad_features.npy"), 0);
    assert_int_equal(npy_load(&golden, "tests/golden/vad_probability.npy"), 0);
    assert_int_equal(features.count, golden.count * VAD_BINS);
    float *probability = malloc(golden.count * sizeof(float));
    assert_non_null(probability);
    assert_int_equal(vad_create(&v), 0);
    vad_push(v, features.floats, golden.count, probability);
    double worst = 0.0;
    for (size_t t = 0; t < golden.count; t++)
        worst = fmax(worst, fabs(probability[t] - golden.floats[t]));
    print_message("greatest difference %.2e\n", worst);
    assert_true(worst < 1e-4);
    vad_destroy(v);
    free(probability);
    npy_free(&features);
    npy_free(&golden);
}

static void any_split_gives_the_same_bits(void **state)
{
    (void)state;
    struct npy features;
    struct vad *v;
    assert_int_equal(npy_load(&features, "tests/golden/vad_features.npy"), 0);
    size_t count = features.count / VAD_BINS;
    float *whole = malloc(2 * count * sizeof(float));
    assert_non_null(whole);
    float *parts = whole + count;
    assert_int_equal(vad_create(&v), 0);
    vad_push(v, features.floats, count, whole);
    const size_t chunks[] = {1, 2, 7, 100};
    for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
        vad_reset(v);
        for (size_t i = 0; i < count; i += chunks[c]) {
            size_t part = count - i < chunks[c] ? count - i : chunks[c];
            vad_push(v, features.floats + i * VAD_BINS, part, parts + i);
        }
        assert_memory_equal(parts, whole, count * sizeof(float));
    }
    vad_destroy(v);
    free(whole);
    npy_free(&features);
}

static void nonsense_is_survived(void **state)
{
    (void)state;
    struct vad *v;
    float frames[4 * VAD_BINS];
    float probability[4];
    for (int i = 0; i < 4 * VAD_BINS; i++)
        frames[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
    assert_int_equal(vad_create(&v), 0);
    vad_push(v, frames, 4, probability);
    for (int t = 0; t < 4; t++)
        assert_true(probability[t] >= 0.0f && probability[t] <= 1.0f);
    vad_destroy(v);
    vad_destroy(NULL);
}

struct heard {
    int utterances;
    double speech_s; /* in utterances */
    double cpu_us;   /* a frame, log-mel and detector */
};

static struct heard hear(const float *samples, size_t count, float gain)
{
    struct logmel *m;
    struct vad *v;
    struct endpoint e;
    struct endpoint_config config = endpoint_config_default();
    struct heard heard = {0};
    endpoint_init(&e, &config);
    assert_int_equal(logmel_create(&m, VAD_BINS), 0);
    assert_int_equal(vad_create(&v), 0);
    clock_t begun = clock();
    for (size_t i = 0; i <= count; i++) {
        float frames[VAD_BINS * 2];
        float probability[2];
        float sample = i < count ? gain * samples[i] : 0.0f;
        size_t n = i < count ? logmel_push(m, &sample, 1, frames) : logmel_flush(m, frames);
        vad_push(v, frames, n, probability);
        enum endpoint_event event = n > 0 ? endpoint_push(&e, probability[0]) : ENDPOINT_NONE;
        if (i == count && event == ENDPOINT_NONE)
            event = endpoint_finish(&e);
        if (event != ENDPOINT_END)
            continue;
        heard.utterances++;
        heard.speech_s += 0.01 * (double)(e.end_frame - e.begin_frame);
    }
    heard.cpu_us = 1e6 * (double)(clock() - begun) / CLOCKS_PER_SEC / ((double)count / 160.0);
    vad_destroy(v);
    logmel_destroy(m);
    return heard;
}

static void speech_is_found_at_any_level(void **state)
{
    (void)state;
    size_t count;
    float *samples = speech_load(&count);
    const float gains[] = {1.0f, 0.1f, 0.01f};
    for (int i = 0; i < 3; i++) {
        struct heard heard = hear(samples, count, gains[i]);
        print_message("gain %.2f: %d utterances, %.1f s of %.1f s, %.1f us a frame\n", gains[i],
                      heard.utterances, heard.speech_s, (double)count / RATE_HZ, heard.cpu_us);
        assert_int_equal(heard.utterances, SPEECH_UTTERANCES);
    }
    free(samples);
}

static float noise_sample(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1.0f;
}

static void noise_hum_and_silence_are_not_speech(void **state)
{
    (void)state;
    enum { COUNT = 20 * RATE_HZ };
    float *samples = malloc(COUNT * sizeof(float));
    assert_non_null(samples);
    uint32_t seed = 1;
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < COUNT; i++) {
            float t = (float)i / RATE_HZ;
            float hum = 0.1f * sinf(314.159f * t) + 0.05f * sinf(942.478f * t);
            float burst = i % RATE_HZ < RATE_HZ / 2 ? 1.0f : 0.01f;
            samples[i] = kind == 0   ? 0.0f
                         : kind == 1 ? 0.05f * noise_sample(&seed)
                         : kind == 2 ? hum + 0.001f * noise_sample(&seed)
                                     : 0.1f * burst * noise_sample(&seed);
        }
        struct heard heard = hear(samples, COUNT, 1.0f);
        print_message("sound %d: %d utterances\n", kind, heard.utterances);
        assert_int_equal(heard.utterances, 0);
    }
    free(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_c_is_the_python),
        cmocka_unit_test(any_split_gives_the_same_bits),
        cmocka_unit_test(nonsense_is_survived),
        cmocka_unit_test(speech_is_found_at_any_level),
        cmocka_unit_test(noise_hum_and_silence_are_not_speech),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
