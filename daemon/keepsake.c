/* A copy in memory, taken anew when the recogniser's turn has changed. */
#include "daemon/keepsake.h"

#include <errno.h>
#include <stdlib.h>

int keepsake_take(struct keepsake *k, const struct recogniser *r, struct error *error)
{
    uint64_t turn = recogniser_turn(r);
    if (turn == k->turn)
        return 0;
    void *data = malloc(recogniser_conversation_bytes(r));
    if (!data)
        return error_set(error, -ENOMEM, "no memory for a conversation");
    int rc = recogniser_encode(r, data, error);
    if (rc) {
        free(data);
        return rc;
    }
    free(k->data);
    *k = (struct keepsake){data, turn};
    return 0;
}

int keepsake_give(struct keepsake *k, struct recogniser *r, struct error *error)
{
    int rc = k->data ? recogniser_decode(r, k->data, error) : 0;
    keepsake_finish(k);
    k->turn = recogniser_turn(r);
    return rc;
}

void keepsake_finish(struct keepsake *k)
{
    free(k->data);
    *k = (struct keepsake){0};
}
