/* Vorbis in Ogg over libvorbis, which knows where the last page ends the sound. */
#include "audio/ogg.h"

#include <errno.h>
#include <stdlib.h>
#include <vorbis/codec.h>

enum { HEADERS = 3 };

struct vorbis {
    struct decoder base;
    struct ogg *ogg;
    vorbis_info info;
    vorbis_comment comment;
    vorbis_dsp_state dsp;
    vorbis_block block;
    bool running;
    struct pending pending;
};

static struct vorbis *cast(struct decoder *d)
{
    return (struct vorbis *)(void *)d;
}

static void decode(struct vorbis *v, ogg_packet *packet)
{
    float **planes;
    int rc = vorbis_synthesis(&v->block, packet), count;
    if (rc == 0)
        rc = vorbis_synthesis_blockin(&v->dsp, &v->block);
    if (rc)
        decoder_blame(&v->base, "it is damaged");
    while ((count = vorbis_synthesis_pcmout(&v->dsp, &planes)) > 0) {
        int channels = v->base.channels;
        float *out = pending_room(&v->pending, (size_t)(count * channels));
        for (int i = 0; out && i < count; i++)
            for (int c = 0; c < channels; c++)
                *out++ = planes[c][i];
        if (out)
            v->pending.end += (size_t)(count * channels);
        else
            decoder_blame(&v->base, "out of memory");
        vorbis_synthesis_read(&v->dsp, count);
    }
}

static int64_t vorbis_read(struct decoder *d, float *samples, size_t frames)
{
    struct vorbis *v = cast(d);
    struct ogg_piece piece;
    while (v->pending.begin == v->pending.end && ogg_next(v->ogg, &piece) > 0)
        decode(v, &piece.packet);
    return pending_take(&v->pending, samples, frames, d->channels);
}

static void vorbis_destroy(struct decoder *d)
{
    struct vorbis *v = cast(d);
    if (v->running) {
        vorbis_block_clear(&v->block);
        vorbis_dsp_clear(&v->dsp);
    }
    vorbis_comment_clear(&v->comment);
    vorbis_info_clear(&v->info);
    free(v->pending.samples);
    free(v);
}

static const struct decoder_ops vorbis_ops = {vorbis_read, vorbis_destroy};

static int read_headers(struct vorbis *v, struct error *error)
{
    struct ogg_piece piece;
    for (int i = 0; i < HEADERS; i++) {
        if (ogg_next(v->ogg, &piece) <= 0)
            return error_set(error, -EINVAL, "it is cut short: no sound is there");
        if (vorbis_synthesis_headerin(&v->info, &v->comment, &piece.packet) != 0)
            return error_set(error, -EINVAL, "its Vorbis header is damaged");
    }
    if (v->info.channels < 1 || v->info.channels > DECODER_CHANNELS_MAX)
        return error_set(error, -EINVAL, "%d channels", v->info.channels);
    if (vorbis_synthesis_init(&v->dsp, &v->info) != 0)
        return error_set(error, -EINVAL, "its Vorbis header is damaged");
    vorbis_block_init(&v->dsp, &v->block);
    v->running = true;
    v->base.rate_hz = (int)v->info.rate;
    v->base.channels = v->info.channels;
    return 0;
}

int ogg_vorbis_create(struct decoder **out, struct ogg *o, struct error *error)
{
    struct vorbis *v = calloc(1, sizeof *v);
    if (!v)
        return error_set(error, -ENOMEM, "out of memory");
    v->base.ops = &vorbis_ops;
    v->ogg = o;
    vorbis_info_init(&v->info);
    vorbis_comment_init(&v->comment);
    int rc = read_headers(v, error);
    if (rc)
        vorbis_destroy(&v->base);
    else
        *out = &v->base;
    return rc;
}
