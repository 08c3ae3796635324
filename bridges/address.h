/* Addresses at which a bridge is reached, as text, and sockets that are bound to them. Any thread.
 */
#ifndef EARSHOT_BRIDGES_ADDRESS_H
#define EARSHOT_BRIDGES_ADDRESS_H

#include "base/error.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    ADDRESS_BYTES = 128, /* of one as text */
};

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
        struct sockaddr_storage room;
    };
    socklen_t size;
};

/* type: SOCK_STREAM: tcp://ADDRESS:PORT, tcp://[ADDRESS]:PORT or unix:///PATH; SOCK_DGRAM:
 * udp:// alone. 0, or -EINVAL with a message. */
int address_parse(struct address *a, const char *text, int type, struct error *error);

/* A socket that is bound, and listens where connections come: not blocking, closed on exec. A unix
 * socket is for the user alone. -errno: none. */
int address_bind(const struct address *a, int type);

#endif
