/* Where a bridge is reached: TCP, UDP and unix sockets of its own, or those that systemd hands
 * over. Tells of every connection that may be; the rest are closed, and counted in the log. One
 * thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_LISTENER_H
#define EARSHOT_BRIDGES_LISTENER_H

#include "base/error.h"
#include "bridges/address.h"
#include "bridges/networks.h"

#include <systemd/sd-event.h>

enum {
    LISTENER_ADDRESSES_MAX = 8,
    LISTENER_ADDRESS_BYTES = ADDRESS_BYTES,
};

struct listener_options {
    char addresses[LISTENER_ADDRESSES_MAX][LISTENER_ADDRESS_BYTES];
    size_t count;
    struct networks allowed; /* beside loopback */
    bool datagrams;          /* udp:// takes the place of all others */
};

struct listener;

/* fd: not blocking, closed on exec, the callee's. peer: as networks_print has it. Of datagrams:
 * they wait at fd, which stays the listener's; peer is empty, and listener_allows says who may. */
typedef void listener_function(void *user, int fd, const char *peer);

/* As address_parse has it. 0, or -errno with a message. */
int listener_add(struct listener_options *o, const char *address, struct error *error);

/* Listens at the addresses, or, if systemd has started the program with sockets, at these. An
 * address that others can reach needs a network that is allowed. */
int listener_create(struct listener **out, sd_event *event, const struct listener_options *o,
                    listener_function *function, void *user, struct error *error);
void listener_destroy(struct listener *l);

/* The port of its first address that others can reach; 0: there is none. */
uint16_t listener_port(const struct listener *l);

/* Whether a datagram's sender may send; who may not is counted in the log. */
bool listener_allows(struct listener *l, const struct sockaddr *from);

#endif
