/* D-Bus interfaces as tables: from them come the dispatch of calls, the check of their signatures,
 * org.freedesktop.DBus.Properties and the introspection data. Main thread only.
 */
#ifndef EARSHOT_DAEMON_INTERFACE_H
#define EARSHOT_DAEMON_INTERFACE_H

#include "daemon/bus.h"

enum {
    INTERFACE_ARGS_MAX = 4,
};

struct interface_arg {
    const char *name, *type;
};

struct interface_method {
    const char *name;
    struct interface_arg in[INTERFACE_ARGS_MAX + 1], out[INTERFACE_ARGS_MAX + 1];
    /* The reply, or NULL when it is sent later (the callee took a reference to the call). */
    DBusMessage *(*call)(void *user, DBusMessage *call);
};

struct interface_property {
    const char *name, *type;
    bool constant;
    bool silent; /* changes are not told */
    void (*get)(void *user, DBusMessageIter *out);
    /* value has the property's type. As interface_method.call. NULL: read-only. */
    DBusMessage *(*set)(void *user, DBusMessage *call, DBusMessageIter *value);
};

struct interface_signal {
    const char *name;
    struct interface_arg args[INTERFACE_ARGS_MAX + 1];
};

struct interface {
    const char *name;
    const struct interface_method *methods; /* ends with a NULL name, as the others */
    const struct interface_property *properties;
    const struct interface_signal *signals;
};

/* An interface of an object, and what its functions get. */
struct interface_part {
    const struct interface *interface;
    void *user;
};

/* An object at one path. */
struct interface_object {
    struct bus *bus;
    const char *path;
    const struct interface_part *parts; /* ends with a NULL interface */
    struct bus_object exported;         /* interface_export's */
};

int interface_export(struct interface_object *o); /* 0 or -ENOMEM; o stays the caller's */
void interface_unexport(struct interface_object *o);

/* Emits PropertiesChanged with the property's value now. */
void interface_changed(struct interface_object *o, const char *interface, const char *property);

/* Appends the object as org.freedesktop.DBus.ObjectManager has it: its path, and its interfaces
 * with their properties (oa{sa{sv}}). */
void interface_append_object(DBusMessageIter *out, const struct interface_object *o);
void interface_append_names(DBusMessageIter *out, const struct interface_object *o); /* as */

/* {key: value} of a dictionary a{sv}; signature: of the value, type: its basic type. */
void interface_append_entry(DBusMessageIter *dictionary, const char *key, int type,
                            const char *signature, const void *value);

/* A value that is a text of any bytes, as bus_append_text has it. */
void interface_append_text(DBusMessageIter *dictionary, const char *key, const char *text);

/* The same for a value that is a container: opened, its value appended, closed. */
struct interface_entry {
    DBusMessageIter entry, value;
};

void interface_open_entry(DBusMessageIter *dictionary, const char *key, const char *signature,
                          struct interface_entry *e);
void interface_close_entry(DBusMessageIter *dictionary, struct interface_entry *e);

#endif
