/* What else libsndfile reads (CAF, W64, WAV with ADPCM, ...): whole files alone, so that a pipe is
 * copied first. */
#include "audio/decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <sndfile.h>
#include <stdlib.h>
#include <unistd.h>

struct sndfile {
    struct decoder base;
    SNDFILE *file;
    sf_count_t read, frames;
};

static struct sndfile *cast(struct decoder *d)
{
    return (struct sndfile *)(void *)d;
}

static int64_t sndfile_read(struct decoder *d, float *samples, size_t frames)
{
    struct sndfile *s = cast(d);
    sf_count_t n = sf_readf_float(s->file, samples, (sf_count_t)frames);
    if (n <= 0 && (sf_error(s->file) != SF_ERR_NO_ERROR || s->read < s->frames))
        decoder_blame(d, "it is cut short, or damaged");
    s->read += n > 0 ? n : 0;
    return n > 0 ? n : 0;
}

static void sndfile_destroy(struct decoder *d)
{
    struct sndfile *s = cast(d);
    if (s->file)
        sf_close(s->file);
    free(s);
}

static const struct decoder_ops sndfile_ops = {sndfile_read, sndfile_destroy};

int sndfile_create(struct decoder **out, struct input *in, struct error *error)
{
    SF_INFO info = {0};
    int fd = input_file(in);
    if (fd < 0)
        return error_set(error, fd, "it cannot be copied into memory");
    struct sndfile *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->base.ops = &sndfile_ops;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    s->file = fd >= 0 ? sf_open_fd(fd, SFM_READ, &info, SF_TRUE) : NULL;
    if (!s->file || info.channels > DECODER_CHANNELS_MAX) {
        int code = sf_error(NULL) == SF_ERR_UNRECOGNISED_FORMAT ? -ENOTSUP : -EINVAL;
        error_set(error, code, "%s", sf_strerror(NULL));
        sndfile_destroy(&s->base);
        return code;
    }
    s->base.rate_hz = info.samplerate;
    s->base.channels = info.channels;
    s->frames = info.frames < SF_COUNT_MAX ? info.frames : 0;
    *out = &s->base;
    return 0;
}
