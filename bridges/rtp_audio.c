/* Opus into samples.
 *
 *     timestamps ─► lost | silence | gap ─► libopus at 16 kHz ─► libsamplerate, by the drift ─► s16
 *
 * Whether a timestamp that jumps is loss or silence (DTX) is told by the sequence numbers: where
 * none is missing the sender had nothing to send.
 */
#include "bridges/rtp_audio.h"

#include "bridges/rtp_clock.h"

#include <errno.h>
#include <math.h>
#include <opus/opus.h>
#include <samplerate.h>
#include <stdlib.h>

enum {
    CLOCK_HZ = 48000,
    TICKS = CLOCK_HZ / RTP_AUDIO_HZ,         /* of the timestamp in a sample */
    STEP = RTP_AUDIO_HZ / 400,               /* what libopus makes up is a multiple of 2.5 ms */
    PACKET_MOST = RTP_AUDIO_HZ * 120 / 1000, /* samples */
    OUT_MOST = PACKET_MOST + PACKET_MOST / 64 + 16,
    CONCEALED = RTP_AUDIO_HZ * RTP_CONCEALED_MS / 1000,
    SILENCE = RTP_AUDIO_HZ * RTP_SILENCE_MS / 1000,
};

#define TELLING 20e-6 /* of the drift */

struct rtp_audio {
    rtp_audio_function *function;
    void *user;
    OpusDecoder *opus;
    SRC_STATE *resample;
    struct rtp_clock clock;
    bool begun, resamples;
    uint32_t next;  /* timestamp that is due */
    uint64_t given; /* samples of the stream so far */
    float decoded[PACKET_MOST], resampled[OUT_MOST];
    int16_t samples[OUT_MOST];
};

int rtp_audio_create(struct rtp_audio **out, rtp_audio_function *function, void *user)
{
    int rc;
    struct rtp_audio *a = calloc(1, sizeof(struct rtp_audio));
    if (!a)
        return -ENOMEM;
    a->function = function;
    a->user = user;
    a->opus = opus_decoder_create(RTP_AUDIO_HZ, 1, &rc);
    a->resample = src_new(SRC_SINC_BEST_QUALITY, 1, &rc);
    rtp_clock_init(&a->clock);
    if (!a->opus || !a->resample) {
        rtp_audio_destroy(a);
        return -ENOMEM;
    }
    *out = a;
    return 0;
}

void rtp_audio_destroy(struct rtp_audio *a)
{
    if (!a)
        return;
    if (a->opus)
        opus_decoder_destroy(a->opus);
    if (a->resample)
        src_delete(a->resample);
    free(a);
}

static size_t samples_of(const uint8_t *payload, size_t size)
{
    int count = size ? opus_packet_get_nb_samples(payload, (opus_int32)size, RTP_AUDIO_HZ) : 0;
    return count > 0 && count <= PACKET_MOST ? (size_t)count : 0;
}

unsigned rtp_audio_us(const uint8_t *payload, size_t size)
{
    return (unsigned)(samples_of(payload, size) * 1000 / (RTP_AUDIO_HZ / 1000));
}

/* What is decoded as long as it is: [count] of it. */
static long resample(struct rtp_audio *a, size_t count)
{
    SRC_DATA d = {.data_in = a->decoded,
                  .input_frames = (long)count,
                  .data_out = a->resampled,
                  .output_frames = OUT_MOST,
                  .src_ratio = a->clock.ratio};
    return src_process(a->resample, &d) ? 0 : d.output_frames_gen;
}

/* Gives [count] of decoded. Until a clock is known to be off nothing is resampled. */
static void give(struct rtp_audio *a, size_t count)
{
    if (fabs(a->clock.ratio - 1) > TELLING)
        a->resamples = true;
    const float *from = a->resamples ? a->resampled : a->decoded;
    long made = a->resamples ? resample(a, count) : (long)count;
    for (long i = 0; i < made; i++)
        a->samples[i] = (int16_t)lrintf(fminf(fmaxf(32768 * from[i], -32768), 32767));
    a->given += (uint64_t)made;
    a->function(a->user, a->samples, (size_t)made);
}

/* Decodes [count] samples, at most PACKET_MOST; without payload they are made up. */
static void decode(struct rtp_audio *a, const uint8_t *payload, size_t size, size_t count, int fec)
{
    int got = opus_decode_float(a->opus, payload, (opus_int32)size, a->decoded, (int)count, fec);
    for (size_t i = got > 0 ? (size_t)got : 0; i < count; i++)
        a->decoded[i] = 0;
    give(a, count);
}

/* Of what decoder and comfort noise make of it, in steps of 20 ms. */
static void make_up(struct rtp_audio *a, size_t count)
{
    for (size_t n; count; count -= n) {
        n = count < 8 * STEP ? count : 8 * STEP;
        decode(a, NULL, 0, n, 0);
    }
}

/* Packets that were lost, the last of them from the FEC of the one behind it. */
static void conceal(struct rtp_audio *a, const struct rtp_audio_packet *p, size_t count)
{
    size_t own = samples_of(p->payload, p->size), last = own < count ? own : count;
    make_up(a, count - last);
    if (last)
        decode(a, p->payload, p->size, last, 1);
}

/* What lies between the packet before and this one; all of it is in whole steps. */
static void bridge(struct rtp_audio *a, const struct rtp_audio_packet *p, size_t missing)
{
    size_t most = p->lost * (size_t)PACKET_MOST, own = samples_of(p->payload, p->size);
    if (!p->lost || missing > most) {
        size_t lost = p->lost * own < CONCEALED ? p->lost * own : 0;
        size_t silence = missing > lost ? missing - lost : 0;
        if (silence > SILENCE)
            rtp_clock_jumped(&a->clock);
        make_up(a, silence < SILENCE ? silence : SILENCE);
        missing = lost;
    }
    if (missing <= CONCEALED) {
        conceal(a, p, missing);
        return;
    }
    a->given += missing;
    a->function(a->user, NULL, missing);
}

/* Samples, in whole steps, between what was heard and this packet. */
static size_t missing_before(struct rtp_audio *a, const struct rtp_audio_packet *p)
{
    int32_t ticks = a->begun ? (int32_t)(p->timestamp - a->next) : 0;
    if (ticks < 0)
        rtp_clock_jumped(&a->clock);
    return ticks > 0 ? (size_t)ticks / (TICKS * STEP) * STEP : 0;
}

void rtp_audio_push(struct rtp_audio *a, const struct rtp_audio_packet *p)
{
    size_t own = samples_of(p->payload, p->size);
    if (!own)
        return;
    bridge(a, p, missing_before(a, p));
    rtp_clock_heard(&a->clock, p->came_us, (int64_t)(a->given * 1000 / (RTP_AUDIO_HZ / 1000)));
    decode(a, p->payload, p->size, own, 0);
    a->begun = true;
    a->next = p->timestamp + (uint32_t)(own * TICKS);
}

void rtp_audio_restart(struct rtp_audio *a)
{
    opus_decoder_ctl(a->opus, OPUS_RESET_STATE);
    rtp_clock_jumped(&a->clock);
    a->begun = false;
}

double rtp_audio_drift(const struct rtp_audio *a)
{
    return a->clock.drift;
}
