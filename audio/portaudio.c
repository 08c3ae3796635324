/* Pa_Initialize on a thread of its own, which has all signals blocked, so that it can be given up.
 */
#include "audio/portaudio.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <portaudio.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define JACK_DATABASES "/dev/shm/jack_db"

static pthread_t starter;
static bool is_starting;
static sigset_t before; /* what was blocked when it began */

static void *start(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)Pa_Initialize();
}

/* Of the database that this process has open. False: it has none open. */
static bool find_database(char *folder, size_t size)
{
    const struct dirent *entry;
    bool found = false;
    DIR *files = opendir("/proc/self/fd");
    while (files && !found && (entry = readdir(files))) {
        char path[PATH_MAX];
        ssize_t n = readlinkat(dirfd(files), entry->d_name, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        bool is_there = strncmp(path, JACK_DATABASES, strlen(JACK_DATABASES)) == 0;
        char *file = is_there ? strchr(path + strlen(JACK_DATABASES), '/') : NULL;
        if (!file)
            continue;
        *file = '\0';
        found = snprintf(folder, size, "%s", path) < (int)size;
    }
    if (files)
        closedir(files);
    return found;
}

static int timed_out(struct error *error)
{
    char folder[64];
    if (!find_database(folder, sizeof folder))
        return error_set(error, -ETIMEDOUT, "PortAudio does not start");
    return error_set(error, -ETIMEDOUT,
                     "PortAudio does not start: a program that was killed may have left JACK's "
                     "database locked; then remove %s",
                     folder);
}

static int wait_for_start(int wait_ms, struct error *error)
{
    void *result;
    int64_t end_us = clock_monotonic_us() + (int64_t)wait_ms * 1000;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    int rc = -pthread_clockjoin_np(starter, &result, CLOCK_MONOTONIC, &end);
    if (rc == -ETIMEDOUT)
        return timed_out(error);
    is_starting = false;
    if (rc)
        return error_set(error, rc, "PortAudio: %s", strerror(-rc));
    PaError pa = (PaError)(intptr_t)result;
    return pa == paNoError ? 0 : error_set(error, -EIO, "PortAudio: %s", Pa_GetErrorText(pa));
}

int portaudio_start(int wait_ms, struct error *error)
{
    int rc = 0;
    sigset_t all;
    if (!is_starting) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        setenv("JACK_NO_START_SERVER", "1", 0);
        rc = -pthread_create(&starter, NULL, start, NULL);
        is_starting = !rc;
    }
    rc = rc ? error_set(error, rc, "PortAudio's thread: %s", strerror(-rc))
            : wait_for_start(wait_ms, error);
    if (!is_starting)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}
