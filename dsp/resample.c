/* What microphones give, 48 kHz, and other multiples of 16 kHz: dsp/decimate, for with the library
 * this would be most of what listening to silence costs. All else: libsamplerate's
 * SRC_SINC_MEDIUM_QUALITY. From 48 to 16 kHz, what is left of a tone, and the share of one core of
 * an EPYC and of a Xeon server:
 *
 *                 7.0 kHz     8.5..10 kHz (folds down)    EPYC     Xeon
 *     decimate      0.0 dB    -100 dB                     0.1 %
 *     FASTEST     -13.8 dB     -96 dB                     0.9 %    0.29 %
 *     MEDIUM       -0.3 dB    -119 dB                     2.0 %    0.63 %
 *     BEST          0.0 dB    -147 dB                     7.4 %    2.22 %
 *
 * The mel filters reach to 8 kHz, where FASTEST takes a fifth of the band away from s and f; BEST
 * buys half a mel filter for four times the work. Each gives the same bits for any split of the
 * input.
 */
#include "dsp/resample.h"

#include "dsp/decimate.h"

#include <errno.h>
#include <math.h>
#include <samplerate.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 480, /* input frames mixed down at a time */
    /* Samples beyond the rate that one push or flush can give: what the filter has held back, 46
     * samples of the slower of the two rates, and rounding. */
    SLACK = 512,
};

static const float loudest = 1e4f; /* 80 dB above full scale */

struct resample {
    /* One of them is there, but at 16 kHz, where samples pass through. */
    struct decimate *decimate; /* owned */
    SRC_STATE *src;            /* owned */
    int rate_hz;
    int channels;
    float mono[BLOCK];
};

int resample_create(struct resample **out, int rate_hz, int channels)
{
    *out = NULL;
    if (rate_hz < 4000 || rate_hz > 384000 || channels < 1 || channels > 64)
        return -EINVAL;
    struct resample *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->rate_hz = rate_hz;
    r->channels = channels;
    int rc = 0;
    if (rate_hz % RESAMPLE_RATE_HZ != 0)
        r->src = src_new(SRC_SINC_MEDIUM_QUALITY, 1, &rc);
    else if (rate_hz != RESAMPLE_RATE_HZ)
        rc = decimate_create(&r->decimate, rate_hz / RESAMPLE_RATE_HZ);
    if (rc != 0) {
        resample_destroy(r);
        return -ENOMEM;
    }
    *out = r;
    return 0;
}

void resample_destroy(struct resample *r)
{
    if (r == NULL)
        return;
    decimate_destroy(r->decimate);
    if (r->src != NULL)
        src_delete(r->src);
    free(r);
}

void resample_reset(struct resample *r)
{
    if (r->decimate != NULL)
        decimate_reset(r->decimate);
    if (r->src != NULL)
        src_reset(r->src);
}

size_t resample_bound(const struct resample *r, size_t frames)
{
    if (r->decimate != NULL)
        return decimate_bound(r->decimate, frames);
    if (r->src == NULL)
        return frames;
    double ratio = (double)RESAMPLE_RATE_HZ / r->rate_hz;
    return (size_t)ceil((double)frames * ratio) + SLACK;
}

/* The mean of the channels. What is not a number, or no sound, would stay in the filter and in
 * every state after it; it becomes silence. */
static void mix_down(const float *samples, size_t frames, int channels, float *mono)
{
    for (size_t i = 0; i < frames; i++) {
        float sum = 0.0f;
        for (int c = 0; c < channels; c++)
            sum += samples[i * (size_t)channels + (size_t)c];
        sum /= (float)channels;
        mono[i] = fabsf(sum) <= loudest ? sum : 0.0f;
    }
}

/* Runs the filter over r->mono, all of it; at the end of the stream, until it gives no more. */
static size_t convert(struct resample *r, size_t frames, int at_end, float *out, size_t room)
{
    size_t made = 0;
    SRC_DATA data = {
        .data_in = r->mono,
        .input_frames = (long)frames,
        .end_of_input = at_end,
        .src_ratio = (double)RESAMPLE_RATE_HZ / r->rate_hz,
    };
    do {
        data.data_out = out + made;
        data.output_frames = (long)(room - made);
        if (src_process(r->src, &data) != 0)
            break;
        made += (size_t)data.output_frames_gen;
        data.data_in += data.input_frames_used;
        data.input_frames -= data.input_frames_used;
    } while (data.input_frames_used > 0 || data.output_frames_gen > 0);
    return made;
}

size_t resample_push(struct resample *r, const float *samples, size_t frames, float *out)
{
    if (r->src == NULL && r->decimate == NULL) {
        mix_down(samples, frames, r->channels, out);
        return frames;
    }
    size_t room = resample_bound(r, frames);
    size_t made = 0;
    while (frames > 0) {
        size_t part = frames < BLOCK ? frames : BLOCK;
        mix_down(samples, part, r->channels, r->mono);
        made += r->decimate != NULL ? decimate_push(r->decimate, r->mono, part, out + made)
                                    : convert(r, part, 0, out + made, room - made);
        samples += part * (size_t)r->channels;
        frames -= part;
    }
    return made;
}

size_t resample_flush(struct resample *r, float *out)
{
    if (r->decimate != NULL)
        return decimate_flush(r->decimate, out);
    if (r->src == NULL)
        return 0;
    size_t made = convert(r, 0, 1, out, resample_bound(r, 0));
    src_reset(r->src);
    return made;
}
