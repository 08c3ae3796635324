/* FLAC over libFLAC, as a stream: nothing is sought. libFLAC goes on behind what is damaged; that
 * shows by frames that come after an error, by fewer samples than the header has, or by the MD5 sum
 * of all of them. */
#include "audio/flac.h"

#include <FLAC/stream_decoder.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct flac {
    struct decoder base;
    FLAC__StreamDecoder *flac;
    flac_bytes *bytes;
    void *user;
    int failed; /* what bytes returned, if it failed */
    bool stumbled, over;
    uint64_t decoded, total; /* frames; 0: unknown */
    struct pending pending;
};

static struct flac *cast(struct decoder *d)
{
    return (struct flac *)(void *)d;
}

static FLAC__StreamDecoderReadStatus read_bytes(const FLAC__StreamDecoder *flac, FLAC__byte *data,
                                                size_t *size, void *user)
{
    struct flac *f = user;
    (void)flac;
    ssize_t n = f->bytes(f->user, data, *size);
    *size = n > 0 ? (size_t)n : 0;
    if (n < 0)
        f->failed = (int)n;
    return n > 0 ? FLAC__STREAM_DECODER_READ_STATUS_CONTINUE
                 : FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
}

static FLAC__StreamDecoderWriteStatus write_frame(const FLAC__StreamDecoder *flac,
                                                  const FLAC__Frame *frame,
                                                  const FLAC__int32 *const planes[], void *user)
{
    struct flac *f = user;
    (void)flac;
    unsigned channels = frame->header.channels, count = frame->header.blocksize;
    if (f->stumbled)
        decoder_blame(&f->base, "it is damaged at %.1f s",
                      (double)f->decoded / (double)f->base.rate_hz);
    f->stumbled = (int)channels != f->base.channels;
    float *out = f->stumbled ? NULL : pending_room(&f->pending, (size_t)count * channels);
    if (!out)
        return f->stumbled ? FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE
                           : FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
    float scale = 1.0f / (float)(1u << (frame->header.bits_per_sample - 1));
    for (unsigned i = 0; i < count; i++)
        for (unsigned c = 0; c < channels; c++)
            *out++ = (float)planes[c][i] * scale;
    f->pending.end += (size_t)count * channels;
    f->decoded += count;
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void take_metadata(const FLAC__StreamDecoder *flac, const FLAC__StreamMetadata *m,
                          void *user)
{
    struct flac *f = user;
    (void)flac;
    if (m->type != FLAC__METADATA_TYPE_STREAMINFO)
        return;
    f->base.rate_hz = (int)m->data.stream_info.sample_rate;
    f->base.channels = (int)m->data.stream_info.channels;
    f->total = m->data.stream_info.total_samples;
}

static void take_error(const FLAC__StreamDecoder *flac, FLAC__StreamDecoderErrorStatus status,
                       void *user)
{
    struct flac *f = user;
    (void)flac;
    (void)status;
    f->stumbled = true;
}

static void end(struct flac *f)
{
    f->over = true;
    bool same = FLAC__stream_decoder_finish(f->flac);
    if (f->failed)
        decoder_blame(&f->base, "%s", strerror(-f->failed));
    else if (f->decoded < f->total)
        decoder_blame(&f->base, "it is cut short: %.1f s of %.1f s are there",
                      (double)f->decoded / f->base.rate_hz, (double)f->total / f->base.rate_hz);
    else if (!same)
        decoder_blame(&f->base, "it is damaged: its samples have another MD5 sum");
    else if (!f->total && f->stumbled)
        decoder_blame(&f->base, "it is cut short, or damaged at its end");
}

static int64_t flac_read(struct decoder *d, float *samples, size_t frames)
{
    struct flac *f = cast(d);
    while (f->pending.begin == f->pending.end && !f->over)
        if (!FLAC__stream_decoder_process_single(f->flac) ||
            FLAC__stream_decoder_get_state(f->flac) == FLAC__STREAM_DECODER_END_OF_STREAM)
            end(f);
    return pending_take(&f->pending, samples, frames, d->channels);
}

static void flac_destroy(struct decoder *d)
{
    struct flac *f = cast(d);
    if (f->flac)
        FLAC__stream_decoder_delete(f->flac);
    free(f->pending.samples);
    free(f);
}

static const struct decoder_ops flac_ops = {flac_read, flac_destroy};

int flac_create_over(struct decoder **out, flac_bytes *bytes, void *user, struct error *error)
{
    struct flac *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(error, -ENOMEM, "out of memory");
    f->base.ops = &flac_ops;
    f->bytes = bytes;
    f->user = user;
    f->flac = FLAC__stream_decoder_new();
    if (f->flac)
        FLAC__stream_decoder_set_md5_checking(f->flac, true);
    if (!f->flac || FLAC__stream_decoder_init_stream(f->flac, read_bytes, NULL, NULL, NULL, NULL,
                                                     write_frame, take_metadata, take_error, f)) {
        flac_destroy(&f->base);
        return error_set(error, -ENOMEM, "out of memory");
    }
    FLAC__stream_decoder_process_until_end_of_metadata(f->flac);
    if (f->base.rate_hz > 0 && f->base.channels > 0) {
        *out = &f->base;
        return 0;
    }
    flac_destroy(&f->base);
    return error_set(error, -EINVAL, "it is cut short: no sound is there");
}

static ssize_t from_input(void *user, void *data, size_t size)
{
    return input_read(user, data, size);
}

int flac_create(struct decoder **out, struct input *in, struct error *error)
{
    return flac_create_over(out, from_input, in, error);
}
