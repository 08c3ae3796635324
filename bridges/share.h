/* Connections share the event loop: each may take a part of its time. One that has taken more is
 * not looked at until it has paid for that, so that the loop, and the core that it runs on, are
 * there for others. What counts is the time for which the thread has had a core: a machine that is
 * busy with other work is no fault of a connection. One thread.
 */
#ifndef EARSHOT_BRIDGES_SHARE_H
#define EARSHOT_BRIDGES_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum { SHARE_OF_A_CONNECTION = 64 }; /* one of so many parts of the loop's time */

struct share {
    unsigned part;         /* one of so many */
    int64_t begin_us;      /* the thread's time when what is done now began */
    int64_t due_us;        /* clock when it has paid for what was done */
    bool waits;            /* until then, */
    sd_event_source *wait; /* and then goes on with */
    sd_event_source *io;
};

void share_init(struct share *s, unsigned part);
/* Around what a callback does for the connection; io: its source, which is on or off by this, and
 * outlives the share. */
void share_begin(struct share *s);
void share_end(struct share *s, sd_event_source *io);
void share_finish(struct share *s);

#endif
