/* Packets into samples: nothing is lost, what is missing is counted, garbage is survived. */
#include "daemon/stream_decoder.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <opus/opus.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    PACKET_MAX = STREAM_HEADER + STREAM_PAYLOAD + 16,
};

static unsigned char packet[PACKET_MAX];

static struct stream_decoder *create(enum stream_codec codec, uint32_t channels)
{
    struct stream_decoder *d;
    struct stream_format f = {codec, 0, channels};
    assert_int_equal(stream_format_check(&f, NULL), 0);
    assert_int_equal(stream_decoder_create(&d, &f), 0);
    return d;
}

static struct stream_audio push(struct stream_decoder *d, uint64_t position, const void *payload,
                                size_t size)
{
    struct stream_audio audio;
    memcpy(packet, &position, sizeof position);
    if (size)
        memcpy(packet + STREAM_HEADER, payload, size);
    stream_decoder_push(d, packet, STREAM_HEADER + size, &audio);
    return audio;
}

static void pcm_is_as_it_was(void **state)
{
    (void)state;
    struct stream_decoder *d = create(STREAM_S16, 2);
    const int16_t s16[4] = {-32768, 16384, 0, 1};
    struct stream_audio a = push(d, 77, s16, sizeof s16);
    assert_int_equal(a.frames, 2);
    assert_int_equal(a.gap + a.concealed, 0); /* the first packet may begin anywhere */
    assert_true(a.samples[0] == -1.0f && a.samples[1] == 0.5f && a.samples[3] == 1 / 32768.0f);
    stream_decoder_destroy(d);

    d = create(STREAM_F32, 1);
    const float f32[3] = {0.25f, -2.0f, 1e-9f};
    a = push(d, 0, f32, sizeof f32);
    assert_int_equal(a.frames, 3);
    assert_memory_equal(a.samples, f32, sizeof f32);
    stream_decoder_destroy(d);
}

static void what_is_missing_is_counted(void **state)
{
    (void)state;
    int16_t tone[160];
    for (size_t i = 0; i < 160; i++)
        tone[i] = 1000;
    struct stream_decoder *d = create(STREAM_S16, 1);
    push(d, 0, tone, sizeof tone);
    struct stream_audio a = push(d, 160 + 1600, tone, sizeof tone); /* 100 ms are made up */
    assert_int_equal(a.frames, 1760);
    assert_int_equal(a.concealed, 1600);
    assert_int_equal(a.gap, 0);
    assert_true(a.samples[1599] == 0.0f && a.samples[1600] != 0.0f);
    a = push(d, 1920 + 1601, tone, sizeof tone); /* more are not */
    assert_int_equal(a.frames, 160);
    assert_int_equal(a.gap, 1601);
    a = push(d, 1000, tone, sizeof tone); /* late */
    assert_int_equal(a.frames, 0);
    a = push(d, 3681, tone, sizeof tone - 1); /* half a sample */
    assert_int_equal(a.frames, 0);
    a = push(d, 3841, tone, sizeof tone); /* so it was missing */
    assert_int_equal(a.concealed, 160);
    stream_decoder_destroy(d);
}

static void a_wild_position_is_no_place(void **state)
{
    (void)state;
    const int16_t tone[160] = {1};
    const uint64_t day = (uint64_t)86400 * 16000, far = (uint64_t)1 << 63;
    struct stream_decoder *d = create(STREAM_S16, 1);
    push(d, 0, tone, sizeof tone);
    assert_int_equal(push(d, far, tone, sizeof tone).frames, 0);
    struct stream_audio a = push(d, 320, tone, sizeof tone);
    assert_int_equal(a.frames, 320);
    assert_int_equal(a.concealed, 160); /* what the wild one had */
    assert_int_equal(push(d, 480 + day, tone, sizeof tone).gap, day);
    push(d, far, tone, sizeof tone);
    assert_int_equal(push(d, 640 + day, tone, sizeof tone).frames, 160);
    assert_int_equal(push(d, far + 160, tone, sizeof tone).frames, 0); /* another between */
    a = push(d, far + 320, tone, sizeof tone);
    assert_int_equal(a.frames, 160);
    assert_int_equal(a.gap, day); /* at most */
    assert_int_equal(push(d, 0, tone, sizeof tone).frames, 0);
    assert_int_equal(push(d, 160, tone, sizeof tone).frames, 160); /* begun anew */
    assert_int_equal(push(d, 320, tone, sizeof tone).frames, 160);
    stream_decoder_destroy(d);
}

static void a_wild_beginning_is_left(void **state)
{
    (void)state;
    const int16_t tone[160] = {1};
    struct stream_decoder *d = create(STREAM_S16, 1);
    push(d, (uint64_t)1 << 63, tone, sizeof tone);
    assert_int_equal(push(d, 0, tone, sizeof tone).frames, 0);
    assert_int_equal(push(d, 160, tone, sizeof tone).frames, 160);
    stream_decoder_destroy(d);
}

static double power(const float *x, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum / (double)count;
}

static void opus_conceals(void **state)
{
    (void)state;
    struct stream_decoder *d = create(STREAM_OPUS, 1);
    OpusEncoder *e = opus_encoder_create(48000, 1, OPUS_APPLICATION_VOIP, NULL);
    opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(20));
    double heard = 0.0, made_up = 0.0;
    size_t times = 0;
    for (uint64_t n = 0; n < 50; n++) {
        float pcm[960];
        unsigned char coded[1500];
        for (size_t i = 0; i < 960; i++) {
            float t = (float)(n * 960 + i) / 48000.0f;
            pcm[i] = 0.3f * sinf(1382.0f * t) * (1.0f + 0.3f * sinf(20.0f * t));
        }
        int size = opus_encode_float(e, pcm, 960, coded, sizeof coded);
        assert_true(size > 0);
        if (n % 10 == 9)
            continue;
        struct stream_audio a = push(d, n * 960, coded, (size_t)size);
        bool after = n > 0 && n % 10 == 0;
        assert_int_equal(a.frames, after ? 640 : 320);
        assert_int_equal(a.concealed, after ? 320 : 0);
        if (n == 5)
            heard = power(a.samples, a.frames);
        if (after) {
            made_up += power(a.samples, 320);
            times++;
        }
    }
    printf("power heard %.4f, made up %.4f\n", heard, made_up / (double)times);
    assert_true(made_up / (double)times > heard / 4);
    opus_encoder_destroy(e);
    stream_decoder_destroy(d);
}

/* What is too short to conceal is too short for a gap. */
static void opus_that_jumps_a_little_has_no_gap(void **state)
{
    (void)state;
    const unsigned char silence[] = {0xf8, 0xff, 0xfe}; /* 20 ms */
    const uint64_t missing[] = {1, 39, 40, 41, 1600};
    struct stream_decoder *d = create(STREAM_OPUS, 1);
    uint64_t position = 0;
    push(d, position, silence, sizeof silence);
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        position += 960 + 3 * missing[i];
        struct stream_audio a = push(d, position, silence, sizeof silence);
        assert_int_equal(a.concealed, missing[i] / 40 * 40);
        assert_int_equal(a.frames, a.concealed + 320);
        assert_int_equal(a.gap, 0);
    }
    stream_decoder_destroy(d);
}

static void garbage_is_survived(void **state)
{
    (void)state;
    unsigned random = 1;
    for (int codec = STREAM_S16; codec <= STREAM_OPUS; codec++) {
        struct stream_decoder *d = create((enum stream_codec)codec, codec == STREAM_F32 ? 3 : 1);
        size_t most = (size_t)stream_decoder_rate_hz(d) * 100 / 1000 + STREAM_PAYLOAD / 2;
        for (int i = 0; i < 3000; i++) {
            random = random * 1664525u + 1013904223u;
            size_t size = i % 50 ? (random >> 8) % 300 : (random >> 8) % (PACKET_MAX + 1);
            for (size_t j = 0; j < size; j++) {
                random = random * 1664525u + 1013904223u;
                packet[j] = (unsigned char)(random >> 24);
            }
            if (i % 3)
                memset(packet, 0, size < STREAM_HEADER ? size : STREAM_HEADER);
            struct stream_audio a;
            stream_decoder_push(d, packet, size, &a);
            assert_true(a.frames <= most && a.concealed <= a.frames);
        }
        stream_decoder_destroy(d);
    }
}

static void formats_out_of_range_are_named(void **state)
{
    (void)state;
    const struct {
        struct stream_format format;
        const char *culprit;
    } wrong[] = {
        {{STREAM_S16, 3999, 1}, "rate 3999"},    {{STREAM_S16, 400000, 1}, "rate 400000"},
        {{STREAM_F32, 16000, 0}, "channels 0"},  {{STREAM_F32, 16000, 9}, "channels 9"},
        {{STREAM_OPUS, 16000, 1}, "rate 16000"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct stream_format f = wrong[i].format;
        struct error error;
        assert_int_equal(stream_format_check(&f, &error), -EINVAL);
        assert_non_null(strstr(error.message, wrong[i].culprit));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcm_is_as_it_was),
        cmocka_unit_test(what_is_missing_is_counted),
        cmocka_unit_test(a_wild_position_is_no_place),
        cmocka_unit_test(a_wild_beginning_is_left),
        cmocka_unit_test(opus_conceals),
        cmocka_unit_test(opus_that_jumps_a_little_has_no_gap),
        cmocka_unit_test(garbage_is_survived),
        cmocka_unit_test(formats_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
