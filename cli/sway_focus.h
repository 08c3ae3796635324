/* Which window has the focus in Sway, which tells it; other Wayland compositors do not. */
#ifndef EARSHOT_CLI_SWAY_FOCUS_H
#define EARSHOT_CLI_SWAY_FOCUS_H

#include <stdbool.h>
#include <stdint.h>

/* As type_way has it: false where $SWAYSOCK names no Sway that answers in a second. */
bool sway_focus(uint64_t *window);

#endif
