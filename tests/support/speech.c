#include "tests/support/speech.h"

#include "base/sound.h"
#include "dsp/resample.h"

#include <stdio.h>
#include <stdlib.h>

static void need(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tests/data/orders.opus: %s\n", what);
    abort();
}

float *speech_load(size_t *count)
{
    struct sound *s = NULL;
    struct resample *r = NULL;
    struct error error = {"cannot be opened"};
    need(!sound_open(&s, "tests/data/orders.opus", &error), error.message);
    need(!resample_create(&r, sound_rate_hz(s), sound_channels(s)), "cannot be resampled");
    size_t frames = (size_t)sound_frames(s);
    float *in = malloc(frames * (size_t)sound_channels(s) * sizeof(float));
    float *out = malloc((resample_bound(r, frames) + resample_bound(r, 0)) * sizeof(float));
    need(in && out && sound_read(s, in, frames) == (int64_t)frames, "cannot be read");
    *count = resample_push(r, in, frames, out);
    *count += resample_flush(r, out + *count);
    free(in);
    resample_destroy(r);
    sound_close(s);
    return out;
}
