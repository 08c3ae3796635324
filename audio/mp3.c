/* MP3 over mpg123, as a stream: nothing is sought. */
#include "audio/decoder.h"
#include "audio/mp3_frames.h"

#include <errno.h>
#include <mpg123.h>
#include <stdlib.h>
#include <string.h>

struct mp3 {
    struct decoder base;
    mpg123_handle *mpg123;
    struct input *input;
    struct mp3_frames frames;
    int failed; /* what the input returned, if it failed */
    bool over;
};

static struct mp3 *cast(struct decoder *d)
{
    return (struct mp3 *)(void *)d;
}

static ssize_t read_bytes(void *user, void *data, size_t size)
{
    struct mp3 *m = user;
    ssize_t n = input_read(m->input, data, size);
    if (n > 0)
        mp3_frames_push(&m->frames, data, (size_t)n);
    if (n < 0)
        m->failed = (int)n;
    return n;
}

static off_t no_seek(void *user, off_t offset, int whence)
{
    (void)user;
    (void)offset;
    (void)whence;
    return -1;
}

/* Whether the format is another than before. */
static bool take_format(struct mp3 *m)
{
    long rate_hz = 0;
    int channels = 0, encoding = 0;
    if (mpg123_getformat(m->mpg123, &rate_hz, &channels, &encoding) != MPG123_OK)
        return false;
    bool same = m->base.rate_hz == rate_hz && m->base.channels == channels;
    m->base.rate_hz = (int)rate_hz;
    m->base.channels = channels;
    return !same;
}

static void end(struct mp3 *m, bool failed)
{
    m->over = true;
    if (m->failed)
        decoder_blame(&m->base, "%s", strerror(-m->failed));
    else if (mp3_frames_cut(&m->frames) && !input_was_stopped(m->input))
        decoder_blame(&m->base, "it is cut short");
    else if (m->frames.damaged || failed)
        decoder_blame(&m->base, "it is damaged");
}

static int64_t mp3_read(struct decoder *d, float *samples, size_t frames)
{
    struct mp3 *m = cast(d);
    size_t frame = (size_t)d->channels * sizeof *samples, bytes = 0;
    while (!m->over && bytes == 0) {
        int rc = mpg123_read(m->mpg123, (unsigned char *)samples, frames * frame, &bytes);
        if (rc == MPG123_NEW_FORMAT && take_format(m))
            return -EAGAIN; /* bytes is 0 */
        if (rc != MPG123_OK && rc != MPG123_NEW_FORMAT && bytes == 0)
            end(m, rc != MPG123_DONE);
    }
    return (int64_t)(bytes / frame);
}

static void mp3_destroy(struct decoder *d)
{
    struct mp3 *m = cast(d);
    if (m->mpg123)
        mpg123_delete(m->mpg123);
    free(m);
}

static const struct decoder_ops mp3_ops = {mp3_read, mp3_destroy};

static int start(struct mp3 *m)
{
    mpg123_handle *h = m->mpg123;
    mpg123_param(h, MPG123_ADD_FLAGS, MPG123_FORCE_FLOAT | MPG123_QUIET | MPG123_GAPLESS, 0);
    mpg123_param(h, MPG123_RESYNC_LIMIT, -1, 0);
    if (mpg123_replace_reader_handle(h, read_bytes, no_seek, NULL) != MPG123_OK ||
        mpg123_open_handle(h, m) != MPG123_OK)
        return -EINVAL;
    take_format(m);
    return m->base.rate_hz > 0 && m->base.channels > 0 ? 0 : -EINVAL;
}

int mp3_create(struct decoder **out, struct input *in, struct error *error)
{
    static bool ready;
    if (!ready && mpg123_init() != MPG123_OK)
        return error_set(error, -ENOTSUP, "mpg123 does not start");
    ready = true;
    struct mp3 *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(error, -ENOMEM, "out of memory");
    m->base.ops = &mp3_ops;
    m->input = in;
    m->mpg123 = mpg123_new(NULL, NULL);
    mp3_frames_init(&m->frames);
    int rc = m->mpg123 ? start(m) : -ENOMEM;
    if (!rc) {
        *out = &m->base;
        return 0;
    }
    mp3_destroy(&m->base);
    return error_set(error, rc == -ENOMEM ? rc : -ENOTSUP, "no sound is there");
}
