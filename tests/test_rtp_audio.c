/* Opus packets into samples: as many as time goes by, whatever is lost or left out. */
#include "bridges/rtp_audio.h"
#include "tests/support/speech.h"
#include "tests/support/test.h"

#include <math.h>
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PACKETS = 200,
    TICKS = 960, /* of 48 kHz: 20 ms */
    CODED_MOST = 400,
};

static struct {
    uint8_t bytes[CODED_MOST];
    size_t size;
} coded[PACKETS];

/* What was given. */
static struct heard {
    size_t count, missing;
    float samples[PACKETS * 400];
} heard;

static void on_audio(void *user, const int16_t *samples, size_t count)
{
    struct heard *h = user;
    for (size_t i = 0; samples && i < count; i++)
        h->samples[h->count + i] = samples[i] / 32768.0f;
    *(samples ? &h->count : &h->missing) += count;
}

/* Speech, from its second second on. */
static int encode(void **state)
{
    (void)state;
    OpusEncoder *e = opus_encoder_create(16000, 1, OPUS_APPLICATION_VOIP, NULL);
    opus_encoder_ctl(e, OPUS_SET_BITRATE(24000));
    opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(20));
    size_t count;
    float *speech = speech_load(&count);
    assert_true(count >= 16000 + PACKETS * 320);
    for (size_t n = 0; n < PACKETS; n++) {
        int size = opus_encode_float(e, speech + 16000 + 320 * n, 320, coded[n].bytes, CODED_MOST);
        assert_true(size > 2);
        coded[n].size = (size_t)size;
    }
    free(speech);
    opus_encoder_destroy(e);
    return 0;
}

static void push(struct rtp_audio *a, size_t n, uint32_t timestamp, unsigned lost)
{
    const struct rtp_audio_packet p = {coded[n].bytes, coded[n].size, timestamp, lost,
                                       1000000 + (uint64_t)timestamp * 1000 / 48};
    rtp_audio_push(a, &p);
}

static struct rtp_audio *create(void)
{
    struct rtp_audio *a;
    memset(&heard, 0, sizeof heard);
    assert_int_equal(rtp_audio_create(&a, on_audio, &heard), 0);
    return a;
}

/* The resampler keeps a little. */
static void assert_ms(size_t samples, size_t ms)
{
    size_t due = ms * 16;
    if (samples > due || samples + 300 < due)
        print_error("%zu samples, not %zu\n", samples, due);
    assert_true(samples <= due && samples + 300 >= due);
}

/* How loud what differs between the two is where a packet was lost, of how loud the first is there,
 * in dB. */
static double apart_db(const float *x, const float *y, size_t count)
{
    double all = 1e-9, apart = 1e-9;
    for (size_t i = 0; i < count; i++) {
        if (i / 320 % 10 != 9)
            continue;
        all += (double)x[i] * (double)x[i];
        apart += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    }
    return 10 * log10(apart / all);
}

static void losses_are_made_up(void **state)
{
    (void)state;
    static float clean[sizeof heard.samples / sizeof(float)];
    struct rtp_audio *a = create();
    for (size_t n = 0; n < PACKETS; n++)
        push(a, n, (uint32_t)n * TICKS, 0);
    assert_ms(heard.count, PACKETS * 20);
    memcpy(clean, heard.samples, sizeof clean);
    rtp_audio_destroy(a);

    double db[2];
    for (int with = 0; with < 2; with++) { /* the FEC: it is of use where its packet is the next */
        a = create();
        for (size_t n = 0; n < PACKETS; n++) {
            if (n % 10 != 9)
                push(a, n, (uint32_t)n * TICKS, n && n % 10 == 0 && with);
        }
        assert_ms(heard.count, PACKETS * 20 - 20);
        assert_int_equal(heard.missing, 0);
        db[with] = apart_db(clean, heard.samples, heard.count);
        rtp_audio_destroy(a);
    }
    printf("one of ten lost: %.1f dB with FEC, %.1f dB filled\n", db[1], db[0]);
    assert_true(db[1] < db[0] - 3);
}

static void silence_is_no_loss(void **state)
{
    (void)state;
    struct rtp_audio *a = create();
    push(a, 0, 0xffffff00, 0); /* which goes round */
    push(a, 1, 0xffffff00 + 2 * TICKS, 0);
    assert_ms(heard.count, 60);
    push(a, 2, 0xffffff00 + 3 * TICKS + 48000 * 60, 0); /* a minute: as much as ends an utterance */
    assert_ms(heard.count, 60 + RTP_SILENCE_MS + 20);
    push(a, 3, 1, 0); /* another clock */
    push(a, 4, 1 + TICKS, 0);
    assert_ms(heard.count, 60 + RTP_SILENCE_MS + 60);
    assert_int_equal(heard.missing, 0);
    rtp_audio_destroy(a);
}

static void a_long_loss_is_told(void **state)
{
    (void)state;
    struct rtp_audio *a = create();
    push(a, 0, 0, 0);
    push(a, 21, 21 * TICKS, 20); /* 400 ms are made up */
    assert_int_equal(heard.missing, 0);
    assert_ms(heard.count, 22 * 20);
    push(a, 43, 43 * TICKS, 21);
    assert_int_equal(heard.missing, 21 * 320);
    assert_ms(heard.count, 23 * 20);
    push(a, 44, 44 * TICKS + 48000, 1); /* a second of silence, and in it a packet was lost */
    assert_int_equal(heard.missing, 21 * 320);
    assert_ms(heard.count, 24 * 20 + 1000);
    rtp_audio_destroy(a);
}

static void garbage_gives_nothing_or_samples(void **state)
{
    (void)state;
    struct rtp_audio *a = create();
    uint32_t random = 1;
    for (size_t i = 0; i < 3000; i++) {
        struct rtp_audio_packet p = {.timestamp = (uint32_t)i * TICKS, .lost = i % 7 == 0};
        uint8_t bytes[64];
        for (size_t j = 0; j < sizeof bytes; j++) {
            random = random * 1664525u + 1013904223u;
            bytes[j] = (uint8_t)(random >> 24);
        }
        uint8_t *exact = malloc(1 + i % 64); /* a sanitizer sees its end */
        memcpy(exact, bytes, i % 64);
        p.payload = exact;
        p.size = i % 64;
        heard.count = 0;
        rtp_audio_push(a, &p);
        free(exact);
    }
    rtp_audio_destroy(a);
    assert_int_equal(rtp_audio_us(NULL, 0), 0);
    assert_int_equal(rtp_audio_us(coded[0].bytes, coded[0].size), 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_made_up),
        cmocka_unit_test(silence_is_no_loss),
        cmocka_unit_test(a_long_loss_is_told),
        cmocka_unit_test(garbage_gives_nothing_or_samples),
    };
    return cmocka_run_group_tests(tests, encode, NULL);
}
