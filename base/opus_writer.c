/* libopusenc gives pages, which are written as they come; the first error stays and is told at
 * the end. */
#include "base/opus_writer.h"

#include <errno.h>
#include <limits.h>
#include <opusenc.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    BITS_PER_SECOND = 32000,
    COMPLEXITY = 5, /* two thirds of what 10 takes, and speech is hardly worse at this rate */
};

struct opus_writer {
    OggOpusComments *comments;
    OggOpusEnc *encoder;
    opus_writer_sink *sink;
    void *user;
    int rc;     /* the sink's first error */
    bool begun; /* there is sound */
};

static int take_page(void *user, const unsigned char *data, opus_int32 size)
{
    struct opus_writer *w = user;
    if (!w->rc)
        w->rc = w->sink(w->user, data, (size_t)size);
    return w->rc != 0;
}

static int close_pages(void *user)
{
    (void)user;
    return 0;
}

static int configure(OggOpusEnc *encoder)
{
    int rc = ope_encoder_ctl(encoder, OPUS_SET_BITRATE(BITS_PER_SECOND));
    if (!rc)
        rc = ope_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(COMPLEXITY));
    if (!rc)
        rc = ope_encoder_ctl(encoder, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    /* There is nothing above half the rate. */
    return rc ? rc : ope_encoder_ctl(encoder, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
}

int opus_writer_create(struct opus_writer **out, opus_writer_sink *sink, void *user)
{
    static const OpusEncCallbacks callbacks = {take_page, close_pages};
    struct opus_writer *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->sink = sink;
    w->user = user;
    w->comments = ope_comments_create();
    if (w->comments)
        w->encoder = ope_encoder_create_callbacks(&callbacks, w, w->comments, OPUS_WRITER_RATE_HZ,
                                                  1, 0, NULL);
    if (!w->encoder || configure(w->encoder) != OPE_OK) {
        opus_writer_destroy(w);
        return -ENOMEM;
    }
    *out = w;
    return 0;
}

void opus_writer_destroy(struct opus_writer *w)
{
    if (!w)
        return;
    if (w->encoder)
        ope_encoder_destroy(w->encoder);
    if (w->comments)
        ope_comments_destroy(w->comments);
    free(w);
}

static int result(const struct opus_writer *w, int rc)
{
    if (w->rc)
        return w->rc;
    return rc == OPE_OK ? 0 : -EIO;
}

int opus_writer_push(struct opus_writer *w, const float *samples, size_t count)
{
    int rc = OPE_OK;
    w->begun = w->begun || count > 0;
    while (count > 0 && rc == OPE_OK) {
        int n = count < INT_MAX ? (int)count : INT_MAX;
        rc = ope_encoder_write_float(w->encoder, samples, n);
        samples += n;
        count -= (size_t)n;
    }
    return result(w, rc);
}

int opus_writer_finish(struct opus_writer *w)
{
    if (!w->begun)
        return -ENODATA; /* libopusenc would abort */
    return result(w, ope_encoder_drain(w->encoder));
}
