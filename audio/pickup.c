/* The device's frames, resampled and mixed down. */
#include "audio/pickup.h"

#include "audio/microphone.h"
#include "audio/portaudio.h"
#include "audio/quiet.h"
#include "audio/sound_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNKS_HZ = 20, /* reads that make a second */
};

struct pickup {
    struct microphone *microphone;
    struct resample *resample;
    float *in;    /* [chunk, channels] */
    float *out;   /* [resample_bound(chunk) or of 0] */
    size_t chunk; /* frames */
};

static int create_resampler(struct pickup *p, struct error *error)
{
    int rate_hz = microphone_rate_hz(p->microphone);
    int channels = microphone_channels(p->microphone);
    int rc = resample_create(&p->resample, rate_hz, channels);
    if (rc)
        return error_set(error, rc, "%s, %d Hz: %s", pickup_name(p), rate_hz, strerror(-rc));
    p->chunk = (size_t)(rate_hz / CHUNKS_HZ);
    p->in = calloc(p->chunk * (size_t)channels, sizeof *p->in);
    p->out = calloc(resample_bound(p->resample, p->chunk) + resample_bound(p->resample, 0),
                    sizeof *p->out);
    return p->in && p->out ? 0 : error_set(error, -ENOMEM, "out of memory");
}

int pickup_open(struct pickup **out, const char *device, int buffer_ms, struct error *error)
{
    const struct microphone_choice choice = {
        .device = device, .known_as = "", .buffer_ms = buffer_ms};
    struct pickup *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return error_set(error, -ENOMEM, "out of memory");
    sound_client_introduce(0);
    int saved = quiet_begin();
    int rc = portaudio_start(PORTAUDIO_START_MS, error);
    if (!rc)
        rc = microphone_open(&p->microphone, &choice, error);
    quiet_end(saved);
    if (!rc)
        rc = create_resampler(p, error);
    if (rc) {
        pickup_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pickup_close(struct pickup *p)
{
    if (!p)
        return;
    resample_destroy(p->resample);
    free(p->in);
    free(p->out);
    free(p);
}

const char *pickup_name(const struct pickup *p)
{
    return microphone_name(p->microphone);
}

bool pickup_has_lost(struct pickup *p)
{
    return microphone_lost(p->microphone) > 0;
}

long pickup_read(struct pickup *p, const float **samples, struct error *error)
{
    long frames = microphone_read(p->microphone, p->in, p->chunk);
    *samples = p->out;
    if (frames < 0)
        return error_set(error, (int)frames, "the microphone %s gives nothing any more",
                         pickup_name(p));
    return frames ? (long)resample_push(p->resample, p->in, (size_t)frames, p->out) : 0;
}

size_t pickup_flush(struct pickup *p, const float **samples)
{
    *samples = p->out;
    return resample_flush(p->resample, p->out);
}
