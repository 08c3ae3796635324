#include "daemon/bus.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct bus {
    struct loop *loop;
    DBusConnection *connection;
};

DBusConnection *bus_connect(const char *where, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusConnection *c;
    if (strcmp(where, "session") == 0) {
        c = dbus_bus_get_private(DBUS_BUS_SESSION, &e);
    } else if (strcmp(where, "system") == 0) {
        c = dbus_bus_get_private(DBUS_BUS_SYSTEM, &e);
    } else {
        c = dbus_connection_open_private(where, &e);
        if (c && !dbus_bus_register(c, &e)) {
            dbus_connection_close(c);
            dbus_connection_unref(c);
            c = NULL;
        }
    }
    if (c)
        dbus_connection_set_exit_on_disconnect(c, FALSE);
    else
        error_set(error, -ENOTCONN, "the bus (%s): %s", where, e.message);
    dbus_error_free(&e);
    return c;
}

static void watch_ready(void *user, short events)
{
    DBusWatch *watch = user;
    unsigned flags = 0;
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
    struct bus *b = user;
    struct loop_fd *fd = loop_add_fd(b->loop, dbus_watch_get_unix_fd(watch), watch_events(watch),
                                     watch_ready, watch);
    dbus_watch_set_data(watch, fd, NULL);
    return fd != NULL;
}

static void toggle_watch(DBusWatch *watch, void *user)
{
    (void)user;
    loop_set_events(dbus_watch_get_data(watch), watch_events(watch));
}

static void remove_watch(DBusWatch *watch, void *user)
{
    (void)user;
    loop_remove_fd(dbus_watch_get_data(watch));
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
    struct bus *b = user;
    struct loop_timer *timer = loop_add_timer(b->loop, timeout_due, timeout);
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

static void dispatch(void *user)
{
    struct bus *b = user;
    while (dbus_connection_dispatch(b->connection) == DBUS_DISPATCH_DATA_REMAINS)
        ;
}

static DBusHandlerResult take_signal(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    struct bus *b = user;
    if (dbus_message_is_signal(m, DBUS_INTERFACE_LOCAL, "Disconnected")) {
        log_error("the bus is gone");
        loop_stop(b->loop, 1);
    } else if (dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameLost")) {
        log_error("the bus name was taken by somebody else");
        loop_stop(b->loop, 1);
    }
    return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
}

int bus_create(struct bus **out, struct loop *loop, const char *where, struct error *error)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(error, -ENOMEM, "out of memory");
    b->loop = loop;
    int rc = -ENOTCONN;
    b->connection = bus_connect(where, error);
    if (!b->connection)
        goto fail;
    if (!dbus_connection_set_watch_functions(b->connection, add_watch, remove_watch, toggle_watch,
                                             b, NULL) ||
        !dbus_connection_set_timeout_functions(b->connection, add_timeout, remove_timeout,
                                               toggle_timeout, b, NULL) ||
        !dbus_connection_add_filter(b->connection, take_signal, b, NULL)) {
        rc = error_set(error, -ENOMEM, "out of memory");
        goto fail;
    }
    loop_set_prepare(loop, dispatch, b);
    *out = b;
    return 0;
fail:
    bus_destroy(b);
    return rc;
}

void bus_destroy(struct bus *b)
{
    if (!b)
        return;
    loop_set_prepare(b->loop, NULL, NULL);
    if (b->connection) {
        dbus_connection_remove_filter(b->connection, take_signal, b);
        dbus_connection_flush(b->connection);
        dbus_connection_set_watch_functions(b->connection, NULL, NULL, NULL, NULL, NULL);
        dbus_connection_set_timeout_functions(b->connection, NULL, NULL, NULL, NULL, NULL);
        dbus_connection_close(b->connection);
        dbus_connection_unref(b->connection);
    }
    free(b);
}

int bus_own(struct bus *b, const char *name, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    int rc = dbus_bus_request_name(b->connection, name, DBUS_NAME_FLAG_DO_NOT_QUEUE, &e);
    if (rc == DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER)
        return 0;
    if (rc < 0)
        error_set(error, -EACCES, "the bus name %s: %s", name, e.message);
    else
        error_set(error, -EEXIST, "the bus name %s is taken: another earshotd runs", name);
    dbus_error_free(&e);
    return rc < 0 ? -EACCES : -EEXIST;
}

DBusConnection *bus_connection(struct bus *b)
{
    return b->connection;
}

void bus_send(struct bus *b, DBusMessage *message)
{
    if (!message || !dbus_connection_send(b->connection, message, NULL))
        log_error("out of memory: a D-Bus message was not sent");
    if (message)
        dbus_message_unref(message);
}

static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    char character[5] = {0};
    for (size_t i = 0; i < n && p[i]; i++)
        character[i] = (char)p[i];
    return strlen(character) == n && dbus_validate_utf8(character, NULL) ? n : 0;
}

void bus_append_text(DBusMessageIter *out, const char *text)
{
    if (dbus_validate_utf8(text, NULL)) {
        dbus_message_iter_append_basic(out, DBUS_TYPE_STRING, &text);
        return;
    }
    char *clean = strdup(text);
    for (unsigned char *p = (unsigned char *)clean; p && *p;) {
        size_t n = utf8_length(p);
        if (n == 0)
            *p = '?';
        p += n ? n : 1;
    }
    const char *value = clean ? clean : "";
    dbus_message_iter_append_basic(out, DBUS_TYPE_STRING, &value);
    free(clean);
}
