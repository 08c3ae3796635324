/* What each client is owed: answers that the bus has not taken from us. While the bus is slow to
 * take them, one that asks faster than it reads would make everybody wait. Main thread; allocates
 * nothing.
 */
#ifndef EARSHOT_DAEMON_ASKING_H
#define EARSHOT_DAEMON_ASKING_H

#include <dbus/dbus.h>

enum {
    ASKING_CLIENTS = 32,    /* that are remembered at once */
    ASKING_ANSWERS = 4,     /* owed to a client that gets one more, */
    ASKING_REFUSALS = 1024, /* a refusal */
};

enum asking_verdict {
    ASKING_ANSWER,
    ASKING_REFUSE,
    ASKING_PASS_OVER, /* the bus takes less from us than it gives of three such clients */
};

struct asking_client {
    char name[DBUS_MAXIMUM_NAME_LENGTH + 1];
    unsigned owed; /* 0: another may have the place */
};

struct asking {
    struct asking_client clients[ASKING_CLIENTS];
};

/* What a call of the client gets, while the bus is slow. */
enum asking_verdict asking_verdict(const struct asking *a, const char *client);

/* An answer to the client is sent, or taken: client is what asking_owe has returned, NULL where
 * nobody else is remembered. */
struct asking_client *asking_owe(struct asking *a, const char *client);
void asking_settle(struct asking_client *client);

#endif
