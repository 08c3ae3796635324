/* A debt of time, which goes by; who has one waits for a timer. */
#include "bridges/share.h"

#include "base/clock.h"

enum {
    ACCURACY_US = 1000,
    LEAST_US = 2000, /* that is worth a timer */
};

void share_init(struct share *s, unsigned part)
{
    *s = (struct share){.part = part};
}

void share_begin(struct share *s)
{
    s->begin_us = clock_thread_us();
}

static int on_due(sd_event_source *wait, uint64_t us, void *user)
{
    struct share *s = user;
    (void)wait;
    (void)us;
    s->waits = false;
    return sd_event_source_set_enabled(s->io, SD_EVENT_ON);
}

static int wait_until_due(struct share *s, sd_event_source *io)
{
    s->io = io;
    if (!s->wait)
        return sd_event_add_time(sd_event_source_get_event(io), &s->wait, CLOCK_MONOTONIC,
                                 (uint64_t)s->due_us, ACCURACY_US, on_due, s);
    int rc = sd_event_source_set_time(s->wait, (uint64_t)s->due_us);
    return rc < 0 ? rc : sd_event_source_set_enabled(s->wait, SD_EVENT_ONESHOT);
}

void share_end(struct share *s, sd_event_source *io)
{
    s->due_us = clock_paid_us(s->due_us, s->part * (clock_thread_us() - s->begin_us));
    if (s->due_us < clock_monotonic_us() + LEAST_US || wait_until_due(s, io) < 0)
        return;
    s->waits = true;
    sd_event_source_set_enabled(io, SD_EVENT_OFF);
}

void share_finish(struct share *s)
{
    s->wait = sd_event_source_disable_unref(s->wait);
}
