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

/* An object at one path; interfaces ends with NULL. */
struct interface_object {
    struct bus *bus;
    const char *path;
    const struct interface *const *interfaces;
    void *user;
    struct bus_object exported; /* interface_export's */
};

int interface_export(struct interface_object *o); /* 0 or -ENOMEM; o stays the caller's */
void interface_unexport(struct interface_object *o);

/* Emits PropertiesChanged with the property's value now. */
void interface_changed(struct interface_object *o, const char *interface, const char *property);

/* The introspection data of one interface, as in the installed XML file; free it. NULL: no memory.
 */
char *interface_xml(const struct interface *i);

#endif
