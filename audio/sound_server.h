/* What the sound server, PulseAudio or PipeWire in its place, can capture from: its sources, with
 * the names that people see. It is asked through a main loop of libpulse's kind, so that nobody
 * waits for a server that hangs. One thread.
 */
#ifndef EARSHOT_AUDIO_SOUND_SERVER_H
#define EARSHOT_AUDIO_SOUND_SERVER_H

#include "audio/sound_sources.h"
#include "base/error.h"

#include <sys/types.h>

struct pa_mainloop_api;
struct sound_server;

struct sound_server_listener {
    /* The sources, at first and whenever they have changed; they count until the next call. */
    void (*changed)(void *user, const struct sound_sources *sources);
    /* There is no server, or it has gone: no further call comes. */
    void (*lost)(void *user, const char *why);
    void *user;
};

/* Connects, and follows the sources. daemon: whose capture makes a source one that is in use; 0: of
 * any daemon. 0 or -errno; -ENOTSUP: built without libpulse. */
int sound_server_create(struct sound_server **out, struct pa_mainloop_api *api, pid_t daemon,
                        const struct sound_server_listener *listener, struct error *error);
void sound_server_destroy(struct sound_server *s); /* not from within the listener */

/* The sources as they are now. 0, or -errno with the reason: no server, or one that does not answer
 * within wait_ms. */
int sound_server_list(struct sound_sources *out, int wait_ms, struct error *error);

#endif
