/* Who may connect: networks in CIDR notation. Pure functions, any thread. */
#ifndef EARSHOT_BRIDGES_NETWORKS_H
#define EARSHOT_BRIDGES_NETWORKS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    NETWORKS_MAX = 32,
    NETWORKS_ADDRESS_BYTES = 64, /* of an address as text, with its port */
};

/* IPv4 is kept as IPv6 has it, ::ffff:a.b.c.d. */
struct network {
    uint8_t address[16];
    unsigned bits; /* that count, 0..128 */
};

struct networks {
    struct network list[NETWORKS_MAX];
    size_t count;
};

/* 192.168.1.0/24, fd00::/8, or one address. 0, or -EINVAL or -ENOBUFS with a message that names it.
 */
int networks_add(struct networks *n, const char *text, struct error *error);

/* Whether the address is in one of them, or loopback, or not of a network at all (AF_UNIX). */
bool networks_have(const struct networks *n, const struct sockaddr *address);

/* Whether only this machine can reach the address. */
bool networks_is_local(const struct sockaddr *address);

/* "192.168.1.7:4242", "[fd00::7]:4242", "unix". */
void networks_print(const struct sockaddr *address, char text[NETWORKS_ADDRESS_BYTES]);

#endif
