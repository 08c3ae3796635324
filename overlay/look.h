/* The style of the caption window: its settings, and whether the desktop asks for high contrast. */
#ifndef EARSHOT_OVERLAY_LOOK_H
#define EARSHOT_OVERLAY_LOOK_H

#include "overlay/settings.h"

#include <gtk/gtk.h>

struct look;

/* changed: the desktop asks for another contrast. */
struct look *look_create(GdkDisplay *display, void (*changed)(void *user), void *user);
void look_destroy(struct look *look);

void look_apply(struct look *look, const struct settings *settings);
bool look_is_contrasty(const struct look *look);

#endif
