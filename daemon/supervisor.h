/* The process's life: its loop, signals, readiness, watchdog, and an end within a second.
 * Main thread only; create it before any thread, so that all inherit its signal mask.
 */
#ifndef EARSHOT_DAEMON_SUPERVISOR_H
#define EARSHOT_DAEMON_SUPERVISOR_H

#include "base/error.h"
#include "daemon/engine.h"
#include "daemon/loop.h"

struct supervisor;

int supervisor_create(struct supervisor **out, struct error *error); /* 0 or -errno */
void supervisor_destroy(struct supervisor *s);
struct loop *supervisor_loop(struct supervisor *s);

/* Tells systemd, and feeds its watchdog while both threads of the engine go round. */
void supervisor_ready(struct supervisor *s, struct engine *engine);

/* SIGHUP calls reload, after supervisor_ready; without it the signal is ignored. */
void supervisor_on_reload(struct supervisor *s, void (*reload)(void *user), void *user);

/* The loop is over: whatever hangs from now on is cut off. */
void supervisor_ending(struct supervisor *s);

#endif
