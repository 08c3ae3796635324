/* A frame's header, 32 bits: sync 11, version 2 (3: MPEG-1, 2: -2, 0: -2.5), layer 2 (3: I, 2: II,
 * 1: III), protection 1, bit rate 4, sample rate 2, padding 1, private 1, mode 2 (3: mono), ... */
#include "audio/mp3_frames.h"

#include <string.h>

struct header {
    unsigned version, layer, bit_rate, sample_rate, padding, mode;
};

/* False: no frame begins so. */
static bool read_header(struct header *h, const unsigned char *p)
{
    *h = (struct header){p[1] >> 3 & 3, p[1] >> 1 & 3, p[2] >> 4,
                         p[2] >> 2 & 3, p[2] >> 1 & 1, p[3] >> 6};
    return p[0] == 0xff && p[1] >= 0xe0 && h->version != 1 && h->layer != 0 && h->bit_rate != 15 &&
           h->sample_rate != 3;
}

/* Layer II and III, I of MPEG-1 and -2, in kbit/s. */
static unsigned kilobits(const struct header *h)
{
    static const uint16_t rates[5][15] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, /* MPEG-1, I */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    /* II */
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     /* III */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    /* MPEG-2, I */
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},         /* II, III */
    };
    unsigned row = h->version == 3 ? 3 - h->layer : h->layer == 3 ? 3 : 4;
    return rates[row][h->bit_rate];
}

size_t mp3_frame_size(const unsigned char *p)
{
    static const unsigned rates_hz[3] = {44100, 48000, 32000};
    struct header h;
    if (!read_header(&h, p) || h.bit_rate == 0)
        return 0;
    unsigned rate_hz = rates_hz[h.sample_rate] >> (h.version == 3 ? 0 : h.version == 2 ? 1 : 2);
    size_t bits = kilobits(&h) * 1000;
    if (h.layer == 3)
        return (12 * bits / rate_hz + h.padding) * 4;
    unsigned samples = h.layer == 1 && h.version != 3 ? 576 : 1152;
    return samples / 8 * bits / rate_hz + h.padding;
}

void mp3_frames_init(struct mp3_frames *m)
{
    *m = (struct mp3_frames){.wanted = 10};
}

static uint32_t big(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The first frame may hold no sound but the encoder's counts, behind the side information. */
static void read_counts(struct mp3_frames *m)
{
    struct header h;
    read_header(&h, m->window);
    size_t side = h.version == 3 ? (h.mode == 3 ? 17 : 32) : (h.mode == 3 ? 9 : 17);
    const unsigned char *tag = m->window + 4 + side;
    bool there = memcmp(tag, "Xing", 4) == 0 || memcmp(tag, "Info", 4) == 0;
    if (h.layer == 1 && there && (tag[7] & 1))
        m->total = (uint64_t)big(tag + 8) + 1; /* and this one */
}

static void drop(struct mp3_frames *m, size_t bytes)
{
    m->held -= bytes;
    memmove(m->window, m->window + bytes, m->held);
    m->wanted = 10;
}

/* Leaves size bytes, some of which are in the window. */
static void leave(struct mp3_frames *m, size_t size)
{
    size_t here = size < m->held ? size : m->held;
    m->skip = size - here;
    drop(m, here);
}

static void step(struct mp3_frames *m)
{
    const unsigned char *p = m->window;
    struct header h;
    size_t size = mp3_frame_size(p);
    if (memcmp(p, "ID3", 3) == 0 && !(p[6] >> 7) && !(p[7] >> 7) && !(p[8] >> 7) && !(p[9] >> 7)) {
        leave(m, 10u + (p[6] << 21 | p[7] << 14 | p[8] << 7 | p[9]) + (p[5] & 0x10 ? 10 : 0));
    } else if (memcmp(p, "TAG", 3) == 0 || memcmp(p, "APETAGEX", 8) == 0 ||
               memcmp(p, "LYRICSBEGIN", 8) == 0) {
        m->over = true;
    } else if (size > 10) {
        if (m->frames == 0 && !m->lost && m->held < 60 && size > 60) {
            m->wanted = 60;
            return;
        }
        if (m->frames == 0 && size > 60)
            read_counts(m);
        m->damaged |= m->lost && m->frames > 0;
        m->lost = false;
        m->frames++;
        leave(m, size);
    } else {
        m->free_format |= read_header(&h, p) && h.bit_rate == 0;
        m->lost = true;
        drop(m, 1);
    }
}

void mp3_frames_push(struct mp3_frames *m, const unsigned char *data, size_t size)
{
    while (size && !m->over && !m->free_format) {
        if (m->skip) {
            size_t part = m->skip < size ? (size_t)m->skip : size;
            m->skip -= part;
            data += part;
            size -= part;
            continue;
        }
        m->window[m->held++] = *data++;
        size--;
        while (m->held >= m->wanted && !m->skip && !m->over && !m->free_format)
            step(m);
    }
}

bool mp3_frames_cut(const struct mp3_frames *m)
{
    if (m->free_format)
        return false;
    bool begun = m->held >= 2 && m->window[0] == 0xff && m->window[1] >= 0xe0;
    return (begun && !m->over) || m->skip > 0 || m->frames < m->total;
}
