#include "base/sound.h"

#include <errno.h>
#include <sndfile.h>
#include <stdlib.h>

struct sound {
    SNDFILE *file;
    SF_INFO info;
};

int sound_open(struct sound **out, const char *path, struct error *error)
{
    struct sound *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    errno = 0;
    s->file = sf_open(path, SFM_READ, &s->info);
    if (!s->file) {
        int code = sf_error(NULL) == SF_ERR_SYSTEM && errno ? -errno : -EINVAL;
        error_set(error, code, "%s: %s", path, sf_strerror(NULL));
        free(s);
        return code;
    }
    *out = s;
    return 0;
}

void sound_close(struct sound *s)
{
    if (!s)
        return;
    sf_close(s->file);
    free(s);
}

int sound_rate_hz(const struct sound *s)
{
    return s->info.samplerate;
}

int sound_channels(const struct sound *s)
{
    return s->info.channels;
}

int64_t sound_frames(const struct sound *s)
{
    return s->info.frames;
}

int64_t sound_read(struct sound *s, float *samples, size_t frames)
{
    sf_count_t n = sf_readf_float(s->file, samples, (sf_count_t)frames);
    if (n == 0 && sf_error(s->file) != SF_ERR_NO_ERROR)
        return -EIO;
    return n;
}
