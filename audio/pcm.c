/* Samples that are stored as they are: WAV, AIFF and AU, from files and, as they come, from pipes.
 *
 * Where the header's size is used up and what follows is no chunk, a recorder was killed after it
 * wrote the size: what follows is sound.
 */
#include "audio/decoder.h"
#include "audio/pcm_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 16384 };

struct pcm {
    struct decoder base;
    struct input *input;
    struct pcm_header header;
    uint64_t left, read; /* bytes; left: PCM_UNKNOWN until the end */
    size_t frame;        /* bytes */
    size_t partial;      /* bytes of a frame that is not whole, at the begin of */
    unsigned char bytes[BYTES];
};

static struct pcm *cast(struct decoder *d)
{
    return (struct pcm *)(void *)d;
}

/* ITU-T G.711 */
static float alaw(unsigned char x)
{
    x ^= 0x55;
    int exponent = x >> 4 & 7, value = (x & 15) << 4 | 8;
    if (exponent)
        value = (value | 0x100) << (exponent - 1);
    return (float)(x & 0x80 ? value : -value) / 32768.0f;
}

static float ulaw(unsigned char x)
{
    x = (unsigned char)~x;
    int value = (((x & 15) << 3 | 0x84) << (x >> 4 & 7)) - 0x84;
    return (float)(x & 0x80 ? -value : value) / 32768.0f;
}

/* size bytes, at the upper end of 64 bits. */
static uint64_t word(const unsigned char *p, size_t size, bool big)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++)
        n = n << 8 | p[big ? i : size - 1 - i];
    return n << 8 * (8 - size);
}

static float to_float(const unsigned char *p, size_t size, const struct pcm_header *h)
{
    uint64_t bits = word(p, size, h->big_endian);
    uint32_t bits32 = (uint32_t)(bits >> 32);
    float single;
    double number;
    switch (h->coding) {
    case PCM_U8:
        return (float)(p[0] - 128) / 128.0f;
    case PCM_S8:
    case PCM_S16:
    case PCM_S24:
    case PCM_S32:
        return (float)(int32_t)bits32 / 2147483648.0f;
    case PCM_F32:
        memcpy(&single, &bits32, sizeof single);
        return single;
    case PCM_F64:
        memcpy(&number, &bits, sizeof number);
        return (float)number;
    case PCM_ALAW:
        return alaw(p[0]);
    case PCM_ULAW:
        return ulaw(p[0]);
    case PCM_NONE:
        break;
    }
    return 0.0f;
}

/* Whether a chunk follows, or the end: a name of four letters, and a size below 2^28. */
static bool is_over(struct pcm *p)
{
    unsigned char next[9];
    size_t odd = p->read & 1;
    ssize_t n = input_peek(p->input, next, 8 + odd);
    if (n < (ssize_t)(8 + odd))
        return true;
    for (size_t i = 0; i < 4; i++)
        if (next[odd + i] < ' ' || next[odd + i] > '~')
            return false;
    return next[odd + (p->header.big_endian ? 4 : 7)] < 16;
}

/* A size that is used up may be one that the header had when a recorder was killed. */
static bool ends_here(struct pcm *p)
{
    if (p->left)
        return false;
    if (!p->header.chunks || is_over(p))
        return true;
    p->left = PCM_UNKNOWN;
    return false;
}

static void blame_end(struct pcm *p)
{
    double rate = (double)p->frame * p->base.rate_hz;
    if (p->left && p->left != PCM_UNKNOWN && !input_was_stopped(p->input))
        decoder_blame(&p->base, "it is cut short: %.1f s of %.1f s are there",
                      (double)p->read / rate, (double)(p->read + p->left) / rate);
}

/* Fills p->bytes up to want; the bytes there. */
static int64_t read_bytes(struct pcm *p, size_t want)
{
    if (p->left != PCM_UNKNOWN && want > p->partial + p->left)
        want = p->partial + (size_t)p->left;
    while (p->partial < p->frame) {
        ssize_t n =
            want > p->partial ? input_read(p->input, p->bytes + p->partial, want - p->partial) : 0;
        if (n <= 0)
            return n;
        p->partial += (size_t)n;
        p->read += (uint64_t)n;
        if (p->left != PCM_UNKNOWN)
            p->left -= (uint64_t)n;
    }
    return (int64_t)p->partial;
}

static int64_t pcm_read(struct decoder *d, float *samples, size_t frames)
{
    struct pcm *p = cast(d);
    size_t most = sizeof p->bytes / p->frame;
    if (ends_here(p))
        return 0;
    int64_t bytes = read_bytes(p, (frames < most ? frames : most) * p->frame);
    if (bytes < 0)
        decoder_blame(d, "%s", strerror((int)-bytes));
    if (bytes <= 0) {
        blame_end(p);
        return 0;
    }
    size_t size = pcm_sample_size(p->header.coding);
    size_t whole = (size_t)bytes / p->frame, count = whole * (size_t)d->channels;
    for (size_t i = 0; i < count; i++)
        samples[i] = to_float(p->bytes + i * size, size, &p->header);
    p->partial -= whole * p->frame;
    memmove(p->bytes, p->bytes + whole * p->frame, p->partial);
    return (int64_t)whole;
}

static void pcm_destroy(struct decoder *d)
{
    free(cast(d));
}

static const struct decoder_ops pcm_ops = {pcm_read, pcm_destroy};

int pcm_create(struct decoder **out, struct input *in, struct error *error)
{
    struct pcm_header h;
    int rc = pcm_header_read(&h, in);
    if (!rc && h.coding == PCM_NONE)
        rc = -ENOTSUP;
    if (rc == -ENODATA)
        return error_set(error, rc, "it is cut short: no sound is there");
    if (rc)
        return error_set(error, rc, "%s", strerror(-rc));
    if (h.channels < 1 || h.channels > DECODER_CHANNELS_MAX || h.rate_hz > INT32_MAX)
        return error_set(error, -EINVAL, "%u channels", h.channels);
    struct pcm *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(error, -ENOMEM, "out of memory");
    p->base =
        (struct decoder){.ops = &pcm_ops, .rate_hz = (int)h.rate_hz, .channels = (int)h.channels};
    p->input = in;
    p->header = h;
    p->left = h.bytes;
    p->frame = h.channels * pcm_sample_size(h.coding);
    *out = &p->base;
    return 0;
}
