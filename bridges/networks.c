/* Who may connect: networks in CIDR notation. */
#include "bridges/networks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    V4_BITS = 96, /* of ::ffff:0:0/96, in which IPv4 lies */
    ALL_BITS = 128,
};

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static const struct network loopback[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}, V4_BITS + 8},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, ALL_BITS},
};

/* The bits that the address has of its own; 0: it is none. */
static unsigned parse_address(const char *text, uint8_t address[16])
{
    memcpy(address, v4_prefix, sizeof v4_prefix);
    if (inet_pton(AF_INET, text, address + sizeof v4_prefix) == 1)
        return ALL_BITS - V4_BITS;
    return inet_pton(AF_INET6, text, address) == 1 ? ALL_BITS : 0;
}

/* Of a length from 0 to most; -1: it is none. */
static int parse_bits(const char *text, unsigned most)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    unsigned long bits = strtoul(text, &end, 10);
    return *end || bits > most ? -1 : (int)bits;
}

static bool is_within(const struct network *n, const uint8_t address[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(n->address, address, whole) != 0)
        return false;
    return !rest || ((n->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

int networks_add(struct networks *n, const char *text, struct error *error)
{
    char address[INET6_ADDRSTRLEN + 1];
    size_t size = strcspn(text, "/");
    struct network new;
    if (n->count == NETWORKS_MAX)
        return error_set(error, -ENOBUFS, "network \"%s\": there are %d already", text,
                         NETWORKS_MAX);
    snprintf(address, sizeof address, "%.*s", (int)(size < sizeof address ? size : 0), text);
    unsigned own = parse_address(address, new.address);
    int bits = text[size] ? parse_bits(text + size + 1, own) : (int)own;
    if (!own || bits < 0)
        return error_set(error, -EINVAL,
                         "network \"%s\" is none; write it as 192.168.1.0/24 or fd00::/8", text);
    new.bits = ALL_BITS - own + (unsigned)bits;
    n->list[n->count++] = new;
    return 0;
}

/* False: the address is not of a network. */
static bool read_address(const struct sockaddr *from, uint8_t address[16])
{
    memcpy(address, v4_prefix, sizeof v4_prefix);
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        memcpy(address + sizeof v4_prefix, &v4.sin_addr, sizeof v4.sin_addr);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        memcpy(address, &v6.sin6_addr, sizeof v6.sin6_addr);
    }
    return from->sa_family == AF_INET || from->sa_family == AF_INET6;
}

bool networks_is_local(const struct sockaddr *address)
{
    uint8_t bytes[16];
    return !read_address(address, bytes) || is_within(&loopback[0], bytes) ||
           is_within(&loopback[1], bytes);
}

bool networks_have(const struct networks *n, const struct sockaddr *address)
{
    uint8_t bytes[16];
    if (networks_is_local(address))
        return true;
    read_address(address, bytes);
    for (size_t i = 0; i < n->count; i++)
        if (is_within(&n->list[i], bytes))
            return true;
    return false;
}

void networks_print(const struct sockaddr *address, char text[NETWORKS_ADDRESS_BYTES])
{
    char number[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (!read_address(address, bytes)) {
        snprintf(text, NETWORKS_ADDRESS_BYTES, "unix");
        return;
    }
    bool v4 = memcmp(bytes, v4_prefix, sizeof v4_prefix) == 0;
    struct sockaddr_in port; /* which lies at the same place in both */
    memcpy(&port, address, sizeof port);
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes + sizeof v4_prefix : bytes, number,
              sizeof number);
    snprintf(text, NETWORKS_ADDRESS_BYTES, v4 ? "%s:%d" : "[%s]:%d", number, ntohs(port.sin_port));
}
