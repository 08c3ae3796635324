/* Who shares the loop: a connection may take a part of the time. What it takes beyond that, it
 * takes when nobody else has anything to do. */
#include "bridges/share.h"

#include "base/clock.h"

enum {
    PART = 32,          /* a connection's part of the time is one of so many */
    SAVED_US = 1000000, /* of time in which it did nothing counts */
};

void share_begin(struct share *s)
{
    s->begin_us = (uint64_t)clock_monotonic_us();
}

void share_end(struct share *s, sd_event_source *io)
{
    uint64_t now_us = (uint64_t)clock_monotonic_us(), least_us = now_us - SAVED_US;
    s->due_us = (s->due_us > least_us ? s->due_us : least_us) + PART * (now_us - s->begin_us);
    sd_event_source_set_priority(io, s->due_us > now_us ? SD_EVENT_PRIORITY_IDLE
                                                        : SD_EVENT_PRIORITY_NORMAL);
}
