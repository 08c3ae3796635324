#include "cli/bus_client.h"

#include "cli/offline.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_MS = 10 * 60 * 1000, /* a reply may take its time */
};

static DBusConnection *open_bus(const char *where, DBusError *e)
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

bool bus_client_connect(struct bus_client *c, DBusError *e)
{
    if (c->connection)
        return true;
    c->connection = open_bus(c->bus, e);
    if (c->connection)
        dbus_connection_set_exit_on_disconnect(c->connection, FALSE);
    return c->connection != NULL;
}

void bus_client_finish(struct bus_client *c)
{
    if (!c->connection)
        return;
    dbus_connection_close(c->connection);
    dbus_connection_unref(c->connection);
    c->connection = NULL;
}

int bus_client_fail(const struct bus_client *c, DBusError *e)
{
    if (dbus_error_has_name(e, DBUS_ERROR_SERVICE_UNKNOWN) ||
        dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER))
        fprintf(stderr, "earshot %s: the daemon does not run; start earshotd\n", c->command);
    else if (dbus_error_has_name(e, DBUS_ERROR_ACCESS_DENIED))
        fprintf(stderr,
                "earshot %s: the bus \"%s\" allows it to root and the group earshot alone\n",
                c->command, c->bus);
    else
        fprintf(stderr, "earshot %s: %s\n", c->command, e->message);
    dbus_error_free(e);
    return EXIT_FAILED;
}

DBusMessage *bus_client_call(const char *interface, const char *member, DBusMessageIter *args)
{
    DBusMessage *m =
        dbus_message_new_method_call(BUS_CLIENT_NAME, BUS_CLIENT_OBJECT, interface, member);
    dbus_message_iter_init_append(m, args);
    return m;
}

void bus_client_append_string(DBusMessageIter *args, const char *text)
{
    dbus_message_iter_append_basic(args, DBUS_TYPE_STRING, &text);
}

void bus_client_append_entry(DBusMessageIter *dictionary, const char *key, int type,
                             const char *signature, const void *value)
{
    DBusMessageIter entry, variant;
    dbus_message_iter_open_container(dictionary, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
    bus_client_append_string(&entry, key);
    dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, signature, &variant);
    dbus_message_iter_append_basic(&variant, type, value);
    dbus_message_iter_close_container(&entry, &variant);
    dbus_message_iter_close_container(dictionary, &entry);
}

DBusMessage *bus_client_answer(struct bus_client *c, DBusMessage *call, DBusError *e)
{
    DBusMessage *reply = NULL;
    if (bus_client_connect(c, e))
        reply = dbus_connection_send_with_reply_and_block(c->connection, call, ANSWER_MS, e);
    dbus_message_unref(call);
    return reply;
}

bool bus_client_properties(struct bus_client *c, const char *path, bus_client_entry *each,
                           void *user, DBusError *e)
{
    DBusMessageIter args;
    DBusMessage *call = bus_client_call(DBUS_INTERFACE_PROPERTIES, "GetAll", &args);
    dbus_message_set_path(call, path);
    bus_client_append_string(&args, BUS_CLIENT_INTERFACE);
    DBusMessage *reply = bus_client_answer(c, call, e);
    if (!reply)
        return false;
    bool good = dbus_message_has_signature(reply, "a{sv}");
    if (!good)
        dbus_set_error(e, DBUS_ERROR_FAILED, "a strange answer");
    else if (dbus_message_iter_init(reply, &args))
        bus_client_each(&args, each, user);
    dbus_message_unref(reply);
    return good;
}

/* To the daemon's signals and to its end; false with the error. */
static bool subscribe(struct bus_client *c, DBusError *e)
{
    static const char *const rules[] = {
        "type='signal',sender='" BUS_CLIENT_NAME "',path='" BUS_CLIENT_OBJECT "'",
        "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
        "arg0='" BUS_CLIENT_NAME "'",
    };
    if (!bus_client_connect(c, e))
        return false;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        dbus_bus_add_match(c->connection, rules[i], e);
        if (dbus_error_is_set(e))
            return false;
    }
    return true;
}

/* Whether the signal says that the daemon has left the bus. */
static bool is_end(DBusMessage *m)
{
    const char *name, *old, *new;
    return dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameOwnerChanged") &&
           dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &old,
                                 DBUS_TYPE_STRING, &new, DBUS_TYPE_INVALID) &&
           !*new;
}

int bus_client_follow(struct bus_client *c, int timeout_ms, bus_client_take *take, void *user)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *pong = NULL;
    if (subscribe(c, &e))
        pong = bus_client_answer(c, bus_client_call(DBUS_INTERFACE_PEER, "Ping", &args), &e);
    if (!pong)
        return bus_client_fail(c, &e);
    dbus_message_unref(pong);

    bool there = true;
    int code = take(user, NULL);
    if (code)
        return code;
    do {
        for (DBusMessage *m; !code && (m = dbus_connection_pop_message(c->connection));) {
            there = there && !is_end(m);
            code = take(user, m);
            dbus_message_unref(m);
        }
        if (!code && there)
            code = take(user, NULL);
        if (!code && ferror(stdout))
            code = EXIT_FAILED;
        if (code)
            return code;
    } while (there && dbus_connection_read_write(c->connection, timeout_ms));
    fprintf(stderr, "%searshot %s: the daemon is gone\n", isatty(STDOUT_FILENO) ? "\n" : "",
            c->command);
    return EXIT_FAILED;
}

bool bus_client_is_signal(DBusMessage *m, const char *member)
{
    return dbus_message_is_signal(m, BUS_CLIENT_INTERFACE, member);
}

bool bus_client_number(DBusMessageIter *variant, double *value)
{
    DBusBasicValue v;
    int type = dbus_message_iter_get_arg_type(variant);
    if (!dbus_type_is_basic(type) || type == DBUS_TYPE_UNIX_FD)
        return false;
    dbus_message_iter_get_basic(variant, &v);
    switch (type) {
    case DBUS_TYPE_DOUBLE:
        *value = v.dbl;
        return true;
    case DBUS_TYPE_INT32:
        *value = v.i32;
        return true;
    case DBUS_TYPE_UINT32:
        *value = v.u32;
        return true;
    case DBUS_TYPE_INT64:
        *value = (double)v.i64;
        return true;
    case DBUS_TYPE_UINT64:
        *value = (double)v.u64;
        return true;
    }
    return false;
}

void bus_client_each(DBusMessageIter *dictionary, bus_client_entry *each, void *user)
{
    DBusMessageIter array, entry, value;
    const char *name;
    for (dbus_message_iter_recurse(dictionary, &array);
         dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&array)) {
        dbus_message_iter_recurse(&array, &entry);
        dbus_message_iter_get_basic(&entry, &name);
        dbus_message_iter_next(&entry);
        if (dbus_message_iter_get_arg_type(&entry) == DBUS_TYPE_VARIANT)
            dbus_message_iter_recurse(&entry, &value);
        else
            value = entry;
        each(user, name, &value);
    }
}

void bus_client_details(DBusMessage *m, bus_client_entry *each, void *user)
{
    DBusMessageIter args;
    if (!dbus_message_iter_init(m, &args))
        return;
    do {
        if (dbus_message_iter_get_arg_type(&args) == DBUS_TYPE_ARRAY &&
            dbus_message_iter_get_element_type(&args) == DBUS_TYPE_DICT_ENTRY)
            bus_client_each(&args, each, user);
    } while (dbus_message_iter_next(&args));
}
