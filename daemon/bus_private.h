/* What bus.c (the connection: it comes, is lost and comes again) and bus_send.c (what goes over it)
 * share. */
#ifndef EARSHOT_DAEMON_BUS_PRIVATE_H
#define EARSHOT_DAEMON_BUS_PRIVATE_H

#include "daemon/asking.h"
#include "daemon/bus.h"

#include <stdint.h>

enum {
    BUS_RULES_MAX = 8,
};

struct bus {
    struct loop *loop;
    char *where;                /* owned */
    const char *name;           /* NULL: none owned yet */
    DBusConnection *connection; /* NULL: none */
    DBusPendingCall *pending;   /* the answer that joining waits for */
    bool joined;                /* the connection has all that it should */
    bool lost;                  /* it is, and still has to be let go of */
    int64_t taken_us;           /* when it last took a byte, or had few to take */
    int unread;                 /* bytes in the socket, as last seen */
    int ghosts;                 /* tries more while the bus may not know that we left it */
    struct bus_object *objects;
    struct bus_watch *watches;
    struct asking asking;
    const char *rules[BUS_RULES_MAX];
    size_t rule_count;
    struct loop_hook hook;
    struct loop_timer *retry;
    int retry_ms;
};

bool bus_begin_sending(void); /* before the first message; false without memory */
void bus_end_sending(void);   /* after the last */

DBusMessage *bus_new_call(const char *member); /* to the bus itself; NULL without memory */
void bus_tell_vanished(struct bus *b, const char *client);

#endif
