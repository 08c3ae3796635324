/* The caption window: the text, what it waits for, a grip to move it by, and its menu. */
#ifndef EARSHOT_OVERLAY_WINDOW_H
#define EARSHOT_OVERLAY_WINDOW_H

#include "overlay/settings.h"
#include "overlay/view.h"
#include "overlay/ways.h"

struct window;

/* Shows it. The settings are the caller's; a place that somebody moves it to is written there. */
struct window *window_create(GtkApplication *application, const struct way *way,
                             struct settings *settings, GMenuModel *menu);
void window_destroy(struct window *window);

struct view *window_view(struct window *window);

/* Takes over settings that have changed, once the style has them. */
void window_apply(struct window *window);
void window_set_older(struct window *window, bool older);

/* Reads the place that somebody has moved it to into the settings. */
void window_keep_place(struct window *window);

/* What is waited for, above the text; NULL: nothing. */
void window_set_status(struct window *window, const char *status);

void window_open_menu(struct window *window);

/* How often it was drawn. */
unsigned window_frames(const struct window *window);

#endif
