/* The captions as selectable text: edits what a change of the model names and nothing else, keeps
 * the newest line in sight until somebody scrolls back, and never lets a line that stands jump
 * down. */
#ifndef EARSHOT_OVERLAY_VIEW_H
#define EARSHOT_OVERLAY_VIEW_H

#include "overlay/captions.h"

#include <gtk/gtk.h>

struct view;

/* The widget of it belongs to the window that it is put into. */
struct view *view_create(void);
void view_destroy(struct view *view);
GtkWidget *view_widget(struct view *view);

void view_take(struct view *view, const struct captions *captions, struct captions_change change);

/* How many rows are seen; older: more, with a scroll bar. Measures the font: after the style. */
void view_set_rows(struct view *view, int rows, bool older);
void view_set_contrast(struct view *view, bool high);

/* How much of the text is above what is seen. */
int view_pixels_above(const struct view *view);

/* To the clipboard: what is selected, or all where nothing is. */
void view_copy(struct view *view);
void view_select_all(struct view *view);

#endif
