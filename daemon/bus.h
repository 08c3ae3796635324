/* A D-Bus connection (libdbus) inside the main loop. Main thread only. */
#ifndef EARSHOT_DAEMON_BUS_H
#define EARSHOT_DAEMON_BUS_H

#include "base/error.h"
#include "daemon/loop.h"

#include <dbus/dbus.h>

struct bus;

/* where: "session", "system" or an address. A connection that is lost stops the loop with status 1.
 * 0 or -errno. */
int bus_create(struct bus **out, struct loop *loop, const char *where, struct error *error);
void bus_destroy(struct bus *b); /* sends what waits, then closes */

/* 0, or -EEXIST when somebody else owns the name. */
int bus_own(struct bus *b, const char *name, struct error *error);

DBusConnection *bus_connection(struct bus *b);

/* Sends and releases the message; NULL (out of memory) is logged. */
void bus_send(struct bus *b, DBusMessage *message);

/* Opens a private connection to "session", "system" or an address; NULL with a message. */
DBusConnection *bus_connect(const char *where, struct error *error);

/* Appends a string; what is not UTF-8 in it becomes '?'. */
void bus_append_text(DBusMessageIter *out, const char *text);

#endif
