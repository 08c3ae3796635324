/* A connection to a bus that believes nobody but the bus itself and whoever owns the names it
 * knows.
 *
 * Anybody on a bus may send a client any signal and any answer, whatever the client subscribed to.
 * Only the sender's unique name is true, as the bus writes it. So the owner of each name is
 * followed in the order in which messages come, and what others sent is dropped as it is read.
 */
#ifndef EARSHOT_CLI_BUS_LINK_H
#define EARSHOT_CLI_BUS_LINK_H

#include <dbus/dbus.h>
#include <signal.h>
#include <stdbool.h>

struct bus_link;

/* where: "session", "system" or an address. False with the error, as below. */
bool bus_link_open(struct bus_link **out, const char *where, DBusError *e);
void bus_link_close(struct bus_link *l); /* NULL: nothing */

/* Looks who owns the name; where nobody does, the bus starts what it can. name must outlive l. */
bool bus_link_find(struct bus_link *l, const char *name, DBusError *e);

/* The same, and starts nothing. */
bool bus_link_look(struct bus_link *l, const char *name, DBusError *e);
/* Who owns the name, as far as the messages were read; empty: nobody. */
const char *bus_link_owner(struct bus_link *l, const char *name);

/* The name, which was not subscribed to, is not called any more. */
void bus_link_forget(struct bus_link *l, const char *name);

/* Has the signals of the name's owner, whoever that is at the time, come from now on, and those by
 * which the bus tells that the owner changes. path NULL: of any object. */
bool bus_link_subscribe(struct bus_link *l, const char *name, const char *path, DBusError *e);

/* Sends and releases the call, to the owner of the name that it is for, which bus_link_find has
 * found; the answer, or NULL with the error. */
DBusMessage *bus_link_call(struct bus_link *l, DBusMessage *call, int timeout_ms, DBusError *e);

/* The next signal that may be believed; NULL: none has come. */
DBusMessage *bus_link_next(struct bus_link *l);

/* Waits for messages, for at most so many ms (-1: at any length), or until a signal that is not in
 * the mask; NULL: the process's own. False: the bus is gone. */
bool bus_link_wait(struct bus_link *l, int timeout_ms, const sigset_t *mask);

/* Whether the signal tells that the name has an owner from now on, or none. */
bool bus_link_is_change(DBusMessage *m, const char *name, bool *owned);

#endif
