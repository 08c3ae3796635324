/* A microphone's samples come when they are there. Standard input may have an hour at once: a
 * packet of it is given every 20 ms.
 */
#include "bridges/ear_sound.h"

#include "audio/microphone.h"
#include "audio/quiet.h"
#include "audio/resample.h"
#include "audio/sound_client.h"
#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PACKET_US = 1000000 * EAR_PACKET / EAR_RATE_HZ,
    CHUNKS_HZ = 100,  /* reads of a microphone a second */
    BUFFER_MS = 2000, /* of a microphone, while the network holds us up */
    QUEUE = 16384,    /* samples */
};

_Static_assert((int)EAR_RATE_HZ == (int)RESAMPLE_RATE_HZ, "sound is sent as it is resampled");

struct ear_sound {
    struct microphone *microphone; /* NULL: standard input */
    struct resample *resample;
    float *in, *out;   /* of a chunk: [chunk, channels], [resample_bound(chunk)] */
    size_t chunk;      /* frames */
    float wait[QUEUE]; /* resampled */
    size_t waiting;
    int64_t due_us; /* of standard input's next packet */
};

static int open_microphone(struct ear_sound *s, const char *device, struct error *error)
{
    const struct microphone_choice choice = {
        .device = device, .known_as = "", .buffer_ms = BUFFER_MS};
    sound_client_introduce(0);
    int saved = quiet_begin();
    int rc = microphone_open(&s->microphone, &choice, error);
    quiet_end(saved);
    if (rc)
        return rc;
    int rate_hz = microphone_rate_hz(s->microphone), channels = microphone_channels(s->microphone);
    s->chunk = (size_t)(rate_hz / CHUNKS_HZ);
    rc = resample_create(&s->resample, rate_hz, channels);
    if (rc)
        return error_set(error, rc, "%s, %d Hz: %s", microphone_name(s->microphone), rate_hz,
                         strerror(-rc));
    s->in = calloc(s->chunk * (size_t)channels, sizeof *s->in);
    s->out = calloc(resample_bound(s->resample, s->chunk), sizeof *s->out);
    return s->in && s->out ? 0 : error_set(error, -ENOMEM, "out of memory");
}

int ear_sound_open(struct ear_sound **out, const char *device, struct error *error)
{
    struct ear_sound *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    int rc = strcmp(device, "-") == 0 ? 0 : open_microphone(s, device, error);
    if (rc) {
        ear_sound_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* The microphone stays open: PortAudio may hang, and the process ends now. */
void ear_sound_close(struct ear_sound *s)
{
    if (!s)
        return;
    resample_destroy(s->resample);
    free(s->in);
    free(s->out);
    free(s);
}

const char *ear_sound_name(const struct ear_sound *s)
{
    return s->microphone ? microphone_name(s->microphone) : "standard input";
}

static int16_t quantised(float sample)
{
    float x = sample * 32768.0f;
    return (int16_t)lrintf(x < -32768.0f ? -32768.0f : x > 32767.0f ? 32767.0f : x);
}

static void take_waiting(struct ear_sound *s, int16_t *packet)
{
    for (size_t i = 0; i < EAR_PACKET; i++)
        packet[i] = quantised(s->wait[i]);
    s->waiting -= EAR_PACKET;
    memmove(s->wait, s->wait + EAR_PACKET, s->waiting * sizeof *s->wait);
}

/* 0 also where a signal cut the rest short. */
static int rest(int64_t us)
{
    const struct timespec time = {us / 1000000, us % 1000000 * 1000};
    return us <= 0 || nanosleep(&time, NULL) == 0;
}

static int hear(struct ear_sound *s, int16_t *packet, struct error *error)
{
    while (s->waiting < EAR_PACKET) {
        long frames = microphone_read(s->microphone, s->in, s->chunk);
        if (frames < 0)
            return error_set(error, (int)frames, "the microphone %s gives nothing any more",
                             microphone_name(s->microphone));
        if (frames == 0 && !rest(1000000 / CHUNKS_HZ))
            return 0;
        size_t count = resample_push(s->resample, s->in, (size_t)frames, s->out);
        memcpy(s->wait + s->waiting, s->out, count * sizeof *s->out);
        s->waiting += count;
    }
    take_waiting(s, packet);
    return 1;
}

static int read_input(struct ear_sound *s, int16_t *packet)
{
    size_t count = fread(packet, sizeof *packet, EAR_PACKET, stdin);
    int64_t now_us = clock_monotonic_us();
    if (count == 0)
        return 0;
    memset(packet + count, 0, (EAR_PACKET - count) * sizeof *packet);
    if (s->due_us < now_us - PACKET_US || !s->due_us)
        s->due_us = now_us;
    int rested = rest(s->due_us - now_us);
    s->due_us += PACKET_US;
    return rested;
}

int ear_sound_read(struct ear_sound *s, int16_t packet[EAR_PACKET], struct error *error)
{
    return s->microphone ? hear(s, packet, error) : read_input(s, packet);
}
