/* A microphone's samples come when they are there. Standard input may have an hour at once: a
 * packet of it is given every 20 ms.
 */
#include "bridges/ear_sound.h"

#include "audio/pickup.h"
#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PACKET_US = 1000000 * EAR_PACKET / EAR_RATE_HZ,
    REST_US = 10000,  /* until a microphone has more */
    BUFFER_MS = 2000, /* of a microphone, while the network holds us up */
    QUEUE = 16384,    /* samples */
};

_Static_assert((int)EAR_RATE_HZ == (int)RESAMPLE_RATE_HZ, "sound is sent as it is resampled");

struct ear_sound {
    struct pickup *pickup; /* NULL: standard input */
    float wait[QUEUE];
    size_t waiting;
    int64_t due_us; /* of standard input's next packet */
};

int ear_sound_open(struct ear_sound **out, const char *device, struct error *error)
{
    struct ear_sound *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    int rc = strcmp(device, "-") == 0 ? 0 : pickup_open(&s->pickup, device, BUFFER_MS, error);
    if (rc) {
        ear_sound_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void ear_sound_close(struct ear_sound *s)
{
    if (!s)
        return;
    pickup_close(s->pickup);
    free(s);
}

const char *ear_sound_name(const struct ear_sound *s)
{
    return s->pickup ? pickup_name(s->pickup) : "standard input";
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
        const float *samples;
        long count = pickup_read(s->pickup, &samples, error);
        if (count < 0)
            return (int)count;
        if (count == 0 && !rest(REST_US))
            return 0;
        memcpy(s->wait + s->waiting, samples, (size_t)count * sizeof *samples);
        s->waiting += (size_t)count;
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
    return s->pickup ? hear(s, packet, error) : read_input(s, packet);
}
