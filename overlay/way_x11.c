/* On top on X11, by what window managers understand (_NET_WM_STATE_ABOVE); also in a Wayland
 * session whose compositor has no layer shell and manages X11 windows, as GNOME's does. */
#include "overlay/ways.h"

#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <errno.h>
#include <gdk/x11/gdkx.h>
#include <stdlib.h>

enum {
    STATE_ADD = 1, /* of the EWMH specification */
    FROM_PROGRAM = 1,
    ALL_DESKTOPS = -1,
    ATOMS_MAX = 1024,
};

/* Whether a window manager says that it keeps windows on top. */
static bool is_managed(Display *display)
{
    Atom type, above = XInternAtom(display, "_NET_WM_STATE_ABOVE", False);
    int format;
    unsigned long count, left;
    unsigned char *data = NULL;
    bool found = false;
    if (XGetWindowProperty(display, DefaultRootWindow(display),
                           XInternAtom(display, "_NET_SUPPORTED", False), 0, ATOMS_MAX, False,
                           XA_ATOM, &type, &format, &count, &left, &data) != Success)
        return false;
    for (unsigned long i = 0; data && type == XA_ATOM && format == 32 && i < count; i++)
        found = found || ((Atom *)data)[i] == above;
    if (data)
        XFree(data);
    return found;
}

static bool probe(struct error *why)
{
    if (!getenv("DISPLAY")) {
        error_set(why, -ENOTSUP, "no X11 session: DISPLAY is not set");
        return false;
    }
    Display *display = XOpenDisplay(NULL);
    if (!display) {
        error_set(why, -ECONNREFUSED, "the X server %s does not answer; see DISPLAY and XAUTHORITY",
                  getenv("DISPLAY"));
        return false;
    }
    bool works = is_managed(display);
    XCloseDisplay(display);
    if (!works)
        error_set(why, -ENOTSUP, "no window manager that keeps windows on top runs; start one");
    return works;
}

static void prepare(char **argv)
{
    (void)argv;
    setenv("GDK_BACKEND", "x11", 1);
}

static void attach_surface(GtkWidget *window, void *unused)
{
    GdkSurface *surface = gtk_native_get_surface(GTK_NATIVE(window));
    (void)unused;
    gdk_x11_surface_set_user_time(surface, 0); /* a window manager leaves the focus where it is */
    gdk_x11_surface_set_skip_taskbar_hint(surface, TRUE);
    gdk_x11_surface_set_skip_pager_hint(surface, TRUE);
}

static void attach(GtkWindow *window)
{
    g_signal_connect(window, "realize", G_CALLBACK(attach_surface), NULL);
}

static Display *display_of(GtkWindow *window)
{
    return gdk_x11_display_get_xdisplay(gtk_widget_get_display(GTK_WIDGET(window)));
}

static Window id_of(GtkWindow *window)
{
    return gdk_x11_surface_get_xid(gtk_native_get_surface(GTK_NATIVE(window)));
}

/* A message about the window to the window manager. */
static void tell_manager(GtkWindow *window, const char *what, long first, const char *second)
{
    Display *display = display_of(window);
    XEvent e = {.xclient = {.type = ClientMessage, .window = id_of(window), .format = 32}};
    e.xclient.message_type = XInternAtom(display, what, False);
    e.xclient.data.l[0] = first;
    e.xclient.data.l[1] = second ? (long)XInternAtom(display, second, False) : FROM_PROGRAM;
    e.xclient.data.l[3] = second ? FROM_PROGRAM : 0;
    XSendEvent(display, DefaultRootWindow(display), False,
               SubstructureRedirectMask | SubstructureNotifyMask, &e);
}

static void shown(GtkWindow *window)
{
    tell_manager(window, "_NET_WM_STATE", STATE_ADD, "_NET_WM_STATE_ABOVE");
    tell_manager(window, "_NET_WM_DESKTOP", ALL_DESKTOPS, NULL);
}

static GdkRectangle find_area(GtkWindow *window)
{
    GdkRectangle area = {0, 0, 0, 0};
    GdkDisplay *display = gtk_widget_get_display(GTK_WIDGET(window));
    GdkSurface *surface = gtk_native_get_surface(GTK_NATIVE(window));
    GdkMonitor *monitor = gdk_display_get_monitor_at_surface(display, surface);
    if (monitor)
        gdk_x11_monitor_get_workarea(monitor, &area);
    return area;
}

static int scale_of(GtkWindow *window)
{
    return gtk_widget_get_scale_factor(GTK_WIDGET(window));
}

static void move(GtkWindow *window, struct place place)
{
    GdkRectangle area = find_area(window);
    int height = gtk_widget_get_height(GTK_WIDGET(window)), scale = scale_of(window);
    XMoveWindow(display_of(window), id_of(window), (area.x + place.x) * scale,
                (area.y + area.height - place.bottom - height) * scale);
    XFlush(display_of(window));
}

static bool where(GtkWindow *window, struct place *place)
{
    int x, y, scale = scale_of(window);
    Window child;
    Display *display = display_of(window);
    GdkRectangle area = find_area(window);
    if (!XTranslateCoordinates(display, id_of(window), DefaultRootWindow(display), 0, 0, &x, &y,
                               &child))
        return false;
    place->x = x / scale - area.x;
    place->bottom = area.y + area.height - y / scale - gtk_widget_get_height(GTK_WIDGET(window));
    return true;
}

const struct way way_x11 = {
    .name = "x11",
    .what = "a window that the window manager of X11 keeps on top",
    .probe = probe,
    .prepare = prepare,
    .attach = attach,
    .shown = shown,
    .move = move,
    .where = where,
};
