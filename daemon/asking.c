/* A small table of those who are owed something. */
#include "daemon/asking.h"

#include <stdio.h>
#include <string.h>

static size_t find(const struct asking *a, const char *client)
{
    size_t i = 0;
    while (i < ASKING_CLIENTS && (!a->clients[i].owed || strcmp(a->clients[i].name, client) != 0))
        i++;
    return i;
}

enum asking_verdict asking_verdict(const struct asking *a, const char *client)
{
    size_t i = find(a, client);
    unsigned owed = i < ASKING_CLIENTS ? a->clients[i].owed : 0;
    if (owed < ASKING_ANSWERS)
        return ASKING_ANSWER;
    return owed < ASKING_REFUSALS ? ASKING_REFUSE : ASKING_PASS_OVER;
}

struct asking_client *asking_owe(struct asking *a, const char *client)
{
    size_t i = find(a, client);
    if (i == ASKING_CLIENTS) {
        for (i = 0; i < ASKING_CLIENTS && a->clients[i].owed;)
            i++;
        if (i == ASKING_CLIENTS)
            return NULL;
        snprintf(a->clients[i].name, sizeof a->clients[i].name, "%s", client);
    }
    a->clients[i].owed++;
    return &a->clients[i];
}

void asking_settle(struct asking_client *client)
{
    if (client)
        client->owed--;
}
