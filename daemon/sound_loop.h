/* The main loop as libpulse wants it: descriptors, times and work that must not wait. Main thread.
 */
#ifndef EARSHOT_DAEMON_SOUND_LOOP_H
#define EARSHOT_DAEMON_SOUND_LOOP_H

#include "base/error.h"
#include "daemon/loop.h"

struct pa_mainloop_api;
struct sound_loop;

/* 0 or -errno; -ENOTSUP: built without libpulse. */
int sound_loop_create(struct sound_loop **out, struct loop *loop, struct error *error);
void sound_loop_destroy(struct sound_loop *s); /* after what uses its api */
struct pa_mainloop_api *sound_loop_api(struct sound_loop *s);

#endif
