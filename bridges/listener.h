/* Where a bridge is reached: TCP and unix sockets of its own, or those that systemd hands over.
 * Tells of every connection that may be; the rest are closed, and counted in the log. One thread,
 * in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_LISTENER_H
#define EARSHOT_BRIDGES_LISTENER_H

#include "base/error.h"
#include "bridges/networks.h"

#include <systemd/sd-event.h>

enum {
    LISTENER_ADDRESSES_MAX = 8,
    LISTENER_ADDRESS_BYTES = 128,
};

struct listener_options {
    char addresses[LISTENER_ADDRESSES_MAX][LISTENER_ADDRESS_BYTES];
    size_t count;
    struct networks allowed; /* beside loopback */
};

struct listener;

/* fd: not blocking, closed on exec, the callee's. peer: as networks_print has it. */
typedef void listener_function(void *user, int fd, const char *peer);

/* tcp://ADDRESS:PORT, tcp://[ADDRESS]:PORT or unix:///PATH. 0, or -errno with a message. */
int listener_add(struct listener_options *o, const char *address, struct error *error);

/* Listens at the addresses, or, if systemd has started the program with sockets, at these. An
 * address that others can reach needs a network that is allowed. */
int listener_create(struct listener **out, sd_event *event, const struct listener_options *o,
                    listener_function *function, void *user, struct error *error);
void listener_destroy(struct listener *l);

#endif
