/* What the daemon tells of itself and of its ears, for a bridge: the properties of docs/dbus.md.
 * One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_DAEMON_STATUS_H
#define EARSHOT_BRIDGES_DAEMON_STATUS_H

#include "bridges/streams.h"

#include <stdbool.h>

enum {
    DAEMON_EARS_MAX = 65, /* the microphone, and streams */
    DAEMON_TEXT_BYTES = 128,
};

struct daemon_ear {
    char name[48]; /* "microphone", "stream7", "ears/desktop" */
    uint32_t state;
    double level_db;
    double heard_s, computed_s, lost_s;
    double partial_ms, wait_ms, compute_ms, reply_first_ms, reply_ms;
};

struct daemon_status {
    bool there; /* it has answered; else nothing of this is known */
    char version[DAEMON_TEXT_BYTES], model[DAEMON_TEXT_BYTES], backend[DAEMON_TEXT_BYTES];
    struct daemon_ear ears[DAEMON_EARS_MAX]; /* [count], the microphone first */
    size_t count;
};

struct daemon_query;

/* Asks; tell is called once, and not before this returns. 0 or -errno. */
int daemon_query_create(struct daemon_query **out, struct streams *streams,
                        void (*tell)(void *user, const struct daemon_status *s), void *user);

/* May be called in tell; before it: nothing is told. */
void daemon_query_destroy(struct daemon_query *q);

/* "idle"; of a number that is not known "unknown". */
const char *daemon_state_name(uint32_t state);

#endif
