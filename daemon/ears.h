/* org.earshot.Earshot1.Ears: named ears beside the microphone's, each with a device of its own, of
 * the configuration's [ears] or of AddEar. docs/dbus.md describes them. Main thread only.
 */
#ifndef EARSHOT_DAEMON_EARS_H
#define EARSHOT_DAEMON_EARS_H

#include "daemon/further.h"

struct ears;

/* As streams_create. */
int ears_create(struct ears **out, struct loop *loop, struct bus *bus, struct further *further,
                struct assistant *const *main, struct error *error);
void ears_destroy(struct ears *e);

/* The interface, for the object at SERVICE_PATH. */
struct interface_part ears_part(struct ears *e);

/* Whether the sources of ears that [ears] has, and that are not there, are what they should be. 0
 * or -errno. */
int ears_check(const struct ears *e, const struct config *config, struct error *error);

/* Begins those that [ears] has, and ends those that it had; after further_attach, and after each
 * change of the configuration. What cannot begin is logged. */
void ears_follow(struct ears *e, const struct config *config);
/* An ear is over: those that wait for its name begin. */
void ears_closed(struct ears *e);

/* Closes their devices for a while, or opens them. */
void ears_pause(struct ears *e, bool paused);

/* assistant_listens of any of them. */
bool ears_listen(const struct ears *e);

#endif
