/* What microphones give, 48 kHz, and other multiples of 16 kHz: audio/decimate, for with the
 * library this would be most of what listening to silence costs. All else: libsamplerate's
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
#include "audio/resample.h"

#include "audio/decimate.h"
#include "audio/mixdown.h"

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

struct resample {
    /* One of them is there, but at 16 kHz, where samples pass through. */
    struct decimate *decimate; /* owned */
    SRC_STATE *src;            /* owned */
    int rate_hz;
    struct mixdown mixdown;
    float mono[BLOCK];
};

int resample_create(struct resample **out, int rate_hz, int channels)
{
    *out = NULL;
    if (rate_hz < 4000 || rate_hz > 384000 || channels < 1 || channels > MIXDOWN_CHANNELS_MAX)
        return -EINVAL;
    struct resample *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->rate_hz = rate_hz;
    mixdown_init(&r->mixdown, rate_hz, channels);
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
    mixdown_init(&r->mixdown, r->rate_hz, r->mixdown.channels);
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
        mixdown_push(&r->mixdown, samples, frames, out);
        return frames;
    }
    size_t room = resample_bound(r, frames);
    size_t made = 0;
    while (frames > 0) {
        size_t part = frames < BLOCK ? frames : BLOCK;
        mixdown_push(&r->mixdown, samples, part, r->mono);
        made += r->decimate != NULL ? decimate_push(r->decimate, r->mono, part, out + made)
                                    : convert(r, part, 0, out + made, room - made);
        samples += part * (size_t)r->mixdown.channels;
        frames -= part;
    }
    return made;
}

size_t resample_flush(struct resample *r, float *out)
{
    size_t made = 0;
    if (r->decimate != NULL)
        made = decimate_flush(r->decimate, out);
    else if (r->src != NULL)
        made = convert(r, 0, 1, out, resample_bound(r, 0));
    resample_reset(r);
    return made;
}
