/* The options of Ask: D-Bus a{sv} -> how the answer's words are chosen. Main thread.
 */
#ifndef EARSHOT_DAEMON_ASK_OPTIONS_H
#define EARSHOT_DAEMON_ASK_OPTIONS_H

#include "base/error.h"
#include "model/sampler.h"

#include <dbus/dbus.h>

/* Overwrites what the dictionary names; array is at an a{sv}. 0, or -EINVAL with a message that
 * names the option: unknown, of another type, out of range. */
int ask_options_read(struct sampler_config *c, DBusMessageIter *array, struct error *error);

#endif
