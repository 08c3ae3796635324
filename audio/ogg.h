/* The packets of one stream of an Ogg file, and what decodes them. An Ogg file is a chain of links
 * (RFC 3533: "cat a.ogg b.ogg"); a link has streams side by side, of which the first that is sound
 * is heard.
 */
#ifndef EARSHOT_AUDIO_OGG_H
#define EARSHOT_AUDIO_OGG_H

#include "audio/decoder.h"

#include <ogg/ogg.h>

struct ogg;

/* The link's next packet, which lasts until the next call: 1, 0 at the link's end, -errno. */
struct ogg_piece {
    ogg_packet packet;
    int64_t page_end; /* granule position of its page, -1: none ends there */
    bool last_page;   /* of the link */
};
int ogg_next(struct ogg *o, struct ogg_piece *piece);

/* Decoders of a link, whose first packet is the one that ogg_next gives next. As decoder.h. */
int ogg_opus_create(struct decoder **out, struct ogg *o, struct error *error);
int ogg_vorbis_create(struct decoder **out, struct ogg *o, struct error *error);
int ogg_flac_create(struct decoder **out, struct ogg *o, struct error *error);

#endif
