/* On top by the layer-shell protocol of Wayland compositors, through gtk4-layer-shell. Its library
 * takes the place of libwayland-client's functions and so must be loaded before that: where it is
 * installed the program starts itself anew with it. Nobody without a Wayland desktop needs it. */
#include "overlay/ways.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wayland-client.h>

#define LIBRARY "libgtk4-layer-shell.so.0"
#define AGAIN                                                                                      \
    "EARSHOT_OVERLAY_LAYER" /* LD_PRELOAD as it was, once the program was started anew             \
                             */

enum {
    LAYER_OVERLAY = 3, /* of gtk4-layer-shell.h */
    EDGE_LEFT = 0,
    EDGE_BOTTOM = 3,
    KEYBOARD_NONE = 0,
    KEYBOARD_ON_DEMAND = 2,
    ON_DEMAND_SINCE = 4, /* version of the protocol */
};

static struct {
    int (*is_supported)(void);
    unsigned (*protocol_version)(void);
    void (*init)(GtkWindow *window);
    void (*set_namespace)(GtkWindow *window, const char *name);
    void (*set_layer)(GtkWindow *window, int layer);
    void (*set_anchor)(GtkWindow *window, int edge, int on);
    void (*set_margin)(GtkWindow *window, int edge, int margin);
    int (*get_margin)(GtkWindow *window, int edge);
    void (*set_keyboard)(GtkWindow *window, int mode);
} layer;

static void note_global(void *found, struct wl_registry *registry, uint32_t name,
                        const char *interface, uint32_t version)
{
    (void)registry, (void)name, (void)version;
    if (strcmp(interface, "zwlr_layer_shell_v1") == 0)
        *(bool *)found = true;
}

static void note_global_gone(void *found, struct wl_registry *registry, uint32_t name)
{
    (void)found, (void)registry, (void)name;
}

/* Whether the compositor has the protocol; asked on a connection of its own. */
static bool ask_compositor(struct error *why)
{
    static const struct wl_registry_listener listener = {note_global, note_global_gone};
    bool found = false;
    struct wl_display *display = wl_display_connect(NULL);
    if (!display) {
        error_set(why, -ECONNREFUSED, "the compositor does not answer; see WAYLAND_DISPLAY");
        return false;
    }
    struct wl_registry *registry = wl_display_get_registry(display);
    wl_registry_add_listener(registry, &listener, &found);
    wl_display_roundtrip(display);
    wl_registry_destroy(registry);
    wl_display_disconnect(display);
    if (!found)
        error_set(why, -ENOTSUP,
                  "the compositor has no layer shell (Sway, labwc, Hyprland, river and KDE have)");
    return found;
}

static bool probe(struct error *why)
{
    if (!getenv("WAYLAND_DISPLAY")) {
        error_set(why, -ENOTSUP, "no Wayland session: WAYLAND_DISPLAY is not set");
        return false;
    }
    if (!ask_compositor(why))
        return false;
    if (dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL))
        return true;
    error_set(why, -ENOENT,
              "the library " LIBRARY
              " is missing; install it (Debian 13, Ubuntu 24.10: libgtk4-layer-shell0)");
    return false;
}

static void restore_environment(const char *preload)
{
    if (*preload)
        setenv("LD_PRELOAD", preload, 1);
    else
        unsetenv("LD_PRELOAD");
    unsetenv(AGAIN);
}

static void prepare(char **argv)
{
    const char *again = getenv(AGAIN), *preload = getenv("LD_PRELOAD");
    setenv("GDK_BACKEND", "wayland", 1);
    if (again) {
        restore_environment(again);
        return;
    }
    char *both = g_strjoin(preload ? ":" : "", LIBRARY, preload ? preload : "", NULL);
    setenv(AGAIN, preload ? preload : "", 1);
    setenv("LD_PRELOAD", both, 1);
    execv("/proc/self/exe", argv);
    restore_environment(preload ? preload : "");
    g_free(both);
}

/* ISO C has no conversion from a pointer to data to one to a function. */
static bool find_function(const char *name, void *function)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_functions(void)
{
    return find_function("gtk_layer_is_supported", &layer.is_supported) &&
           find_function("gtk_layer_get_protocol_version", &layer.protocol_version) &&
           find_function("gtk_layer_init_for_window", &layer.init) &&
           find_function("gtk_layer_set_namespace", &layer.set_namespace) &&
           find_function("gtk_layer_set_layer", &layer.set_layer) &&
           find_function("gtk_layer_set_anchor", &layer.set_anchor) &&
           find_function("gtk_layer_set_margin", &layer.set_margin) &&
           find_function("gtk_layer_get_margin", &layer.get_margin) &&
           find_function("gtk_layer_set_keyboard_mode", &layer.set_keyboard);
}

/* The keys reach the window while the pointer is on it and it was clicked; a compositor would give
 * them to a window that wants them as soon as it is there. */
static void pointer_came(GtkEventController *controller, double x, double y, void *window)
{
    (void)controller, (void)x, (void)y;
    layer.set_keyboard(window, KEYBOARD_ON_DEMAND);
}

static void pointer_went(GtkEventController *controller, void *window)
{
    (void)controller;
    layer.set_keyboard(window, KEYBOARD_NONE);
}

static void attach(GtkWindow *window)
{
    if (!find_functions() || !layer.is_supported()) {
        way_window.attach(window);
        return;
    }
    layer.init(window);
    layer.set_namespace(window, "earshot-overlay");
    layer.set_layer(window, LAYER_OVERLAY);
    layer.set_anchor(window, EDGE_LEFT, TRUE);
    layer.set_anchor(window, EDGE_BOTTOM, TRUE);
    layer.set_keyboard(window, KEYBOARD_NONE);
    if (layer.protocol_version() < ON_DEMAND_SINCE)
        return;
    GtkEventController *pointer = gtk_event_controller_motion_new();
    g_signal_connect(pointer, "enter", G_CALLBACK(pointer_came), window);
    g_signal_connect(pointer, "leave", G_CALLBACK(pointer_went), window);
    gtk_widget_add_controller(GTK_WIDGET(window), pointer);
}

static void move(GtkWindow *window, struct place place)
{
    if (!layer.set_margin)
        return;
    layer.set_margin(window, EDGE_LEFT, place.x);
    layer.set_margin(window, EDGE_BOTTOM, place.bottom);
}

static bool where(GtkWindow *window, struct place *place)
{
    if (!layer.get_margin)
        return false;
    *place =
        (struct place){layer.get_margin(window, EDGE_LEFT), layer.get_margin(window, EDGE_BOTTOM)};
    return true;
}

const struct way way_layer = {
    .name = "layer",
    .what = "a layer of the Wayland compositor, above all windows",
    .probe = probe,
    .prepare = prepare,
    .attach = attach,
    .move = move,
    .where = where,
};
