/* The clocks. */
#include "base/clock.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define SAVED_US 1000000
#define HOUR_US (3600 * (int64_t)1000000)
#define DAY_US (24 * HOUR_US)

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t clock_real_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_thread_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_paid_us(int64_t due_us, int64_t cost_us)
{
    int64_t least_us = clock_monotonic_us() - SAVED_US;
    return (due_us > least_us ? due_us : least_us) + cost_us;
}

int64_t clock_believed_us(struct clock_date *d)
{
    int64_t real = clock_real_us(), boot = clock_boot_us(), base = real - boot;
    bool set = d->base_us && llabs(base - d->base_us) > HOUR_US;
    if (set && !d->set_us)
        d->set_us = boot;
    if (!set || boot - d->set_us > DAY_US)
        *d = (struct clock_date){.base_us = base};
    return real < boot + d->base_us ? real : boot + d->base_us;
}
