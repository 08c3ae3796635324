/* FLAC frames from wherever they come: a file, or the packets of Ogg. */
#ifndef EARSHOT_AUDIO_FLAC_H
#define EARSHOT_AUDIO_FLAC_H

#include "audio/decoder.h"

/* As input_read. */
typedef ssize_t flac_bytes(void *user, void *data, size_t size);

int flac_create_over(struct decoder **out, flac_bytes *bytes, void *user, struct error *error);

#endif
