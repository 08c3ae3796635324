/* Where audio comes from. A source is created and checked on the main thread, then started, read
 * and stopped by the front-end thread alone.
 */
#ifndef EARSHOT_DAEMON_SOURCES_H
#define EARSHOT_DAEMON_SOURCES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SOURCE_NAME_MAX = 256,
    SOURCE_CHANNELS_MAX = 64,
    SOURCE_QUIET_MS = 160,
};

struct source;

struct source_lost {
    uint64_t gap;       /* frames that are not there */
    uint64_t concealed; /* frames that were made up */
};

struct source_ops {
    /* Opens; sets rate_hz, channels and name. 0, -EINPROGRESS (it takes its time: call again soon,
     * or stop) or another -errno; may be called again later. Never blocks. */
    int (*start)(struct source *s, struct error *error);
    /* Up to frames interleaved frames that are there now: their count, 0 (none yet), -EAGAIN (none
     * in what was looked at, there may be more), -ENODATA (the end, for good) or another -errno
     * (lost: stop, and start again later). Looks at little at a time. */
    long (*read)(struct source *s, float *samples, size_t frames);
    /* Frames that were lost since the last call; after read gave 0. */
    void (*lost)(struct source *s, struct source_lost *lost);
    /* Whether nobody speaks: what comes may then gather for SOURCE_QUIET_MS, for to be woken up,
     * with caches that are cold by then, costs as much as 30 ms of audio. After start: no. */
    void (*set_quiet)(struct source *s, bool quiet);
    void (*stop)(struct source *s);
    void (*destroy)(struct source *s);
};

struct source {
    const struct source_ops *ops;
    int rate_hz, channels;
    int wait_ms;                /* how long to sleep when there is nothing to read, */
    int fd;                     /* unless this is readable; -1: nothing tells */
    int quiet_ms;               /* so long without a frame ends an utterance; 0: never */
    bool patient;               /* loses nothing while nobody reads */
    bool once;                  /* its end is the end of who hears it */
    char name[SOURCE_NAME_MAX]; /* of what is open */
    bool skims;                 /* only how much there is counts: what read gives may be anything */
    bool marked;
    size_t before_mark; /* bytes of fd */
};

/* Whether it is "portaudio", "portaudio:NAME", "file:PATH" or "file:PATH:fast". 0, or -EINVAL with
 * a message. */
int source_check(const char *spec, struct error *error);
/* What is behind "portaudio:" of such a spec; empty: any microphone, or another kind. */
const char *source_device(const char *spec);

struct source_options {
    int buffer_ms; /* of live audio that can wait */
    bool fallback; /* another microphone while the one that is named is away */
};

/* Of such a spec. 0, or -errno with a message: -EINVAL too for a file that is no sound. */
int source_create(struct source **out, const char *spec, const struct source_options *options,
                  struct error *error);
void source_destroy(struct source *s);

/* Bytes that have come through fd and wait to be read. */
size_t source_waiting(const struct source *s);

/* read gives what waits now, then 0, once, whatever has come since. For a source with an fd, which
 * tells what it takes of it, and looks before that whether it is at the mark. */
void source_mark(struct source *s);
void source_took(struct source *s, size_t bytes);
bool source_is_at_mark(struct source *s); /* if so, the mark is passed */

#endif
