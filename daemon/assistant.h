/* org.earshot.Earshot1.Assistant: turns calls into engine requests and engine messages into
 * replies, signals and properties. docs/dbus.md describes the interface. Main thread only.
 */
#ifndef EARSHOT_DAEMON_ASSISTANT_H
#define EARSHOT_DAEMON_ASSISTANT_H

#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/settings.h"

#define ASSISTANT_BUS_NAME "org.earshot.Earshot1"
#define ASSISTANT_PATH "/org/earshot/Earshot1"
#define ASSISTANT_INTERFACE "org.earshot.Earshot1.Assistant"
#define STREAMS_INTERFACE "org.earshot.Earshot1.Streams"

enum assistant_state {
    ASSISTANT_UNKNOWN,
    ASSISTANT_LOADING,
    ASSISTANT_IDLE,
    ASSISTANT_HEARING,
    ASSISTANT_THINKING,
    ASSISTANT_MUTED,
    ASSISTANT_FAILED,
};

struct assistant;

/* Exports the object; the loop stops when the engine has stopped or failed (status 1). settings:
 * where config came from, for Reload; must outlive the result. 0 or -errno. */
int assistant_create(struct assistant **out, struct loop *loop, struct bus *bus,
                     const struct config *config, const struct settings *settings,
                     struct error *error);
void assistant_destroy(struct assistant *a);

/* Of the newest utterance in the history; 0: none. */
uint64_t assistant_last_id(const struct assistant *a);

/* Listens to the engine, which is not owned. 0 or -ENOMEM. */
int assistant_attach(struct assistant *a, struct engine *engine);

/* Reload, asked for by nobody on the bus: what goes wrong is logged. */
void assistant_reload(void *assistant);

/* The state's name, and the word "state" of `earshot status`. */
const char *assistant_state_name(enum assistant_state state);

/* The introspection data of both interfaces; free it. NULL: no memory. */
char *assistant_xml(void);
char *assistant_streams_xml(void);

#endif
