/* A conversation in the host's memory, for the case that the backend is lost that has it. Belongs
 * to the thread that uses the backend.
 */
#ifndef EARSHOT_DAEMON_KEEPSAKE_H
#define EARSHOT_DAEMON_KEEPSAKE_H

#include "base/error.h"
#include "pipeline/recogniser.h"

#include <stdint.h>

struct keepsake {  /* zeroed: of an empty conversation */
    void *data;    /* as state_encode writes it, owned; NULL: empty */
    uint64_t turn; /* recogniser_turn when it was taken */
};

/* Takes the conversation if it has changed since. It stays the one before where there is no memory,
 * or where the backend fails while it is read. 0 or -errno. */
int keepsake_take(struct keepsake *k, const struct recogniser *r, struct error *error);
/* Into a recogniser of the same model, on any backend; it is not kept any longer. 0 or -errno. */
int keepsake_give(struct keepsake *k, struct recogniser *r, struct error *error);
void keepsake_finish(struct keepsake *k);

#endif
