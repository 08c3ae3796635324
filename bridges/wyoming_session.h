/* One connection that speaks Wyoming: what comes is read event by event, its audio goes into a
 * stream of the daemon, and the texts go back. One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_WYOMING_SESSION_H
#define EARSHOT_BRIDGES_WYOMING_SESSION_H

#include "bridges/streams.h"
#include "bridges/wyoming_writer.h"

#include <systemd/sd-event.h>

struct session;

/* What all of them share. */
struct session_world {
    sd_event *event;
    struct streams *streams;
    struct bridge_languages languages;
    struct wake_words wake;
    void (*gone)(void *user, struct session *s); /* is to destroy it */
    void *user;
};

/* Takes the descriptor, whatever happens. 0 or -errno. */
int session_create(struct session **out, const struct session_world *w, int fd, const char *peer);
void session_destroy(struct session *s);

/* Tells the client why, and ends the connection; s may be gone then. */
void session_refuse(struct session *s, const char *code, const char *why);

#endif
