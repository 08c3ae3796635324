/* The window around the captions: its size, its place, and what the pointer does with it
 * (window.h). */
#include "overlay/window.h"

enum {
    EDGE = 48, /* between the window and the monitor's edge, where nobody has moved it */
    NO_MONITOR = 1000,
};

struct window {
    GtkWindow *window;
    GtkWidget *content, *status, *grip, *popover;
    struct view *view;
    const struct way *way;
    struct settings *settings;
    bool older, dragged;     /* dragged: by somebody, since the place was read */
    unsigned frames, places; /* places: the idle callback that moves it; 0: none */
    int height;              /* as it was last laid out */
};

static GdkRectangle find_monitor(struct window *w)
{
    GdkRectangle area = {0, 0, NO_MONITOR, NO_MONITOR};
    GdkDisplay *display = gtk_widget_get_display(GTK_WIDGET(w->window));
    GdkMonitor *monitor = g_list_model_get_item(gdk_display_get_monitors(display), 0);
    if (monitor)
        gdk_monitor_get_geometry(monitor, &area);
    g_clear_object(&monitor);
    return area;
}

static int width_of(struct window *w)
{
    return find_monitor(w).width * w->settings->width / 100;
}

/* Where nobody has moved it: in the middle of an edge. */
static struct place find_place(struct window *w)
{
    GdkRectangle monitor = find_monitor(w);
    int height;
    if (w->settings->x != SETTINGS_NOWHERE && w->settings->bottom != SETTINGS_NOWHERE)
        return (struct place){w->settings->x, w->settings->bottom};
    gtk_widget_measure(GTK_WIDGET(w->window), GTK_ORIENTATION_VERTICAL, width_of(w), NULL, &height,
                       NULL, NULL);
    return (struct place){(monitor.width - width_of(w)) / 2,
                          w->settings->top ? monitor.height - height - EDGE : EDGE};
}

static void put(struct window *w)
{
    if (w->way->move)
        w->way->move(w->window, find_place(w));
}

static gboolean put_now(void *user)
{
    struct window *w = user;
    w->places = 0;
    put(w);
    return G_SOURCE_REMOVE;
}

static void put_soon(struct window *w)
{
    if (!w->places)
        w->places = g_idle_add(put_now, w);
}

static void laid_out(GdkSurface *surface, int width, int height, void *user)
{
    struct window *w = user;
    (void)surface, (void)width;
    if (height != w->height)
        put_soon(w);
    w->height = height;
}

static void painted(GdkFrameClock *clock, void *user)
{
    struct window *w = user;
    (void)clock;
    w->frames++;
}

static void mapped(GtkWidget *widget, void *user)
{
    struct window *w = user;
    GdkSurface *surface = gtk_native_get_surface(GTK_NATIVE(widget));
    g_signal_connect(surface, "layout", G_CALLBACK(laid_out), w);
    g_signal_connect(gtk_widget_get_frame_clock(widget), "after-paint", G_CALLBACK(painted), w);
    if (w->way->shown)
        w->way->shown(w->window);
    put(w);
}

/* A layer has no window manager that moves it: its margins do. The pointer's place is that in the
 * window, which follows it. */
static void drag_began(GtkGestureDrag *drag, double x, double y, void *user)
{
    struct window *w = user;
    GdkSurface *surface = gtk_native_get_surface(GTK_NATIVE(w->window));
    double from_x = x, from_y = y;
    w->dragged = true;
    if (w->way == &way_layer)
        return;
    gtk_widget_translate_coordinates(w->grip, GTK_WIDGET(w->window), x, y, &from_x, &from_y);
    gdk_toplevel_begin_move(
        GDK_TOPLEVEL(surface), gtk_gesture_get_device(GTK_GESTURE(drag)),
        (int)gtk_gesture_single_get_current_button(GTK_GESTURE_SINGLE(drag)), from_x, from_y,
        gtk_event_controller_get_current_event_time(GTK_EVENT_CONTROLLER(drag)));
    gtk_event_controller_reset(GTK_EVENT_CONTROLLER(drag));
}

static void drag_moved(GtkGestureDrag *drag, double x, double y, void *user)
{
    struct window *w = user;
    struct place place;
    (void)drag;
    if (w->way != &way_layer || !w->way->where(w->window, &place))
        return;
    place.x = MAX(0, place.x + (int)x);
    place.bottom = MAX(0, place.bottom - (int)y);
    w->way->move(w->window, place);
}

void window_keep_place(struct window *w)
{
    struct place place;
    if (!w->dragged || !w->way->where || !w->way->where(w->window, &place))
        return;
    w->dragged = false;
    w->settings->x = MAX(0, place.x);
    w->settings->bottom = MAX(0, place.bottom);
}

/* Names the menu's entries for screen readers by their first labels, which have no role in GTK
 * 4.18, and give no name. Returns whether the widget has named the entry that it is in. */
static bool name_entries(GtkWidget *widget, GtkAccessible *entry)
{
    GtkAccessibleRole role = gtk_accessible_get_accessible_role(GTK_ACCESSIBLE(widget));
    if (role == GTK_ACCESSIBLE_ROLE_MENU_ITEM || role == GTK_ACCESSIBLE_ROLE_MENU_ITEM_CHECKBOX ||
        role == GTK_ACCESSIBLE_ROLE_MENU_ITEM_RADIO)
        entry = GTK_ACCESSIBLE(widget);
    if (entry && GTK_IS_LABEL(widget)) {
        gtk_accessible_reset_relation(entry, GTK_ACCESSIBLE_RELATION_LABELLED_BY);
        gtk_accessible_update_property(entry, GTK_ACCESSIBLE_PROPERTY_LABEL,
                                       gtk_label_get_text(GTK_LABEL(widget)), -1);
        return true;
    }
    bool named = false;
    for (GtkWidget *each = gtk_widget_get_first_child(widget); each && !(entry && named);
         each = gtk_widget_get_next_sibling(each))
        named = name_entries(each, entry);
    return named;
}

static void open_menu(struct window *w, double x, double y)
{
    name_entries(w->popover, NULL);
    gtk_popover_set_pointing_to(GTK_POPOVER(w->popover), &(GdkRectangle){(int)x, (int)y, 1, 1});
    gtk_popover_popup(GTK_POPOVER(w->popover));
}

void window_open_menu(struct window *w)
{
    open_menu(w, gtk_widget_get_width(w->content) / 2.0, 0);
}

static void right_pressed(GtkGesture *gesture, int n, double x, double y, void *user)
{
    struct window *w = user;
    (void)n;
    gtk_gesture_set_state(gesture, GTK_EVENT_SEQUENCE_CLAIMED);
    open_menu(w, x, y);
}

static void add_pointer(struct window *w)
{
    GtkGesture *drag = gtk_gesture_drag_new(), *right = gtk_gesture_click_new();
    g_signal_connect(drag, "drag-begin", G_CALLBACK(drag_began), w);
    g_signal_connect(drag, "drag-update", G_CALLBACK(drag_moved), w);
    gtk_widget_add_controller(w->grip, GTK_EVENT_CONTROLLER(drag));
    gtk_gesture_single_set_button(GTK_GESTURE_SINGLE(right), GDK_BUTTON_SECONDARY);
    gtk_event_controller_set_propagation_phase(GTK_EVENT_CONTROLLER(right), GTK_PHASE_CAPTURE);
    g_signal_connect(right, "pressed", G_CALLBACK(right_pressed), w);
    gtk_widget_add_controller(w->content, GTK_EVENT_CONTROLLER(right));
}

/* Above the text's first row, and not beside it: the window keeps its height. */
static GtkWidget *create_status(void)
{
    GtkWidget *label = g_object_new(GTK_TYPE_LABEL, "accessible-role", GTK_ACCESSIBLE_ROLE_STATUS,
                                    "visible", FALSE, "halign", GTK_ALIGN_END, "valign",
                                    GTK_ALIGN_START, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
    gtk_widget_add_css_class(label, "status");
    return label;
}

static GtkWidget *create_grip(void)
{
    GtkWidget *grip = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    gtk_widget_add_css_class(grip, "grip");
    gtk_widget_set_cursor_from_name(grip, "grab");
    gtk_widget_set_tooltip_text(grip, "Drag to move; right click for the menu");
    return grip;
}

static void fill(struct window *w, GMenuModel *menu)
{
    GtkWidget *row = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 4);
    w->content = gtk_overlay_new();
    w->status = create_status();
    w->grip = create_grip();
    gtk_box_append(GTK_BOX(row), w->grip);
    gtk_widget_set_hexpand(view_widget(w->view), TRUE);
    gtk_widget_set_margin_top(view_widget(w->view), 6);
    gtk_widget_set_margin_bottom(view_widget(w->view), 6);
    gtk_widget_set_margin_end(view_widget(w->view), 10);
    gtk_box_append(GTK_BOX(row), view_widget(w->view));
    gtk_overlay_set_child(GTK_OVERLAY(w->content), row);
    gtk_overlay_add_overlay(GTK_OVERLAY(w->content), w->status);
    w->popover = gtk_popover_menu_new_from_model(menu);
    gtk_popover_set_has_arrow(GTK_POPOVER(w->popover), FALSE);
    gtk_widget_set_parent(w->popover, w->content);
    gtk_window_set_child(w->window, w->content);
}

struct window *window_create(GtkApplication *application, const struct way *way,
                             struct settings *settings, GMenuModel *menu)
{
    struct window *w = g_new0(struct window, 1);
    w->way = way;
    w->settings = settings;
    w->view = view_create();
    w->window = GTK_WINDOW(gtk_application_window_new(application));
    gtk_widget_add_css_class(GTK_WIDGET(w->window), "captions");
    gtk_window_set_title(w->window, "Earshot captions");
    gtk_window_set_icon_name(w->window, "org.earshot.Overlay");
    gtk_window_set_decorated(w->window, FALSE);
    gtk_window_set_resizable(w->window, FALSE);
    fill(w, menu);
    add_pointer(w);
    g_signal_connect(w->window, "map", G_CALLBACK(mapped), w);
    way->attach(w->window);
    window_apply(w);
    gtk_widget_show(GTK_WIDGET(w->window));
    return w;
}

void window_destroy(struct window *w)
{
    if (!w)
        return;
    if (w->places)
        g_source_remove(w->places);
    gtk_widget_unparent(w->popover);
    gtk_window_destroy(w->window);
    view_destroy(w->view);
    g_free(w);
}

struct view *window_view(struct window *w)
{
    return w->view;
}

void window_apply(struct window *w)
{
    gtk_widget_set_size_request(w->content, width_of(w), -1);
    view_set_rows(w->view, w->settings->lines, w->older);
    if (gtk_widget_get_mapped(GTK_WIDGET(w->window)))
        put_soon(w);
    else if (w->way == &way_layer)
        put(w);
}

void window_set_older(struct window *w, bool older)
{
    w->older = older;
    window_apply(w);
}

void window_set_status(struct window *w, const char *status)
{
    gtk_label_set_text(GTK_LABEL(w->status), status ? status : "");
    gtk_widget_set_visible(w->status, status != NULL);
}

unsigned window_frames(const struct window *w)
{
    return w->frames;
}
