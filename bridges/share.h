/* Connections share the event loop: one that has taken much of its time lately waits for those that
 * have not. */
#ifndef EARSHOT_BRIDGES_SHARE_H
#define EARSHOT_BRIDGES_SHARE_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct share {
    uint64_t begin_us; /* clock when what is done now began */
    uint64_t due_us;   /* clock when it has paid for what was done */
};

/* Around what a callback does for the connection; io: its source. */
void share_begin(struct share *s);
void share_end(struct share *s, sd_event_source *io);

#endif
