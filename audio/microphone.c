/* Devices by name, the default where none is named; read and watched from PortAudio's callback's
 * ring. */
#include "audio/microphone.h"

#include "audio/capture_rt.h"
#include "audio/resample.h"
#include "audio/sound_client.h"
#include "audio/sound_server.h"
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PERIOD_MS = 40,      /* how often the device wakes us up, */
    PERIODS = 4,         /* and how many of these it can hold */
    SILENT_US = 2000000, /* a device that delivers nothing for this long is dead */
    SERVER_MS = 1500,    /* the time that a sound server has to list its sources */
};

struct microphone {
    int rate_hz, channels, buffer_ms;
    char name[MICROPHONE_NAME_MAX], known_as[MICROPHONE_NAME_MAX];
    PaStream *stream;
    struct capture_rt rt;
    uint64_t lost_told, overflows_told;
    uint64_t frames_seen; /* rt.frames when it last grew */
    int64_t seen_us;      /* clock then */
};

static int open_stream(struct microphone *m, PaDeviceIndex i, int rate_hz, int channels,
                       struct error *error)
{
    const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
    m->rate_hz = rate_hz;
    m->channels = channels;
    m->rt.channels = (size_t)channels;
    if (m->rate_hz < 4000 || m->rate_hz > 384000)
        return error_set(error, -EINVAL, "%s: a rate of %d Hz", info->name, m->rate_hz);
    ring_destroy(m->rt.ring);
    m->rt.ring = NULL;
    size_t frames = (size_t)m->rate_hz * (size_t)m->buffer_ms / 1000;
    int rc = ring_create(&m->rt.ring, frames * (size_t)channels);
    if (rc)
        return error_set(error, rc, "%s: no memory for its audio", info->name);

    unsigned long period = (unsigned long)(m->rate_hz * PERIOD_MS / 1000);
    PaStreamParameters parameters = {.device = i,
                                     .channelCount = channels,
                                     .sampleFormat = paFloat32,
                                     .suggestedLatency = PERIODS * PERIOD_MS / 1000.0};
    PaError pa = Pa_OpenStream(&m->stream, &parameters, NULL, m->rate_hz, period,
                               paClipOff | paDitherOff, capture_rt_callback, &m->rt);
    if (pa != paNoError)
        return error_set(error, -EIO, "%s: %s", info->name, Pa_GetErrorText(pa));
    pa = Pa_StartStream(m->stream);
    if (pa != paNoError) {
        Pa_CloseStream(m->stream);
        return error_set(error, -EIO, "%s: %s", info->name, Pa_GetErrorText(pa));
    }
    snprintf(m->name, sizeof m->name, "%s", info->name);
    return 0;
}

static bool can_capture(PaDeviceIndex i)
{
    const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
    return info && info->maxInputChannels > 0;
}

/* The usual rate first, whatever PortAudio takes for a sound server's: it is the cheapest to bring
 * to 16 kHz, and sound servers have it as it is. Two channels first: one would be what the server
 * mixes of them, which loses what audio/mixdown finds. */
static int open_device(struct microphone *m, PaDeviceIndex i, struct error *error)
{
    const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
    const int rates_hz[] = {RESAMPLE_MICROPHONE_HZ, (int)(info->defaultSampleRate + 0.5)};
    int rc = -EIO;
    for (int channels = info->maxInputChannels < 2 ? 1 : 2; rc && channels > 0; channels--)
        for (size_t n = 0; rc && n < sizeof rates_hz / sizeof *rates_hz; n++)
            rc = open_stream(m, i, rates_hz[n], channels, error);
    return rc;
}

static int no_such(const char *device, struct error *error)
{
    return error_set(error, -ENODEV, "%s: no such capture device", device);
}

static int open_listed(struct microphone *m, const char *name, struct error *error)
{
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++)
        if (can_capture(i) && strcmp(Pa_GetDeviceInfo(i)->name, name) == 0)
            return open_device(m, i, error);
    return no_such(name, error);
}

/* PortAudio has all sources of the sound server as one device. */
static int open_source(struct microphone *m, const struct sound_source *source, struct error *error)
{
    sound_client_choose(source);
    int rc = open_listed(m, "pulse", error);
    if (rc == -ENODEV)
        rc = open_listed(m, "pipewire", error);
    if (rc)
        return no_such(source->name, error);
    snprintf(m->name, sizeof m->name, "%s", source->name);
    snprintf(m->known_as, sizeof m->known_as, "%s", source->description);
    return 0;
}

/* A server that lists nothing may have it all the same. */
static int open_unlisted(struct microphone *m, const char *name, struct error *error)
{
    struct sound_source source = {0};
    snprintf(source.name, sizeof source.name, "%s", name);
    return open_source(m, &source, error);
}

static int open_of_server(struct microphone *m, const struct microphone_choice *choice,
                          struct error *error)
{
    static struct sound_sources sources;
    struct error unlisted;
    if (sound_server_list(&sources, SERVER_MS, &unlisted))
        return open_unlisted(m, choice->device, error);
    const struct sound_source *source =
        sound_sources_find(&sources, choice->device, choice->known_as);
    return source ? open_source(m, source, error) : no_such(choice->device, error);
}

static int open_any(struct microphone *m, struct error *error)
{
    static const char *const preferred[] = {"pipewire", "pulse", "default"};
    for (size_t i = 0; i < sizeof preferred / sizeof *preferred; i++)
        if (open_listed(m, preferred[i], error) == 0)
            return 0;
    PaDeviceIndex fallback = Pa_GetDefaultInputDevice();
    if (fallback != paNoDevice && open_device(m, fallback, error) == 0)
        return 0;
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++)
        if (can_capture(i) && open_device(m, i, error) == 0)
            return 0;
    return error_set(error, -ENODEV, "no capture device");
}

/* Where ALSA's own default is another one, the sound server's is meant. */
static int open_default(struct microphone *m, struct error *error)
{
    int rc = open_listed(m, "pulse", error);
    if (rc)
        rc = open_listed(m, "pipewire", error);
    if (rc)
        rc = open_listed(m, "default", error);
    snprintf(m->name, sizeof m->name, "default");
    return rc;
}

static int open_chosen(struct microphone *m, const struct microphone_choice *choice,
                       struct error *error)
{
    if (!*choice->device)
        return open_any(m, error);
    if (strcmp(choice->device, "default") == 0)
        return open_default(m, error);
    int rc = open_listed(m, choice->device, error);
    return rc == -ENODEV ? open_of_server(m, choice, error) : rc;
}

/* The error is that of what was chosen. */
static int open_or_fall_back(struct microphone *m, const struct microphone_choice *choice,
                             struct error *error)
{
    struct error other;
    int rc = open_chosen(m, choice, error);
    if (!rc || !choice->fallback || !*choice->device)
        return rc;
    sound_client_choose(NULL);
    return open_any(m, &other) == 0 ? 0 : rc;
}

int microphone_open(struct microphone **out, const struct microphone_choice *choice,
                    struct error *error)
{
    struct microphone *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(error, -ENOMEM, "out of memory");
    m->buffer_ms = choice->buffer_ms;
    int rc = open_or_fall_back(m, choice, error);
    m->seen_us = clock_monotonic_us();
    if (rc) {
        ring_destroy(m->rt.ring);
        free(m);
        return rc;
    }
    *out = m;
    return 0;
}

int microphone_rate_hz(const struct microphone *m)
{
    return m->rate_hz;
}

int microphone_channels(const struct microphone *m)
{
    return m->channels;
}

const char *microphone_name(const struct microphone *m)
{
    return m->name;
}

const char *microphone_known_as(const struct microphone *m)
{
    return m->known_as;
}

static bool is_dead(struct microphone *m)
{
    uint64_t frames = atomic_load_explicit(&m->rt.frames, memory_order_relaxed);
    if (frames != m->frames_seen) {
        m->frames_seen = frames;
        m->seen_us = clock_monotonic_us();
        return false;
    }
    return Pa_IsStreamActive(m->stream) != 1 || clock_monotonic_us() - m->seen_us > SILENT_US;
}

long microphone_read(struct microphone *m, float *samples, size_t frames)
{
    size_t n = ring_read(m->rt.ring, samples, frames * m->rt.channels) / m->rt.channels;
    if (n)
        return (long)n;
    return is_dead(m) ? -EIO : 0;
}

uint64_t microphone_lost(struct microphone *m)
{
    uint64_t total = atomic_load_explicit(&m->rt.lost, memory_order_relaxed);
    uint64_t overflows = atomic_load_explicit(&m->rt.overflows, memory_order_relaxed);
    uint64_t n = total - m->lost_told;
    n += (overflows - m->overflows_told) * (uint64_t)m->rate_hz / 10;
    m->lost_told = total;
    m->overflows_told = overflows;
    return n;
}
