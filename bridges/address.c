/* Addresses at which a bridge is reached, as text, and sockets that are bound to them. */
#include "bridges/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKLOG = 64,
    ROOM = 4 << 20, /* bytes */
};

static int parse_unix(struct address *a, const char *path, struct error *error)
{
    if (*path != '/' || strlen(path) >= sizeof a->local.sun_path)
        return error_set(error, -EINVAL, "\"unix://%s\": not an absolute path of at most %zu bytes",
                         path, sizeof a->local.sun_path - 1);
    a->local.sun_family = AF_UNIX;
    snprintf(a->local.sun_path, sizeof a->local.sun_path, "%s", path);
    a->size = sizeof a->local;
    return 0;
}

static int parse_network(struct address *a, const char *scheme, const char *text, int type,
                         struct error *error)
{
    char host[ADDRESS_BYTES], *port;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = type},
                    *found = NULL;
    snprintf(host, sizeof host, "%s", text);
    port = strrchr(host, ':');
    if (port)
        *port++ = '\0';
    size_t length = strlen(host);
    bool bracketed = length > 2 && *host == '[' && host[length - 1] == ']';
    if (bracketed)
        host[length - 1] = '\0';
    if (!port || !*port || !length || getaddrinfo(host + bracketed, port, &hints, &found))
        return error_set(error, -EINVAL,
                         "\"%s%s\": write it with numbers, as %s127.0.0.1:10300 or %s[::1]:10300",
                         scheme, text, scheme, scheme);
    memcpy(&a->any, found->ai_addr, found->ai_addrlen);
    a->size = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int address_parse(struct address *a, const char *text, int type, struct error *error)
{
    memset(a, 0, sizeof *a);
    if (type == SOCK_DGRAM && strncmp(text, "udp://", 6) == 0)
        return parse_network(a, "udp://", text + 6, type, error);
    if (type == SOCK_DGRAM)
        return error_set(error, -EINVAL, "\"%s\": not udp://", text);
    if (strncmp(text, "unix://", 7) == 0)
        return parse_unix(a, text + 7, error);
    if (strncmp(text, "tcp://", 6) == 0)
        return parse_network(a, "tcp://", text + 6, type, error);
    return error_set(error, -EINVAL, "\"%s\": neither tcp:// nor unix://", text);
}

/* A socket that nobody listens at any more is in the way of a new one. */
static void delete_stale(const struct address *a)
{
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (lstat(a->local.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, &a->any, a->size) && errno == ECONNREFUSED)
        unlink(a->local.sun_path);
    close(fd);
}

int address_bind(const struct address *a, int type)
{
    const int on = 1, room = ROOM;
    int fd = socket(a->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (a->any.sa_family == AF_UNIX)
        delete_stale(a);
    if (type == SOCK_DGRAM) /* as much as the system lets it have: what does not fit is lost */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (type == SOCK_STREAM) /* of datagrams it would let another program have some */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    mode_t before = umask(0077);
    int rc =
        bind(fd, &a->any, a->size) || (type == SOCK_STREAM && listen(fd, BACKLOG)) ? -errno : 0;
    umask(before);
    if (!rc)
        return fd;
    close(fd);
    return rc;
}
