/* What the menu and the keys of the caption window do. */
#ifndef EARSHOT_OVERLAY_ACTIONS_H
#define EARSHOT_OVERLAY_ACTIONS_H

#include "overlay/ear.h"
#include "overlay/look.h"
#include "overlay/menu.h"
#include "overlay/window.h"

/* The parts of the program that is shown. */
struct overlay {
    GtkApplication *application;
    const struct way *way;
    const char *bus;
    struct settings settings;
    struct captions captions;
    struct menu menu;
    struct ear *ear;
    struct look *look;
    struct window *window;
    unsigned notice; /* the timer of a notice that covers the status; 0: none */
};

/* Adds them to the application, and their keys. */
void actions_add(struct overlay *overlay);

/* Takes over what the daemon says of itself. */
void actions_follow(struct overlay *overlay);

/* Applies settings that have changed, and keeps them. */
void actions_apply(struct overlay *overlay);

#endif
