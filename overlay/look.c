/* The style sheet, written anew when a setting changes, and the contrast that the desktop asks for:
 * a theme of high contrast, or the setting of the desktop portal (look.h). */
#include "overlay/look.h"

#include <string.h>

#define PORTAL "org.freedesktop.portal.Desktop"
#define PORTAL_OBJECT "/org/freedesktop/portal/desktop"
#define PORTAL_SETTINGS "org.freedesktop.portal.Settings"
#define APPEARANCE "org.freedesktop.appearance"

struct look {
    GtkCssProvider *style;
    GdkDisplay *display;
    GtkSettings *theme;
    GDBusConnection *bus; /* NULL: none */
    GCancellable *cancel;
    unsigned signal;
    bool asked; /* by the portal */
    void (*changed)(void *user);
    void *user;
};

bool look_is_contrasty(const struct look *look)
{
    char *theme = NULL;
    g_object_get(look->theme, "gtk-theme-name", &theme, NULL);
    bool high = look->asked || (theme && (strstr(theme, "HighContrast") || strstr(theme, "-hc")));
    g_free(theme);
    return high;
}

/* The value of "contrast", in one variant or two. */
static void take_contrast(struct look *look, GVariant *value)
{
    GVariant *inner = g_variant_get_variant(value);
    if (g_variant_is_of_type(inner, G_VARIANT_TYPE_VARIANT))
        take_contrast(look, inner);
    else if (g_variant_is_of_type(inner, G_VARIANT_TYPE_UINT32)) {
        look->asked = g_variant_get_uint32(inner) == 1;
        look->changed(look->user);
    }
    g_variant_unref(inner);
}

static void portal_answered(GObject *bus, GAsyncResult *result, void *look)
{
    GVariant *value, *answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, NULL);
    if (!answer)
        return;
    value = g_variant_get_child_value(answer, 0);
    take_contrast(look, value);
    g_variant_unref(value);
    g_variant_unref(answer);
}

static void portal_told(GDBusConnection *bus, const char *sender, const char *object,
                        const char *interface, const char *member, GVariant *args, void *look)
{
    const char *space, *key;
    GVariant *value;
    (void)bus, (void)sender, (void)object, (void)interface, (void)member;
    if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(ssv)")))
        return;
    g_variant_get(args, "(&s&s@v)", &space, &key, &value);
    if (strcmp(space, APPEARANCE) == 0 && strcmp(key, "contrast") == 0)
        take_contrast(look, value);
    g_variant_unref(value);
}

static void bus_came(GObject *source, GAsyncResult *result, void *user)
{
    struct look *look = user;
    (void)source;
    GDBusConnection *bus = g_bus_get_finish(result, NULL);
    if (!bus)
        return;
    look->bus = bus;
    look->signal = g_dbus_connection_signal_subscribe(
        bus, PORTAL, PORTAL_SETTINGS, "SettingChanged", PORTAL_OBJECT, APPEARANCE,
        G_DBUS_SIGNAL_FLAGS_NONE, portal_told, look, NULL);
    g_dbus_connection_call(bus, PORTAL, PORTAL_OBJECT, PORTAL_SETTINGS, "Read",
                           g_variant_new("(ss)", APPEARANCE, "contrast"), G_VARIANT_TYPE("(v)"),
                           G_DBUS_CALL_FLAGS_NONE, -1, look->cancel, portal_answered, look);
}

static void theme_changed(GtkSettings *theme, GParamSpec *property, void *user)
{
    struct look *look = user;
    (void)theme, (void)property;
    look->changed(look->user);
}

struct look *look_create(GdkDisplay *display, void (*changed)(void *user), void *user)
{
    struct look *look = g_new0(struct look, 1);
    look->display = display;
    look->changed = changed;
    look->user = user;
    look->cancel = g_cancellable_new();
    look->style = gtk_css_provider_new();
    look->theme = gtk_settings_get_for_display(display);
    gtk_style_context_add_provider_for_display(display, GTK_STYLE_PROVIDER(look->style),
                                               GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
    g_signal_connect(look->theme, "notify::gtk-theme-name", G_CALLBACK(theme_changed), look);
    g_bus_get(G_BUS_TYPE_SESSION, look->cancel, bus_came, look);
    return look;
}

void look_destroy(struct look *look)
{
    if (!look)
        return;
    g_cancellable_cancel(look->cancel);
    g_signal_handlers_disconnect_by_data(look->theme, look);
    if (look->signal)
        g_dbus_connection_signal_unsubscribe(look->bus, look->signal);
    g_clear_object(&look->bus);
    gtk_style_context_remove_provider_for_display(look->display, GTK_STYLE_PROVIDER(look->style));
    g_object_unref(look->style);
    g_object_unref(look->cancel);
    g_free(look);
}

/* The family as a string of CSS; empty where it is the desktop's. */
static char *write_family(const char *font)
{
    char *quoted = g_strescape(font, "");
    char *family = *font ? g_strdup_printf("font-family: \"%s\";", quoted) : g_strdup("");
    g_free(quoted);
    return family;
}

void look_apply(struct look *look, const struct settings *settings)
{
    int opacity = look_is_contrasty(look) ? 100 : settings->opacity;
    char *family = write_family(settings->font);
    char *style = g_strdup_printf(
        "window.captions { background: rgba(0, 0, 0, %d.%02d); border-radius: 8px; }\n"
        ".caption-text, .caption-text textview, .caption-text textview text"
        " { background: none; color: #ffffff; }\n"
        ".caption-text textview { font-size: %dpt; %s }\n"
        "window.captions .grip { min-width: 6px; margin: 6px; border-radius: 3px;"
        " background: rgba(255, 255, 255, 0.35); }\n"
        "window.captions .status { background: #000000; color: #ffd97a; padding: 2px 8px;"
        " border-radius: 6px; font-size: %dpt; }\n",
        opacity / 100, opacity % 100, settings->size, family,
        settings->size > 20 ? settings->size / 2 : 10);
    gtk_css_provider_load_from_data(look->style, style, -1);
    g_free(style);
    g_free(family);
}
