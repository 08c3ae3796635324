/* HTTP over connections that are accepted elsewhere. libmicrohttpd has an epoll instance, which the
 * loop watches as one descriptor; a connection whose time is over is shut down here, and found to
 * be closed there.
 */
#include "base/clock.h"
#include "base/log.h"
#include "bridges/bridge.h"
#include "bridges/http_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HALF_OPEN_SWEEPS = 2,
    PART = 6, /* of the time; the rest is for what decodes, and for the daemon */
    TURN_US = 1000,
};

#define SECOND_US UINT64_C(1000000)

static uint64_t now_us(const struct http_server *s)
{
    uint64_t us;
    sd_event_now(s->event, CLOCK_MONOTONIC, &us);
    return us;
}

void http_link_set_deadline(struct http_link *l, unsigned seconds, bool reads)
{
    l->reads = reads;
    l->half_open = 0;
    l->deadline_us = seconds ? now_us(l->server) + seconds * SECOND_US : UINT64_MAX;
}

/* The clock in so long, or when the server may go on. */
static uint64_t not_before_due(const struct http_server *s, uint64_t us)
{
    int64_t then_us = clock_monotonic_us() + (int64_t)us;
    return (uint64_t)(s->share.waits && s->share.due_us > then_us ? s->share.due_us : then_us);
}

/* Does what is due, for a turn, and asks to be woken when more is. */
static void run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;
    int64_t end_us = clock_monotonic_us() + TURN_US;
    bool waits;
    share_begin(&s->share);
    do {
        MHD_run(s->daemon);
        waits = MHD_get_timeout(s->daemon, &ms) == MHD_YES;
    } while (waits && ms == 0 && clock_monotonic_us() < end_us);
    share_end(&s->share, s->io);
    if (waits)
        sd_event_source_set_time(s->timer, not_before_due(s, ms * 1000));
    sd_event_source_set_enabled(s->timer, waits ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

void http_server_run_soon(struct http_server *s)
{
    sd_event_source_set_time(s->timer, not_before_due(s, 0));
    sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    (void)events;
    run(user);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t us, void *user)
{
    (void)source;
    (void)us;
    run(user);
    return 0;
}

/* libmicrohttpd waits for the rest of a request, though none can come. */
static bool is_half_open(struct http_link *l)
{
    struct pollfd p = {.fd = l->fd, .events = POLLRDHUP};
    bool closed = l->reads && poll(&p, 1, 0) > 0;
    l->half_open = closed ? l->half_open + 1 : 0;
    return l->half_open >= HALF_OPEN_SWEEPS;
}

static int on_sweep(sd_event_source *source, uint64_t us, void *user)
{
    struct http_server *s = user;
    for (struct http_link *l = s->links; l; l = l->next)
        if (is_half_open(l)) {
            shutdown(l->fd, SHUT_RDWR);
        } else if (l->deadline_us <= us) {
            log_info("%s: its time is over", l->peer);
            l->deadline_us = UINT64_MAX;
            shutdown(l->fd, SHUT_RDWR);
        }
    if (!s->links)
        return 0; /* the next connection starts it again */
    sd_event_source_set_time_relative(source, SECOND_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void begin_link(struct http_server *s, struct MHD_Connection *connection, void **context)
{
    /* The next call overwrites what this one gives, from libmicrohttpd 1.0 on. */
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct http_link *l = calloc(1, sizeof(struct http_link));
    *context = l;
    if (!l)
        return; /* its requests are refused */
    *l = (struct http_link){.next = s->links, .server = s, .fd = fd};
    networks_print(address->client_addr, l->peer);
    http_link_set_deadline(l, HTTP_HEADERS_S, true);
    s->links = l;
    sd_event_source_set_time_relative(s->sweep, SECOND_US);
    sd_event_source_set_enabled(s->sweep, SD_EVENT_ONESHOT);
}

static void end_link(struct http_server *s, struct http_link *l)
{
    struct http_link **p = &s->links;
    if (!l)
        return;
    while (*p != l)
        p = &(*p)->next;
    *p = l->next;
    free(l);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = user;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        s->counts.connections++;
        begin_link(s, connection, context);
    } else {
        s->counts.connections--;
        end_link(s, *context);
    }
}

static struct MHD_Daemon *start(struct http_server *s)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0,
        NULL, NULL, http_request_access, s, MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_LIMIT,
        s->options.connections + BRIDGE_REFUSED_MOST, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_SILENT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static int watch(struct http_server *s)
{
    const union MHD_DaemonInfo *epoll = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc = sd_event_add_io(s->event, &s->io, epoll->epoll_fd, EPOLLIN, on_io, s);
    if (rc >= 0)
        rc = sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, 0, 1, on_timer, s);
    if (rc >= 0)
        rc = sd_event_add_time_relative(s->event, &s->sweep, CLOCK_MONOTONIC, 0, 0, on_sweep, s);
    return rc < 0 ? rc : 0;
}

int http_server_create(struct http_server **out, sd_event *event,
                       const struct http_server_options *o)
{
    struct http_server *s = calloc(1, sizeof(struct http_server));
    if (!s)
        return -ENOMEM;
    s->event = sd_event_ref(event);
    s->options = *o;
    share_init(&s->share, PART);
    s->daemon = start(s);
    int rc = s->daemon ? watch(s) : -ENOTSUP;
    if (rc) {
        http_server_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void http_server_destroy(struct http_server *s)
{
    if (!s)
        return;
    if (s->daemon) {
        http_requests_abandon(s);
        MHD_stop_daemon(s->daemon);
    }
    share_finish(&s->share);
    sd_event_source_disable_unref(s->io);
    sd_event_source_disable_unref(s->timer);
    sd_event_source_disable_unref(s->sweep);
    sd_event_unref(s->event);
    free(s);
}

void http_server_add(struct http_server *s, int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    socklen_t size = sizeof address;
    getpeername(fd, (struct sockaddr *)&address, &size);
    if (MHD_add_connection(s->daemon, fd, (struct sockaddr *)&address, size) != MHD_YES)
        log_debug("a connection is closed: there are too many");
    run(s);
}

struct http_server_counts http_server_counts(const struct http_server *s)
{
    return s->counts;
}
