/* The menu of the caption window, as a model and the actions of an application, which are on the
 * session bus too: gapplication action org.earshot.Overlay pause */
#ifndef EARSHOT_OVERLAY_MENU_H
#define EARSHOT_OVERLAY_MENU_H

#include <gtk/gtk.h>
#include <stdbool.h>

struct menu {
    GMenu *model, *devices;
    GVariant *microphones; /* that are listed; NULL: what earshot devices said */
};

void menu_init(struct menu *menu);
void menu_finish(struct menu *menu);

/* Lists the microphones, aa{sv} as the daemon has them, by what people call them; where it has
 * none, NULL too, by earshot devices, once that has run. */
void menu_list_devices(struct menu *menu, GVariant *microphones);

/* Whether one of that name is listed, by what people call it. */
bool menu_has_microphone(const struct menu *menu, const char *name);

#endif
