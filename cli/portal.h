/* What clients of the desktop's portal (xdg-desktop-portal) share: calls, requests that the user
 * may have to agree to, sessions. One thread.
 */
#ifndef EARSHOT_CLI_PORTAL_H
#define EARSHOT_CLI_PORTAL_H

#include "cli/bus_link.h"

#include <stdbool.h>
#include <stddef.h>

#define PORTAL_NAME "org.freedesktop.portal.Desktop"
#define PORTAL_OBJECT "/org/freedesktop/portal/desktop"
#define PORTAL_REQUEST "org.freedesktop.portal.Request"
#define PORTAL_SESSION "org.freedesktop.portal.Session"

enum {
    PORTAL_PATH_MAX = 256,    /* bytes of an object's path with the NUL */
    PORTAL_ANSWER_MS = 25000, /* of a method, which does not wait for the user */
};

/* A call of the portal's object, to append the arguments to. */
DBusMessage *portal_call(const char *interface, const char *member, DBusMessageIter *args);

/* The options a{sv} of a call, texts alone: [count] pairs of a key and a value. */
void portal_append_texts(DBusMessageIter *args, const char *const (*texts)[2], size_t count);

/* Tells portals that know who asks only from this which program we are. */
void portal_introduce(struct bus_link *link);

/* Sends the call, whose answer is the request that will tell the rest. False: with the error. */
bool portal_request(struct bus_link *link, DBusMessage *call, char request[PORTAL_PATH_MAX],
                    DBusError *e);

/* Of the signal Response of a request: 0: the user, or the desktop, has agreed; 1: the user has
 * not; 2: it went wrong. */
unsigned portal_code(DBusMessage *response);

/* An object's path, as an answer or an entry of one has it, of type o or s. */
bool portal_keep_path(char out[PORTAL_PATH_MAX], DBusMessageIter *value);

/* Whether the error says that there is no such portal here. */
bool portal_is_lacking(const DBusError *e);

#endif
