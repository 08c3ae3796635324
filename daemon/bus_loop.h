/* The descriptors and timeouts of a libdbus connection, in the main loop. Main thread only. */
#ifndef EARSHOT_DAEMON_BUS_LOOP_H
#define EARSHOT_DAEMON_BUS_LOOP_H

#include "daemon/loop.h"

#include <dbus/dbus.h>
#include <stdint.h>

/* *room_us: the clock whenever the other side has taken some of what waits for it. False: out of
 * memory. */
bool bus_loop_attach(DBusConnection *c, struct loop *loop, int64_t *room_us);
void bus_loop_detach(DBusConnection *c);

#endif
