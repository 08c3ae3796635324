#include "daemon/capture.h"

#include "base/log.h"
#include "daemon/capture_rt.h"
#include "daemon/clock.h"

#include <alsa/asoundlib.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    SILENT_US = 3000000, /* a device that delivers nothing for this long is dead */
};

struct capture {
    struct source source;
    char wanted[SOURCE_NAME_MAX]; /* empty: any */
    int buffer_ms;
    bool initialised;
    PaStream *stream;
    struct capture_rt rt;
    uint64_t lost_told, overflows_told;
    uint64_t frames_seen; /* rt.frames when it last grew */
    int64_t seen_us;      /* clock then */
};

static struct capture *cast(struct source *s)
{
    return (struct capture *)(void *)s;
}

/* Asking ALSA for its devices makes it complain about each that is not there. */
__attribute__((format(printf, 5, 6))) static void
alsa_message(const char *file, int line, const char *function, int code, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_debug("alsa: %s:%d %s (%d): %s", file, line, function, code, text);
}

static void jack_message(const char *text)
{
    log_debug("jack: %s", text);
}

/* So does JACK, which comes with PortAudio where that was built with it. */
static void quieten_jack(void)
{
    typedef void set_function(void (*)(const char *));
    static const char *const names[] = {"jack_set_error_function", "jack_set_info_function"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        set_function *set = (set_function *)dlsym(RTLD_DEFAULT, names[i]);
        if (set)
            set(jack_message);
    }
}

static int initialise(struct error *error)
{
    snd_lib_error_set_handler(alsa_message);
    quieten_jack();
    PaError rc = Pa_Initialize();
    if (rc != paNoError)
        return error_set(error, -EIO, "PortAudio: %s", Pa_GetErrorText(rc));
    return 0;
}

static bool can_capture(PaDeviceIndex i)
{
    const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
    return info && info->maxInputChannels > 0;
}

static void stop(struct source *s)
{
    struct capture *c = cast(s);
    if (c->stream) {
        Pa_AbortStream(c->stream);
        Pa_CloseStream(c->stream);
        c->stream = NULL;
    }
    if (c->initialised)
        Pa_Terminate();
    c->initialised = false;
    ring_destroy(c->rt.ring);
    c->rt.ring = NULL;
}

static int make_ring(struct capture *c, int rate_hz, int channels)
{
    ring_destroy(c->rt.ring);
    c->rt.ring = NULL;
    c->rt.channels = (size_t)channels;
    return ring_create(&c->rt.ring,
                       (size_t)rate_hz * (size_t)channels * (size_t)c->buffer_ms / 1000);
}

static int open_stream(struct capture *c, PaDeviceIndex i, int channels, struct error *error)
{
    const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
    int rate_hz = (int)(info->defaultSampleRate + 0.5);
    if (rate_hz < 4000 || rate_hz > 384000)
        return error_set(error, -EINVAL, "%s: a rate of %d Hz", info->name, rate_hz);
    int rc = make_ring(c, rate_hz, channels);
    if (rc)
        return error_set(error, rc, "%s: no memory for its audio", info->name);

    PaStreamParameters parameters = {.device = i,
                                     .channelCount = channels,
                                     .sampleFormat = paFloat32,
                                     .suggestedLatency = info->defaultHighInputLatency};
    PaError pa = Pa_OpenStream(&c->stream, &parameters, NULL, rate_hz, paFramesPerBufferUnspecified,
                               paClipOff | paDitherOff, capture_rt_callback, &c->rt);
    if (pa == paNoError)
        pa = Pa_StartStream(c->stream);
    if (pa != paNoError) {
        if (c->stream)
            Pa_CloseStream(c->stream);
        c->stream = NULL;
        return error_set(error, -EIO, "%s: %s", info->name, Pa_GetErrorText(pa));
    }
    c->source.rate_hz = rate_hz;
    c->source.channels = channels;
    snprintf(c->source.name, sizeof c->source.name, "%s", info->name);
    return 0;
}

static int open_device(struct capture *c, PaDeviceIndex i, struct error *error)
{
    int rc = open_stream(c, i, 1, error);
    if (rc && Pa_GetDeviceInfo(i)->maxInputChannels > 1)
        rc = open_stream(c, i, 2, error);
    return rc;
}

static int open_named(struct capture *c, const char *name, struct error *error)
{
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++)
        if (can_capture(i) && strcmp(Pa_GetDeviceInfo(i)->name, name) == 0)
            return open_device(c, i, error);
    return error_set(error, -ENODEV, "%s: no such capture device", name);
}

static int open_any(struct capture *c, struct error *error)
{
    static const char *const preferred[] = {"pipewire", "pulse", "default"};
    for (size_t i = 0; i < sizeof preferred / sizeof *preferred; i++)
        if (open_named(c, preferred[i], error) == 0)
            return 0;
    PaDeviceIndex fallback = Pa_GetDefaultInputDevice();
    if (fallback != paNoDevice && open_device(c, fallback, error) == 0)
        return 0;
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++)
        if (can_capture(i) && open_device(c, i, error) == 0)
            return 0;
    return error_set(error, -ENODEV, "no capture device");
}

static int start(struct source *s, struct error *error)
{
    struct capture *c = cast(s);
    int rc = initialise(error);
    if (rc)
        return rc;
    c->initialised = true;
    atomic_store(&c->rt.frames, 0);
    atomic_store(&c->rt.lost, 0);
    atomic_store(&c->rt.overflows, 0);
    c->lost_told = c->overflows_told = c->frames_seen = 0;
    rc = *c->wanted ? open_named(c, c->wanted, error) : open_any(c, error);
    if (rc)
        stop(s);
    c->seen_us = clock_monotonic_us();
    return rc;
}

static bool is_dead(struct capture *c)
{
    uint64_t frames = atomic_load_explicit(&c->rt.frames, memory_order_relaxed);
    if (frames != c->frames_seen) {
        c->frames_seen = frames;
        c->seen_us = clock_monotonic_us();
        return false;
    }
    return Pa_IsStreamActive(c->stream) != 1 || clock_monotonic_us() - c->seen_us > SILENT_US;
}

static long read_frames(struct source *s, float *samples, size_t frames)
{
    struct capture *c = cast(s);
    size_t channels = c->rt.channels;
    size_t n = ring_read(c->rt.ring, samples, frames * channels) / channels;
    if (n)
        return (long)n;
    return is_dead(c) ? -EIO : 0;
}

/* What the device dropped itself is not told to us: a tenth of a second is assumed each time. */
static uint64_t lost(struct source *s)
{
    struct capture *c = cast(s);
    uint64_t total = atomic_load_explicit(&c->rt.lost, memory_order_relaxed);
    uint64_t overflows = atomic_load_explicit(&c->rt.overflows, memory_order_relaxed);
    uint64_t n = total - c->lost_told;
    n += (overflows - c->overflows_told) * (uint64_t)s->rate_hz / 10;
    c->lost_told = total;
    c->overflows_told = overflows;
    return n;
}

static void destroy(struct source *s)
{
    stop(s);
    free(cast(s));
}

static const struct source_ops capture_ops = {start, read_frames, lost, stop, destroy};

int capture_create(struct source **out, const char *device, int buffer_ms, struct error *error)
{
    if (strlen(device) >= SOURCE_NAME_MAX)
        return error_set(error, -EINVAL, "the device's name is too long");
    struct capture *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(error, -ENOMEM, "out of memory");
    c->source.ops = &capture_ops;
    c->source.wait_ms = 20;
    c->buffer_ms = buffer_ms;
    strcpy(c->wanted, device);
    *out = &c->source;
    return 0;
}
