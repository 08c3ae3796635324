/* The ways in which text gets into the window that has the focus, the first that works before the
 * others. Each opens what it needs for a sentence and lets go of it, but for the portal's session,
 * which its user may have been asked for: the desktop may come and go. Main thread.
 */
#ifndef EARSHOT_CLI_TYPE_WAYS_H
#define EARSHOT_CLI_TYPE_WAYS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct type_way {
    const char *name, *what;
    /* 0; or a negative number, and why it cannot work here and what to do. */
    int (*probe)(struct error *why);
    /* Asks whoever must allow it, before anything is said. 0 or a negative number, and why. NULL:
     * nobody must. */
    int (*begin)(struct error *error);
    /* Presses Backspace so often, then types the text, UTF-8 with line breaks and tabs. 0 or a
     * negative number, and why. */
    int (*type)(size_t backspaces, const char *text, struct error *error);
    /* Whether it knows which window has the focus; not 0, and another number for each window. 0:
     * none has it. */
    bool (*focus)(uint64_t *window);
};

extern const struct type_way type_x11, type_wayland, type_wtype, type_portal, type_ibus,
    type_ydotool;
extern const struct type_way *const type_ways[]; /* NULL ends it */

#endif
