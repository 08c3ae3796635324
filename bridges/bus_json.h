/* Signals of the daemon as JSON, with the names of docs/dbus.md. Pure functions, one thread a
 * message.
 */
#ifndef EARSHOT_BRIDGES_BUS_JSON_H
#define EARSHOT_BRIDGES_BUS_JSON_H

#include <cjson/cJSON.h>
#include <systemd/sd-bus.h>

/* {"type": the member, and its arguments by their names}, owned by the caller. Words are objects.
 * NULL: a signal without names, or out of memory. */
cJSON *bus_json_signal(const char *member, sd_bus_message *m);

#endif
