/* The menu of the caption window, as a model and the actions of an application, which are on the
 * session bus too: gapplication action org.earshot.Overlay pause */
#ifndef EARSHOT_OVERLAY_MENU_H
#define EARSHOT_OVERLAY_MENU_H

#include <gtk/gtk.h>

struct menu {
    GMenu *model, *devices;
};

void menu_init(struct menu *menu);
void menu_finish(struct menu *menu);

/* Lists the microphones anew, by earshot devices; at once empty, and filled once that has run. */
void menu_list_devices(struct menu *menu);

#endif
