/* For LD_PRELOAD: clocks that run $FAST_CLOCK times as fast, and sleeps as much shorter, so that a
 * program lives through an hour in seconds; and a date that is as many seconds off as the file
 * $SET_CLOCK says at that moment. */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t speed = 1;
static int64_t begin_ns[CLOCK_BOOTTIME + 1]; /* of the three that are changed */

static int64_t real_ns(clockid_t id)
{
    struct timespec t;
    syscall(SYS_clock_gettime, id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

__attribute__((constructor)) static void begin(void)
{
    const char *value = getenv("FAST_CLOCK");
    if (value && atoi(value) > 0)
        speed = atoi(value);
    begin_ns[CLOCK_REALTIME] = real_ns(CLOCK_REALTIME);
    begin_ns[CLOCK_MONOTONIC] = real_ns(CLOCK_MONOTONIC);
    begin_ns[CLOCK_BOOTTIME] = real_ns(CLOCK_BOOTTIME);
}

static int64_t set_ns(void)
{
    const char *path = getenv("SET_CLOCK");
    FILE *f = path ? fopen(path, "re") : NULL;
    long long seconds = 0;
    if (!f)
        return 0;
    if (fscanf(f, "%lld", &seconds) != 1)
        seconds = 0;
    fclose(f);
    return seconds * 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC && id != CLOCK_BOOTTIME)
        return (int)syscall(SYS_clock_gettime, id, t);
    *t = from_ns(begin_ns[id] + (real_ns(id) - begin_ns[id]) * speed +
                 (id == CLOCK_REALTIME ? set_ns() : 0));
    return 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct timespec limit = from_ns((int64_t)timeout_ms * 1000000 / speed);
    return (int)syscall(SYS_ppoll, fds, count, timeout_ms < 0 ? NULL : &limit, NULL, 0);
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left; /* nobody here asks for it */
    struct timespec t = from_ns(((int64_t)wanted->tv_sec * 1000000000 + wanted->tv_nsec) / speed);
    return (int)syscall(SYS_nanosleep, &t, NULL);
}
