/* What is behind the bus name: the assistant of the microphone, the streams, and the engine's
 * messages to them. Main thread only.
 */
#ifndef EARSHOT_DAEMON_SERVICE_H
#define EARSHOT_DAEMON_SERVICE_H

#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/settings.h"

#define SERVICE_BUS_NAME "org.earshot.Earshot1"
#define SERVICE_PATH "/org/earshot/Earshot1"

struct service;

/* Exports the objects. settings: where config came from, must outlive the result. 0 or -errno. */
int service_create(struct service **out, struct loop *loop, struct bus *bus,
                   const struct config *config, const struct settings *settings,
                   struct error *error);
void service_destroy(struct service *s); /* after the engine */

/* Opens the microphone's ear and listens to the engine, which is not owned. The loop stops when the
 * engine has stopped (status 0) or failed (1). 0 or -errno. */
int service_attach(struct service *s, struct engine *engine, struct error *error);

void service_reload(void *service); /* SIGHUP */

#endif
