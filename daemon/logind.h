/* What logind tells of the machine: it goes to sleep, our user's session is locked; and that it is
 * to wait with the sleep. On a connection of its own to the system bus. Main thread only.
 */
#ifndef EARSHOT_DAEMON_LOGIND_H
#define EARSHOT_DAEMON_LOGIND_H

#include "base/error.h"
#include "daemon/loop.h"

struct logind;

struct logind_listener {
    void (*sleeping)(void *user, bool asleep);
    void (*locked)(void *user, bool locked); /* also if it is so from the start */
    void *user;
};

/* 0, or -errno where there is no system bus. */
int logind_create(struct logind **out, struct loop *loop, const struct logind_listener *listener,
                  struct error *error);
void logind_destroy(struct logind *l);

/* Whether the machine is to wait, before it sleeps, until this is taken back; logind waits five
 * seconds at most. l NULL: nobody asks. */
void logind_delay_sleep(struct logind *l, bool delay);

#endif
