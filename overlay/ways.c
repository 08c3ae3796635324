/* The ways to stay on top, the best first (ways.h), and the one that needs nothing. */
#include "overlay/ways.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct way *const ways[] = {&way_layer, &way_x11, &way_window};

static const struct way *find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
        if (strcmp(ways[i]->name, name) == 0)
            return ways[i];
    return NULL;
}

const struct way *way_choose(const char *name, struct error *why)
{
    if (name && !find(name)) {
        error_set(why, -EINVAL, "--way %s: no such way; see earshot-overlay --how", name);
        return NULL;
    }
    if (name)
        return find(name)->probe(why) ? find(name) : NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
        if (ways[i]->probe(why))
            return ways[i];
    return NULL;
}

int way_print(const char *name)
{
    struct error why = {""};
    const struct way *taken = way_choose(name, &why);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        bool works = ways[i]->probe(&why);
        printf("%-7s %s: %s\n", ways[i]->name,
               ways[i] == taken ? "taken"
               : works          ? "works"
                                : "not",
               works ? ways[i]->what : why.message);
    }
    return taken ? 0 : -ENOTSUP;
}

static bool probe_window(struct error *why)
{
    if (getenv("WAYLAND_DISPLAY") || getenv("DISPLAY"))
        return true;
    error_set(why, -ENOTSUP, "no desktop: neither WAYLAND_DISPLAY nor DISPLAY is set");
    return false;
}

static void prepare_window(char **argv)
{
    (void)argv;
}

static void attach_window(GtkWindow *window)
{
    (void)window;
    g_printerr(
        "earshot-overlay: this desktop lets no window stay on top of its own accord: the captions "
        "are in an ordinary one; let the window manager keep it on top\n");
}

const struct way way_window = {
    .name = "window",
    .what = "an ordinary window, which the window manager may keep on top",
    .probe = probe_window,
    .prepare = prepare_window,
    .attach = attach_window,
};
