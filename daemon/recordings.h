/* Utterances in a directory: the sound of each as Ogg Opus, and its text beside it as JSON. No
 * threads; only files that are named as recordings are ever touched.
 *
 *     20261121-035012-1795233012345678.opus      local time, id
 *     20261121-035012-1795233012345678.json      {"id", "start", "duration_ms", "text", "reply"}
 */
#ifndef EARSHOT_DAEMON_RECORDINGS_H
#define EARSHOT_DAEMON_RECORDINGS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recording {
    uint64_t id; /* µs since 1970 when it began */
    int64_t duration_ms;
    const void *sound; /* [sound_size], an Ogg Opus file */
    size_t sound_size;
    const char *text;
    const char *reply; /* NULL: none */
};

struct recordings_limits {
    uint64_t now;        /* µs since 1970, as ids are */
    uint64_t max_age_us; /* 0: any age */
    uint64_t max_bytes;  /* of all files */
    bool shared;         /* another may delete, we don't */
};

/* Deletes what is older, then the oldest until the rest is within the limits. A date may be wrong:
 * what has none (before 2020) has no age, and where a year lies between two recordings, or the
 * newest and now, that year does not count. 0 or -errno; -EDQUOT: it is shared and too much. */
int recordings_limit(const char *directory, const struct recordings_limits *limits,
                     struct error *error);

/* Makes room for it within the limits. Both files or, on an error, none; each is whole as soon as
 * it has its name, and for its owner alone. 0 or -errno. */
int recordings_write(const char *directory, const struct recordings_limits *limits,
                     const struct recording *r, struct error *error);

#endif
