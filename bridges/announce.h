/* A bridge's service in the local network by mDNS and DNS-SD, through Avahi on the system bus: from
 * when Avahi is there, again when it comes back, under another name where the name is taken. What
 * goes wrong is told in the log, and nothing else depends on it. One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_ANNOUNCE_H
#define EARSHOT_BRIDGES_ANNOUNCE_H

#include <stdint.h>
#include <systemd/sd-event.h>

enum {
    ANNOUNCE_NAME_BYTES = 64, /* of a service, as DNS-SD has it */
};

struct announce;

/* type: as "_wyoming._tcp". NULL, and the log says why, where there is no system bus. */
struct announce *announce_create(sd_event *event, const char *name, const char *type,
                                 uint16_t port);
void announce_destroy(struct announce *a); /* takes it back */

#endif
