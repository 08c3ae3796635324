/* Watches and timeouts of libdbus become descriptors and timers of the loop. */
#include "daemon/bus_loop.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>

struct attached {
    struct loop *loop;
    int64_t *room_us;
};

/* Of a watch of libdbus; owned by it. */
struct link {
    DBusWatch *watch;
    struct loop_fd *fd;
    int64_t *room_us;
};

static void watch_ready(void *user, short events)
{
    const struct link *link = user;
    DBusWatch *watch = link->watch; /* which may be gone when it has been handled */
    unsigned flags = 0;
    if (events & POLLOUT)
        *link->room_us = clock_monotonic_us();
    if (events & POLLIN)
        flags |= DBUS_WATCH_READABLE;
    if (events & POLLOUT)
        flags |= DBUS_WATCH_WRITABLE;
    if (events & POLLHUP)
        flags |= DBUS_WATCH_HANGUP;
    if (events & (POLLERR | POLLNVAL))
        flags |= DBUS_WATCH_ERROR;
    dbus_watch_handle(watch, flags);
}

static short watch_events(DBusWatch *watch)
{
    unsigned flags = dbus_watch_get_flags(watch);
    if (!dbus_watch_get_enabled(watch))
        return 0;
    return (short)((flags & DBUS_WATCH_READABLE ? POLLIN : 0) |
                   (flags & DBUS_WATCH_WRITABLE ? POLLOUT : 0));
}

static dbus_bool_t add_watch(DBusWatch *watch, void *user)
{
    const struct attached *a = user;
    struct link *link = malloc(sizeof *link);
    if (!link)
        return FALSE;
    *link = (struct link){.watch = watch, .room_us = a->room_us};
    link->fd =
        loop_add_fd(a->loop, dbus_watch_get_unix_fd(watch), watch_events(watch), watch_ready, link);
    dbus_watch_set_data(watch, link, free);
    return link->fd != NULL;
}

static void toggle_watch(DBusWatch *watch, void *user)
{
    (void)user;
    const struct link *link = dbus_watch_get_data(watch);
    loop_set_events(link->fd, watch_events(watch));
}

static void remove_watch(DBusWatch *watch, void *user)
{
    (void)user;
    const struct link *link = dbus_watch_get_data(watch);
    if (link)
        loop_remove_fd(link->fd);
    dbus_watch_set_data(watch, NULL, NULL);
}

/* libdbus timeouts repeat until they are removed or disabled. */
static void timeout_due(void *user)
{
    DBusTimeout *timeout = user;
    loop_arm(dbus_timeout_get_data(timeout), dbus_timeout_get_interval(timeout));
    dbus_timeout_handle(timeout);
}

static void toggle_timeout(DBusTimeout *timeout, void *user)
{
    (void)user;
    struct loop_timer *timer = dbus_timeout_get_data(timeout);
    if (dbus_timeout_get_enabled(timeout))
        loop_arm(timer, dbus_timeout_get_interval(timeout));
    else
        loop_disarm(timer);
}

static dbus_bool_t add_timeout(DBusTimeout *timeout, void *user)
{
    struct loop_timer *timer = loop_add_timer(user, timeout_due, timeout);
    dbus_timeout_set_data(timeout, timer, NULL);
    if (timer)
        toggle_timeout(timeout, user);
    return timer != NULL;
}

static void remove_timeout(DBusTimeout *timeout, void *user)
{
    (void)user;
    loop_remove_timer(dbus_timeout_get_data(timeout));
    dbus_timeout_set_data(timeout, NULL, NULL);
}

bool bus_loop_attach(DBusConnection *c, struct loop *loop, int64_t *room_us)
{
    struct attached *a = malloc(sizeof *a);
    if (!a)
        return false;
    *a = (struct attached){loop, room_us};
    if (!dbus_connection_set_watch_functions(c, add_watch, remove_watch, toggle_watch, a, free)) {
        free(a);
        return false;
    }
    return dbus_connection_set_timeout_functions(c, add_timeout, remove_timeout, toggle_timeout,
                                                 loop, NULL);
}

void bus_loop_detach(DBusConnection *c)
{
    dbus_connection_set_watch_functions(c, NULL, NULL, NULL, NULL, NULL);
    dbus_connection_set_timeout_functions(c, NULL, NULL, NULL, NULL, NULL);
}
