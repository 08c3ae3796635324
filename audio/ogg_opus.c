/* Opus in Ogg (RFC 7845), decoded at the rate that its encoder was given, where Opus has it: that
 * of speech is often 16 kHz, and nothing is lost or resampled. */
#include "audio/ogg.h"

#include <errno.h>
#include <opus_multistream.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRANULE_HZ = 48000,
    LONGEST_MS = 120, /* of a packet */
};

struct opus {
    struct decoder base;
    struct ogg *ogg;
    OpusMSDecoder *opus;
    int64_t skip;  /* frames of rate_hz that are not to be heard, at the begin */
    int64_t begin; /* granule position, -1: not known yet */
    int64_t there; /* of GRANULE_HZ: decoded */
    struct pending pending;
};

static struct opus *cast(struct decoder *d)
{
    return (struct opus *)(void *)d;
}

static int choose_rate(uint32_t rate_hz)
{
    static const int rates_hz[] = {8000, 12000, 16000, 24000, 48000};
    for (size_t i = 0; rate_hz && i < sizeof rates_hz / sizeof *rates_hz; i++)
        if (rate_hz <= (uint32_t)rates_hz[i])
            return rates_hz[i];
    return GRANULE_HZ;
}

static uint32_t little(const unsigned char *p, size_t size)
{
    uint32_t n = 0;
    while (size-- > 0)
        n = n << 8 | p[size];
    return n;
}

/* The packet "OpusHead". */
static int take_head(struct opus *s, const ogg_packet *packet, struct error *error)
{
    const unsigned char *p = packet->packet;
    unsigned char mapping[255] = {0, 1};
    int channels = packet->bytes >= 19 ? p[9] : 0, streams = 1, coupled = channels == 2, rc;
    bool mapped = packet->bytes >= 19 && p[18] != 0;
    if (channels < 1 || channels > DECODER_CHANNELS_MAX || (!mapped && channels > 2) ||
        p[8] >= 16 || (mapped && packet->bytes < 21 + channels))
        return error_set(error, -EINVAL, "its Opus header is damaged");
    if (mapped) {
        streams = p[19];
        coupled = p[20];
        memcpy(mapping, p + 21, (size_t)channels);
    }
    s->base.channels = channels;
    s->base.rate_hz = choose_rate(little(p + 12, 4));
    s->skip = (int64_t)little(p + 10, 2) * s->base.rate_hz / GRANULE_HZ;
    s->opus =
        opus_multistream_decoder_create(s->base.rate_hz, channels, streams, coupled, mapping, &rc);
    if (!s->opus)
        return error_set(error, -EINVAL, "its Opus header is damaged");
    opus_multistream_decoder_ctl(s->opus, OPUS_SET_GAIN((opus_int16)little(p + 16, 2)));
    return 0;
}

/* Of GRANULE_HZ, up to the link's end, as its last page says; the first page says where it began.
 */
static int64_t end_of(struct opus *s, const struct ogg_piece *piece, int64_t frames)
{
    if (s->begin < 0 && piece->packet.granulepos >= 0) {
        s->begin = piece->last_page ? 0 : piece->packet.granulepos - s->there - frames;
        if (s->begin < 0)
            s->begin = 0;
    }
    if (!piece->last_page || piece->page_end < 0)
        return INT64_MAX;
    return piece->page_end - (s->begin < 0 ? 0 : s->begin);
}

static void decode(struct opus *s, const struct ogg_piece *piece)
{
    int channels = s->base.channels, most = s->base.rate_hz / 1000 * LONGEST_MS;
    float *out = pending_room(&s->pending, (size_t)(most * channels));
    if (!out) {
        decoder_blame(&s->base, "out of memory");
        return;
    }
    int n = opus_multistream_decode_float(s->opus, piece->packet.packet, (int)piece->packet.bytes,
                                          out, most, 0);
    if (n < 0) {
        decoder_blame(&s->base, "it is damaged: %s", opus_strerror(n));
        return;
    }
    int scale = GRANULE_HZ / s->base.rate_hz;
    int64_t keep = n, end = end_of(s, piece, (int64_t)n * scale);
    if (s->there + keep * scale > end)
        keep = end > s->there ? (end - s->there + scale - 1) / scale : 0;
    s->there += (int64_t)n * scale;
    int64_t skip = s->skip < keep ? s->skip : keep;
    s->skip -= skip;
    memmove(out, out + skip * channels, (size_t)((keep - skip) * channels) * sizeof *out);
    s->pending.end += (size_t)((keep - skip) * channels);
}

static int64_t opus_read(struct decoder *d, float *samples, size_t frames)
{
    struct opus *s = cast(d);
    struct ogg_piece piece;
    while (s->pending.begin == s->pending.end && ogg_next(s->ogg, &piece) > 0)
        decode(s, &piece);
    return pending_take(&s->pending, samples, frames, d->channels);
}

static void opus_destroy(struct decoder *d)
{
    struct opus *s = cast(d);
    if (s->opus)
        opus_multistream_decoder_destroy(s->opus);
    free(s->pending.samples);
    free(s);
}

static const struct decoder_ops opus_ops = {opus_read, opus_destroy};

int ogg_opus_create(struct decoder **out, struct ogg *o, struct error *error)
{
    struct ogg_piece piece;
    struct opus *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->base.ops = &opus_ops;
    s->ogg = o;
    s->begin = -1;
    int rc = ogg_next(o, &piece) > 0 ? take_head(s, &piece.packet, error) : -EINVAL;
    if (!rc && ogg_next(o, &piece) <= 0) /* "OpusTags" */
        rc = error_set(error, -EINVAL, "it is cut short: no sound is there");
    if (rc) {
        opus_destroy(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}
