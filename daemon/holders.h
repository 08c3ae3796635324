/* Who holds something, push-to-talk or a pause: clients on the bus, each with the request that it
 * held by. A hold ends when the last of them is gone; one whose name is empty never is. Main thread
 * only.
 */
#ifndef EARSHOT_DAEMON_HOLDERS_H
#define EARSHOT_DAEMON_HOLDERS_H

#include "daemon/bus.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HOLDERS_MAX = 32,
};

struct holder {
    char *client;    /* its unique name, owned; NULL: nobody */
    uint64_t number; /* of its newest request */
};

struct holders {
    struct bus *bus;
    struct holder holder[HOLDERS_MAX];
    uint64_t newest; /* request of any that is, or was, in it */
};

/* The client is about to ask; it is followed. 0, -EBUSY when there are too many, or -ENOMEM. */
int holders_reserve(struct holders *h, const char *client);
/* It has asked with this request, or (0) could not. */
void holders_asked(struct holders *h, const char *client, uint64_t number);
/* The client is gone; NULL: all that have names are. If it was the last, the request up to which
 * holds are to end now; else 0. */
uint64_t holders_gone(struct holders *h, const char *client);
bool holders_any(const struct holders *h);
/* This request has come to nothing. */
void holders_failed(struct holders *h, uint64_t number);
/* The hold that this request began is over, and so are all before it. */
void holders_over(struct holders *h, uint64_t number);

#endif
