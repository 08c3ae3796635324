/* Samples into an Ogg Opus file (RFC 7845), page by page. Single-threaded; allocates at create, and
 * libopusenc while it writes. */
#ifndef EARSHOT_BASE_OPUS_WRITER_H
#define EARSHOT_BASE_OPUS_WRITER_H

#include <stddef.h>

enum {
    OPUS_WRITER_RATE_HZ = 16000,
};

struct opus_writer;

/* Takes the next [size] bytes of the file: 0 or -errno. */
typedef int opus_writer_sink(void *user, const void *data, size_t size);

int opus_writer_create(struct opus_writer **out, opus_writer_sink *sink,
                       void *user); /* 0, -errno */
void opus_writer_destroy(struct opus_writer *w);

/* samples: [count], mono. 0, or -errno: the sink's, of this call or of one before. */
int opus_writer_push(struct opus_writer *w, const float *samples, size_t count);

/* Completes the file; nothing is pushed after it. As opus_writer_push, or -ENODATA: nothing was
 * pushed before it either, and there is no file. */
int opus_writer_finish(struct opus_writer *w);

#endif
