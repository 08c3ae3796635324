/* A tag of a text buffer with a colour. GTK 4.8 reads "foreground" of a tag as a GdkRGBA when a
 * screen reader asks how text looks, and crashes as GtkTextTag has a string there that cannot be
 * read. */
#ifndef EARSHOT_OVERLAY_TINT_H
#define EARSHOT_OVERLAY_TINT_H

#include <gtk/gtk.h>

/* Owned by the caller. */
GtkTextTag *tint_create(const char *name);

/* As CSS has colours. */
void tint_set(GtkTextTag *tint, const char *colour);

#endif
