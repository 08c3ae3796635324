/* Ogg over libogg, as a stream: nothing is sought. A link ends with a page that says so; one that
 * ends otherwise is cut short. */
#include "audio/ogg.h"

#include "audio/flac.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 4096 };

struct ogg {
    struct decoder base;
    struct input *input;
    ogg_sync_state sync;
    ogg_stream_state stream;
    ogg_page page;
    struct decoder *link; /* NULL: between two */
    bool has_page;        /* one that the stream has not taken */
    bool has_stream, has_packets;
    bool stream_over, input_over;
    bool skipped; /* bytes between pages */
    int64_t page_end;
    bool last_page;
    int failed;
    /* Of Ogg FLAC: what of its packet is not read. */
    const unsigned char *rest;
    size_t rest_size;
    bool in_headers;
};

static struct ogg *cast(struct decoder *d)
{
    return (struct ogg *)(void *)d;
}

/* 1, 0 at the end, -errno. */
static int read_page(struct ogg *o)
{
    for (;;) {
        int rc = ogg_sync_pageout(&o->sync, &o->page);
        if (rc > 0)
            return 1;
        o->skipped |= rc < 0;
        if (rc < 0)
            continue;
        char *bytes = o->input_over ? NULL : ogg_sync_buffer(&o->sync, BYTES);
        ssize_t n = bytes ? input_read(o->input, bytes, BYTES) : 0;
        o->input_over |= n <= 0;
        if (n <= 0)
            return (int)n;
        ogg_sync_wrote(&o->sync, n);
    }
}

/* Gives the stream its next page. 1, 0 at the link's end, -errno. */
static int take_page(struct ogg *o)
{
    while (!o->stream_over) {
        int rc = o->has_page ? 1 : read_page(o);
        o->has_page = false;
        if (rc < 0)
            return rc;
        bool bos = rc && ogg_page_bos(&o->page),
             ours = rc && ogg_page_serialno(&o->page) == (int)o->stream.serialno;
        /* A new link; its streams all begin before any goes on. */
        bool cut = rc == 0 || (bos && o->has_packets && (!ours || o->page_end >= 0));
        if (cut && !input_was_stopped(o->input))
            decoder_blame(&o->base, "it is cut short: its last page is missing");
        o->has_page = rc && cut;
        o->stream_over = cut;
        if (cut || !ours)
            continue;
        if (o->skipped)
            decoder_blame(&o->base, "it is damaged: bytes between its pages are none of it");
        o->skipped = false;
        o->has_packets |= !bos;
        o->page_end = ogg_page_granulepos(&o->page);
        o->last_page = o->stream_over = ogg_page_eos(&o->page);
        ogg_stream_pagein(&o->stream, &o->page);
        return 1;
    }
    return 0;
}

int ogg_next(struct ogg *o, struct ogg_piece *piece)
{
    for (;;) {
        int rc = ogg_stream_packetout(&o->stream, &piece->packet);
        if (rc > 0) {
            piece->page_end = o->page_end;
            piece->last_page = o->last_page;
            return 1;
        }
        if (rc < 0) {
            decoder_blame(&o->base, "it is damaged: packets are missing");
            continue;
        }
        rc = take_page(o);
        if (rc <= 0) {
            o->failed = rc;
            return rc;
        }
    }
}

typedef int create_link(struct decoder **out, struct ogg *o, struct error *error);

/* What decodes a stream that begins with this packet; NULL: it is no sound, or none of ours. */
static create_link *find_codec(const ogg_packet *first)
{
    static const struct {
        const char *magic;
        create_link *create;
    } codecs[] = {{"OpusHead", ogg_opus_create},
                  {"\001vorbis", ogg_vorbis_create},
                  {"\177FLAC", ogg_flac_create}};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        size_t size = strlen(codecs[i].magic);
        if ((size_t)first->bytes > size && memcmp(first->packet, codecs[i].magic, size) == 0)
            return codecs[i].create;
    }
    return NULL;
}

static void leave_link(struct ogg *o)
{
    if (o->link)
        o->link->ops->destroy(o->link);
    if (o->has_stream)
        ogg_stream_clear(&o->stream);
    o->link = NULL;
    o->has_stream = o->has_packets = o->stream_over = o->last_page = false;
    o->page_end = -1;
}

/* Begins the next link with sound. 0, -ENODATA: there is none, -ENOTSUP: and there was one of
 * another kind, or -errno. */
static int enter_link(struct ogg *o, struct error *error)
{
    create_link *create = NULL;
    int rc, none = -ENODATA;
    leave_link(o);
    while (!create) {
        ogg_packet first;
        rc = o->has_page ? 1 : read_page(o);
        o->has_page = false;
        if (rc <= 0)
            return error_set(error, rc ? rc : none, "no sound of a kind that is known is there");
        if (!ogg_page_bos(&o->page))
            continue;
        if (o->has_stream)
            ogg_stream_clear(&o->stream);
        o->has_stream = ogg_stream_init(&o->stream, ogg_page_serialno(&o->page)) == 0;
        if (o->has_stream && ogg_stream_pagein(&o->stream, &o->page) == 0 &&
            ogg_stream_packetpeek(&o->stream, &first) > 0)
            create = find_codec(&first);
        none = -ENOTSUP;
    }
    o->skipped = false;
    rc = create(&o->link, o, error);
    if (rc)
        o->link = NULL;
    return rc;
}

/* -EAGAIN: it is of another format than the last. */
static int follow_link(struct ogg *o)
{
    int rate_hz = o->base.rate_hz, channels = o->base.channels;
    if (o->link && *o->link->why.message)
        decoder_blame(&o->base, "%s", o->link->why.message);
    struct error error;
    int rc = enter_link(o, &error);
    if (rc) {
        if (rc != -ENODATA)
            decoder_blame(&o->base, "a part of it cannot be heard: %s", error.message);
        return rc;
    }
    o->base.rate_hz = o->link->rate_hz;
    o->base.channels = o->link->channels;
    return rate_hz == o->base.rate_hz && channels == o->base.channels ? 0 : -EAGAIN;
}

static int64_t ogg_read(struct decoder *d, float *samples, size_t frames)
{
    struct ogg *o = cast(d);
    while (!o->failed) {
        int64_t n = o->link ? o->link->ops->read(o->link, samples, frames) : 0;
        if (n > 0)
            return n;
        if (o->failed)
            decoder_blame(d, "%s", strerror(-o->failed));
        int rc = follow_link(o);
        if (rc == -EAGAIN)
            return rc;
        if (rc == -ENODATA || (rc && o->input_over && !o->has_page))
            break;
    }
    return 0;
}

static void ogg_destroy(struct decoder *d)
{
    struct ogg *o = cast(d);
    leave_link(o);
    ogg_sync_clear(&o->sync);
    free(o);
}

static const struct decoder_ops ogg_ops = {ogg_read, ogg_destroy};

int ogg_create(struct decoder **out, struct input *in, struct error *error)
{
    struct ogg *o = calloc(1, sizeof *o);
    if (!o)
        return error_set(error, -ENOMEM, "out of memory");
    o->base.ops = &ogg_ops;
    o->input = in;
    ogg_sync_init(&o->sync);
    int rc = enter_link(o, error);
    if (rc) {
        ogg_destroy(&o->base);
        return rc;
    }
    o->base.rate_hz = o->link->rate_hz;
    o->base.channels = o->link->channels;
    *out = &o->base;
    return 0;
}

/* Ogg FLAC: the first packet has 9 bytes of its own before a native file's begin; the packets that
 * follow go on with that file. */
static ssize_t flac_packets(void *user, void *data, size_t size)
{
    struct ogg *o = user;
    struct ogg_piece piece;
    while (o->rest_size == 0) {
        int rc = ogg_next(o, &piece);
        if (rc <= 0)
            return rc;
        o->rest = piece.packet.packet;
        o->rest_size = (size_t)piece.packet.bytes;
        if (o->in_headers && o->rest_size > 9) {
            o->rest += 9;
            o->rest_size -= 9;
        }
        o->in_headers = false;
    }
    size_t n = size < o->rest_size ? size : o->rest_size;
    memcpy(data, o->rest, n);
    o->rest += n;
    o->rest_size -= n;
    return (ssize_t)n;
}

int ogg_flac_create(struct decoder **out, struct ogg *o, struct error *error)
{
    o->in_headers = true;
    o->rest_size = 0;
    return flac_create_over(out, flac_packets, o, error);
}
