/* How the caption window stays on top: which ways this desktop has, and which one is taken. */
#ifndef EARSHOT_OVERLAY_WAYS_H
#define EARSHOT_OVERLAY_WAYS_H

#include "base/error.h"

#include <gtk/gtk.h>
#include <stdbool.h>

/* A corner of the window, in application pixels: the lower left one, from the monitor's left and
 * bottom edges; so a window that becomes higher grows upwards. */
struct place {
    int x, bottom;
};

/* Before GTK starts only name, what, probe and prepare are of use; the others after. */
struct way {
    const char *name, *what;
    bool (*probe)(struct error *why); /* false: with the reason, and what to do */
    /* The environment of GTK; may start the program anew, and then does not return. */
    void (*prepare)(char **argv);
    void (*attach)(GtkWindow *window); /* before it is shown */
    void (*shown)(GtkWindow *window);  /* after; NULL: nothing to do */
    /* NULL: the desktop places the window, and nobody else can. */
    void (*move)(GtkWindow *window, struct place place);
    bool (*where)(GtkWindow *window, struct place *place);
};

extern const struct way way_layer, way_x11, way_window;

/* The first that works, or the one that is named; NULL with the reason. */
const struct way *way_choose(const char *name, struct error *why);

/* Prints the ways, which one is taken, and why others are not. 0, or -errno: none works. */
int way_print(const char *name);

#endif
