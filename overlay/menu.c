/* What the menu has (menu.h). The microphones are those of the daemon; where it knows no sound
 * server they are those of earshot devices. */
#include "overlay/menu.h"

#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

struct entry {
    const char *label, *action; /* NULL: ends a list */
};

static GMenu *make(const struct entry *entries)
{
    GMenu *menu = g_menu_new();
    for (; entries->label; entries++)
        g_menu_append(menu, entries->label, entries->action);
    return menu;
}

static void add_section(GMenu *menu, GMenu *section)
{
    g_menu_append_section(menu, NULL, G_MENU_MODEL(section));
    g_object_unref(section);
}

static void add_submenu(GMenu *menu, const char *label, const struct entry *entries)
{
    GMenu *submenu = make(entries);
    g_menu_append_submenu(menu, label, G_MENU_MODEL(submenu));
    g_object_unref(submenu);
}

static const struct entry modes[] = {
    {"_Captions alone", "app.mode::captions"}, {"With _replies", "app.mode::assistant"}, {NULL}};
static const struct entry sounds[] = {{"_Microphone", "app.sound::microphone"},
                                      {"_Desktop", "app.sound::desktop"},
                                      {"_Both", "app.sound::both"},
                                      {NULL}};
static const struct entry texts[] = {{"_Copy", "app.copy"},
                                     {"Select _all", "app.select-all"},
                                     {"_Older lines", "app.older"},
                                     {NULL}};
static const struct entry sizes[] = {{"_Larger", "app.larger"},
                                     {"_Smaller", "app.smaller"},
                                     {"_Font\xe2\x80\xa6", "app.font"},
                                     {NULL}};
static const struct entry grounds[] = {
    {"_Black", "app.opacity(100)"}, {"_Dark", "app.opacity(75)"}, {"_Half", "app.opacity(50)"},
    {"_Light", "app.opacity(25)"},  {"_None", "app.opacity(0)"},  {NULL}};
static const struct entry rows[] = {{"_2", "app.lines(2)"},
                                    {"_3", "app.lines(3)"},
                                    {"_4", "app.lines(4)"},
                                    {"_6", "app.lines(6)"},
                                    {NULL}};
static const struct entry widths[] = {{"_40 %", "app.width(40)"},
                                      {"_60 %", "app.width(60)"},
                                      {"_80 %", "app.width(80)"},
                                      {"_100 %", "app.width(100)"},
                                      {NULL}};
static const struct entry edges[] = {
    {"_Bottom", "app.edge::bottom"}, {"_Top", "app.edge::top"}, {NULL}};
static const struct entry ends[] = {{"_Quit", "app.quit"}, {NULL}};

static GMenu *make_ear(struct menu *menu)
{
    GMenu *ear = g_menu_new();
    g_menu_append(ear, "_Pause", "app.pause");
    g_menu_append_submenu(ear, "_Microphone", G_MENU_MODEL(menu->devices));
    add_submenu(ear, "_Captions of", sounds);
    add_submenu(ear, "M_ode", modes);
    return ear;
}

static GMenu *make_look(void)
{
    GMenu *look = g_menu_new();
    add_submenu(look, "_Text", sizes);
    add_submenu(look, "_Background", grounds);
    add_submenu(look, "_Lines", rows);
    add_submenu(look, "_Width", widths);
    add_submenu(look, "Pl_ace", edges);
    return look;
}

void menu_init(struct menu *menu)
{
    menu->model = g_menu_new();
    menu->devices = g_menu_new();
    add_section(menu->model, make_ear(menu));
    add_section(menu->model, make(texts));
    add_section(menu->model, make_look());
    add_section(menu->model, make(ends));
}

void menu_finish(struct menu *menu)
{
    g_clear_object(&menu->model);
    g_clear_object(&menu->devices);
    g_clear_pointer(&menu->microphones, g_variant_unref);
}

/* A name may have underlines, which a menu would take for the mark of a key. */
static void add_device(GMenu *devices, const char *label, const char *name)
{
    char **parts = g_strsplit(label, "_", -1);
    char *shown = g_strjoinv("__", parts);
    GMenuItem *item = g_menu_item_new(shown, NULL);
    g_menu_item_set_action_and_target(item, "app.device", "s", name);
    g_menu_append_item(devices, item);
    g_object_unref(item);
    g_free(shown);
    g_strfreev(parts);
}

static bool read_microphone(GVariant *microphone, const char **name, const char **description,
                            gboolean *is_default, gboolean *monitors)
{
    *is_default = *monitors = FALSE;
    g_variant_lookup(microphone, "default", "b", is_default);
    g_variant_lookup(microphone, "monitor", "b", monitors);
    return g_variant_lookup(microphone, "name", "&s", name) &&
           g_variant_lookup(microphone, "description", "&s", description);
}

/* The microphones, or what loudspeakers play. */
static GMenu *make_microphones(GVariant *microphones, bool monitors)
{
    GVariantIter each;
    GVariant *microphone;
    const char *name, *description;
    gboolean is_default, is_monitor;
    GMenu *section = g_menu_new();
    g_variant_iter_init(&each, microphones);
    while ((microphone = g_variant_iter_next_value(&each))) {
        if (read_microphone(microphone, &name, &description, &is_default, &is_monitor) &&
            is_monitor == monitors) {
            char *label = g_strconcat(description, is_default ? " (the default)" : "", NULL);
            add_device(section, label, name);
            g_free(label);
        }
        g_variant_unref(microphone);
    }
    return section;
}

bool menu_has_microphone(const struct menu *menu, const char *name)
{
    bool found = false;
    const char *listed, *description;
    gboolean is_default, monitors;
    size_t count = menu->microphones ? g_variant_n_children(menu->microphones) : 0;
    for (size_t i = 0; i < count && !found; i++) {
        GVariant *microphone = g_variant_get_child_value(menu->microphones, i);
        found = read_microphone(microphone, &listed, &description, &is_default, &monitors) &&
                strcmp(listed, name) == 0;
        g_variant_unref(microphone);
    }
    return found;
}

static void clear(GMenu *devices)
{
    g_menu_remove_all(devices);
    add_device(devices, "The desktop's own", "");
}

/* Names of the daemon, which have come meanwhile, stay. */
static bool is_named(GMenu *devices)
{
    return g_object_get_data(G_OBJECT(devices), "named") != NULL;
}

static void set_named(GMenu *devices, bool named)
{
    g_object_set_data(G_OBJECT(devices), "named", GINT_TO_POINTER(named));
}

static void devices_listed(GObject *process, GAsyncResult *result, void *user)
{
    char *out = NULL;
    GMenu *devices = user;
    g_subprocess_communicate_utf8_finish(G_SUBPROCESS(process), result, &out, NULL, NULL);
    char **names = g_strsplit(out ? out : "", "\n", -1);
    if (!is_named(devices))
        clear(devices);
    for (char **name = names; *name && !is_named(devices); name++)
        if (**name)
            add_device(devices, *name, *name);
    g_strfreev(names);
    g_free(out);
    g_object_unref(devices);
}

/* The program beside this one, or what PATH has. */
static char *find_earshot(void)
{
    char *own = g_file_read_link("/proc/self/exe", NULL);
    char *folder = g_path_get_dirname(own ? own : "."),
         *path = g_build_filename(folder, "earshot", NULL);
    if (access(path, X_OK) != 0) {
        g_free(path);
        path = g_strdup("earshot");
    }
    g_free(folder);
    g_free(own);
    return path;
}

static void run_earshot_devices(struct menu *menu)
{
    char *program = find_earshot();
    GSubprocess *process =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL,
                         program, "devices", NULL);
    if (process)
        g_subprocess_communicate_utf8_async(process, NULL, NULL, devices_listed,
                                            g_object_ref(menu->devices));
    g_clear_object(&process);
    g_free(program);
}

void menu_list_devices(struct menu *menu, GVariant *microphones)
{
    bool known = microphones && g_variant_n_children(microphones);
    if (known && menu->microphones && g_variant_equal(menu->microphones, microphones))
        return;
    g_clear_pointer(&menu->microphones, g_variant_unref);
    set_named(menu->devices, known);
    if (!known) {
        run_earshot_devices(menu);
        return;
    }
    menu->microphones = g_variant_ref(microphones);
    clear(menu->devices);
    add_section(menu->devices, make_microphones(microphones, false));
    add_section(menu->devices, make_microphones(microphones, true));
}
