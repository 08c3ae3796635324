/* The options of Streams.Open: D-Bus a{sv} -> what the client sends, and what it wants. Main
 * thread.
 */
#ifndef EARSHOT_DAEMON_OPEN_OPTIONS_H
#define EARSHOT_DAEMON_OPEN_OPTIONS_H

#include "base/error.h"
#include "daemon/stream_decoder.h"

#include <dbus/dbus.h>

enum {
    STREAM_NAME_BYTES = 128, /* with its NUL */
};

struct open_options {
    struct stream_format format;
    const char *mode; /* "captions", "assistant", of the message; NULL: as configured */
    const char *name; /* of what is heard, of the message; NULL: none */
};

/* array is at an a{sv}; what it does not name is the default. 0, or -EINVAL with a message that
 * names the option: unknown, of another type, out of range. */
int open_options_read(struct open_options *o, DBusMessageIter *array, struct error *error);

#endif
