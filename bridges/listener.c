/* Where a bridge is reached: TCP and unix sockets. */
#include "bridges/listener.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
    BACKLOG = 64,
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
    listener_function *function;
    void *user;
    uint64_t said_us;
    unsigned refused; /* since then */
    struct door doors[LISTENER_ADDRESSES_MAX];
    size_t count;
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage room;
};

static int parse_unix(const char *path, union address *a, socklen_t *size, struct error *error)
{
    if (*path != '/' || strlen(path) >= sizeof a->local.sun_path)
        return error_set(error, -EINVAL, "\"unix://%s\": not an absolute path of at most %zu bytes",
                         path, sizeof a->local.sun_path - 1);
    a->local.sun_family = AF_UNIX;
    snprintf(a->local.sun_path, sizeof a->local.sun_path, "%s", path);
    *size = sizeof a->local;
    return 0;
}

static int parse_tcp(const char *text, union address *a, socklen_t *size, struct error *error)
{
    char host[LISTENER_ADDRESS_BYTES], *port;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM},
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
                         "\"tcp://%s\": write it with numbers, as tcp://127.0.0.1:10300 or "
                         "tcp://[::1]:10300",
                         text);
    memcpy(a, found->ai_addr, found->ai_addrlen);
    *size = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int parse(const char *text, union address *a, socklen_t *size, struct error *error)
{
    memset(a, 0, sizeof *a);
    if (strncmp(text, "unix://", 7) == 0)
        return parse_unix(text + 7, a, size, error);
    if (strncmp(text, "tcp://", 6) == 0)
        return parse_tcp(text + 6, a, size, error);
    return error_set(error, -EINVAL, "\"%s\": neither tcp:// nor unix://", text);
}

int listener_add(struct listener_options *o, const char *address, struct error *error)
{
    union address a;
    socklen_t size;
    int rc = parse(address, &a, &size, error);
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
static void say_refused(struct listener *l, const char *peer)
{
    uint64_t now_us;
    l->refused++;
    sd_event_now(l->event, CLOCK_MONOTONIC, &now_us);
    if (l->said_us && now_us - l->said_us < SAY_US)
        return;
    log_warning("%s may not connect: its network is not allowed (%u refused so far)", peer,
                l->refused);
    l->said_us = now_us;
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
    union address a = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof a;
    char peer[NETWORKS_ADDRESS_BYTES];
    int connection = accept4(fd, &a.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warning("no connection can be taken: %s", strerror(errno));
            sd_event_source_set_enabled(source, SD_EVENT_OFF);
            sd_event_source_set_time_relative(d->pause, PAUSE_US);
            sd_event_source_set_enabled(d->pause, SD_EVENT_ONESHOT);
        }
        return 0;
    }
    networks_print(&a.any, peer);
    if (!networks_have(&l->allowed, &a.any)) {
        say_refused(l, peer);
        close(connection);
        return 0;
    }
    if (a.any.sa_family != AF_UNIX)
        watch_peer(connection);
    l->function(l->user, connection, peer);
    return 0;
}

/* A socket that nobody listens at any more is in the way of a new one. */
static void delete_stale(const union address *a, socklen_t size)
{
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (lstat(a->local.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && connect(fd, &a->any, size) &&
        errno == ECONNREFUSED)
        unlink(a->local.sun_path);
    close(fd);
}

/* The socket, or -errno. A unix socket is for the user alone. */
static int bind_address(const union address *a, socklen_t size)
{
    const int on = 1;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (a->any.sa_family == AF_UNIX)
        delete_stale(a, size);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    mode_t before = umask(0077);
    int rc = bind(fd, &a->any, size) || listen(fd, BACKLOG) ? -errno : 0;
    umask(before);
    if (!rc)
        return fd;
    close(fd);
    return rc;
}

/* Takes the descriptor, whatever happens. */
static int add_door(struct listener *l, int fd, const char *path, struct error *error)
{
    union address a = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof a;
    char text[NETWORKS_ADDRESS_BYTES];
    struct door *d = &l->doors[l->count++];
    *d = (struct door){.listener = l, .fd = fd};
    snprintf(d->path, sizeof d->path, "%s", path);
    if (getsockname(fd, &a.any, &size))
        return error_set(error, -errno, "a socket: %s", strerror(errno));
    networks_print(&a.any, text);
    if (!networks_is_local(&a.any) && !l->allowed.count)
        return error_set(error, -EPERM,
                         "others can reach %s; say which networks may connect, as in --allow "
                         "192.168.1.0/24",
                         text);
    int rc = sd_event_add_io(l->event, &d->io, fd, EPOLLIN, on_connection, d);
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
    union address a;
    socklen_t size;
    int rc = parse(text, &a, &size, error);
    if (rc)
        return rc;
    int fd = bind_address(&a, size);
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
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
            return error_set(error, -EINVAL, "descriptor %d is no socket that listens", fd);
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
