/* The actions of the application (actions.h): a table of those without a state, and of those with
 * one, whose state is a setting or what the daemon says. */
#include "overlay/actions.h"

#include <string.h>

void actions_apply(struct overlay *o)
{
    window_keep_place(o->window);
    look_apply(o->look, &o->settings);
    view_set_contrast(window_view(o->window), look_is_contrasty(o->look));
    window_apply(o->window);
    settings_write(&o->settings);
}

static void copy(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action, (void)value;
    view_copy(window_view(o->window));
}

static void select_all(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action, (void)value;
    view_select_all(window_view(o->window));
}

static void resize(struct overlay *o, int points)
{
    o->settings.size = CLAMP(o->settings.size + points, 8, 96);
    actions_apply(o);
}

static void larger(GSimpleAction *action, GVariant *value, void *user)
{
    (void)action, (void)value;
    resize(user, 2);
}

static void smaller(GSimpleAction *action, GVariant *value, void *user)
{
    (void)action, (void)value;
    resize(user, -2);
}

static void open_menu(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action, (void)value;
    window_open_menu(o->window);
}

static void quit(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action, (void)value;
    window_keep_place(o->window);
    settings_write(&o->settings);
    g_application_quit(G_APPLICATION(o->application));
}

static void take_font(struct overlay *o, PangoFontDescription *font)
{
    const char *family = font ? pango_font_description_get_family(font) : NULL;
    if (family)
        g_strlcpy(o->settings.font, family, sizeof o->settings.font);
    if (font && !pango_font_description_get_size_is_absolute(font) &&
        pango_font_description_get_size(font) >= 8 * PANGO_SCALE)
        o->settings.size = MIN(pango_font_description_get_size(font) / PANGO_SCALE, 96);
    if (font)
        pango_font_description_free(font);
    actions_apply(o);
}

static PangoFontDescription *font_now(const struct overlay *o)
{
    PangoFontDescription *font = pango_font_description_new();
    pango_font_description_set_family(font, *o->settings.font ? o->settings.font : "Sans");
    pango_font_description_set_size(font, o->settings.size * PANGO_SCALE);
    return font;
}

#if GTK_CHECK_VERSION(4, 10, 0)
static void font_chosen(GObject *dialog, GAsyncResult *result, void *overlay)
{
    take_font(overlay, gtk_font_dialog_choose_font_finish(GTK_FONT_DIALOG(dialog), result, NULL));
}

static void ask_font(struct overlay *o, PangoFontDescription *font)
{
    GtkFontDialog *dialog = gtk_font_dialog_new();
    gtk_font_dialog_choose_font(dialog, NULL, font, NULL, font_chosen, o);
    g_object_unref(dialog);
}
#else
static void font_chosen(GtkDialog *dialog, int answer, void *overlay)
{
    if (answer == GTK_RESPONSE_OK)
        take_font(overlay, gtk_font_chooser_get_font_desc(GTK_FONT_CHOOSER(dialog)));
    gtk_window_destroy(GTK_WINDOW(dialog));
}

static void ask_font(struct overlay *o, PangoFontDescription *font)
{
    GtkWidget *dialog = gtk_font_chooser_dialog_new("Font of the captions", NULL);
    gtk_font_chooser_set_font_desc(GTK_FONT_CHOOSER(dialog), font);
    g_signal_connect(dialog, "response", G_CALLBACK(font_chosen), o);
    gtk_widget_show(dialog);
}
#endif

static void choose_font(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    PangoFontDescription *font = font_now(o);
    (void)action, (void)value;
    ask_font(o, font);
    pango_font_description_free(font);
}

static void set_pause(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action;
    ear_set_muted(o->ear, g_variant_get_boolean(value));
}

static void set_mode(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action;
    ear_set_mode(o->ear, g_variant_get_string(value, NULL));
}

static void set_device(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    (void)action;
    ear_set_device(o->ear, g_variant_get_string(value, NULL));
}

static void set_sound(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    o->settings.sound = settings_sound_of(g_variant_get_string(value, NULL));
    g_simple_action_set_state(action, g_variant_new_string(settings_sound_name(o->settings.sound)));
    ear_set_sound(o->ear, o->settings.sound);
    settings_write(&o->settings);
}

static void set_older(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    g_simple_action_set_state(action, value);
    window_keep_place(o->window);
    window_set_older(o->window, g_variant_get_boolean(value));
}

static void set_number(GSimpleAction *action, GVariant *value, int *setting, int least, int most,
                       struct overlay *o)
{
    *setting = CLAMP(g_variant_get_int32(value), least, most);
    g_simple_action_set_state(action, g_variant_new_int32(*setting));
    actions_apply(o);
}

static void set_opacity(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    set_number(action, value, &o->settings.opacity, 0, 100, o);
}

static void set_lines(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    set_number(action, value, &o->settings.lines, 1, 12, o);
}

static void set_width(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    window_keep_place(o->window);
    o->settings.x = o->settings.bottom = SETTINGS_NOWHERE;
    set_number(action, value, &o->settings.width, 20, 100, o);
}

static void set_edge(GSimpleAction *action, GVariant *value, void *user)
{
    struct overlay *o = user;
    g_simple_action_set_state(action, value);
    o->settings.top = strcmp(g_variant_get_string(value, NULL), "top") == 0;
    window_keep_place(o->window);
    o->settings.x = o->settings.bottom = SETTINGS_NOWHERE;
    look_apply(o->look, &o->settings);
    window_apply(o->window);
    settings_write(&o->settings);
}

static const GActionEntry entries[] = {
    {"copy", copy},
    {"select-all", select_all},
    {"larger", larger},
    {"smaller", smaller},
    {"font", choose_font},
    {"menu", open_menu},
    {"quit", quit},
    {"pause", NULL, NULL, "false", set_pause},
    {"older", NULL, NULL, "false", set_older},
    {"mode", NULL, "s", "''", set_mode},
    {"device", NULL, "s", "''", set_device},
    {"sound", NULL, "s", "'microphone'", set_sound},
    {"edge", NULL, "s", "'bottom'", set_edge},
    {"opacity", NULL, "i", "75", set_opacity},
    {"lines", NULL, "i", "3", set_lines},
    {"width", NULL, "i", "60", set_width},
};

static void set_state(struct overlay *o, const char *name, GVariant *value)
{
    GAction *action = g_action_map_lookup_action(G_ACTION_MAP(o->application), name);
    g_simple_action_set_state(G_SIMPLE_ACTION(action), value);
}

static void add_keys(struct overlay *o, const char *action, const char *first, const char *second)
{
    const char *keys[] = {first, second, NULL};
    gtk_application_set_accels_for_action(o->application, action, keys);
}

void actions_add(struct overlay *o)
{
    g_action_map_add_action_entries(G_ACTION_MAP(o->application), entries, G_N_ELEMENTS(entries),
                                    o);
    set_state(o, "opacity", g_variant_new_int32(o->settings.opacity));
    set_state(o, "lines", g_variant_new_int32(o->settings.lines));
    set_state(o, "width", g_variant_new_int32(o->settings.width));
    set_state(o, "sound", g_variant_new_string(settings_sound_name(o->settings.sound)));
    set_state(o, "edge", g_variant_new_string(o->settings.top ? "top" : "bottom"));
    add_keys(o, "app.menu", "Menu", "<Shift>F10");
    add_keys(o, "app.larger", "<Control>plus", "<Control>equal");
    add_keys(o, "app.smaller", "<Control>minus", NULL);
    add_keys(o, "app.pause", "<Control>p", NULL);
    add_keys(o, "app.older", "<Control>o", NULL);
    add_keys(o, "app.quit", "<Control>q", NULL);
}

/* What is not listed by its name is the desktop's choice, where there are names. */
static const char *chosen_device(const struct overlay *o)
{
    const char *device = ear_device(o->ear);
    return o->menu.microphones && !menu_has_microphone(&o->menu, device) ? "" : device;
}

void actions_follow(struct overlay *o)
{
    static const char *const of_daemon[] = {"pause", "mode", "device"};
    for (size_t i = 0; i < G_N_ELEMENTS(of_daemon); i++) {
        GAction *action = g_action_map_lookup_action(G_ACTION_MAP(o->application), of_daemon[i]);
        g_simple_action_set_enabled(G_SIMPLE_ACTION(action), ear_is_there(o->ear));
    }
    set_state(o, "pause", g_variant_new_boolean(ear_is_muted(o->ear)));
    set_state(o, "mode", g_variant_new_string(ear_mode(o->ear)));
    set_state(o, "device", g_variant_new_string(chosen_device(o)));
}
