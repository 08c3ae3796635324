/* Who holds something. */
#include "daemon/holders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct holder *find(struct holders *h, const char *client)
{
    for (size_t i = 0; i < HOLDERS_MAX; i++)
        if (h->holder[i].client && strcmp(h->holder[i].client, client) == 0)
            return &h->holder[i];
    return NULL;
}

static struct holder *find_room(struct holders *h)
{
    for (size_t i = 0; i < HOLDERS_MAX; i++)
        if (!h->holder[i].client)
            return &h->holder[i];
    return NULL;
}

static void forget(struct holders *h, struct holder *i)
{
    if (*i->client)
        bus_unfollow(h->bus, i->client);
    free(i->client);
    *i = (struct holder){0};
}

int holders_reserve(struct holders *h, const char *client)
{
    struct holder *i = find(h, client);
    if (i)
        return 0;
    i = find_room(h);
    if (!i)
        return -EBUSY;
    i->client = strdup(client);
    if (!i->client)
        return -ENOMEM;
    if (*client)
        bus_follow(h->bus, client);
    return 0;
}

void holders_asked(struct holders *h, const char *client, uint64_t number)
{
    struct holder *i = find(h, client);
    if (number)
        i->number = h->newest = number;
    else if (!i->number)
        forget(h, i);
}

bool holders_any(const struct holders *h)
{
    for (size_t i = 0; i < HOLDERS_MAX; i++)
        if (h->holder[i].client)
            return true;
    return false;
}

uint64_t holders_gone(struct holders *h, const char *client)
{
    bool held = false;
    for (size_t i = 0; i < HOLDERS_MAX; i++) {
        const char *holder = h->holder[i].client;
        if (!holder || !*holder || (client && strcmp(holder, client) != 0))
            continue;
        forget(h, &h->holder[i]);
        held = true;
    }
    return held && !holders_any(h) ? h->newest : 0;
}

void holders_failed(struct holders *h, uint64_t number)
{
    for (size_t i = 0; i < HOLDERS_MAX; i++)
        if (h->holder[i].client && h->holder[i].number == number)
            forget(h, &h->holder[i]);
}

void holders_over(struct holders *h, uint64_t number)
{
    for (size_t i = 0; i < HOLDERS_MAX; i++)
        if (h->holder[i].client && h->holder[i].number <= number)
            forget(h, &h->holder[i]);
}
