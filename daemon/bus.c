/* A connection that is lost is made anew, later and later, with the name and the objects that the
 * lost one had. What was to be sent meanwhile is not: whoever comes back asks (GetTranscript).
 *
 *   connected ──Disconnected──► lost ──timer──► connected
 *                                ▲  └─failed: wait 0.5 s, 1 s, ... 10 s
 */
#include "daemon/bus.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_FIRST_MS = 500,
    RETRY_LAST_MS = 10000,
    RULES_MAX = 4,
};

struct bus {
    struct loop *loop;
    char *where;                /* owned */
    const char *name;           /* NULL: none owned yet */
    DBusConnection *connection; /* NULL: lost */
    bool lost;                  /* it is, and still has to be let go of */
    struct bus_object *objects;
    struct bus_watch *watches;
    const char *rules[RULES_MAX];
    size_t rule_count;
    struct loop_hook hook;
    struct loop_timer *retry;
    int retry_ms;
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

static void take_owner(struct bus *b, DBusMessage *m)
{
    const char *name, *before, *now;
    if (!dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &before,
                               DBUS_TYPE_STRING, &now, DBUS_TYPE_INVALID) ||
        *now)
        return;
    for (struct bus_watch *w = b->watches; w; w = w->next)
        if (w->vanished)
            w->vanished(w->user, name);
}

static DBusHandlerResult take_signal(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    struct bus *b = user;
    if (dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameOwnerChanged"))
        take_owner(b, m);
    bool signal = dbus_message_get_type(m) == DBUS_MESSAGE_TYPE_SIGNAL;
    for (struct bus_watch *w = b->watches; signal && w; w = w->next)
        if (w->signal)
            w->signal(w->user, m);
    if (dbus_message_is_signal(m, DBUS_INTERFACE_LOCAL, "Disconnected")) {
        b->lost = true;
    } else if (dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameLost")) {
        log_error("the bus name was taken by somebody else");
        loop_stop(b->loop, 1);
    }
    return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
}

static void let_go(struct bus *b)
{
    DBusConnection *c = b->connection;
    b->connection = NULL;
    if (!c)
        return;
    dbus_connection_remove_filter(c, take_signal, b);
    dbus_connection_set_watch_functions(c, NULL, NULL, NULL, NULL, NULL);
    dbus_connection_set_timeout_functions(c, NULL, NULL, NULL, NULL, NULL);
    dbus_connection_close(c);
    dbus_connection_unref(c);
}

static void dispatch(void *user)
{
    struct bus *b = user;
    while (b->connection && dbus_connection_dispatch(b->connection) == DBUS_DISPATCH_DATA_REMAINS)
        ;
    if (!b->lost)
        return;
    b->lost = false;
    log_warning("the bus (%s) is gone; trying again every %d s at most", b->where,
                RETRY_LAST_MS / 1000);
    let_go(b);
    for (struct bus_watch *w = b->watches; w; w = w->next)
        if (w->lost)
            w->lost(w->user);
    b->retry_ms = RETRY_FIRST_MS;
    loop_arm(b->retry, b->retry_ms);
}

static DBusHandlerResult take_call(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    const struct bus_object *o = user;
    return o->take(o->user, m);
}

static bool register_object(struct bus *b, const struct bus_object *o)
{
    static const DBusObjectPathVTable table = {.message_function = take_call};
    return dbus_connection_register_object_path(b->connection, o->path, &table, (void *)o);
}

static int take_name(struct bus *b, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    int rc = dbus_bus_request_name(b->connection, b->name, DBUS_NAME_FLAG_DO_NOT_QUEUE, &e);
    if (rc == DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER)
        return 0;
    if (rc < 0)
        error_set(error, -EACCES, "the bus name %s: %s", b->name, e.message);
    else
        error_set(error, -EEXIST, "the bus name %s is taken: another earshotd runs", b->name);
    dbus_error_free(&e);
    return rc < 0 ? -EACCES : -EEXIST;
}

/* Connects, with all that the connection before had. 0 or -errno. */
static int join(struct bus *b, struct error *error)
{
    b->connection = bus_connect(b->where, error);
    if (!b->connection)
        return -ENOTCONN;
    DBusConnection *c = b->connection;
    bool whole =
        dbus_connection_set_watch_functions(c, add_watch, remove_watch, toggle_watch, b, NULL) &&
        dbus_connection_set_timeout_functions(c, add_timeout, remove_timeout, toggle_timeout, b,
                                              NULL) &&
        dbus_connection_add_filter(c, take_signal, b, NULL);
    for (const struct bus_object *o = b->objects; whole && o; o = o->next)
        whole = register_object(b, o);
    for (size_t i = 0; whole && i < b->rule_count; i++)
        dbus_bus_add_match(c, b->rules[i], NULL);
    int rc = whole ? 0 : error_set(error, -ENOMEM, "the bus: out of memory");
    if (!rc && b->name)
        rc = take_name(b, error);
    if (rc)
        let_go(b);
    return rc;
}

static void retry_due(void *user)
{
    struct bus *b = user;
    struct error error;
    int rc = join(b, &error);
    if (rc == 0) {
        log_info("the bus (%s) is back", b->where);
        return;
    }
    if (rc == -EEXIST) {
        log_error("%s", error.message);
        loop_stop(b->loop, 1);
        return;
    }
    b->retry_ms = b->retry_ms * 2 < RETRY_LAST_MS ? b->retry_ms * 2 : RETRY_LAST_MS;
    loop_arm(b->retry, b->retry_ms);
}

int bus_create(struct bus **out, struct loop *loop, const char *where, struct error *error)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(error, -ENOMEM, "out of memory");
    b->loop = loop;
    b->where = strdup(where);
    b->retry = loop_add_timer(loop, retry_due, b);
    int rc = b->where && b->retry ? join(b, error) : error_set(error, -ENOMEM, "out of memory");
    if (rc) {
        bus_destroy(b);
        return rc;
    }
    b->hook = (struct loop_hook){.function = dispatch, .user = b};
    loop_add_hook(loop, &b->hook);
    *out = b;
    return 0;
}

void bus_destroy(struct bus *b)
{
    if (!b)
        return;
    loop_remove_hook(b->loop, &b->hook);
    loop_remove_timer(b->retry);
    if (b->connection)
        dbus_connection_flush(b->connection);
    let_go(b);
    free(b->where);
    free(b);
}

int bus_own(struct bus *b, const char *name, struct error *error)
{
    b->name = name;
    return take_name(b, error);
}

int bus_export(struct bus *b, struct bus_object *o)
{
    if (b->connection && !register_object(b, o))
        return -ENOMEM;
    o->next = b->objects;
    b->objects = o;
    return 0;
}

void bus_unexport(struct bus *b, struct bus_object *o)
{
    for (struct bus_object **p = &b->objects; *p; p = &(*p)->next) {
        if (*p != o)
            continue;
        *p = o->next;
        if (b->connection)
            dbus_connection_unregister_object_path(b->connection, o->path);
        return;
    }
}

void bus_watch(struct bus *b, struct bus_watch *w)
{
    w->next = b->watches;
    b->watches = w;
}

void bus_unwatch(struct bus *b, struct bus_watch *w)
{
    for (struct bus_watch **p = &b->watches; *p; p = &(*p)->next) {
        if (*p != w)
            continue;
        *p = w->next;
        return;
    }
}

char **bus_children(struct bus *b, const char *path)
{
    char **children = NULL;
    if (b->connection)
        dbus_connection_list_registered(b->connection, path, &children);
    return children;
}

void bus_match(struct bus *b, const char *rule)
{
    assert(b->rule_count < RULES_MAX);
    b->rules[b->rule_count++] = rule;
    if (b->connection)
        dbus_bus_add_match(b->connection, rule, NULL);
}

static void owner_rule(char rule[320], const char *client)
{
    snprintf(rule, 320,
             "type='signal',sender='" DBUS_SERVICE_DBUS "',interface='" DBUS_INTERFACE_DBUS
             "',member='NameOwnerChanged',arg0='%.200s'",
             client);
}

void bus_follow(struct bus *b, const char *client)
{
    char rule[320];
    owner_rule(rule, client);
    if (b->connection)
        dbus_bus_add_match(b->connection, rule, NULL);
}

void bus_unfollow(struct bus *b, const char *client)
{
    char rule[320];
    owner_rule(rule, client);
    if (b->connection)
        dbus_bus_remove_match(b->connection, rule, NULL);
}

void bus_send(struct bus *b, DBusMessage *message)
{
    if (!message || (b->connection && !dbus_connection_send(b->connection, message, NULL)))
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
