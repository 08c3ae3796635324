#include "base/sound.h"

#include <errno.h>
#include <sndfile.h>
#include <stdbool.h>
#include <stdlib.h>

struct sound {
    SNDFILE *file;
    SF_INFO info;
    int64_t read; /* frames */
};

/* Of these libsndfile knows the length, but not that they are damaged: it goes on behind the
 * damage, or ends before the end. */
static bool falls_short(const struct sound *s)
{
    int format = s->info.format & SF_FORMAT_TYPEMASK;
    bool known = format == SF_FORMAT_FLAC || format == SF_FORMAT_OGG;
    return known && s->info.frames < SF_COUNT_MAX && s->read < s->info.frames;
}

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
    if (n == 0 && (sf_error(s->file) != SF_ERR_NO_ERROR || falls_short(s)))
        return -EIO;
    s->read += n;
    return n;
}
