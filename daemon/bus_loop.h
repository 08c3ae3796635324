/* The descriptors and timeouts of a libdbus connection, in the main loop. Main thread only. */
#ifndef EARSHOT_DAEMON_BUS_LOOP_H
#define EARSHOT_DAEMON_BUS_LOOP_H

#include "daemon/loop.h"

#include <dbus/dbus.h>

bool bus_loop_attach(DBusConnection *c, struct loop *loop); /* false: out of memory */
void bus_loop_detach(DBusConnection *c);

#endif
