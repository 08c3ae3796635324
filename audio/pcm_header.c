/* A program that writes into a pipe leaves sizes that say nothing: all bits, 2^31 or a little
 * below. They count as unknown. */
#include "audio/pcm_header.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    WAVE_PCM = 1,
    WAVE_FLOAT = 3,
    WAVE_ALAW = 6,
    WAVE_ULAW = 7,
    WAVE_EXTENSIBLE = 0xFFFE,
};

static uint64_t number(const unsigned char *p, size_t size, bool big)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++)
        n = n << 8 | p[big ? i : size - 1 - i];
    return n;
}

static bool is(const unsigned char *p, const char *id)
{
    return memcmp(p, id, 4) == 0;
}

size_t pcm_sample_size(enum pcm_coding coding)
{
    static const unsigned char sizes[] = {
        [PCM_U8] = 1,  [PCM_S8] = 1,  [PCM_S16] = 2,  [PCM_S24] = 3,  [PCM_S32] = 4,
        [PCM_F32] = 4, [PCM_F64] = 8, [PCM_ALAW] = 1, [PCM_ULAW] = 1,
    };
    return sizes[coding];
}

/* Of four bytes. SoX writes 0x7f000000 frames into a pipe, 0x7ffff000 bytes; arecord 0x80000000. */
static bool says_nothing(uint64_t size)
{
    return (size >= 0x7e000000 && size <= 0x80001000) || size >= 0xfe000000;
}

static int read_exactly(struct input *in, unsigned char *data, size_t size)
{
    ssize_t n = input_read_all(in, data, size);
    return n < 0 ? (int)n : (size_t)n < size ? -ENODATA : 0;
}

struct chunk {
    unsigned char id[4];
    uint64_t size;
    unsigned char data[64]; /* the begin of a chunk that is not sound */
    size_t begin;           /* bytes of it, zeros behind them */
};

/* Reads a chunk's head and, unless it is `sound`, the chunk, with the byte that makes it even. */
static int read_chunk(struct chunk *c, struct input *in, const char *sound, bool big)
{
    unsigned char head[8];
    int rc = read_exactly(in, head, sizeof head);
    if (rc)
        return rc;
    memset(c, 0, sizeof *c);
    memcpy(c->id, head, 4);
    c->size = number(head + 4, 4, big);
    if (is(c->id, sound))
        return 0;
    c->begin = c->size < sizeof c->data ? (size_t)c->size : sizeof c->data;
    rc = read_exactly(in, c->data, c->begin);
    return rc ? rc : input_skip(in, c->size - c->begin + (c->size & 1));
}

static enum pcm_coding whole_numbers(unsigned bytes, bool unsigned8)
{
    switch (bytes) {
    case 1:
        return unsigned8 ? PCM_U8 : PCM_S8;
    case 2:
        return PCM_S16;
    case 3:
        return PCM_S24;
    case 4:
        return PCM_S32;
    }
    return PCM_NONE;
}

/* The chunk "fmt ". */
static void read_wave_format(struct pcm_header *h, const struct chunk *c)
{
    unsigned tag = (unsigned)number(c->data, 2, h->big_endian);
    unsigned align = (unsigned)number(c->data + 12, 2, h->big_endian);
    h->channels = (uint32_t)number(c->data + 2, 2, h->big_endian);
    h->rate_hz = (uint32_t)number(c->data + 4, 4, h->big_endian);
    unsigned bytes = h->channels && align % h->channels == 0 ? align / h->channels : 0;
    if (tag == WAVE_EXTENSIBLE && c->begin >= 26)
        tag = (unsigned)number(c->data + 24, 2, h->big_endian);
    h->coding = PCM_NONE;
    if (tag == WAVE_PCM)
        h->coding = whole_numbers(bytes, true);
    else if (tag == WAVE_FLOAT)
        h->coding = bytes == 4 ? PCM_F32 : bytes == 8 ? PCM_F64 : PCM_NONE;
    else if (bytes == 1)
        h->coding = tag == WAVE_ALAW ? PCM_ALAW : tag == WAVE_ULAW ? PCM_ULAW : PCM_NONE;
}

static int read_wave(struct pcm_header *h, struct input *in, bool large)
{
    struct chunk c;
    uint64_t size64 = 0;
    bool formatted = false;
    int rc;
    h->chunks = true;
    while ((rc = read_chunk(&c, in, "data", h->big_endian)) == 0 && !is(c.id, "data")) {
        if (is(c.id, "ds64"))
            size64 = number(c.data + 8, 8, h->big_endian);
        if (is(c.id, "fmt ")) {
            read_wave_format(h, &c);
            formatted = c.begin >= 16;
        }
    }
    if (rc)
        return rc;
    h->bytes = says_nothing(c.size) ? PCM_UNKNOWN : c.size;
    if (large && c.size == UINT32_MAX && size64 && size64 < UINT64_MAX / 4)
        h->bytes = size64;
    return formatted ? 0 : -ENOTSUP;
}

/* A floating-point number of 80 bits. */
static uint32_t read_extended(const unsigned char *p)
{
    int exponent = (int)number(p, 2, true) - 16383 - 63;
    double rate = ldexp((double)number(p + 2, 8, true), exponent);
    return rate >= 0 && rate < 1e9 ? (uint32_t)(rate + 0.5) : 0;
}

/* The chunk "COMM"; compressed: of AIFF-C. */
static void read_aiff_format(struct pcm_header *h, const struct chunk *c, bool compressed)
{
    unsigned bytes = ((unsigned)number(c->data + 6, 2, true) + 7) / 8;
    const unsigned char *type = c->data + 18;
    h->channels = (uint32_t)number(c->data, 2, true);
    h->rate_hz = read_extended(c->data + 8);
    h->coding = PCM_NONE;
    if (!compressed || is(type, "NONE") || is(type, "twos") || is(type, "sowt") ||
        is(type, "in24") || is(type, "in32"))
        h->coding = whole_numbers(bytes, false);
    else if (is(type, "raw ") && bytes == 1)
        h->coding = PCM_U8;
    else if (is(type, "fl32") || is(type, "FL32"))
        h->coding = PCM_F32;
    else if (is(type, "fl64") || is(type, "FL64"))
        h->coding = PCM_F64;
    else if (is(type, "alaw") || is(type, "ALAW"))
        h->coding = PCM_ALAW;
    else if (is(type, "ulaw") || is(type, "ULAW"))
        h->coding = PCM_ULAW;
    if (compressed && is(type, "sowt"))
        h->big_endian = false;
}

static int read_aiff(struct pcm_header *h, struct input *in, bool compressed)
{
    struct chunk c;
    unsigned char offset[8];
    uint64_t frames = 0;
    bool formatted = false;
    int rc;
    h->big_endian = h->chunks = true;
    while ((rc = read_chunk(&c, in, "SSND", true)) == 0 && !is(c.id, "SSND"))
        if (is(c.id, "COMM")) {
            read_aiff_format(h, &c, compressed);
            frames = number(c.data + 2, 4, true);
            formatted = c.begin >= 18;
        }
    if (!rc)
        rc = read_exactly(in, offset, sizeof offset);
    uint64_t before = 8 + number(offset, 4, true);
    if (!rc && before > 8)
        rc = input_skip(in, before - 8);
    if (rc)
        return rc;
    h->bytes = says_nothing(c.size) ? PCM_UNKNOWN : c.size <= before ? 0 : c.size - before;
    uint64_t sound = frames * h->channels * pcm_sample_size(h->coding);
    if (sound && sound < h->bytes && !says_nothing(frames))
        h->bytes = sound;
    return formatted ? 0 : -ENOTSUP; /* "COMM" may be behind the sound */
}

static int read_au(struct pcm_header *h, struct input *in)
{
    static const unsigned char codings[] = {
        [1] = PCM_ULAW, [2] = PCM_S8,  [3] = PCM_S16, [4] = PCM_S24,
        [5] = PCM_S32,  [6] = PCM_F32, [7] = PCM_F64, [27] = PCM_ALAW,
    };
    unsigned char head[20];
    int rc = read_exactly(in, head, sizeof head);
    if (rc)
        return rc;
    uint64_t offset = number(head, 4, true), size = number(head + 4, 4, true);
    uint64_t coding = number(head + 8, 4, true);
    h->big_endian = true;
    h->coding = coding < sizeof codings ? (enum pcm_coding)codings[coding] : PCM_NONE;
    h->rate_hz = (uint32_t)number(head + 12, 4, true);
    h->channels = (uint32_t)number(head + 16, 4, true);
    h->bytes = size == 0 || says_nothing(size) ? PCM_UNKNOWN : size;
    return offset < 24 ? -ENOTSUP : input_skip(in, offset - 24);
}

int pcm_header_read(struct pcm_header *h, struct input *in)
{
    unsigned char head[12];
    *h = (struct pcm_header){.bytes = PCM_UNKNOWN};
    int rc = read_exactly(in, head, 4);
    if (rc)
        return rc;
    if (is(head, ".snd"))
        return read_au(h, in);
    rc = read_exactly(in, head + 4, 8);
    if (rc)
        return rc;
    h->big_endian = is(head, "RIFX");
    if ((is(head, "RIFF") || h->big_endian) && is(head + 8, "WAVE"))
        return read_wave(h, in, false);
    if ((is(head, "RF64") || is(head, "BW64")) && is(head + 8, "WAVE"))
        return read_wave(h, in, true);
    if (is(head, "FORM") && (is(head + 8, "AIFF") || is(head + 8, "AIFC")))
        return read_aiff(h, in, head[11] == 'C');
    return -ENOTSUP;
}
