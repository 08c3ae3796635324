/* A sound file of a stranger as 16 kHz mono, decoded in a process of its own (this program once
 * more): what takes the file apart cannot take the bridge down, is not waited for, and ends when
 * nobody wants it any more. One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_HTTP_DECODER_H
#define EARSHOT_BRIDGES_HTTP_DECODER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum {
    HTTP_DECODER_RATE_HZ = 16000,
    HTTP_DECODER_SAMPLES = 8000, /* of a piece, at most */
    HTTP_DECODER_HOURS = 6,      /* of sound, at most */
};

struct http_decoder;

/* file: its descriptor, whose begin is read; the caller's. ready: there may be something to read. 0
 * or -errno. */
int http_decoder_create(struct http_decoder **out, sd_event *event, int file,
                        void (*ready)(void *user), void *user);
void http_decoder_destroy(struct http_decoder *d);

/* The next samples, at most HTTP_DECODER_SAMPLES; 0: all were read; -EAGAIN: ready will tell;
 * -EINVAL: the file is wrong, or -EIO: the process is gone; with a message. */
int64_t http_decoder_read(struct http_decoder *d, int16_t *samples, struct error *error);

/* main() of that process, where this is one; -1: it is none. */
int http_decoder_main(int argc, char **argv);

#endif
