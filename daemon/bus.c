/* The connection to the bus; bus_send.c sends over it, bus_loop.c has it in the loop.
 *
 * A connection that is lost is made anew, later and later, with the name and the objects that the
 * lost one had. What was to be sent meanwhile is not: whoever comes back asks (GetTranscript).
 *
 *   lost ──timer──► saying hello ──answer──► asking for the name ──answer──► connected
 *    ▲                   │                           │                           │
 *    └── wait 0.5 s, 1 s, ... 10 s ◄─ refused, no answer in ANSWER_MS, Disconnected
 *
 * Nothing of that waits but at the start of the daemon, as a bus may take a connection and never
 * answer.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"
#include "daemon/bus_loop.h"
#include "daemon/bus_private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY_FIRST_MS = 500,
    RETRY_LAST_MS = 10000,
    ANSWER_MS = 10000,
    FLUSH_MS = 500,
    CALLS_BYTES = 256 << 10, /* of calls that are read before the first is answered */
    ANSWERS_BYTES = 6 << 20, /* that wait for the bus: no further call is looked at */
};

/* As libdbus finds the two; it has no way to ask for them without connecting. */
static const char *find_address(const char *where, char *space, size_t capacity)
{
    const char *runtime = paths_variable("XDG_RUNTIME_DIR");
    const char *address = where;
    if (strcmp(where, "system") == 0) {
        address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        return address ? address : "unix:path=/var/run/dbus/system_bus_socket";
    }
    if (strcmp(where, "session") == 0)
        address = getenv("DBUS_SESSION_BUS_ADDRESS");
    if (address || !runtime)
        return address ? address : "autolaunch:";
    snprintf(space, capacity, "%s/bus", runtime);
    if (access(space, F_OK) != 0)
        return "autolaunch:";
    char *escaped = dbus_address_escape_value(space);
    snprintf(space, capacity, "unix:path=%s", escaped ? escaped : "");
    dbus_free(escaped);
    return space;
}

static void take_owner(struct bus *b, DBusMessage *m)
{
    const char *name, *before, *now;
    if (!dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &before,
                               DBUS_TYPE_STRING, &now, DBUS_TYPE_INVALID) ||
        *now)
        return;
    bus_tell_vanished(b, name);
}

static void take_lost_name(struct bus *b, DBusMessage *m)
{
    const char *name;
    if (!b->name || !dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID) ||
        strcmp(name, b->name) != 0)
        return;
    log_error("the bus name was taken by somebody else");
    loop_stop(b->loop, 1);
}

/* Any client may send us a signal that is called like one of the bus; its sender is true. */
static DBusHandlerResult take_signal(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    struct bus *b = user;
    bool of_bus = dbus_message_has_sender(m, DBUS_SERVICE_DBUS);
    if (of_bus && dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameOwnerChanged"))
        take_owner(b, m);
    else if (of_bus && dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameLost"))
        take_lost_name(b, m);
    bool signal = dbus_message_get_type(m) == DBUS_MESSAGE_TYPE_SIGNAL;
    for (struct bus_watch *w = b->watches; signal && w; w = w->next)
        if (w->signal)
            w->signal(w->user, m);
    if (dbus_message_is_signal(m, DBUS_INTERFACE_LOCAL, "Disconnected"))
        b->lost = true;
    return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
}

/* An answer of many kilobytes to each of a flood of calls would hold up what others asked; a
 * refusal is shorter than the call. */
static DBusHandlerResult refuse_flood(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    struct bus *b = user;
    const char *sender = dbus_message_get_sender(m);
    if (dbus_message_get_type(m) != DBUS_MESSAGE_TYPE_METHOD_CALL || !sender || !bus_is_behind(b))
        return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
    enum asking_verdict verdict = asking_verdict(&b->asking, sender);
    if (verdict == ASKING_REFUSE && !dbus_message_get_no_reply(m))
        bus_send(b, bus_error(m, DBUS_ERROR_LIMITS_EXCEEDED, "read the answers first"));
    return verdict == ASKING_ANSWER ? DBUS_HANDLER_RESULT_NOT_YET_HANDLED
                                    : DBUS_HANDLER_RESULT_HANDLED;
}

static void let_go(struct bus *b)
{
    DBusConnection *c = b->connection;
    if (b->pending) {
        dbus_pending_call_cancel(b->pending);
        dbus_pending_call_unref(b->pending);
    }
    b->pending = NULL;
    b->connection = NULL;
    b->joined = b->lost = false;
    if (!c)
        return;
    dbus_connection_remove_filter(c, take_signal, b);
    dbus_connection_remove_filter(c, refuse_flood, b);
    bus_loop_detach(c);
    dbus_connection_close(c);
    dbus_connection_unref(c);
}

static void retry_later(struct bus *b)
{
    loop_arm(b->retry, b->retry_ms);
    b->retry_ms = b->retry_ms * 2 < RETRY_LAST_MS ? b->retry_ms * 2 : RETRY_LAST_MS;
}

/* Calls wait at the bus, not here, while it is slow to take the answers to those before. */
static bool may_answer(const struct bus *b)
{
    return b->connection && (dbus_connection_get_outgoing_size(b->connection) < ANSWERS_BYTES ||
                             !dbus_connection_get_is_connected(b->connection));
}

static void dispatch(void *user)
{
    struct bus *b = user;
    while (may_answer(b) && dbus_connection_dispatch(b->connection) == DBUS_DISPATCH_DATA_REMAINS)
        ;
    if (!b->lost)
        return;
    bool joined = b->joined;
    let_go(b);
    if (joined) {
        log_warning("the bus (%s) is gone; trying again every %d s at most", b->where,
                    RETRY_LAST_MS / 1000);
        for (struct bus_watch *w = b->watches; w; w = w->next)
            if (w->lost)
                w->lost(w->user);
        b->retry_ms = RETRY_FIRST_MS;
    }
    retry_later(b);
}

static DBusHandlerResult take_call(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    const struct bus_object *o = user;
    return o->take(o->user, m);
}

/* What no object has taken. */
static DBusHandlerResult refuse_call(DBusConnection *c, DBusMessage *m, void *user)
{
    (void)c;
    char text[BUS_EXCERPT_BYTES + 16], cut[BUS_EXCERPT_BYTES];
    if (dbus_message_get_type(m) != DBUS_MESSAGE_TYPE_METHOD_CALL ||
        dbus_message_is_method_call(m, DBUS_INTERFACE_INTROSPECTABLE, "Introspect"))
        return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
    snprintf(text, sizeof text, "no object %s", bus_excerpt(dbus_message_get_path(m), cut));
    if (!dbus_message_get_no_reply(m))
        bus_send(user, bus_error(m, DBUS_ERROR_UNKNOWN_OBJECT, text));
    return DBUS_HANDLER_RESULT_HANDLED;
}

static bool register_object(struct bus *b, const struct bus_object *o)
{
    static const DBusObjectPathVTable table = {.message_function = take_call};
    return dbus_connection_register_object_path(b->connection, o->path, &table, (void *)o);
}

static DBusConnection *open_connection(const char *where, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    char space[PATH_MAX];
    DBusConnection *c = dbus_connection_open_private(find_address(where, space, sizeof space), &e);
    if (!c)
        error_set(error, -ENOTCONN, "the bus (%s): %s", where, e.message);
    dbus_error_free(&e);
    return c;
}

/* Calls a method of the bus; its answer is b->pending's. Takes the message. */
static int call_bus(struct bus *b, DBusMessage *call, struct error *error)
{
    if (call)
        dbus_connection_send_with_reply(b->connection, call, &b->pending, ANSWER_MS);
    if (call)
        dbus_message_unref(call);
    return b->pending ? 0 : error_set(error, -ENOTCONN, "the bus (%s): not connected", b->where);
}

/* Connects, gives the connection all that the one before had, and says hello. 0 or -errno. */
static int say_hello(struct bus *b, struct error *error)
{
    b->connection = open_connection(b->where, error);
    if (!b->connection)
        return -ENOTCONN;
    DBusConnection *c = b->connection;
    dbus_connection_set_exit_on_disconnect(c, FALSE);
    dbus_connection_set_max_received_size(c, CALLS_BYTES);
    static const DBusObjectPathVTable rest = {.message_function = refuse_call};
    bool whole = bus_loop_attach(c, b->loop, &b->taken_us) &&
                 dbus_connection_add_filter(c, take_signal, b, NULL) &&
                 dbus_connection_add_filter(c, refuse_flood, b, NULL) &&
                 dbus_connection_register_fallback(c, "/", &rest, b);
    for (const struct bus_object *o = b->objects; whole && o; o = o->next)
        whole = register_object(b, o);
    int rc = whole ? call_bus(b, bus_new_call("Hello"), error)
                   : error_set(error, -ENOMEM, "the bus: out of memory");
    if (rc)
        let_go(b);
    return rc;
}

static int ask_name(struct bus *b, struct error *error)
{
    DBusMessage *call = bus_new_call("RequestName");
    uint32_t flags = DBUS_NAME_FLAG_DO_NOT_QUEUE;
    if (call)
        dbus_message_append_args(call, DBUS_TYPE_STRING, &b->name, DBUS_TYPE_UINT32, &flags,
                                 DBUS_TYPE_INVALID);
    return call_bus(b, call, error);
}

/* The answer to the call that was last made, which has come. */
static DBusMessage *take_answer(struct bus *b)
{
    DBusMessage *answer = dbus_pending_call_steal_reply(b->pending);
    dbus_pending_call_unref(b->pending);
    b->pending = NULL;
    return answer;
}

static DBusMessage *wait_for_answer(struct bus *b)
{
    dbus_pending_call_block(b->pending);
    return take_answer(b);
}

/* We are on the bus, under a name that it chose. */
static int end_hello(struct bus *b, DBusMessage *answer, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    const char *name;
    bool good = !dbus_set_error_from_message(&e, answer) &&
                dbus_message_get_args(answer, &e, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID) &&
                dbus_bus_set_unique_name(b->connection, name);
    dbus_message_unref(answer);
    if (!good)
        error_set(error, -ENOTCONN, "the bus (%s): %s", b->where, e.message);
    dbus_error_free(&e);
    for (size_t i = 0; good && i < b->rule_count; i++)
        dbus_bus_add_match(b->connection, b->rules[i], NULL);
    return good ? 0 : -ENOTCONN;
}

/* 0, -EEXIST when it is somebody else's, -EACCES. */
static int end_name(struct bus *b, DBusMessage *answer, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    uint32_t result = 0;
    bool good = !dbus_set_error_from_message(&e, answer) &&
                dbus_message_get_args(answer, &e, DBUS_TYPE_UINT32, &result, DBUS_TYPE_INVALID);
    dbus_message_unref(answer);
    int rc = 0;
    if (!good)
        rc = error_set(error, -EACCES, "the bus name %s: %s", b->name, e.message);
    else if (result != DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER)
        rc = error_set(error, -EEXIST, "the bus name %s is taken: another earshotd runs", b->name);
    dbus_error_free(&e);
    return rc;
}

static void join(struct bus *b)
{
    b->joined = true;
    log_info("the bus (%s) is back", b->where);
    for (struct bus_watch *w = b->watches; w; w = w->next)
        if (w->back)
            w->back(w->user);
}

static void name_answered(DBusPendingCall *pending, void *user)
{
    (void)pending;
    struct bus *b = user;
    struct error error;
    int rc = end_name(b, take_answer(b), &error);
    b->lost = rc != 0;
    if (!rc)
        join(b);
    if (rc != -EEXIST || (b->ghosts && b->ghosts--))
        return;
    log_error("%s", error.message);
    loop_stop(b->loop, 1);
}

static void hello_answered(DBusPendingCall *pending, void *user)
{
    (void)pending;
    struct bus *b = user;
    struct error error;
    int rc = end_hello(b, take_answer(b), &error);
    if (!rc && b->name) {
        rc = ask_name(b, &error);
        if (!rc)
            dbus_pending_call_set_notify(b->pending, name_answered, b, NULL);
    } else if (!rc) {
        join(b);
    }
    b->lost = rc != 0;
}

static void retry_due(void *user)
{
    struct bus *b = user;
    struct error error;
    if (say_hello(b, &error))
        retry_later(b);
    else
        dbus_pending_call_set_notify(b->pending, hello_answered, b, NULL);
}

int bus_create(struct bus **out, struct loop *loop, const char *where, struct error *error)
{
    if (!bus_begin_sending())
        return error_set(error, -ENOMEM, "out of memory");
    struct bus *b = calloc(1, sizeof *b);
    if (!b) {
        bus_end_sending();
        return error_set(error, -ENOMEM, "out of memory");
    }
    b->loop = loop;
    b->where = strdup(where);
    b->retry = loop_add_timer(loop, retry_due, b);
    int rc =
        b->where && b->retry ? say_hello(b, error) : error_set(error, -ENOMEM, "out of memory");
    if (!rc)
        rc = end_hello(b, wait_for_answer(b), error);
    if (rc) {
        bus_destroy(b);
        return rc;
    }
    b->joined = true;
    b->hook = (struct loop_hook){.function = dispatch, .user = b};
    loop_add_hook(loop, &b->hook);
    *out = b;
    return 0;
}

/* dbus_connection_flush would wait for a bus that reads nothing. */
static void flush(DBusConnection *c)
{
    int64_t end_us = clock_monotonic_us() + FLUSH_MS * 1000, left_us;
    while (dbus_connection_has_messages_to_send(c) &&
           (left_us = end_us - clock_monotonic_us()) > 0 &&
           dbus_connection_read_write(c, (int)(left_us / 1000) + 1))
        ;
}

void bus_destroy(struct bus *b)
{
    if (!b)
        return;
    loop_remove_hook(b->loop, &b->hook);
    loop_remove_timer(b->retry);
    if (b->joined)
        flush(b->connection);
    let_go(b);
    bus_end_sending();
    free(b->where);
    free(b);
}

int bus_own(struct bus *b, const char *name, struct error *error)
{
    b->name = name;
    int rc = ask_name(b, error);
    return rc ? rc : end_name(b, wait_for_answer(b), error);
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
    assert(b->rule_count < BUS_RULES_MAX);
    b->rules[b->rule_count++] = rule;
    if (b->joined)
        dbus_bus_add_match(b->connection, rule, NULL);
}
