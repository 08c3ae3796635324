/* The audio's clock, the machine's and the date; see the header. */
#include "daemon/audio_clock.h"

#define SLACK_US 1000000       /* between the audio's clock and the machine's */
#define SILENCE_US 600000000ll /* after which the date may be another */

void audio_clock_init(struct audio_clock *c, bool steady, uint64_t floor)
{
    *c = (struct audio_clock){.steady = steady, .floor = floor};
}

void audio_clock_caught_up(struct audio_clock *c, int64_t audio_us, int64_t boot_us)
{
    c->caught_up = true;
    c->caught_us = boot_us - audio_us;
}

static void map(struct audio_clock *c, int64_t newest_us, int64_t boot_us)
{
    int64_t offset_us = c->caught_up ? c->caught_us : boot_us - newest_us;
    bool behind = offset_us > c->offset_us + SLACK_US;
    bool ahead = c->steady && offset_us < c->offset_us - SLACK_US;
    if (!c->mapped || behind || ahead)
        c->offset_us = offset_us;
}

uint64_t audio_clock_begin(struct audio_clock *c, int64_t audio_us, int64_t newest_us,
                           int64_t boot_us, int64_t real_us)
{
    map(c, newest_us, boot_us);
    int64_t began_us = audio_us + c->offset_us;
    if (c->mapped && began_us < c->end_us) {
        began_us = c->end_us;
        c->offset_us = began_us - audio_us;
    }
    if (!c->mapped || began_us - c->end_us > SILENCE_US)
        c->date_us = real_us - boot_us;
    if (began_us + c->date_us <= (int64_t)c->floor)
        c->date_us = (int64_t)c->floor + 1 - began_us;
    c->mapped = true;
    c->end_us = began_us;
    c->floor = (uint64_t)(began_us + c->date_us);
    return c->floor;
}

void audio_clock_end(struct audio_clock *c, int64_t audio_us)
{
    int64_t end_us = audio_us + c->offset_us;
    if (!c->mapped || end_us <= c->end_us)
        return;
    c->end_us = end_us;
    c->floor = (uint64_t)(end_us + c->date_us) - 1; /* the next one may touch it */
}
