/* The microphones that the sound server has, followed as long as there is a server, and the one
 * that was chosen among them. Main thread.
 */
#ifndef EARSHOT_DAEMON_MICROPHONES_H
#define EARSHOT_DAEMON_MICROPHONES_H

#include "audio/sound_sources.h"
#include "base/error.h"
#include "daemon/loop.h"

struct microphones;

struct microphones_listener {
    void (*changed)(void *user); /* the list has */
    void (*moved)(void *user);   /* the chosen one has gone, has come, or is another source now */
    void *user;
};

/* 0 or -errno. */
int microphones_create(struct microphones **out, struct loop *loop,
                       const struct microphones_listener *listener, struct error *error);
void microphones_destroy(struct microphones *m);

/* Looks for a server where none is known, at most once a second: when a device opens or is missing,
 * or somebody asks. So nothing is done while nothing happens. */
void microphones_look(struct microphones *m);

/* The one that moved tells of, as Device has it; whatever is no source of the server never moves.
 */
void microphones_choose(struct microphones *m, const char *device);

const struct sound_sources *microphones_list(const struct microphones *m);

#endif
