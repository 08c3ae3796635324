/* Packets come in any order and may be missing: a gap that is short is concealed, a long one
 * told. */
#include "daemon/stream_decoder.h"

#include <assert.h>
#include <errno.h>
#include <opus/opus.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE_MIN_HZ = 4000,
    RATE_MAX_HZ = 384000,
    CHANNELS_MAX = 8,
    OPUS_CLOCK_HZ = 48000,                       /* of positions */
    OPUS_RATE_HZ = 16000,                        /* of samples */
    OPUS_STEP = OPUS_RATE_HZ / 400,              /* what libopus conceals is a multiple of 2.5 ms */
    OPUS_FRAMES_MAX = OPUS_RATE_HZ * 120 / 1000, /* of a packet */
};

/* A day: a position that jumps further, either way, tells nothing. */
static const uint64_t longest_gap_s = 86400;

struct stream_decoder {
    struct stream_format format;
    OpusDecoder *opus;  /* NULL for PCM */
    bool begun, astray; /* the last packet jumped too far */
    uint64_t next;      /* the position that is due, */
    uint64_t elsewhere; /* and where that packet ended */
    size_t step;        /* frames of the last Opus packet: what is missing had as many */
    float *samples;     /* [room], owned */
    size_t room;
};

struct stream_format stream_format_default(void)
{
    return (struct stream_format){.codec = STREAM_S16, .channels = 1};
}

int stream_format_check(struct stream_format *f, struct error *error)
{
    bool opus = f->codec == STREAM_OPUS;
    if (f->rate_hz == 0)
        f->rate_hz = opus ? OPUS_CLOCK_HZ : 16000;
    if (opus && f->rate_hz != OPUS_CLOCK_HZ)
        return error_set(error, -EINVAL, "rate %u: Opus has %d", f->rate_hz, OPUS_CLOCK_HZ);
    if (f->rate_hz < RATE_MIN_HZ || f->rate_hz > RATE_MAX_HZ)
        return error_set(error, -EINVAL, "rate %u is not %d to %d", f->rate_hz, RATE_MIN_HZ,
                         RATE_MAX_HZ);
    if (f->channels < 1 || f->channels > CHANNELS_MAX)
        return error_set(error, -EINVAL, "channels %u is not 1 to %d", f->channels, CHANNELS_MAX);
    return 0;
}

static bool is_opus(const struct stream_decoder *d)
{
    return d->format.codec == STREAM_OPUS;
}

int stream_decoder_rate_hz(const struct stream_decoder *d)
{
    return is_opus(d) ? OPUS_RATE_HZ : (int)d->format.rate_hz;
}

int stream_decoder_channels(const struct stream_decoder *d)
{
    return is_opus(d) ? 1 : (int)d->format.channels;
}

/* Frames of the longest gap that is made up. */
static size_t concealable(const struct stream_decoder *d)
{
    return (size_t)stream_decoder_rate_hz(d) * STREAM_CONCEALED_MS / 1000;
}

int stream_decoder_create(struct stream_decoder **out, const struct stream_format *f)
{
    struct stream_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->format = *f;
    d->room = concealable(d) * (size_t)stream_decoder_channels(d);
    d->room += is_opus(d) ? OPUS_FRAMES_MAX : STREAM_PAYLOAD / sizeof(int16_t);
    d->samples = calloc(d->room, sizeof *d->samples);
    if (is_opus(d))
        d->opus = opus_decoder_create(OPUS_RATE_HZ, 1, NULL);
    if (!d->samples || (is_opus(d) && !d->opus)) {
        stream_decoder_destroy(d);
        return -ENOMEM;
    }
    *out = d;
    return 0;
}

void stream_decoder_destroy(struct stream_decoder *d)
{
    if (!d)
        return;
    if (d->opus)
        opus_decoder_destroy(d->opus);
    free(d->samples);
    free(d);
}

/* Frames of a payload; 0: it makes no sense. */
static size_t frames_of(const struct stream_decoder *d, const unsigned char *payload, size_t size)
{
    if (size > STREAM_PAYLOAD)
        return 0;
    if (is_opus(d)) {
        int n = size ? opus_packet_get_nb_samples(payload, (opus_int32)size, OPUS_RATE_HZ) : 0;
        return n > 0 && n <= OPUS_FRAMES_MAX ? (size_t)n : 0;
    }
    size_t frame = d->format.channels * (d->format.codec == STREAM_S16 ? 2 : 4);
    return size % frame ? 0 : size / frame;
}

static void decode_pcm(const struct stream_decoder *d, const unsigned char *payload, size_t count,
                       float *out)
{
    if (d->format.codec == STREAM_F32) {
        memcpy(out, payload, count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int16_t value;
        memcpy(&value, payload + i * sizeof value, sizeof value);
        out[i] = value / 32768.0f;
    }
}

/* What is missing before a packet, from the decoder alone, and at last from the packet's own
 * redundancy. */
static void conceal_opus(struct stream_decoder *d, size_t missing, const unsigned char *payload,
                         size_t size, float *out)
{
    while (missing) {
        size_t n = d->step && d->step < missing ? d->step : missing;
        bool last = n == missing;
        int got = opus_decode_float(d->opus, last ? payload : NULL, last ? (opus_int32)size : 0,
                                    out, (int)n, last);
        if (got != (int)n)
            memset(out, 0, n * sizeof *out);
        out += n;
        missing -= n;
    }
}

/* False: the packet is broken. */
static bool decode_opus(struct stream_decoder *d, const unsigned char *payload, size_t size,
                        size_t frames, float *out)
{
    int n = opus_decode_float(d->opus, payload, (opus_int32)size, out, (int)frames, 0);
    d->step = frames;
    return n == (int)frames;
}

/* Of positions to a frame. */
static uint64_t position_step(const struct stream_decoder *d)
{
    return is_opus(d) ? OPUS_CLOCK_HZ / OPUS_RATE_HZ : 1;
}

/* Frames that are missing between the packet before and this one. */
static uint64_t missing_before(const struct stream_decoder *d, uint64_t position)
{
    uint64_t missing = d->begun ? (position - d->next) / position_step(d) : 0;
    uint64_t most = longest_gap_s * (uint64_t)stream_decoder_rate_hz(d);
    return missing < most ? missing : most;
}

/* False: the packet is late, or jumps too far. If the next goes on from there that is the place. */
static bool is_in_place(struct stream_decoder *d, uint64_t position, size_t frames)
{
    uint64_t most = longest_gap_s * d->format.rate_hz;
    bool late = d->begun && position < d->next;
    bool far = d->begun && (late ? d->next - position : position - d->next) > most;
    bool goes_on = d->astray && position == d->elsewhere;
    d->astray = far;
    d->elsewhere = position + frames * position_step(d);
    return far ? goes_on : !late;
}

/* What a packet adds, and where its samples are to go. */
struct place {
    uint64_t missing;
    size_t made_up, frames;
};

/* False: it is dropped. */
static bool find_place(struct stream_decoder *d, const void *packet, size_t size,
                       struct place *place)
{
    uint64_t position;
    if (size < STREAM_HEADER)
        return false;
    memcpy(&position, packet, sizeof position);
    const unsigned char *payload = (const unsigned char *)packet + STREAM_HEADER;
    place->frames = frames_of(d, payload, size - STREAM_HEADER);
    if (!place->frames || !is_in_place(d, position, place->frames))
        return false;
    place->missing = missing_before(d, position);
    place->made_up = place->missing <= concealable(d) ? (size_t)place->missing : 0;
    if (is_opus(d))
        place->made_up -= place->made_up % OPUS_STEP;
    return true;
}

/* False: it is broken. */
static bool decode(struct stream_decoder *d, const unsigned char *payload, size_t size,
                   const struct place *place)
{
    size_t channels = (size_t)stream_decoder_channels(d);
    assert((place->made_up + place->frames) * channels <= d->room);
    float *heard = d->samples + place->made_up * channels;
    if (is_opus(d)) {
        conceal_opus(d, place->made_up, payload, size, d->samples);
        return decode_opus(d, payload, size, place->frames, heard);
    }
    memset(d->samples, 0, place->made_up * channels * sizeof *d->samples);
    decode_pcm(d, payload, place->frames * channels, heard);
    return true;
}

static void go_on(struct stream_decoder *d, const struct place *place, struct stream_audio *out)
{
    out->frames = place->made_up + place->frames;
    out->concealed = place->made_up;
    out->gap = place->missing > concealable(d) ? place->missing : 0;
    d->begun = true;
    d->next = d->elsewhere;
}

void stream_decoder_push(struct stream_decoder *d, const void *packet, size_t size,
                         struct stream_audio *out)
{
    struct place place;
    *out = (struct stream_audio){.samples = d->samples};
    const unsigned char *payload = (const unsigned char *)packet + STREAM_HEADER;
    if (find_place(d, packet, size, &place) && decode(d, payload, size - STREAM_HEADER, &place))
        go_on(d, &place, out);
}

void stream_decoder_skip(struct stream_decoder *d, const void *packet, size_t size,
                         struct stream_audio *out)
{
    struct place place;
    *out = (struct stream_audio){.samples = d->samples};
    if (find_place(d, packet, size, &place))
        go_on(d, &place, out);
}
