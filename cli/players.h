/* Players of music and films that are paused while somebody speaks: MPRIS 2. One thread.
 */
#ifndef EARSHOT_CLI_PLAYERS_H
#define EARSHOT_CLI_PLAYERS_H

#include "cli/bus_link.h"

#include <stddef.h>

enum {
    PLAYERS_MAX = 8,
};

struct players {
    struct bus_link *link;
    char *paused[PLAYERS_MAX]; /* their names on the bus, [count], owned */
    size_t count;
};

/* Pauses those that play. One that does not answer in a quarter of a second plays on. */
void players_pause(struct players *p);
/* Has those play again that players_pause has paused, unless somebody has stopped them since. */
void players_resume(struct players *p);

#endif
