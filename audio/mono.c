/* Each part of one format has a resampler of its own, which gives its last samples at its end. */
#include "audio/mono.h"

#include "audio/decoder.h"
#include "audio/resample.h"

#include <errno.h>
#include <stdlib.h>

enum { FRAMES = 4096 };

struct mono {
    struct sound *sound;
    struct resample *resample;
    float *in; /* [FRAMES, channels], owned */
    struct pending pending;
    int64_t end; /* what sound_read returned; above 0: not yet */
    struct error why;
};

/* For what comes next. */
static int take_format(struct mono *m, struct error *error)
{
    int rate_hz = sound_rate_hz(m->sound), channels = sound_channels(m->sound);
    resample_destroy(m->resample);
    free(m->in);
    m->in = calloc((size_t)FRAMES * (size_t)channels, sizeof *m->in);
    int rc = resample_create(&m->resample, rate_hz, channels);
    if (rc == -EINVAL)
        return error_set(error, rc, "%d Hz with %d channels is not supported", rate_hz, channels);
    return rc || !m->in ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int mono_create(struct mono **out, struct sound *sound, struct error *error)
{
    struct mono *m = calloc(1, sizeof *m);
    if (!m) {
        sound_close(sound);
        return error_set(error, -ENOMEM, "out of memory");
    }
    m->sound = sound;
    m->end = 1;
    int rc = take_format(m, error);
    if (rc)
        mono_destroy(m);
    else
        *out = m;
    return rc;
}

void mono_destroy(struct mono *m)
{
    if (!m)
        return;
    resample_destroy(m->resample);
    sound_close(m->sound);
    free(m->pending.samples);
    free(m->in);
    free(m);
}

/* Reads on, or ends with m->end. */
static void fill(struct mono *m)
{
    int64_t n = sound_read(m->sound, m->in, FRAMES);
    size_t frames = n > 0 ? (size_t)n : 0;
    float *out = pending_room(&m->pending, resample_bound(m->resample, frames));
    if (!out) {
        m->end = error_set(&m->why, -EIO, "out of memory");
        return;
    }
    m->pending.end +=
        n > 0 ? resample_push(m->resample, m->in, frames, out) : resample_flush(m->resample, out);
    if (n == -EAGAIN)
        n = take_format(m, &m->why) ? -EIO : 1;
    else if (n < 0)
        error_set(&m->why, 0, "%s", sound_why(m->sound));
    m->end = n;
}

int64_t mono_read(struct mono *m, float *samples, size_t count)
{
    while (m->pending.begin == m->pending.end && m->end > 0)
        fill(m);
    int64_t n = pending_take(&m->pending, samples, count, 1);
    return n ? n : m->end;
}

const char *mono_why(const struct mono *m)
{
    return m->why.message;
}

bool mono_is_live(const struct mono *m)
{
    return sound_is_live(m->sound);
}
