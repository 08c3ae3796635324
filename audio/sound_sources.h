/* The sources of a sound server: a list, and the one that somebody means. Pure functions, any
 * thread.
 */
#ifndef EARSHOT_AUDIO_SOUND_SOURCES_H
#define EARSHOT_AUDIO_SOUND_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SOUND_NAME_MAX = 256,    /* bytes with the NUL */
    SOUND_SOURCES_MAX = 128, /* more are not listed */
};

struct sound_source {
    uint32_t index;        /* of this server; what comes back has another */
    bool is_default;       /* of the sources, */
    bool monitors;         /* or what a sink plays, */
    bool monitors_desktop; /* and that sink is the default */
    bool in_use;           /* by Earshot */
    char name[SOUND_NAME_MAX];
    char description[SOUND_NAME_MAX]; /* for people; plain, as utf8.h has it */
};

struct sound_sources {
    size_t count;
    struct sound_source list[SOUND_SOURCES_MAX];
};

/* The one of that name, of that description, or @DEFAULT_SOURCE@ or @DEFAULT_MONITOR@; else the one
 * that people know as known_as, if that is not empty: a headset that changes its profile has
 * another name then. NULL: there is none. */
const struct sound_source *sound_sources_find(const struct sound_sources *s, const char *device,
                                              const char *known_as);

#endif
