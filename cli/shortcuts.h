/* Keys that the desktop gives a program, wherever the focus is: the portal GlobalShortcuts of
 * xdg-desktop-portal, version 1. The desktop asks its user which keys they are, which may take as
 * long as it likes; nothing here waits for that. One thread.
 */
#ifndef EARSHOT_CLI_SHORTCUTS_H
#define EARSHOT_CLI_SHORTCUTS_H

#include "base/error.h"
#include "cli/portal.h"

#include <stdbool.h>
#include <stddef.h>

struct shortcut {
    const char *id, *description;
    const char *trigger; /* what to propose, as "CTRL+ALT+space"; empty: nothing */
};

enum shortcuts_event {
    SHORTCUTS_NOTHING,
    SHORTCUTS_BOUND, /* the desktop has given keys, or others than before */
    SHORTCUTS_PRESSED,
    SHORTCUTS_RELEASED,
    SHORTCUTS_LOST,   /* the portal is gone; they come again with it */
    SHORTCUTS_FAILED, /* with a message */
};

struct shortcuts {
    struct bus_link *link;
    const struct shortcut *list;
    size_t count;
    char request[PORTAL_PATH_MAX],
        session[PORTAL_PATH_MAX]; /* objects of the portal; empty: there is none */
    unsigned sessions;            /* that were asked for, */
    char owner[256];              /* the last of this owner of the portal's name */
    bool binds;                   /* the request is for keys, not for a session */
    size_t number;                /* of the key that was pressed or released */
};

/* list [count] and link outlive s. 0, or -errno with a message: there is no such portal. */
int shortcuts_begin(struct shortcuts *s, struct bus_link *link, const struct shortcut *list,
                    size_t count, struct error *error);

/* What a signal that came over the link says of them. */
enum shortcuts_event shortcuts_take(struct shortcuts *s, DBusMessage *m, struct error *error);

/* Calls each with the shortcuts of a message that made SHORTCUTS_BOUND; keys: as the desktop shows
 * them to people, empty where there are none. */
typedef void shortcuts_keys(void *user, size_t number, const struct shortcut *shortcut,
                            const char *keys);
void shortcuts_each(const struct shortcuts *s, DBusMessage *m, shortcuts_keys *each, void *user);

#endif
