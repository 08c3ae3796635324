/* Where a bridge is reached: TCP, UDP and unix sockets. */
#include "bridges/listener.h"

#include "base/log.h"
#include "bridges/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
    PAUSE_US = 1000000, /* after an accept that failed for want of descriptors or memory */
    SAY_US = 1000000,   /* between two lines about peers that may not connect */
    PROBE_AFTER_S = 3,  /* of silence; then PROBES, one each PROBE_EVERY_S: dead after nine */
    PROBE_EVERY_S = 2,
    PROBES = 3,
};

struct door {
    struct listener *listener;
    int fd;
    sd_event_source *io, *pause;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* to delete; empty: none */
};

struct listener {
    sd_event *event;
    struct networks allowed;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    listener_function *function;
    void *user;
    uint64_t said_us;
    unsigned refused; /* since then */
    struct door doors[LISTENER_ADDRESSES_MAX];
    size_t count;
};

static int type_of(const struct listener_options *o)
{
    return o->datagrams ? SOCK_DGRAM : SOCK_STREAM;
}

int listener_add(struct listener_options *o, const char *address, struct error *error)
{
    struct address a;
    int rc = address_parse(&a, address, type_of(o), error);
    if (!rc && o->count == LISTENER_ADDRESSES_MAX)
        rc = error_set(error, -ENOBUFS, "\"%s\": there are %d addresses already", address,
                       LISTENER_ADDRESSES_MAX);
    if (!rc && strlen(address) >= LISTENER_ADDRESS_BYTES)
        rc = error_set(error, -EINVAL, "\"%s\" is too long", address);
    if (!rc)
        snprintf(o->addresses[o->count++], LISTENER_ADDRESS_BYTES, "%s", address);
    return rc;
}

/* A peer whose power failed is found by probes, or as it takes no answer. */
static void watch_peer(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (PROBE_AFTER_S + PROBES * PROBE_EVERY_S) * 1000},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)))
            log_debug("option %d of a connection: %s", options[i].name, strerror(errno));
}

/* Anybody can make such lines: at most one a second. */
static void say_refused(struct listener *l, const struct sockaddr *from)
{
    char peer[NETWORKS_ADDRESS_BYTES];
    uint64_t now_us;
    l->refused++;
    sd_event_now(l->event, CLOCK_MONOTONIC, &now_us);
    if (l->said_us && now_us - l->said_us < SAY_US)
        return;
    networks_print(from, peer);
    log_warning("%s may not connect: its network is not allowed (%u refused so far)", peer,
                l->refused);
    l->said_us = now_us;
}

uint16_t listener_port(const struct listener *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct address a = {.any.sa_family = AF_UNSPEC, .size = sizeof a.room};
        if (getsockname(l->doors[i].fd, &a.any, &a.size) == 0 && a.any.sa_family != AF_UNIX &&
            !networks_is_local(&a.any))
            return ntohs(a.v4.sin_port); /* at the same place in both */
    }
    return 0;
}

bool listener_allows(struct listener *l, const struct sockaddr *from)
{
    bool allowed = networks_have(&l->allowed, from);
    if (!allowed)
        say_refused(l, from);
    return allowed;
}

static int on_pause_over(sd_event_source *source, uint64_t us, void *user)
{
    (void)source;
    (void)us;
    const struct door *d = user;
    return sd_event_source_set_enabled(d->io, SD_EVENT_ON);
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)events;
    struct door *d = user;
    struct listener *l = d->listener;
    struct address a = {.any.sa_family = AF_UNSPEC, .size = sizeof a.room};
    char peer[NETWORKS_ADDRESS_BYTES];
    int connection = accept4(fd, &a.any, &a.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warning("no connection can be taken: %s", strerror(errno));
            sd_event_source_set_enabled(source, SD_EVENT_OFF);
            sd_event_source_set_time_relative(d->pause, PAUSE_US);
            sd_event_source_set_enabled(d->pause, SD_EVENT_ONESHOT);
        }
        return 0;
    }
    if (!listener_allows(l, &a.any)) {
        close(connection);
        return 0;
    }
    networks_print(&a.any, peer);
    if (a.any.sa_family != AF_UNIX)
        watch_peer(connection);
    l->function(l->user, connection, peer);
    return 0;
}

static int on_datagrams(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)events;
    const struct door *d = user;
    d->listener->function(d->listener->user, fd, "");
    return 0;
}

/* Takes the descriptor, whatever happens. */
static int add_door(struct listener *l, int fd, const char *path, struct error *error)
{
    struct address a = {.any.sa_family = AF_UNSPEC, .size = sizeof a.room};
    char text[NETWORKS_ADDRESS_BYTES];
    struct door *d = &l->doors[l->count++];
    *d = (struct door){.listener = l, .fd = fd};
    snprintf(d->path, sizeof d->path, "%s", path);
    if (getsockname(fd, &a.any, &a.size))
        return error_set(error, -errno, "a socket: %s", strerror(errno));
    networks_print(&a.any, text);
    if (!networks_is_local(&a.any) && !l->allowed.count)
        return error_set(error, -EPERM,
                         "others can reach %s; say which networks may connect, as in --allow "
                         "192.168.1.0/24",
                         text);
    int rc = sd_event_add_io(l->event, &d->io, fd, EPOLLIN,
                             l->type == SOCK_DGRAM ? on_datagrams : on_connection, d);
    if (rc >= 0)
        rc = sd_event_add_time_relative(l->event, &d->pause, CLOCK_MONOTONIC, PAUSE_US, 0,
                                        on_pause_over, d);
    if (rc < 0)
        return error_set(error, rc, "a socket: %s", strerror(-rc));
    sd_event_source_set_enabled(d->pause, SD_EVENT_OFF);
    log_info("listens at %s%s%s", text, *path ? " " : "", path);
    return 0;
}

static int open_address(struct listener *l, const char *text, struct error *error)
{
    struct address a;
    int rc = address_parse(&a, text, l->type, error);
    if (rc)
        return rc;
    int fd = address_bind(&a, l->type);
    if (fd < 0)
        return error_set(error, fd, "%s cannot be listened at: %s", text, strerror(-fd));
    return add_door(l, fd, a.any.sa_family == AF_UNIX ? a.local.sun_path : "", error);
}

static int take_passed(struct listener *l, int count, struct error *error)
{
    int rc = 0;
    if (count > LISTENER_ADDRESSES_MAX)
        return error_set(error, -ENOBUFS, "systemd hands over %d sockets; at most %d", count,
                         LISTENER_ADDRESSES_MAX);
    for (int i = 0; !rc && i < count; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        bool fits = l->type == SOCK_DGRAM ? sd_is_socket_inet(fd, AF_UNSPEC, SOCK_DGRAM, -1, 0) > 0
                                          : sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0;
        if (!fits)
            return error_set(error, -EINVAL, "descriptor %d is no %s", fd,
                             l->type == SOCK_DGRAM ? "UDP socket" : "socket that listens");
        rc = add_door(l, fd, "", error);
    }
    return rc;
}

int listener_create(struct listener **out, sd_event *event, const struct listener_options *o,
                    listener_function *function, void *user, struct error *error)
{
    struct listener *l = calloc(1, sizeof(struct listener));
    if (!l)
        return error_set(error, -ENOMEM, "out of memory");
    l->event = sd_event_ref(event);
    l->allowed = o->allowed;
    l->type = type_of(o);
    l->function = function;
    l->user = user;
    int passed = sd_listen_fds(1);
    int rc = passed > 0 ? take_passed(l, passed, error) : 0;
    for (size_t i = 0; passed <= 0 && !rc && i < o->count; i++)
        rc = open_address(l, o->addresses[i], error);
    if (rc) {
        listener_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

void listener_destroy(struct listener *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++) {
        struct door *d = &l->doors[i];
        sd_event_source_disable_unref(d->io);
        sd_event_source_disable_unref(d->pause);
        close(d->fd);
        if (*d->path)
            unlink(d->path);
    }
    sd_event_unref(l->event);
    free(l);
}
