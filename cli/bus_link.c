/* Calls do not use libdbus's own waiting for an answer: it takes the first message with the right
 * number, whoever sent it, and messages would be read out of their order. */
#include "cli/bus_link.h"

#include "base/clock.h"

#include <assert.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    NAMES_MAX = 4,
    BUS_MS = 120000, /* what the bus may take for an answer, the start of a service included */
};

/* A well-known name, and who owns it where the stream of messages has been read up to. */
struct peer {
    const char *name;
    char owner[DBUS_MAXIMUM_NAME_LENGTH + 1]; /* empty: nobody */
    bool followed;
};

/* A signal that came while an answer was waited for. */
struct held {
    DBusMessage *message;
    struct held *next;
};

struct bus_link {
    DBusConnection *connection;
    struct peer peers[NAMES_MAX];
    size_t peer_count;
    struct held *first, **end;
};

static DBusConnection *connect_to(const char *where, DBusError *e)
{
    if (strcmp(where, "session") == 0)
        return dbus_bus_get_private(DBUS_BUS_SESSION, e);
    if (strcmp(where, "system") == 0)
        return dbus_bus_get_private(DBUS_BUS_SYSTEM, e);
    DBusConnection *connection = dbus_connection_open_private(where, e);
    if (!connection || dbus_bus_register(connection, e))
        return connection;
    dbus_connection_close(connection);
    dbus_connection_unref(connection);
    return NULL;
}

bool bus_link_open(struct bus_link **out, const char *where, DBusError *e)
{
    DBusConnection *connection = connect_to(where, e);
    if (!connection)
        return false;
    dbus_connection_set_exit_on_disconnect(connection, FALSE);
    struct bus_link *l = calloc(1, sizeof *l);
    if (!l) {
        dbus_connection_close(connection);
        dbus_connection_unref(connection);
        dbus_set_error_const(e, DBUS_ERROR_NO_MEMORY, "out of memory");
        return false;
    }
    l->connection = connection;
    l->end = &l->first;
    *out = l;
    return true;
}

static DBusMessage *take_held(struct bus_link *l)
{
    struct held *h = l->first;
    if (!h)
        return NULL;
    DBusMessage *m = h->message;
    l->first = h->next;
    if (!l->first)
        l->end = &l->first;
    free(h);
    return m;
}

static void hold(struct bus_link *l, DBusMessage *m)
{
    struct held *h = malloc(sizeof *h);
    if (!h) {
        dbus_message_unref(m);
        return;
    }
    *h = (struct held){m, NULL};
    *l->end = h;
    l->end = &h->next;
}

void bus_link_close(struct bus_link *l)
{
    if (!l)
        return;
    for (DBusMessage *m; (m = take_held(l));)
        dbus_message_unref(m);
    dbus_connection_close(l->connection);
    dbus_connection_unref(l->connection);
    free(l);
}

static struct peer *find_peer(struct bus_link *l, const char *name)
{
    for (size_t i = 0; i < l->peer_count; i++)
        if (strcmp(l->peers[i].name, name) == 0)
            return &l->peers[i];
    return NULL;
}

static struct peer *add_peer(struct bus_link *l, const char *name)
{
    struct peer *p = find_peer(l, name);
    if (p)
        return p;
    assert(l->peer_count < NAMES_MAX);
    p = &l->peers[l->peer_count++];
    *p = (struct peer){.name = name};
    return p;
}

static void set_owner(struct peer *p, const char *owner)
{
    snprintf(p->owner, sizeof p->owner, "%s", owner);
}

/* The name and its new owner, empty where it has none, of the bus's signal. */
static bool read_change(DBusMessage *m, const char **name, const char **owner)
{
    const char *old;
    return dbus_message_has_sender(m, DBUS_SERVICE_DBUS) &&
           dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameOwnerChanged") &&
           dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, name, DBUS_TYPE_STRING, &old,
                                 DBUS_TYPE_STRING, owner, DBUS_TYPE_INVALID);
}

static bool is_from(DBusMessage *m, const struct peer *p)
{
    return *p->owner && dbus_message_has_sender(m, p->owner);
}

/* An interface is of the name that it begins with: no other peer may use it. */
static bool is_believed(const struct bus_link *l, DBusMessage *m)
{
    const char *interface = dbus_message_get_interface(m);
    bool known = false;
    for (size_t i = 0; i < l->peer_count; i++) {
        const struct peer *p = &l->peers[i];
        if (interface && strncmp(interface, p->name, strlen(p->name)) == 0)
            return is_from(m, p);
        known = known || is_from(m, p);
    }
    return known;
}

/* Whether the sender is one of those that are believed; follows the owners of names. */
static bool believe(struct bus_link *l, DBusMessage *m)
{
    const char *name, *owner;
    if (!dbus_message_has_sender(m, DBUS_SERVICE_DBUS))
        return is_believed(l, m);
    struct peer *p = read_change(m, &name, &owner) ? find_peer(l, name) : NULL;
    if (p)
        set_owner(p, owner);
    return true;
}

static bool is_signal(DBusMessage *m)
{
    return dbus_message_get_type(m) == DBUS_MESSAGE_TYPE_SIGNAL;
}

/* Whoever was asked may answer, also when the name is no longer its own. */
static bool is_answer(DBusMessage *m, dbus_uint32_t serial, const char *from)
{
    int type = dbus_message_get_type(m);
    return (type == DBUS_MESSAGE_TYPE_METHOD_RETURN || type == DBUS_MESSAGE_TYPE_ERROR) &&
           dbus_message_get_reply_serial(m) == serial &&
           (dbus_message_has_sender(m, from) || dbus_message_has_sender(m, DBUS_SERVICE_DBUS));
}

/* The answer to a call that was sent; signals that come before it are kept. */
static DBusMessage *await(struct bus_link *l, dbus_uint32_t serial, const char *from,
                          int timeout_ms, DBusError *e)
{
    int64_t left_ms, until_ms = clock_monotonic_ms() + timeout_ms;
    do {
        for (DBusMessage *m; (m = dbus_connection_pop_message(l->connection));) {
            if (is_answer(m, serial, from))
                return m;
            if (is_signal(m) && believe(l, m))
                hold(l, m);
            else
                dbus_message_unref(m);
        }
        left_ms = until_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            dbus_set_error_const(e, DBUS_ERROR_NO_REPLY, "no answer came in time");
            return NULL;
        }
    } while (dbus_connection_read_write(l->connection, (int)left_ms));
    dbus_set_error_const(e, DBUS_ERROR_DISCONNECTED, "the bus is gone");
    return NULL;
}

/* Releases the call. */
static DBusMessage *send_call(struct bus_link *l, DBusMessage *call, const char *to, int timeout_ms,
                              DBusError *e)
{
    dbus_uint32_t serial;
    DBusMessage *answer = NULL;
    if (!call || !dbus_message_set_destination(call, to) ||
        !dbus_connection_send(l->connection, call, &serial))
        dbus_set_error_const(e, DBUS_ERROR_NO_MEMORY, "out of memory");
    else
        answer = await(l, serial, to, timeout_ms, e);
    if (call)
        dbus_message_unref(call);
    if (answer && dbus_set_error_from_message(e, answer)) {
        dbus_message_unref(answer);
        return NULL;
    }
    return answer;
}

/* A method of the bus that takes a text, and a number where flags is not NULL. */
static DBusMessage *call_bus(struct bus_link *l, const char *member, const char *text,
                             const dbus_uint32_t *flags, DBusError *e)
{
    DBusMessage *call = dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS,
                                                     DBUS_INTERFACE_DBUS, member);
    if (call)
        dbus_message_append_args(call, DBUS_TYPE_STRING, &text, DBUS_TYPE_INVALID);
    if (call && flags)
        dbus_message_append_args(call, DBUS_TYPE_UINT32, flags, DBUS_TYPE_INVALID);
    return send_call(l, call, DBUS_SERVICE_DBUS, BUS_MS, e);
}

/* What the bus answers counts where it comes in the order of messages. */
static bool ask_owner(struct bus_link *l, struct peer *p, DBusError *e)
{
    const char *owner;
    DBusMessage *answer = call_bus(l, "GetNameOwner", p->name, NULL, e);
    bool known =
        answer && dbus_message_get_args(answer, e, DBUS_TYPE_STRING, &owner, DBUS_TYPE_INVALID);
    set_owner(p, known ? owner : "");
    if (answer)
        dbus_message_unref(answer);
    return known;
}

bool bus_link_look(struct bus_link *l, const char *name, DBusError *e)
{
    return ask_owner(l, add_peer(l, name), e);
}

const char *bus_link_owner(struct bus_link *l, const char *name)
{
    const struct peer *p = find_peer(l, name);
    return p ? p->owner : "";
}

bool bus_link_find(struct bus_link *l, const char *name, DBusError *e)
{
    struct peer *p = add_peer(l, name);
    if (ask_owner(l, p, e))
        return true;
    if (!dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER))
        return false;
    dbus_error_free(e);
    DBusMessage *started = call_bus(l, "StartServiceByName", name, &(dbus_uint32_t){0}, e);
    if (!started)
        return false;
    dbus_message_unref(started);
    return ask_owner(l, p, e);
}

void bus_link_forget(struct bus_link *l, const char *name)
{
    struct peer *p = find_peer(l, name);
    if (p && !p->followed)
        *p = l->peers[--l->peer_count];
}

static bool add_match(struct bus_link *l, const char *rule, DBusError *e)
{
    DBusMessage *answer = call_bus(l, "AddMatch", rule, NULL, e);
    if (answer)
        dbus_message_unref(answer);
    return answer != NULL;
}

bool bus_link_subscribe(struct bus_link *l, const char *name, const char *path, DBusError *e)
{
    char rule[512];
    struct peer *p = add_peer(l, name);
    snprintf(rule, sizeof rule, "type='signal',sender='%s'%s%s%s", name, path ? ",path='" : "",
             path ? path : "", path ? "'" : "");
    if (!add_match(l, rule, e))
        return false;
    snprintf(rule, sizeof rule,
             "type='signal',sender='" DBUS_SERVICE_DBUS "',member='NameOwnerChanged',arg0='%s'",
             name);
    if (!p->followed && !add_match(l, rule, e))
        return false;
    p->followed = true;
    if (ask_owner(l, p, e) || !dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER))
        return !dbus_error_is_set(e);
    dbus_error_free(e);
    return true;
}

DBusMessage *bus_link_call(struct bus_link *l, DBusMessage *call, int timeout_ms, DBusError *e)
{
    const struct peer *p = call ? find_peer(l, dbus_message_get_destination(call)) : NULL;
    if (call && (!p || !*p->owner)) {
        dbus_set_error(e, DBUS_ERROR_NAME_HAS_NO_OWNER, "nobody owns the name %s",
                       dbus_message_get_destination(call));
        dbus_message_unref(call);
        return NULL;
    }
    char owner[sizeof p->owner]; /* as it is now, whatever comes before the answer */
    snprintf(owner, sizeof owner, "%s", p ? p->owner : "");
    return send_call(l, call, owner, timeout_ms, e);
}

DBusMessage *bus_link_next(struct bus_link *l)
{
    DBusMessage *m = take_held(l);
    while (!m && (m = dbus_connection_pop_message(l->connection))) {
        if (is_signal(m) && believe(l, m))
            break;
        dbus_message_unref(m);
        m = NULL;
    }
    return m;
}

bool bus_link_wait(struct bus_link *l, int timeout_ms, const sigset_t *mask)
{
    struct pollfd p = {.events = POLLIN};
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    if (l->first ||
        dbus_connection_get_dispatch_status(l->connection) == DBUS_DISPATCH_DATA_REMAINS)
        return true;
    dbus_connection_flush(l->connection);
    if (dbus_connection_get_unix_fd(l->connection, &p.fd))
        ppoll(&p, 1, timeout_ms < 0 ? NULL : &limit, mask);
    return dbus_connection_read_write(l->connection, 0);
}

bool bus_link_is_change(DBusMessage *m, const char *name, bool *owned)
{
    const char *of, *owner;
    if (!read_change(m, &of, &owner) || strcmp(of, name) != 0)
        return false;
    *owned = *owner != '\0';
    return true;
}
